"""One TCP connection: bytes to packets and back, with every fault applied in between.

All packets of the broker pass `send`; all bytes pass `_write`. Without faults outgoing bytes
are gathered and written once per turn of the loop. With faults a writer task works through a
list of steps: bytes to write, seconds to pause, functions to call.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque

from . import packets
from .events import Event
from .faults import HOLD
from .packets import PUBLISH, Framer, Malformed

# More than this unsent to a slow reader and QoS 0 messages are thrown away.
_MAX_BACKLOG = 64 << 20
# The first bytes of each direction that are kept for Wire.
_WIRE_LIMIT = 8 << 20


class Connection(asyncio.Protocol):
    def __init__(self, broker):
        self.broker = broker
        self.number = 0
        self.client_id = ""
        self.session = None
        self.will = None
        self.keep_alive_s = 0
        self.transport = None
        self.closed = False  # no longer part of the broker's world
        self.muted = False  # written bytes vanish
        self.said_goodbye = False  # DISCONNECT came
        self.wire_in = bytearray()
        self.wire_out = bytearray()
        self.held = []
        self.split_size = 0
        self.split_pause_s = 0.0
        self._framer = Framer(broker.max_packet_size)
        self._inbox = deque()
        self._inbox_blocked = False
        self._out = []
        self._steps = deque()
        self._writer = None
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
            self.violation(f"nothing received for 1.5 x keep alive ({self.keep_alive_s} s)")
            self.close("keep alive")
        else:
            self.close("no CONNECT")

    def start_keep_alive(self, keep_alive_s):
        self.keep_alive_s = keep_alive_s
        self._timer.cancel()
        self._tick()

    # In

    def data_received(self, data):
        if self.broker.recording and len(self.wire_in) < _WIRE_LIMIT:
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
                self.event("in", "MALFORMED", self._framer.rest[:64], note=str(error))
                self.protocol_error(str(error))

    def _set_aside(self, feed):
        """What came behind a delayed packet; it is looked at again as it is."""
        try:
            self._inbox.extend(raw for raw, _ in feed)
        except Malformed:
            pass  # the bad bytes are in the framer's rest and will be found again
        self._inbox.append(self._framer.rest)
        self._framer.rest = b""

    def protocol_error(self, text):
        self.violation(text)
        self.close(f"protocol error: {text}")

    def violation(self, text):
        self.broker.violations.append(f"{self.client_id or self.number}: {text}")

    def _packet_in(self, raw, at):
        name = packets.NAMES[raw[0] >> 4]
        fault = None
        if self.broker.faults:
            fault = self.broker.faults.hit(
                self.client_id or _peek_client_id(raw, at), "in", name, _peek_topic(raw, at)
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
                self._handle(raw, at, fault)
            elif action == "kill":
                self.kill(fault.how)
            elif action == "pause_reading":
                self.transport.pause_reading()

    def _refeed(self, raw):
        for piece, at in Framer(self.broker.max_packet_size).feed(raw):
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
            self.protocol_error(str(error))
        data = b"".join(self._inbox)
        self._inbox.clear()
        if data and not self.closed:
            self._process(data)

    def _handle(self, raw, at, fault=None):
        packet = packets.parse(raw, at)
        if packet.connect is not None and not self.client_id:
            self.client_id = packet.connect.client_id
        broker = self.broker
        if broker.watched:
            broker.record(
                Event(
                    broker.now(), self.number, self.client_id, "in", packet.type,
                    packet.packet_id, packet.qos, packet.dup, packet.retain, packet.topic,
                    packet.payload, raw, fault.action if fault else "",
                )
            )  # fmt: skip
        broker.handle(self, packet, fault)

    def event(self, direction, type_name, raw=b"", fault="", note="", parse_at=0):
        if not self.broker.watched:
            return
        event = Event(
            self.broker.now(), self.number, self.client_id, direction, type_name, raw=bytes(raw),
            fault=fault, note=note,
        )  # fmt: skip
        if parse_at:
            try:
                packet = packets.parse(raw, parse_at)
            except Malformed as error:
                event.note = str(error)
            else:
                event.packet_id, event.qos, event.dup = packet.packet_id, packet.qos, packet.dup
                event.retain, event.topic = packet.retain, packet.topic
                event.payload = packet.payload
        self.broker.record(event)

    # Out

    def send(self, kind, raw, packet_id=0, qos=0, dup=False, retain=False, topic="", payload=b""):
        if self.closed:
            return
        if topic and qos == 0 and self.transport.get_write_buffer_size() > _MAX_BACKLOG:
            return
        broker = self.broker
        broker.messages_sent += 1
        name = packets.NAMES[kind]
        fault = broker.faults.hit(self.client_id, "out", name, topic) if broker.faults else None
        if fault is None and self.held and self.held[0].type == "CONNACK":
            fault = HOLD  # nothing may overtake a CONNACK
        if fault is None and not broker.watched:
            self._emit(raw)
            return
        event = Event(
            broker.now(), self.number, self.client_id, "out", name, packet_id, qos, dup, retain,
            topic, payload, raw,
        )  # fmt: skip
        if self.muted:
            event.direction, event.fault = "lost", "silence"
            broker.record(event)
        elif fault is None:
            broker.record(event)
            self._emit(raw)
        else:
            event.fault = fault.action
            self._send_faulty(fault, event)

    def send_raw(self, data):
        """Arbitrary bytes, past every fault but in order."""
        self.event("out", "RAW", raw=data)
        self._emit(data)

    def _send_faulty(self, fault, event):
        action, raw, at = fault.action, event.raw, fault.at
        if action in ("drop", "silence", "hold"):
            event.direction = "held" if action == "hold" else "lost"
            if action == "hold":
                self.held.append(event)
            elif action == "silence":
                self.silence()
            self.broker.record(event)
            return
        if action == "kill" and at == 0:
            event.direction = "lost"
        elif action == "garble":
            event.raw = fault.garbled(raw)
        self.broker.record(event)
        pause = fault.ms / 1000
        if action == "delay" and fault.overtake:
            self.broker.loop.call_later(pause, self._emit, raw)
        elif action == "delay":
            self._enqueue(pause, raw)
        elif action == "garble":
            self._emit(event.raw)
        elif action == "duplicate":
            self._emit(raw)
            if event.type == "PUBLISH" and event.qos:
                raw = bytes((raw[0] | 8,)) + raw[1:]
            self.event("out", event.type, raw, fault=action, parse_at=_body_offset(raw))
            self._emit(raw)
        elif action == "insert":
            self._emit(fault.data + raw if at == 0 else raw + fault.data)
        elif action == "split":
            cuts = [at] if at is not None else range(fault.size, len(raw), max(1, fault.size))
            last = 0
            for cut in cuts:
                self._enqueue(raw[last:cut], pause)
                last = cut
            self._enqueue(raw[last:])
        elif action == "kill":
            self._enqueue(raw[:at], lambda: self.kill(fault.how))
        elif action == "pause_reading":
            self.transport.pause_reading()
            self._emit(raw)

    def release(self):
        held, self.held = self.held, []
        for event in held:
            if not self.closed:
                event.direction = "out"
                event.t = self.broker.now()
                self.broker.record(event)
                self._emit(event.raw)

    def _emit(self, raw):
        if self.split_size or self._steps:
            self._enqueue(raw)
            return
        if not self._out:
            self.broker.loop.call_soon(self._flush)
        self._out.append(raw)

    def _flush(self):
        out, self._out = self._out, []
        if out:
            self._write(b"".join(out))

    def _write(self, data):
        if self.muted or self.transport.is_closing():
            return
        if self.broker.recording and len(self.wire_out) < _WIRE_LIMIT:
            self.wire_out += data
        self.transport.write(data)

    def _enqueue(self, *steps):
        self._flush()
        self._steps.extend(steps)
        if self._writer is None:
            self._writer = self.broker.loop.create_task(self._work())

    def _end_writer(self):
        self._steps.clear()
        if self._writer is not None:
            self._writer.cancel()

    async def _work(self):
        """Takes the steps one by one; a step stays in the list until it is done."""
        try:
            while self._steps:
                step = self._steps[0]
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                elif callable(step):
                    step()
                else:
                    await self._write_pieces(step)
                if self._steps:
                    self._steps.popleft()
        finally:
            self._writer = None

    async def _write_pieces(self, data):
        size = self.split_size
        if not size:
            self._write(data)
            return
        # Neighbours are joined first: pieces go across the borders of packets.
        while len(self._steps) > 1 and isinstance(self._steps[1], bytes):
            data += self._steps[1]
            del self._steps[1]
        for at in range(0, len(data), size):
            self._write(data[at : at + size])
            await asyncio.sleep(self.split_pause_s)


def _body_offset(raw):
    at = 1
    while raw[at] & 0x80:
        at += 1
    return at + 1


def _peek_topic(raw, at):
    if raw[0] >> 4 != PUBLISH:
        return ""
    length = int.from_bytes(raw[at : at + 2], "big")
    return raw[at + 2 : at + 2 + length].decode("utf-8", "replace")


def _peek_client_id(raw, at):
    """A fault may name the client already at its CONNECT."""
    try:
        connect = packets.parse(raw, at).connect if raw[0] >> 4 == packets.CONNECT else None
    except Malformed:
        connect = None
    return connect.client_id if connect else ""
