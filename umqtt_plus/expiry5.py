"""Messages of MQTT 5.0 that expire while they wait in the table. Loaded with the first of them.

What waited is sent with its message_expiry_interval lowered by the time it waited. What was not
sent by then is dropped, and counts as failed with reason code 0xFE: publish() raises it, and
on_published() is called with client.reason_code. What may have been sent never expires: it is sent
again as it was (MQTT-4.3.3-7). Without a link nothing looks at the clock: what has expired then is
found when there is one. A wait of more than 12 days counts in part.

After a power cut or a sleep with a store all counts as sent, with the interval of the beginning.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from .limits5 import drop, tell
from .v5 import _found, check

_EXPIRED = const(0xFE)
_PUBLISH = const(8)  # in v5._KINDS
_FAR = const(1 << 28)
_LIFE = const(0x1FFFFFFF)  # seconds, 17 years; a small int


def watch(v):
    """Let the table of v's client look at the clock."""
    t = v.c._tab
    if t and not v.expiry:
        v.expiry = Expiry(v, t)


class Expiry:
    def __init__(self, v, t):
        self.v = v
        self.t = t
        n = t.slots
        self.life = [0] * n  # seconds, of what was never sent; 0: it does not expire
        self.since = [0] * n  # when it was accepted
        self.at = [0] * n  # where the interval is in its packet
        self.told = []  # dropped, and on_published() does not know yet
        self.last = 0  # the message that publish() waits for, if it still does, of this topic
        self.topic = None
        self.part = 0
        self._accept = t.accept
        self._resume = t.resume
        self._own = self.pick
        self._hook()
        t.accept = self.accept
        t.resume = self.resume
        v.c._timers.append(self.tick)

    def _hook(self):
        """Each CONNACK sets the table's own pick()."""
        t = self.t
        if t.pick != self._own:
            self._pick = t.pick
            t.pick = self._own

    def resume(self, present):
        c = self.v.c
        if "_v" in c.__dict__:
            self._hook()
        else:  # auto5.py has taken the properties out
            self.life = [0] * self.t.slots
        self._resume(present)
        c._due = ticks_ms()  # look

    def accept(self, c, topic, msg, retain, qos, more=0):
        p = self._accept(c, topic, msg, retain, qos, more)
        if p:
            t = self.t
            i = p % t.slots
            self.life[i] = 0
            v = self.v
            if not c._in:
                self.last = p
                self.topic = topic
            if t.state[i] & 8 and topic is v.topic and len(v.props) > 1:
                j = i * t.size
                n = j + t.length[i]
                b = t.slab
                k = j + 1
                while b[k] > 127:
                    k += 1
                k += 5 + (b[k + 1] << 8 | b[k + 2])  # the topic, the id
                _found[0] = 0
                check(b, k, n, _PUBLISH, False, 2)
                k = _found[0]
                if k and _word(b, k) <= _LIFE:
                    self.life[i] = _word(b, k)
                    self.at[i] = k - j
                    self.since[i] = c._due = ticks_ms()
        return p

    def left(self, i, now):
        """Seconds until message i expires, which waits."""
        ms = ticks_diff(now, self.since[i])
        if ms < 0:
            ms += 1 << 30
        self.part = ms % 1000
        return self.life[i] - ms // 1000

    def pick(self, c):
        """The table's, for what has not expired."""
        t = self.t
        while t.todo:
            n = self._pick(c)
            i = t.writing
            if not n or not self.life[i]:
                return n
            s = self.left(i, ticks_ms())
            if s > 0:
                k = i * t.size + self.at[i]
                for shift in (24, 16, 8, 0):
                    t.slab[k] = s >> shift & 255
                    k += 1
                self.life[i] = 0
                return n
            t.writing = -1
            self._drop(i)
            c._due = ticks_ms()
        c._busy = 0
        return 0

    def _drop(self, i):
        self.life[i] = 0
        self.told.append(self.t.ids[i])
        drop(self.v, self.t, i, _EXPIRED)

    def tick(self, c, now):
        """Drop what has expired, and tell; ms until the next look."""
        t = self.t
        v = self.v
        ms = _FAR
        for i in range(t.slots):
            if self.life[i] and t.state[i]:
                s = self.left(i, now)
                if s > 0:
                    ms = min(ms, min(s, 200000) * 1000 - self.part)
                else:
                    self._drop(i)
        while self.told and (c.wait_msg or c._task):  # asyncio: not within connect()
            ms = 1  # who is told may publish
            p = self.told.pop(0)
            tell(c, p, _EXPIRED)
            if not c.wait_msg:
                c._tell()  # asyncio: to who waits
            elif p == self.last and self.topic is v.topic:
                v.judge(p)  # raises
        return 1 if self.told else ms


def _word(b, i):
    return b[i] << 24 | b[i + 1] << 16 | b[i + 2] << 8 | b[i + 3]
