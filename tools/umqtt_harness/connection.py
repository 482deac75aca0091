"""One TCP connection: its life, and bytes to packets, with every fault applied in between.

All packets of the broker pass `send`; all bytes pass `_write`, both in `writer`.
The protocol level of the CONNECT decides how every later packet of the connection is read.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque

from . import packets, packets5
from .events import Event
from .packets import CONNECT, PUBLISH, Framer, Malformed
from .writer import WIRE_LIMIT, Writer

# How long a client may take to hang up after our DISCONNECT, before we do.
_LINGER_S = 1.0


class Connection(Writer, asyncio.Protocol):
    def __init__(self, broker):
        Writer.__init__(self, broker)
        self.number = 0
        self.level = 0  # of its CONNECT: 4 or 5, or whatever the client said
        self.exchange = None  # enhanced authentication that is under way
        self.waiting = None  # its CONNECT, while that lasts
        self.client_id = ""
        self.session = None
        self.will = None
        self.keep_alive_s = 0
        self.transport = None
        self.closed = False  # no longer part of the broker's world
        self.muted = False  # written bytes vanish
        self.said_goodbye = False  # DISCONNECT came
        self.wire_in = bytearray()
        self._framer = Framer(broker.max_packet_size)
        self._inbox = deque()
        self._inbox_blocked = False
        self._blameless = False
        self._last_in = 0.0
        self._timer = None

    # Life

    def connection_made(self, transport):
        self.transport = transport
        self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._last_in = self.broker.loop.time()
        self.number = self.broker.connection_made(self)
        if not self.closed:
            self.event("conn", "OPEN")
            split = self.broker.split_default
            if split:
                self.split_size, self.split_pause_s = split
            self._timer = self.broker.loop.call_later(self.broker.connect_timeout_s, self._tick)

    def connection_lost(self, exc):
        self._end_writer()
        self.leave(f"connection lost: {exc}" if exc else "end of stream")
        self.broker.connection_gone(self)

    def eof_received(self):
        return False  # close our side too

    def leave(self, reason, send_will=True):
        """Ends this connection's part in the broker, whatever its socket does."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.event("conn", "CLOSE", note=reason)
        will, self.will = self.will, None
        self.broker.detach(self, will if send_will else None)

    def close(self, reason, how="fin", send_will=True):
        """Leaves and closes the socket, unless the link is silenced: then nobody hears of it."""
        self.leave(reason, send_will)
        if not self.muted:
            self._hang_up(how)

    def disconnect(self, code, reason, properties=None, send_will=True):
        """Says why to a 5.0 client that is online, then closes."""
        if self.terms is None or self.session is None or self.closed:
            self.close(reason, send_will=send_will)
            return
        self.send_disconnect(code, properties)
        self.leave(reason, send_will)
        self._close_gently()

    def refuse_connect(self, reason):
        """Closes behind a CONNACK that refuses."""
        self.leave(reason)
        self._close_gently()

    def _close_gently(self):
        """The client still reads our last packet: no reset for what it sent meanwhile."""
        if self.muted:
            return
        self._flush()
        if self._steps:
            self._steps.append(self._end_writing)
        else:
            self._end_writing()

    def _end_writing(self):
        if not self.transport.is_closing():
            with contextlib.suppress(OSError):  # the peer may be gone
                self.transport.write_eof()
            self.broker.loop.call_later(_LINGER_S, self.transport.close)

    def _hang_up(self, how):
        if self.transport.is_closing():
            return
        self._flush()
        if how == "rst":
            self._set_option(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif self._steps:
            self._steps.append(self.transport.close)
        else:
            self.transport.close()

    def _set_option(self, level, option, value):
        # Some systems refuse this once the peer has gone; then nobody needs it either.
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(level, option, value)

    def drop_socket(self):
        """At the end of the broker: no byte more, whatever waits."""
        self._end_writer()
        self.transport.abort()

    def silence(self, read=True, write=True):
        self.muted = self.muted or write
        if read:
            self.transport.pause_reading()

    def kill(self, how):
        """Ends the link whatever waits, even a silenced one."""
        self._steps.clear()
        self.leave("killed")
        self._hang_up(how)

    def refuse(self, mode):
        """Not served at all: closed, reset or left hanging."""
        self.closed = True
        if mode == "hang":
            self.silence()
        else:
            self._hang_up("rst" if mode == "reset" else "fin")

    def _tick(self):
        """Keep alive: one timer a connection, re-armed when it finds that something came."""
        limit = self.keep_alive_s * 1.5 if self.session else self.broker.connect_timeout_s
        if not limit:
            return
        left = self._last_in + limit - self.broker.loop.time()
        if left > 0:
            self._timer = self.broker.loop.call_later(left, self._tick)
        elif self.session:
            if self.transport.is_reading():  # or it is we who do not look
                self.violation(f"nothing received for 1.5 x keep alive ({self.keep_alive_s} s)")
            self.disconnect(0x8D, "keep alive")
        else:
            self.close("no CONNECT")

    def start_keep_alive(self, keep_alive_s):
        self.keep_alive_s = keep_alive_s
        self._timer.cancel()
        self._tick()

    # In

    def data_received(self, data):
        if self.broker.recording and len(self.wire_in) < WIRE_LIMIT:
            self.wire_in += data
        if self.closed:
            if self.said_goodbye:
                self.violation("bytes after DISCONNECT")
            return
        self._last_in = self.broker.loop.time()
        if self._inbox_blocked:
            self._inbox.append(data)
        else:
            self._process(data)

    def _process(self, data):
        feed = self._framer.feed(data)
        try:
            for raw, at in feed:
                self._packet_in(raw, at)
                if self._inbox_blocked:
                    self._set_aside(feed)
                    return
                if self.closed:
                    if self.said_goodbye and (next(feed, None) or self._framer.rest):
                        self.violation("bytes after DISCONNECT")
                    return
        except Malformed as error:
            if not self.closed:
                bad = self._framer.rest[:64]
                self.event("in", "MALFORMED", bad, note=str(error), code=error.code)
                self.protocol_error(str(error), error.code)

    def _set_aside(self, feed):
        """What came behind a delayed packet; it is looked at again as it is."""
        try:
            self._inbox.extend(raw for raw, _ in feed)
        except Malformed:
            pass  # the bad bytes are in the framer's rest and will be found again
        self._inbox.append(self._framer.rest)
        self._framer.rest = b""

    def protocol_error(self, text, code=packets.PROTOCOL_ERROR):
        self.violation(text)
        why = f"protocol error: {text}"
        if self.level == 5 and self.session is None:
            self.send(packets.CONNACK, packets5.connack(0, code), code=code)
            self.refuse_connect(why)
        else:
            self.disconnect(code, why)

    def limit_packets(self, size):
        """What our CONNACK announced as Maximum Packet Size holds from now on."""
        self._framer.announced_size = size

    def violation(self, text):
        if self._blameless:
            return
        self.broker.violations.append(f"{self.client_id or self.number}: {text}")

    def _packet_in(self, raw, at):
        name = packets.NAMES[raw[0] >> 4]
        fault = None
        if self.broker.faults:
            fault = self.broker.faults.hit(
                self.client_id or self._peek_client_id(raw, at),
                "in",
                name,
                self._peek_topic(raw, at),
            )
        if fault is None:
            self._handle(raw, at)
            return
        action = fault.action
        if action in ("drop", "silence", "kill") and (action != "kill" or fault.at is not None):
            self.event("in", name, raw=raw, fault=action, parse_at=at)
            if action == "silence":
                self.silence()
            elif action == "kill":
                self.kill(fault.how)
        elif action == "delay":
            self._inbox_blocked = True
            self.broker.loop.call_later(fault.ms / 1000, self._unblock, raw, at, fault)
        elif action == "garble":
            self._refeed(fault.garbled(raw))
        else:
            self._handle(raw, at, fault)
            if action == "duplicate" and not self.closed:
                self._blameless = True  # the second copy is our doing
                self._handle(raw, at, fault)
                self._blameless = False
            elif action == "kill":
                self.kill(fault.how)
            elif action == "pause_reading":
                self.transport.pause_reading()

    def _refeed(self, raw):
        framer = Framer(self.broker.max_packet_size)
        framer.level = self.level
        for piece, at in framer.feed(raw):
            self._handle(piece, at)
            if self.closed:
                break

    def _unblock(self, raw, at, fault):
        if self.closed:
            return
        self._inbox_blocked = False
        try:
            self._handle(raw, at, fault)
        except Malformed as error:
            self.protocol_error(str(error), error.code)
        data = b"".join(self._inbox)
        self._inbox.clear()
        if data and not self.closed:
            self._process(data)

    def _handle(self, raw, at, fault=None):
        if self.level == 0 and raw[0] >> 4 == CONNECT:
            self.level = self._framer.level = packets.protocol_level(raw, at)
        packet = self._parse(raw, at)
        if packet.connect is not None and not self.client_id:
            self.client_id = packet.connect.client_id
        if self.terms is not None and packet.kind == PUBLISH:
            self.terms.resolve_alias(packet)
        broker = self.broker
        if broker.watched:
            broker.record(self._event_in(packet, fault.action if fault else ""))
        broker.handle(self, packet, fault)

    def _parse(self, raw, at):
        if self.level != 5:
            return packets.parse(raw, at)
        if raw[0] >> 4 == CONNECT and (self.session or self.waiting):
            raise Malformed("a second CONNECT", packets.PROTOCOL_ERROR)
        return packets5.parse(raw, at)

    def _event_in(self, packet, fault):
        return Event(
            self.broker.now(), self.number, self.client_id, "in", packet.type, packet.packet_id,
            packet.qos, packet.dup, packet.retain, packet.topic, packet.payload, packet.raw, fault,
            "", packet.reason_code, packet.properties, packet.filters,
        )  # fmt: skip

    def _peek_topic(self, raw, at):
        if raw[0] >> 4 != PUBLISH:
            return ""
        length = int.from_bytes(raw[at : at + 2], "big")
        if not length and self.terms is not None:
            with contextlib.suppress(Malformed):
                packet = packets5.parse(raw, at)
                self.terms.resolve_alias(packet)
                return packet.topic
        return raw[at + 2 : at + 2 + length].decode("utf-8", "replace")

    def _peek_client_id(self, raw, at):
        """A fault may name the client already at its CONNECT."""
        if raw[0] >> 4 != CONNECT:
            return ""
        try:
            parser = packets5 if packets.protocol_level(raw, at) == 5 else packets
            return parser.parse(raw, at).connect.client_id
        except Malformed:
            return ""

    def event(self, direction, type_name, raw=b"", fault="", note="", parse_at=0, code=0):
        if not self.broker.watched:
            return
        event = Event(
            self.broker.now(), self.number, self.client_id, direction, type_name, raw=bytes(raw),
            fault=fault, note=note, reason_code=code,
        )  # fmt: skip
        if parse_at:
            try:
                packet = self._parse(raw, parse_at)
                if self.terms is not None and packet.kind == PUBLISH:
                    self.terms.swallowed(packet)
                event = self._event_in(packet, fault)
            except Malformed as error:
                event.note = str(error)
        self.broker.record(event)
