"""The outgoing half of a connection: packets to bytes on the socket, faults in between.

Without faults outgoing bytes are gathered and written once per turn of the loop. With faults a
writer task works through a list of steps: bytes to write, seconds to pause, functions to call.
"""

import asyncio
from collections import deque
from dataclasses import replace
from functools import partial

from . import packets, packets5
from .events import Event
from .faults import HOLD
from .packets import NONE

# More than this unsent to a slow reader and QoS 0 messages are thrown away.
_MAX_BACKLOG = 64 << 20
# The first bytes of each direction that are kept for Wire.
WIRE_LIMIT = 8 << 20


class Writer:
    """Mixed into Connection."""

    def __init__(self, broker):
        self.broker = broker
        self.terms = None  # of a 5.0 connection, from its CONNECT on
        self.held = []
        self.split_size = 0
        self.split_pause_s = 0.0
        self.wire_out = bytearray()
        self._out = []
        self._steps = deque()
        self._writer = None

    # Packets of either version

    def ack(self, kind, packet_id, code=0, properties=None):
        """PUBACK, PUBREC, PUBREL or PUBCOMP; 3.1.1 has no codes."""
        if self.terms is None:
            self.send(kind, packets.ack(kind, packet_id), packet_id)
            return
        raw = self.terms.trimmed(partial(packets5.ack, kind, packet_id, code), properties)
        self.send(kind, raw, packet_id, code=code, properties=properties)

    def acks(self, kind, packet_id, codes, properties=None):
        """SUBACK or UNSUBACK."""
        if self.terms is not None:
            encode = partial(packets5.acks, kind, packet_id, codes)
            raw = self.terms.trimmed(encode, properties)
        elif kind == packets.SUBACK:
            raw = packets.suback(packet_id, codes)
        else:
            raw = packets.ack(kind, packet_id)
        self.send(kind, raw, packet_id, code=codes[0] if codes else 0, properties=properties)

    def send_disconnect(self, code, properties=None):
        encode = partial(packets5.disconnect, code)
        raw = self.terms.trimmed(encode, properties, always=True)
        if self.terms.fits(raw):
            self.send(packets.DISCONNECT, raw, code=code, properties=properties)

    def send_auth(self, code, properties):
        raw = self.terms.trimmed(partial(packets5.auth, code), properties)
        self.send(packets.AUTH, raw, code=code, properties=properties)

    def send_publish(self, topic, payload, qos, retain, packet_id, dup, properties):
        """A PUBLISH of either version; False when the client takes no packet of this size."""
        if self.terms is None:
            raw, properties = packets.publish(topic, payload, qos, retain, packet_id, dup), None
        else:
            raw, properties = self.terms.publish(
                topic, payload, qos, retain, packet_id, dup, properties
            )
            if raw is None:
                return False
        self.send(packets.PUBLISH, raw, packet_id, qos, dup, retain, topic, payload, 0, properties)
        return True

    # Faults

    def send(
        self, kind, raw, packet_id=0, qos=0, dup=False, retain=False, topic="", payload=b"",
        code=0, properties=None,
    ):  # fmt: skip
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
            topic, payload, raw, "", "", code, properties or NONE,
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
        if action != "delay" and self.terms is not None:
            self.terms.note_answer(raw)  # whatever becomes of it: never blame the client for us
        if action == "delay" and fault.overtake:
            self.broker.loop.call_later(pause, self._emit, raw)
        elif action == "delay":
            self._enqueue(pause, partial(self._answer_leaves, raw), raw)
        elif action == "garble":
            self._emit(event.raw)
        elif action == "duplicate":
            self._emit(raw)
            dup = event.type == "PUBLISH" and event.qos > 0
            if dup:
                raw = bytes((raw[0] | 8,)) + raw[1:]
            t = self.broker.now()
            self.broker.record(replace(event, t=t, raw=raw, dup=dup or event.dup))
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

    # Bytes

    def _emit(self, raw):
        if self.terms is not None:
            self.terms.note_answer(raw)
        if self.split_size or self._steps:
            self._enqueue(raw)
            return
        if not self._out:
            self.broker.loop.call_soon(self._flush)
        self._out.append(raw)

    def _answer_leaves(self, raw):
        if self.terms is not None:
            self.terms.note_answer(raw)
            self.terms.answers_left()

    def _flush(self):
        out, self._out = self._out, []
        if out:
            self._write(b"".join(out))
        if self.terms is not None:
            self.terms.answers_left()

    def _write(self, data):
        if self.muted or self.transport.is_closing():
            return
        if self.broker.recording and len(self.wire_out) < WIRE_LIMIT:
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
