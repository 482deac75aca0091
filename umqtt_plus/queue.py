"""The outbox in the journal: what put() took survives a power cut until it is sent.

Loaded by a store with outbox=. The file tells what was done to the queue, and after a reboot it is
done again, by the same rules: a pair of records for each put(), which stands for what the policy
makes go, too, and one for each message that goes otherwise, by its place in the slab. A QoS 1 or 2
message leaves with the record that brings it into the client's table: it is never in both. Of a
QoS 0 message it is written down first that it may be sent: it is sent once, or not at all.

put() costs one flush, and a QoS 0 message another one when it is sent. That messages have expired,
or were cleared or refused, waits for the flush of the next record: after a power cut the last of
them may come back. The life of a message stands still while power is off, and what it has lived
counts only once the file was written anew. ValueError: topic or msg larger than two buffer_size.
"""

from micropython import const

from .codec import limit
from .outbox import Outbox, _word

_CONF = const(32)  # first of all; id: max_count; body: max_bytes
_TOPIC = const(33)  # flags: 1 retain, 6 qos, 8 latest, 16 the first message was lent
_MSG = const(34)  # of the topic before it; the ids of both: seconds to live
_GONE = const(35)  # flags, id: its place + 1
_OFF = const(36)  # the first message, of QoS 0, may have been sent
_ON = const(37)  # it was not


class Queue:
    def __init__(self, store):
        self.s = store
        self.box = box = store.outbox
        if box is None:
            raise ValueError("outbox: needed for what waits in " + store.path)
        limit("outbox (messages)", len(box), 0)
        t = store.t
        least = t.slots * (t.size + 11) + 2 * (t.size + box.max_bytes) + 4096
        limit("max_bytes", store.max_bytes or least, 1 << 24, least)
        self.forget()

    def ready(self):
        """The file was read: stand in for methods of the box."""
        s = self.s
        box = self.box
        was = self.b
        self.b = box
        if len(box._q) > box.max_bytes or box._n > box.max_count:
            raise ValueError("outbox: smaller than what waits in " + s.path)
        if was is box or was.max_bytes != box.max_bytes or was.max_count != box.max_count:
            s._at = s.max_bytes  # to be written anew
        box._no = was._no
        for name in ("keep", "first", "done", "back", "clear", "_drop"):
            setattr(box, name, getattr(self, name))
        if self.off == box._no:
            s.lazy(_GONE, 1)
            Outbox._take(box, 0)
        box._k["accepted"] += box._n

    # -- in the file -----------------------------------------------------------------------------

    def counted(self):
        return 0

    def forget(self):
        self.b = box = self.box  # while the file is read: a box of then, with the slab of ours
        self.topic = box._q[:] = b""
        box._n = self.off = 0  # number of the message of which _OFF was written

    def snapshot(self):
        s = self.s
        box = self.box
        q = box._q
        s.write(_CONF, 0, box.max_count, box.max_bytes.to_bytes(3, "big"), 0, 3)
        i = 0
        while i < len(q):
            n = _word(q, i)
            t = _word(q, i + 4) >> 3
            j = i + 12
            self._pair(q[i + 7] & 7, _word(q, i + 8), q, j, t, q, j + t, n - 12 - t)
            i += n
        if self.off == box._no:
            s.write(_OFF, 0, 1)

    def _pair(self, head, ends, a, i, t, b, j, n):
        s = self.s
        life = ends and max(1, ends - self.box._s - 1)
        s.write(_TOPIC, head, life >> 14 | 0x8000, a, i, t)
        s.write(_MSG, 0, life & 0x3FFF | 0x8000, b, j, n)

    def apply(self, s, h, buf, n):
        kind = h[0]
        head = h[2]
        p = h[3] << 8 | h[4]
        box = self.box
        b = self.b
        q = box._q
        if kind == _CONF:
            box.tick()
            self.b = b = Outbox(13, p)
            b.max_bytes = int.from_bytes(buf[:3], "big")
            b._q = q
            b._s = box._s
            b.tick = int  # it stands still
        elif b is box:
            return False
        elif kind == _TOPIC:
            self.topic = bytes(buf[:n])
            self.head = head
            self.life = (p & 0x7FFF) << 14
        elif kind == _MSG and self.topic:
            head = self.head
            b._lent = head & 16 and _word(q, 0)
            p = self.life | p & 0x3FFF
            p = p and p * 1000 - 999
            if not b.put(self.topic, buf[:n], head & 1, head >> 1 & 3, p, head & 8):
                return False
            self.topic = b""
        elif kind == _GONE:
            p += (head << 15) - 1
            n = 0
            while n < p:
                n += _word(q, n)
            if n != p:
                return False
            b._take(p)
        elif kind == _OFF:
            self.off = b._no
        elif kind == _ON:
            self.off = 0
        else:
            return False
        box._n = b._n
        return True

    def moved(self):
        """The first message is in the table, by the same record. False: there is none."""
        self.s.moving = None
        b = self.b
        if not b._n:
            return False
        Outbox._take(b, 0)
        b._k["sent"] += 1
        self.box._n = b._n
        return True

    # -- in place of the methods of the box ------------------------------------------------------

    def keep(self, topic, msg, head, ends, latest):
        """put() takes this message; nothing has gone for it yet."""
        s = self.s
        t = len(topic)
        n = len(msg)
        limit("topic, msg (buffer_size)", max(t, n), min(len(s.c._rx) - 2, 65533))
        s.room(t + n + 22)
        head = head & 7 | bool(latest) << 3 | bool(self.box._lent) << 4
        self._pair(head, ends, topic, 0, t, msg, 0, n)
        s.sync()

    def first(self):
        m = Outbox.first(self.box)
        if m:
            if m[4]:
                self.s.moving = m[1]
            elif self.off != m[0]:
                self.s.put(_OFF, 0, 1)
                self.off = m[0]
        return m

    def done(self, number):
        box = self.box
        self.s.moving = None
        if box._lent and number == box._no:
            self.s.lazy(_GONE, 1)
        Outbox.done(box, number)

    def back(self):
        s = self.s
        s.moving = None
        Outbox.back(self.box)
        if self.off == self.box._no and not s.c.state:  # else it will soon go, without a flush
            try:
                s.put(_ON, 0, 1)
                self.off = 0
            except (OSError, MemoryError):
                pass  # the next time

    def clear(self):
        self.s.moving = None
        self.s._at = self.s.max_bytes
        Outbox.clear(self.box)

    def _drop(self, i, why):
        s = self.s
        box = self.box
        n = box._n
        if why == "expired":  # else keep() has said it
            s.lazy(_GONE, (i & 0x7FFF) + 1, i >> 15)
        try:
            Outbox._drop(box, i, why)
            n -= box._n + 1
        finally:
            if n:  # dropped() raised, or has changed the box: the file is wrong
                s._at = s.max_bytes
