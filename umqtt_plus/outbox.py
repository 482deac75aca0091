"""The offline queue: a bounded store of messages that wait to be published, oldest first.

It knows no sockets and no client. Records lie one behind the other in one slab, which gets its
memory at once: only its length changes, and what is taken out is closed up in place, so that
months of use neither grow nor split the heap. A record: three words of four bytes, topic, msg.

  0 size of the record   4 length of the topic << 3 | qos << 1 | retain   8 deadline, 0 none

Deadlines are seconds of our own clock, which adds up the time between calls and wraps after 34
years: ticks_ms tells times apart for 6.2 days only.
"""

from struct import pack_into
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from .codec import limit, text

_HEAD = const(12)
_WRAP = const(0x3FFFFFFF)  # seconds and numbers stay small ints on 32-bit boards


def _raw(x):
    """x as bytes or bytearray; str and memoryview are copied."""
    if isinstance(x, bytes) or isinstance(x, bytearray):
        return x
    return x.encode() if isinstance(x, str) else bytes(memoryview(x))


def _seconds(expire_ms):
    return (limit("expire_ms", expire_ms, 1 << 38) + 999) // 1000


def _word(q, i):
    return q[i] << 24 | q[i + 1] << 16 | q[i + 2] << 8 | q[i + 3]


class Outbox:
    """Keeps at most max_count messages, and max_bytes of topics, payloads and 12 bytes for each.

    policy, when there is no room: "oldest" drops the oldest ones, "newest" the new one, "refuse"
    lets put() raise. latest: keep only the newest message of each topic. expire_ms: how long a
    message lives, at most 8 years, 0 for ever; never shorter, and up to two seconds longer.
    dropped(topic, msg, why) is called with two bytes objects for each message that is lost: why
    is "oldest", "newest", "replaced" or "expired". It must not put(). What it raises comes out of
    the call that dropped: that message is gone, and a new one was not kept.

    ValueError names a wrong argument. Construction allocates max_bytes.
    """

    keep = None  # makes what put() takes durable, see queue.py

    def __init__(
        self,
        max_bytes=4096,
        max_count=64,
        policy="oldest",
        latest=False,
        expire_ms=0,
        dropped=None,
    ):
        self.max_bytes = limit("max_bytes", max_bytes, 1 << 20, _HEAD + 1)
        self.max_count = limit("max_count", max_count, 65535, 1)
        if policy != "oldest" and policy != "newest" and policy != "refuse":
            raise ValueError("policy: unknown")
        if dropped and not callable(dropped):
            raise ValueError("dropped: not callable")
        self.policy = policy
        self.latest = latest
        self.dropped = dropped
        self._life = _seconds(expire_ms)
        self._q = bytearray(max_bytes)
        self._q[0:max_bytes] = b""  # MicroPython keeps the memory for extend()
        self._h = bytearray(_HEAD)
        self._n = 0
        self._lent = 0  # size of the first record, while it may be being sent
        self._no = 1  # number of the first message
        self._s = 0  # our clock; this second began at _at
        self._at = ticks_ms()
        self._look = False  # something may have expired
        self._k = {
            "accepted": 0,
            "sent": 0,
            "oldest": 0,
            "newest": 0,
            "replaced": 0,
            "expired": 0,
            "refused": 0,
            "cleared": 0,
        }

    def __len__(self):
        return self._n

    @property
    def bytes(self):
        """How much of max_bytes is used."""
        return len(self._q)

    def stats(self):
        """Counts, in a new dict. accepted = queued + sent + oldest + replaced + expired + cleared;
        what is counted as newest or refused was never accepted."""
        k = self._k.copy()
        k["queued"] = self._n
        k["bytes"] = len(self._q)
        return k

    # -- in and out --------------------------------------------------------------------------

    def put(self, topic, msg, retain=False, qos=0, expire_ms=None, latest=None):
        """Keep a message: True, or False when it is the one that was dropped ("newest").

        topic, msg: bytes or bytearray; str and memoryview are copied. expire_ms, latest: None
        takes the default of the box. ValueError: a wrong argument, or topic and msg never fit.
        OSError(ENOBUFS): no room, under "refuse". All queued messages stay then, but for expired
        ones. When what first() lent leaves no room, "oldest" drops the new one. With bytes only
        what dropped() is given is allocated.
        """
        topic = text("topic", _raw(topic), 1)
        msg = _raw(msg)
        t = len(topic)
        n = limit("topic, msg (max_bytes)", _HEAD + t + len(msg), self.max_bytes)
        t = t << 3 | limit("qos", qos, 2) << 1 | bool(retain)
        ends = self._life if expire_ms is None else _seconds(expire_ms)
        if latest is None:
            latest = self.latest
        self.tick()
        if ends:
            ends = self._s + ends + 1 & _WRAP or 1
        q = self._q
        keep = self.keep
        while True:  # dropped() may have changed things: look anew each time
            i = goes = self._lent  # behind it is what may be dropped
            why = "oldest"
            room = self.max_bytes - len(q)
            places = self.max_count - self._n
            if latest:
                while i < len(q):
                    size = _word(q, i)
                    j = _word(q, i + 4) >> 3
                    if j == t >> 3:
                        while j and q[i + _HEAD - 1 + j] == topic[j - 1]:
                            j -= 1  # backwards: topics differ at their ends
                        if not j:
                            goes = i
                            why = "replaced"
                            room += size
                            places += 1
                    i += size
            fits = n <= room and places  # when what is replaced has gone
            if not fits and (
                self.policy != "oldest"  # where all but what is lent can go
                or n + self._lent > self.max_bytes
                or (self._lent and self.max_count == 1)
            ):
                if self.policy == "refuse":
                    self._k["refused"] += 1
                    raise OSError(105)  # ENOBUFS
                self._k["newest"] += 1
                if self.dropped:
                    self.dropped(bytes(topic), bytes(msg), "newest")
                return False
            if keep:
                keep(topic, msg, t, ends, latest)
                keep = None
            if fits and why == "oldest":
                break
            self._drop(goes, why)
        pack_into(">III", self._h, 0, n, t, ends)
        q.extend(self._h)
        q.extend(topic)
        q.extend(msg)
        self._n += 1
        self._k["accepted"] += 1
        return True

    def first(self):
        """(number, topic, msg, retain, qos) of the oldest message, None when there is none.

        topic and msg are bytes, copied: allocates. The message is lent until done(number) or
        back(), and not dropped so long. Called before that, first() does back() itself: if the
        message has expired meanwhile it is dropped, else it is lent again under the same number.
        """
        self.back()
        self.tick()
        if not self._n:
            return None
        topic, msg = self._copy(0)
        self._lent = _word(self._q, 0)
        t = self._q[7]
        return self._no, topic, msg, bool(t & 1), t >> 1 & 3

    def done(self, number):
        """What first() lent under this number was sent: remove it. Ignores any other number."""
        if self._lent and number == self._no:
            self._take(0)
            self._k["sent"] += 1

    def back(self):
        """What first() lent was not sent: it may be dropped again. done() of it is ignored."""
        self._lent = 0
        self._look = True  # it may have expired

    def tick(self, now=None):
        """Drop what has expired. put() and first() do it, too.

        To be called at least every 6 days: a longer pause counts in part, or not at all. now:
        ticks_ms. Allocates only what dropped() is given.
        """
        now = ticks_ms() if now is None else now
        ms = ticks_diff(now, self._at)
        if ms > 999:
            self._at = ticks_add(now, -(ms % 1000))
            self._s = self._s + ms // 1000 & _WRAP
            self._look = True
        elif ms < -60000:  # not just an older now: the pause was too long
            self._at = now
        if not self._look:
            return
        q = self._q
        i = self._lent
        while i < len(q):
            ends = _word(q, i + 8)
            if ends and self._s - ends & _WRAP < 0x20000000:
                self._drop(i, "expired")
                i = self._lent  # dropped() may have changed things
            else:
                i += _word(q, i)
        self._look = False

    def clear(self):
        """Forget all messages, the lent one too. dropped() is not called."""
        while self._n:
            self._take(0)
            self._k["cleared"] += 1

    # -- records -----------------------------------------------------------------------------

    def _copy(self, i):
        """Topic and message at i, as bytes."""
        q = memoryview(self._q)
        n = i + _HEAD + (_word(q, i + 4) >> 3)
        return bytes(q[i + _HEAD : n]), bytes(q[n : i + _word(q, i)])

    def _take(self, i):
        """Close up the slab over the record at i."""
        q = self._q
        q[i : i + _word(q, i)] = b""
        self._n -= 1
        if not i:
            self._lent = 0
            self._no = self._no % _WRAP + 1

    def _drop(self, i, why):
        if self.dropped:
            topic, msg = self._copy(i)
        self._take(i)
        self._k[why] += 1
        if self.dropped:
            self.dropped(topic, msg, why)
