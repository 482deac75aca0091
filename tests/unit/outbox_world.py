"""An Outbox in a world of its own: a clock that stands still, and a book of all that is lost."""

import time

import umqtt_plus.outbox as room
from umqtt_plus.outbox import Outbox
from util import same

HEAD = 12  # what a record costs besides topic and msg
DAY = 86400000
WHYS = ("oldest", "newest", "replaced", "expired")


class Box:
    """An Outbox with a clock that stands still, and all that becomes of its messages."""

    def __init__(self, now=1000, **options):
        self.now = time.ticks_add(0, now)
        self.lost = []
        self.sent = 0
        self.lent = None
        options.setdefault("dropped", self._dropped)
        self.box = self.run(Outbox, **options)

    def _dropped(self, topic, msg, why):
        assert isinstance(topic, bytes) and isinstance(msg, bytes)
        self.lost.append((topic, msg, why))

    def run(self, f, *args, **options):
        before = room.ticks_ms
        room.ticks_ms = self._ticks_ms
        try:
            return f(*args, **options)
        finally:
            room.ticks_ms = before

    def _ticks_ms(self):
        return self.now

    def put(self, topic, msg, **options):
        return self.run(self.box.put, topic, msg, **options)

    def first(self):
        return self.run(self.box.first)

    def lend(self):
        """first(), of which done() is told later."""
        self.lent = self.first()
        return self.lent[1:3]

    def done(self):
        self.sent += 1
        self.box.done(self.lent[0])

    def step(self, ms, tick=True):
        """Time passes; the box hears of it, in steps that ticks_diff can tell."""
        while ms > 0:
            self.now = time.ticks_add(self.now, min(ms, 6 * DAY))
            ms -= 6 * DAY
            if tick:
                self.run(self.box.tick)

    def check(self):
        """The counts add up, and agree with what dropped() was told."""
        k = self.box.stats()
        same(k["queued"], len(self.box))
        same(k["bytes"], self.box.bytes)
        same(k["sent"], self.sent)
        for why in WHYS:
            same(k[why], len([x for x in self.lost if x[2] == why]), why)
        gone = k["sent"] + k["oldest"] + k["replaced"] + k["expired"] + k["cleared"]
        same(k["accepted"], k["queued"] + gone)

    def drain(self):
        """All that is queued, in order, sent one after the other."""
        self.check()
        found = []
        size = 0
        queued = len(self.box)
        used = self.box.bytes
        while True:
            self.lent = self.first()
            if not self.lent:
                break
            found.append(self.lent[1:3])
            size += HEAD + len(self.lent[1]) + len(self.lent[2])
            self.done()
        same((len(found), size), (queued, used), "len and bytes:")
        same((len(self.box), self.box.bytes), (0, 0))
        self.check()
        return found


def topics(*names):
    return [(bytes([c]), b"1234567") for name in names for c in name.encode()]
