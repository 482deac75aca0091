"""The broker itself: CONNECT to DISCONNECT, routing, retained messages, wills, $SYS.

Runs in one asyncio loop and is not thread-safe; `umqtt_harness.broker` has the thread around it.
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
from .faults import QUIRKS, FaultTable
from .packets import Malformed
from .session import Message, Session
from .topics import matches

_VERSION = "umqtt_harness broker 1"
_MAX_CACHED_TOPICS = 10_000


class Broker(Commands):
    def __init__(
        self,
        host="127.0.0.1",
        port=0,
        *,
        users=None,  # {"name": "password"}
        allow_anonymous=None,  # default: only without users
        quirks=(),  # names from faults.QUIRKS
        window=20,  # QoS 1/2 messages in flight to one client
        max_queued=1000,  # QoS 1/2 messages waiting for one client
        max_packet_size=16 << 20,
        connect_timeout_s=10.0,  # from accept to CONNECT
        receive_buffer=None,  # SO_RCVBUF: a small one makes the client's writes partial
        sys_interval_s=5.0,
        log_limit=200_000,  # events kept; 0 records nothing
        control=False,  # obey $CONTROL/...
        on_event=None,  # called in the loop with every Event
    ):
        unknown = set(quirks) - set(QUIRKS)
        if unknown:
            raise ValueError(f"no quirk {', '.join(sorted(unknown))}; there are {sorted(QUIRKS)}")
        self.host = host
        self.port = port
        self.users = {
            name: secret.encode() if isinstance(secret, str) else secret
            for name, secret in (users or {}).items()
        }
        self.allow_anonymous = not users if allow_anonymous is None else allow_anonymous
        self.quirks = set(quirks)
        self.window = window
        self.max_queued = max_queued
        self.max_packet_size = max_packet_size
        self.connect_timeout_s = connect_timeout_s
        self.receive_buffer = receive_buffer
        self.sys_interval_s = sys_interval_s
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
        self._targets_of = {}
        self._connection_count = 0
        self._generated_ids = 0
        self._sys_timer = None
        self._started = time.monotonic()

    # Life

    async def start(self):
        """Listens. With port 0 the chosen port is in `port` and kept for every later start."""
        if self._server is not None:
            return
        self.loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            sock.bind((self.host, self.port))
            self._server = await self.loop.create_server(lambda: Connection(self), sock=sock)
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        self._refresh_sys()

    async def stop(self, keep_sessions=True, how="fin"):
        """As if the broker died: no wills. Sessions and retained messages are kept or lost."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._sys_timer.cancel()
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

    def detach(self, connection, will):
        """The connection takes no part any more: its session stays or goes, its will goes out."""
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            if session.clean_session or "sessions_lost" in self.quirks:
                self._forget(session)
        if will is not None:
            self.route(will.topic, will.payload, will.qos, will.retain, connection.client_id)

    def _forget(self, session):
        if self.client_sessions.get(session.client_id) is session:
            del self.client_sessions[session.client_id]
        self._targets_of.clear()

    # Packets

    def handle(self, connection, packet, fault):
        self.messages_received += 1
        session = connection.session
        kind = packet.kind
        if session is None:
            if kind != packets.CONNECT:
                raise Malformed(f"the first packet is {packet.type}, not CONNECT")
            self._connect(connection, packet.connect, fault)
        elif kind == packets.PUBLISH:
            self._publish(connection, session, packet)
        elif kind in (packets.PUBACK, packets.PUBREC, packets.PUBCOMP):
            note = session.on_ack(kind, packet.packet_id)
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
            connection.said_goodbye = True
            connection.will = None
            connection.close("DISCONNECT")
        else:
            raise Malformed("a second CONNECT")

    def _connect(self, connection, connect, fault):
        code = self._judge(connect, fault)
        if code:
            connection.send(packets.CONNACK, packets.connack(0, code))
            connection.close(f"refused with code {code}")
            return
        if connect.keep_alive_s == 0 and "no_connack_keepalive_0" in self.quirks:
            connection.close("quirk: keep alive 0")
            return
        client_id = connect.client_id
        if not client_id:
            self._generated_ids += 1
            client_id = f"auto-{self._generated_ids}"
        connection.client_id = client_id
        session = self.client_sessions.get(client_id)
        if session is not None and session.connection is not None:
            session.connection.close("session taken over")
            session = self.client_sessions.get(client_id)
        if session is not None and connect.clean_session:
            self._forget(session)
            session = None
        session_present = session is not None
        if session is None:
            session = Session(client_id, connect.clean_session, self)
            self.client_sessions[client_id] = session
        session.connection = connection
        connection.session = session
        connection.will = connect.will
        connection.start_keep_alive(connect.keep_alive_s)
        told = session_present and "session_present_always_zero" not in self.quirks
        connection.send(packets.CONNACK, packets.connack(told, 0))
        session.resume()

    def _judge(self, connect, fault):
        """The CONNACK return code. As Mosquitto, a wrong password gets 5, not 4."""
        if fault is not None and fault.action == "refuse":
            return fault.code
        if (connect.protocol_name, connect.protocol_level) != ("MQTT", 4):
            return 1
        if not connect.client_id and not connect.clean_session:
            return 2
        if connect.user is None:
            return 0 if self.allow_anonymous else 5
        if not self.users:
            return 0
        return 0 if self.users.get(connect.user) == (connect.password or b"") else 5

    def _publish(self, connection, session, packet):
        packet_id = packet.packet_id
        if packet.qos < 2:
            if packet_id in session.received:
                raise Malformed(f"QoS 1 PUBLISH with id {packet_id}, open for a QoS 2 message")
            self._route_from(session, packet)
            if packet.qos:
                self._ack(connection, packets.PUBACK, packet_id)
            return
        if "rabbitmq_qos2_puback" in self.quirks:
            self._route_from(session, packet)
            self._ack(connection, packets.PUBACK, packet_id)
            return
        known = session.received.get(packet_id)
        if "no_qos2_dedup" in self.quirks:
            self._route_from(session, packet)
        if known is None:
            session.received[packet_id] = Message(
                packet.topic, packet.payload, 2, packet.retain, session.client_id
            )
        elif (known.topic, known.payload) != (packet.topic, packet.payload):
            connection.violation(f"id {packet_id} reused for another message while open")
        elif not packet.dup:
            connection.violation(f"PUBLISH with id {packet_id} repeated without DUP")
        self._ack(connection, packets.PUBREC, packet_id)

    def _pubrel(self, connection, session, packet_id):
        message = session.received.pop(packet_id, None)
        if message is None and "no_pubcomp_unknown" in self.quirks:
            return
        if message is not None and "no_qos2_dedup" not in self.quirks:
            self._route_from(session, message)
        self._ack(connection, packets.PUBCOMP, packet_id)

    def _ack(self, connection, kind, packet_id):
        connection.send(kind, packets.ack(kind, packet_id), packet_id)

    def _subscribe(self, connection, session, packet, fault):
        if packet.packet_id in session.received:
            connection.violation(f"SUBSCRIBE with id {packet.packet_id}, open for a message")
        codes = []
        forced = fault.codes if fault is not None and fault.action == "suback" else ()
        limit = 1 if self.quirks & {"rabbitmq_qos2_puback", "downgrade_qos2_grant"} else 2
        for i, (topic_filter, qos) in enumerate(packet.filters):
            code = forced[i] if i < len(forced) else min(qos, limit)
            codes.append(code)
            if code < 0x80:
                session.subscriptions[topic_filter] = min(code, 2)
        self._targets_of.clear()
        raw = packets.suback(packet.packet_id, forced or codes)
        early = "retained_before_suback" in self.quirks
        if not early and "no_suback" not in self.quirks:
            connection.send(packets.SUBACK, raw, packet.packet_id)
        for topic_filter, _ in packet.filters:
            self._send_retained(session, topic_filter)
        if early:
            connection.send(packets.SUBACK, raw, packet.packet_id)

    def _send_retained(self, session, topic_filter):
        granted = session.subscriptions.get(topic_filter)
        wild = "+" in topic_filter or "#" in topic_filter
        if granted is None or (wild and "no_retained_on_wildcard" in self.quirks):
            return
        if topic_filter.startswith("$SYS/"):
            self._retain_sys()
        found = list(self.retained) if wild else [topic_filter]
        for topic in found:
            message = self.retained.get(topic)
            if message is not None and matches(topic_filter, topic):
                session.deliver(topic, message.payload, self._qos(message.qos, granted), True)

    def _qos(self, published, granted):
        if "deliver_at_subscription_qos" in self.quirks:
            return granted
        return min(published, granted)

    def _unsubscribe(self, connection, session, packet):
        known = [session.subscriptions.pop(name, None) for name, _ in packet.filters]
        self._targets_of.clear()
        if known.count(None) == len(known) and "no_unsuback_unknown" in self.quirks:
            return
        self._ack(connection, packets.UNSUBACK, packet.packet_id)

    # Routing

    def _route_from(self, session, message):
        topic = message.topic
        if topic[0] == "$" and topic.startswith(("$SYS/", "$CONTROL/")):
            # As Mosquitto: acknowledged and thrown away, unless somebody is in control.
            if self.control is not None and topic.startswith("$CONTROL/"):
                self.control.obey(topic[9:], message.payload)
            return
        self.route(topic, message.payload, message.qos, message.retain, session.client_id)

    def route(self, topic, payload, qos=0, retain=False, client_id=""):
        """Keeps it if retained and hands it to everybody who asked for it."""
        if self.recording:
            self.routed.append(Message(topic, payload, qos, retain, client_id))
        if retain:
            if payload:
                self.retained[topic] = Message(topic, payload, qos, True, client_id)
            else:
                self.retained.pop(topic, None)
        self._deliver(topic, payload, qos)

    def _deliver(self, topic, payload, qos):
        shared = None
        for session, granted in self._targets(topic):
            lower = self._qos(qos, granted)
            if lower == 0 and shared is None:
                shared = packets.publish(topic, payload)
            session.deliver(topic, payload, lower, False, shared)

    def _targets(self, topic):
        """[(session, granted QoS)] for a topic: one entry a session, at the highest QoS."""
        targets = self._targets_of.get(topic)
        if targets is None:
            targets = []
            for session in self.client_sessions.values():
                granted = [q for f, q in session.subscriptions.items() if matches(f, topic)]
                if granted and "copy_per_subscription" not in self.quirks:
                    granted = [max(granted)]
                targets += [(session, qos) for qos in granted]
            if len(self._targets_of) >= _MAX_CACHED_TOPICS:
                self._targets_of.clear()
            self._targets_of[topic] = targets
        return targets

    # $SYS

    def _retain_sys(self):
        connected = sum(1 for s in self.client_sessions.values() if s.connection is not None)
        values = {
            "version": _VERSION,
            "uptime": f"{time.monotonic() - self._started:.0f} seconds",
            "clients/connected": connected,
            "messages/received": self.messages_received,
            "messages/sent": self.messages_sent,
        }
        for name, value in values.items():
            topic = f"$SYS/broker/{name}"
            self.retained[topic] = Message(topic, str(value).encode(), 0, True)

    def _refresh_sys(self):
        self._retain_sys()
        for topic in [name for name in self.retained if name.startswith("$SYS/")]:
            self._deliver(topic, self.retained[topic].payload, 0)
        self._sys_timer = self.loop.call_later(self.sys_interval_s, self._refresh_sys)


@contextlib.asynccontextmanager
async def running(broker):
    """`async with running(Broker()) as broker:` for programs with a loop of their own."""
    await broker.start()
    try:
        yield broker
    finally:
        await broker.aclose()
