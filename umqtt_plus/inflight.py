"""The retry table: QoS 1 and 2 messages on their way out.

One slab holds the packets as they went out, so a resend is the same bytes with DUP set. No clock
and no sockets: protocol.py says when, this room says what. States are named after what is awaited:

  0 free   2 PUBACK   3 PUBREC   4 PUBCOMP   +8 to be written (first time, or again)

A slot in state 4 holds the PUBREL in place of the message: after PUBREC a PUBLISH is never sent
again (MQTT-4.3.3-1).
"""

from micropython import const

from .acks import ack, unknown
from .codec import header, limit, put

_PUBACK = const(2)
_PUBREC = const(3)
_PUBCOMP = const(4)
_TODO = const(8)
_AGES = const(0xFFFFFFF)  # order numbers wrap here, still a small int on 32-bit boards


class Outbound:
    """slots x size bytes; a packet id lives in slot id % slots, so finding it costs no search."""

    def __init__(self, c, slots, size, retry_ms):
        self.slots = slots
        self.size = size
        self.slab = bytearray(slots * size)
        self.length = [0] * slots
        self.seq = [0] * slots
        if retry_ms:
            from .retry import start

            start(c, self, retry_ms)
        self.order = 0
        self.next_id = 1
        self.ids_in = None  # QoS 2 ids received, see receive.py
        self.clear()

    def clear(self):
        """Forget the session. Ids go on counting. Allocates."""
        self.state = bytearray(self.slots)
        self.ids = [0] * self.slots
        self.used = self.todo = 0
        self.sources = {}  # slot -> (readinto, bytes) of a payload that is streamed
        self.resume(False)

    # -- out ---------------------------------------------------------------------------------

    def accept(self, c, topic, msg, retain, qos, more=0):
        """Take a QoS 1 or 2 message: its packet id, 0 when the table is full.

        ValueError before anything changes. When nothing else waits it is what is written next.
        more: bytes of payload that stream.py will send behind msg. Allocates nothing with bytes.
        """
        if qos != 1 and qos != 2:
            limit("qos", qos, 2, 1)
        if topic is not c._of:
            c._check(topic)
        topic = c._top
        t = len(topic)
        m = len(msg)
        size = self.size
        state = self.state
        if t + m > size - 9:
            limit("topic+msg (buffer_size)", t + m, size - 9)
        n = self.slots
        if self.used == n:
            return 0
        p = self.next_id
        i = p % n
        while state[i] or p in c._asks:  # ends: a slot is free, and few requests are open
            p = p % 65535 + 1
            i = p % n
        at = i * size
        slab = self.slab
        j = header(slab, at, 0x31 | qos << 1 if retain else 0x30 | qos << 1, t + m + more + 4)
        j = put(slab, j, topic)
        slab[j] = p >> 8
        slab[j + 1] = p & 255
        j += 2
        try:
            slab[j : j + m] = msg
        except (TypeError, NotImplementedError):
            return self.accept(c, topic, msg.encode(), retain, qos)  # a str
        self.next_id = p % 65535 + 1
        self.length[i] = m = j + m - at
        self.ids[i] = p
        self.order = self.seq[i] = (self.order + 1) & _AGES
        self.used += 1
        if c._busy:
            qos += _TODO
            self.todo += 1
        else:
            self.writing = i  # slot whose bytes are being written
            c._out = slab
            c._oat = at
            c._on = m
        state[i] = qos + 1  # _PUBACK, _PUBREC
        return p

    def hold(self, c, topic, msg, retain, want):
        """Store a message that was sent as next_id without us and awaits a packet that begins with
        want; the table is empty."""
        c._busy = 1  # so that it is stored, not written
        p = self.accept(c, topic, msg, retain, 1 if want == 0x40 else 2)
        self.todo = 0
        self.state[p % self.slots] -= _TODO
        if want == 0x70:
            self.control(c, 0x50, p)
            c._an = 0  # its PUBREL went out, too
        c._busy = 0

    def pick(self, c):
        """Make the next slot what is written: PUBRELs first, then by the order of acceptance."""
        best = oldest = -1
        for i in range(self.slots):
            s = self.state[i]
            if s & _TODO:
                age = self.order - self.seq[i] & _AGES | (s & _PUBCOMP) << 26
                if age > oldest:
                    oldest = age
                    best = i
        self.todo -= 1
        s = self.state[best] & 7
        self.state[best] = s
        self.writing = best
        c._out = self.slab
        c._oat = at = best * self.size
        if s == _PUBCOMP or self.slab[at] & 8:
            c._n[2] += 1
        if best in self.sources and s != _PUBCOMP:
            c._tail, c._tn = self.sources[best]
            c._tat = 0
        return self.length[best]

    def again(self, i):
        """Mark what was sent to be sent again, with DUP (MQTT-3.3.1-1)."""
        s = self.state[i]
        if s and s < _TODO:
            self.state[i] = s | _TODO
            self.todo += 1
            if s != _PUBCOMP:
                self.slab[i * self.size] |= 8

    def resume(self, present):
        """Connected again: all that is not finished goes out once more (MQTT-4.4.0-1)."""
        if not present and self.ids_in:
            self.ids_in.clear()  # ids of a session that is gone would swallow new messages
        for i in range(self.slots):
            self.again(i)

    def control(self, c, first, p):
        """Take PUBACK, PUBREC or PUBCOMP for id p. True when it breaks the protocol."""
        i = p % self.slots
        s = self.state[i]
        at = i * self.size
        if self.ids[i] != p or not s:
            return unknown(c, first, p)
        if i == self.writing:
            return unknown(c, 0, p)  # not all of it is out: the server will say it again
        if s > _TODO:
            if s != _TODO | _PUBCOMP and not self.slab[at] & 8:
                return unknown(c, first, p)  # it was never sent
            s -= _TODO
            self.todo -= 1
            self.state[i] = s
        if first == 0x50:
            if s == _PUBACK:
                return True
            if s == _PUBREC:
                self.state[i] = _PUBCOMP
                # PUBRELs go out in the order of the PUBRECs, also when resent (MQTT-4.6.0-4)
                self.order = self.seq[i] = (self.order + 1) & _AGES
                self.length[i] = 4
                s = self.slab
                s[at] = 0x62
                s[at + 1] = 2
                s[at + 2] = p >> 8
                s[at + 3] = p & 255
            ack(c, 0x62, p)
            return
        if s != (_PUBACK if first == 0x40 else _PUBCOMP):
            return True
        self.state[i] = 0
        self.used -= 1
        if self.sources:
            self.sources.pop(i, None)
        if c.on_pub:
            c.on_pub(p)
