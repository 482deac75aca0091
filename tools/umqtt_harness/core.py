"""The broker itself: its life, and what it does with each packet of either version.

CONNECT is in `handshake`, who gets a message in `routing`, the clock in `timers`. Runs in one
asyncio loop and is not thread-safe; `umqtt_harness.broker` has the thread around it.
"""

import asyncio
import contextlib
import socket
import time
from collections import deque

from . import packets
from .commands import Commands
from .connection import Connection
from .control import Control
from .events import EventLog
from .faults import QUIRKS, QUIRKS_5, FaultTable
from .handshake import Handshake
from .packets import PROTOCOL_ERROR, Malformed
from .profiles import PROFILES
from .routing import Routing
from .session import Received
from .terms import LIMITS
from .timers import Timers

_NO_TAKERS, _ID_IN_USE, _UNKNOWN_ID, _NO_SUBSCRIPTION = 0x10, 0x91, 0x92, 0x11
_BAD_PAYLOAD = 0x99


class Broker(Commands, Handshake, Routing, Timers):
    def __init__(
        self,
        host="127.0.0.1",
        port=0,
        *,
        users=None,  # {"name": "password"}
        allow_anonymous=None,  # default: only without users
        quirks=(),  # names from faults.QUIRKS
        like=None,  # a name from profiles.PROFILES: the quirks and limits of a real broker
        limits=None,  # what the CONNACK of 5.0 announces, names from terms.LIMITS; all enforced
        auth=None,  # {"METHOD": server method}, see handshake
        window=20,  # QoS 1/2 messages in flight to one client
        max_queued=1000,  # QoS 1/2 messages waiting for one client
        max_packet_size=16 << 20,
        connect_timeout_s=10.0,  # from accept to CONNECT
        receive_buffer=None,  # SO_RCVBUF: a small one makes the client's writes partial
        sys_interval_s=5.0,
        drain_interval_s=0.2,  # of the quirk drains_slowly
        token_lifetime_s=1.0,  # of the quirk token_runs_out
        log_limit=200_000,  # events kept; 0 records nothing
        control=False,  # obey $CONTROL/...
        on_event=None,  # called in the loop with every Event
    ):
        if like is not None and like not in PROFILES:
            raise ValueError(f"like={like!r}: there are {', '.join(PROFILES)}")
        profile = PROFILES.get(like, {})
        quirks = {*quirks, *profile.get("quirks", ())}
        limits = {**profile.get("limits", {}), **(limits or {})}
        unknown = set(limits) - set(LIMITS)
        if unknown:
            raise ValueError(f"no limit {', '.join(sorted(unknown))}; there are {LIMITS}")
        known = sorted({**QUIRKS, **QUIRKS_5})
        unknown = quirks - set(known)
        if unknown:
            raise ValueError(f"no quirk {', '.join(sorted(unknown))}; there are {known}")
        self.host = host
        self.port = port
        self.users = {
            name: secret.encode() if isinstance(secret, str) else secret
            for name, secret in (users or {}).items()
        }
        self.allow_anonymous = not users if allow_anonymous is None else allow_anonymous
        self.quirks = quirks
        self.limits = limits
        self.auth = dict(auth or {})
        self.window = window
        self.max_queued = max_queued
        self.max_packet_size = max_packet_size
        self.connect_timeout_s = connect_timeout_s
        self.receive_buffer = receive_buffer
        self.sys_interval_s = sys_interval_s
        self.drain_interval_s = drain_interval_s
        self.token_lifetime_s = token_lifetime_s
        self.recording = log_limit > 0
        self.on_event = on_event
        self.watched = self.recording or on_event is not None
        self.log = EventLog(log_limit)
        self.control = Control(self) if control else None
        self.faults = FaultTable()
        self.split_default = None
        self.tcp_refusal = None  # (mode, how many more or None)
        self.violations = []  # what clients did that the standard forbids
        self.routed = deque(maxlen=log_limit)
        self.client_sessions = {}
        self.retained = {}
        self.history = []  # every connection, for wire()
        self.connections = set()  # those whose socket is open
        self.messages_received = 0
        self.messages_sent = 0
        self.loop = None
        self._server = None
        self._place = None  # a socket that keeps our port while we are stopped
        self._targets_of = {}
        self._connection_count = 0
        self._generated_ids = 0
        self._turns = {}  # of shared subscriptions: how many messages each has had
        self._draining = set()
        self._ahead_s = 0.0
        self._timer = None
        self._sys_timer = None
        self._started = time.monotonic()

    # Life

    async def start(self):
        """Listens. With port 0 the chosen port is in `port` and kept for every later start."""
        if self._server is not None:
            return
        self.loop = asyncio.get_running_loop()
        sock, self._place = self._place or self._bound(), None
        try:
            self._server = await self.loop.create_server(lambda: Connection(self), sock=sock)
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self._refresh_sys()
        self.arm()

    def _bound(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            sock.bind((self.host, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    @property
    def running(self):
        return self._server is not None

    async def stop(self, keep_sessions=True, how="fin"):
        """As if the broker died: no wills. Sessions and retained messages are kept or lost.

        The port refuses connections, but stays ours for the next start().
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with contextlib.suppress(OSError):  # where a system does not allow it, start() tries
            self._place = self._bound()
        self._sys_timer.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        leaving = [c for c in self.connections if not c.muted]
        for connection in leaving:
            connection.close("broker stopped", how, send_will=False)
        deadline = self.loop.time() + 0.5
        while self.connections.intersection(leaving):
            if self.loop.time() > deadline:
                for connection in self.connections.intersection(leaving):
                    connection.drop_socket()
                break
            await asyncio.sleep(0.001)
        if not keep_sessions:
            self.client_sessions.clear()
            self.retained.clear()
            self._targets_of.clear()

    async def aclose(self):
        """The end, silenced connections included."""
        await self.stop()
        if self._place:
            self._place.close()
            self._place = None
        for connection in list(self.connections):
            connection.leave("broker closed", send_will=False)
            connection.drop_socket()
        for _ in range(100):  # aborted sockets are closed in the loop's next turns
            if not self.connections:
                break
            await asyncio.sleep(0)

    def now(self):
        return time.monotonic() - self.log.start

    def record(self, event):
        if self.recording:
            self.log.append(event)
        if self.on_event is not None:
            self.on_event(event)

    # Connections

    def connection_made(self, connection):
        self._connection_count += 1
        self.connections.add(connection)
        if self.recording:
            self.history.append(connection)
            del self.history[:-1000]
        if self.tcp_refusal is not None:
            mode, left = self.tcp_refusal
            if left is not None:
                left -= 1
                self.tcp_refusal = (mode, left) if left else None
            connection.refuse(mode)
        return self._connection_count

    def connection_gone(self, connection):
        self.connections.discard(connection)

    # Packets

    def handle(self, connection, packet, fault):
        self.messages_received += 1
        session = connection.session
        kind = packet.kind
        if session is None:
            self._handle_stranger(connection, packet, fault)
        elif kind == packets.PUBLISH:
            if connection.terms is None:
                self._publish(connection, session, packet)
            else:
                self._publish5(connection, session, packet)
        elif kind in (packets.PUBACK, packets.PUBREC, packets.PUBCOMP):
            note = session.on_ack(kind, packet.packet_id, packet.reason_code)
            if note:
                connection.violation(note)
        elif kind == packets.PUBREL:
            self._pubrel(connection, session, packet.packet_id)
        elif kind == packets.PINGREQ:
            connection.send(packets.PINGRESP, packets.PINGRESP_BYTES)
        elif kind == packets.SUBSCRIBE:
            self._subscribe(connection, session, packet, fault)
        elif kind == packets.UNSUBSCRIBE:
            self._unsubscribe(connection, session, packet)
        elif kind == packets.DISCONNECT:
            self._disconnect(connection, session, packet)
        elif kind == packets.AUTH:
            self._auth(connection, packet)
        else:
            raise Malformed("a second CONNECT", PROTOCOL_ERROR)

    def _handle_stranger(self, connection, packet, fault):
        """Before our CONNACK."""
        kind = packet.kind
        if connection.waiting is None:
            if kind != packets.CONNECT:
                raise Malformed(f"the first packet is {packet.type}, not CONNECT")
            self._connect(connection, packet.connect, fault)
        elif kind == packets.AUTH:
            self._auth(connection, packet)
        elif kind == packets.DISCONNECT:
            connection.said_goodbye = True
            connection.close("DISCONNECT")
        else:
            raise Malformed(f"{packet.type} while it authenticates itself", PROTOCOL_ERROR)

    def _disconnect(self, connection, session, packet):
        expiry_s = packet.properties.get("session_expiry_interval")
        if expiry_s is not None:
            if expiry_s and not connection.terms.session_expiry_s:
                raise Malformed("DISCONNECT prolongs a session without expiry", PROTOCOL_ERROR)
            session.expiry_s = min(expiry_s, self.limits.get("session_expiry_interval", expiry_s))
        connection.said_goodbye = True
        strange = packet.reason_code != 4 and "will_after_04_only" in self.quirks
        if packet.reason_code == 0 or strange:
            connection.will = None
        code = f" {packet.reason_code:02x}" if packet.reason_code else ""
        connection.close(f"DISCONNECT{code}")

    # Publishing, 3.1.1: a QoS 2 message is routed at its PUBREL, as Mosquitto does

    def _publish(self, connection, session, packet):
        packet_id = packet.packet_id
        message = self.message_of(packet, session.client_id)
        if packet.qos < 2:
            if packet_id in session.received:
                raise Malformed(f"QoS 1 PUBLISH with id {packet_id}, open for a QoS 2 message")
            self.route_from(message)
            if packet.qos:
                connection.ack(packets.PUBACK, packet_id)
            return
        if "rabbitmq_qos2_puback" in self.quirks:
            self.route_from(message)
            connection.ack(packets.PUBACK, packet_id)
            return
        if "no_qos2_dedup" in self.quirks:
            self.route_from(message)
        self._note_repeated(connection, session, packet)
        if packet_id not in session.received:
            routed = "no_qos2_dedup" in self.quirks
            session.received[packet_id] = Received(message, routed)
        connection.ack(packets.PUBREC, packet_id)

    def _note_repeated(self, connection, session, packet):
        known = session.received.get(packet.packet_id)
        if known is None:
            return
        if (known.message.topic, known.message.payload) != (packet.topic, packet.payload):
            connection.violation(f"id {packet.packet_id} reused for another message while open")
        elif not packet.dup:
            connection.violation(f"PUBLISH with id {packet.packet_id} repeated without DUP")

    def _pubrel(self, connection, session, packet_id):
        known = session.received.pop(packet_id, None)
        if known is None and connection.terms is not None and not connection.terms.resumed:
            connection.violation(f"PUBREL for id {packet_id}, unknown in a new session")
        if known is None and "no_pubcomp_unknown" in self.quirks:
            return
        if known is not None and not known.routed:
            self.route_from(known.message)
        code = 0 if known or "no_92" in self.quirks else _UNKNOWN_ID
        code, properties = self._answer(connection, "PUBCOMP", "", code)
        connection.ack(packets.PUBCOMP, packet_id, code, properties)

    # Publishing, 5.0: a QoS 2 message is routed at once, as the standard draws it

    def _publish5(self, connection, session, packet):
        note = connection.terms.check_publish(packet)
        if note:
            connection.violation(note)
        if packet.properties.get("payload_format_indicator") and not _is_text(packet.payload):
            if not packet.qos:
                raise Malformed("a payload that says it is UTF-8 is not", _BAD_PAYLOAD)
            connection.violation("a payload that says it is UTF-8 is not")
            refusal = _BAD_PAYLOAD
        else:
            refusal = 0
        message = self.message_of(packet, session.client_id)
        if packet.qos == 0:
            self.route_from(message)
            return
        kind = packets.PUBACK if packet.qos == 1 else packets.PUBREC
        packet_id = packet.packet_id
        known = session.received.get(packet_id)
        if known is not None and packet.qos == 1:
            raise Malformed(f"QoS 1 PUBLISH with id {packet_id}, open for QoS 2", PROTOCOL_ERROR)
        self._note_repeated(connection, session, packet)
        code, properties = self._answer(connection, packets.NAMES[kind], packet.topic, refusal)
        if code >= 0x80:
            session.received.pop(packet_id, None)
        elif known is None or "no_qos2_dedup" in self.quirks:
            takers = self.route_from(message)
            if not takers and not code and not self._hides_no_takers(kind):
                code = _NO_TAKERS
            if packet.qos == 2:
                session.received[packet_id] = Received(message, True)
        connection.ack(kind, packet_id, code, properties)

    def _hides_no_takers(self, kind):
        if "never_0x10" in self.quirks:
            return True
        return kind == packets.PUBREC and "pubrec_never_0x10" in self.quirks

    def _answer(self, connection, type_name, topic, code):
        """(reason code, properties) of an acknowledgement: ours, or what a test ordered."""
        if connection.terms is not None:
            forced = self.faults.answer(connection.client_id, type_name, topic)
            if forced is not None:
                return forced.code, forced.properties
        return code, None

    # Subscribing

    def _subscribe(self, connection, session, packet, fault):
        terms = connection.terms
        in_use = packet.packet_id in session.received
        if in_use:
            connection.violation(f"SUBSCRIBE with id {packet.packet_id}, open for a message")
        if terms is not None:
            terms.check_subscribe(packet)
        forced, properties = (), None
        if fault is not None and fault.action == "suback":
            forced = fault.codes
        elif terms is not None:
            ordered = self.faults.answer(session.client_id, "SUBACK")
            if ordered is not None:
                forced = ordered.codes or (ordered.code,) * len(packet.filters)
                properties = ordered.properties
            elif in_use:
                forced = (_ID_IN_USE,) * len(packet.filters)
        highest = 1 if self.quirks & {"rabbitmq_qos2_puback", "downgrade_qos2_grant"} else 2
        if terms is not None:
            highest = min(highest, self.limits.get("maximum_qos", 2))
        identifier = packet.properties.get("subscription_identifier", 0)
        codes, wanted = [], []
        for i, (topic_filter, options) in enumerate(packet.filters):
            code = forced[i] if i < len(forced) else min(options & 3, highest)
            codes.append(code)
            if code < 0x80:
                granted = min(code, 2)
                new = self.subscribe_one(session, topic_filter, options, granted, identifier)
                if options & 0x30 == 0 or (options & 0x30 == 0x10 and new):
                    wanted.append(topic_filter)
        early = "retained_before_suback" in self.quirks
        if not early and "no_suback" not in self.quirks:
            connection.acks(packets.SUBACK, packet.packet_id, forced or codes, properties)
        for topic_filter in wanted:
            self.send_retained(session, topic_filter)
        if early:
            connection.acks(packets.SUBACK, packet.packet_id, forced or codes, properties)

    def _unsubscribe(self, connection, session, packet):
        forced, properties = (), None
        if connection.terms is not None:
            ordered = self.faults.answer(session.client_id, "UNSUBACK")
            if ordered is not None:
                forced = ordered.codes or (ordered.code,) * len(packet.filters)
                properties = ordered.properties
        codes = []
        for i, (topic_filter, _) in enumerate(packet.filters):
            if i < len(forced) and forced[i] >= 0x80:
                continue
            known = self.unsubscribe_one(session, topic_filter)
            codes.append(0 if known else _NO_SUBSCRIPTION)
        if "no_unsuback_unknown" in self.quirks and 0 not in codes:
            return
        connection.acks(packets.UNSUBACK, packet.packet_id, forced or codes, properties)


def _is_text(payload):
    try:
        return "\0" not in payload.decode()
    except UnicodeDecodeError:
        return False


@contextlib.asynccontextmanager
async def running(broker):
    """`async with running(Broker()) as broker:` for programs with a loop of their own."""
    await broker.start()
    try:
        yield broker
    finally:
        await broker.aclose()
