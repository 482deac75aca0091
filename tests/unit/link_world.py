"""A Link with a client of a few lines and a clock that stands still; or with the real client."""

import time

import umqtt_plus.outbox as store
import umqtt_plus.reconnect as room
from driver import OK, split
from umqtt_plus.reconnect import Link
from util import same

DAY_MS = 86400000
STEADY, SLOW = 30000, 600000  # the defaults
# so long at most, in that order, with first_ms=1000
WINDOWS = [1000, 2000, 4000, 8000, 16000, 32000, 60000]


class Client:
    """Records what a Link asks of it. As the real one, it closes before it says the link is lost.

    fails: name of a call -> list of what its next calls raise. A pair (error, True) leaves the
    link open, as an error of a message handler does.
    """

    def __init__(self, world):
        self.world = world
        self.sock = None
        self.session_present = 0
        self.present = [0]  # what the next connections find; the last one counts from then on
        self.fails = {}
        self.calls = []
        self.sent = []
        self.room = 1000  # for messages
        self.handler = None
        self._tab = True
        self._size = 512

    def _call(self, name, *args):
        self.calls.append((name,) + args)
        fails = self.fails.get(name)
        if fails:
            error = fails.pop(0)
            if isinstance(error, tuple):
                raise error[0]
            self._close()
            raise error
        if name != "connect" and not self.sock:
            raise OSError(107)

    def connect(self, clean_session=True, timeout=None, *, adopt=False):
        assert not self.sock, "connect() while connected"
        self.sock = self  # as far as TCP
        self._call("connect", clean_session, adopt)
        self.session_present = self.present[0]
        if len(self.present) > 1:
            self.present.pop(0)
        return self.session_present

    def subscribe(self, topics):
        assert self.sock
        self._call("subscribe", topics)
        return bytes(len(topics))

    def publish_nowait(self, topic, msg, retain=False, qos=0):
        self._call("publish", topic)
        if not self.room:
            return 0
        self.room -= 1
        assert len(self.sent) < 999, "it sends for ever"
        self.sent.append((topic, msg, retain, qos))
        return len(self.sent) if qos else -1

    def check_msg(self):
        self._call("check_msg")
        if self.handler:
            self.handler()  # may lose the link; the next call will say so
        return False

    def wait_msg(self, timeout_ms):
        self._call("wait_msg", timeout_ms)
        self.world.now = time.ticks_add(self.world.now, timeout_ms)
        self.world.idle += timeout_ms
        return False

    def _close(self):
        self.sock = None

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


class World:
    """link is a Link over a Client; draw(n) chooses among 0 to n-1: the largest, if not told."""

    def __init__(self, *args, now=1000, **options):
        self.now = time.ticks_add(0, now)
        self.drawn = []  # the n of each draw
        self.draw = lambda n: n - 1
        self.idle = 0  # ms slept and waited
        self.told = []
        self.client = Client(self)
        options.setdefault("first_ms", 1000)
        options.setdefault("on_up", lambda present: self.told.append(("up", present)))
        options.setdefault("on_down", lambda error: self.told.append(("down", error)))
        self.link = self.run(Link, self.client, *args, **options)

    def run(self, f, *args, **options):
        before = (room.ticks_ms, room.sleep_ms, room.random, room.collect, store.ticks_ms)
        room.ticks_ms = store.ticks_ms = self._ticks_ms
        room.sleep_ms = self._sleep_ms
        room.random = self
        room.collect = int  # takes its time on a board
        try:
            return f(*args, **options)
        finally:
            room.ticks_ms, room.sleep_ms, room.random, room.collect, store.ticks_ms = before

    def randrange(self, n):
        self.drawn.append(n)
        return self.draw(n)

    def _ticks_ms(self):
        return self.now

    def _sleep_ms(self, ms):
        assert ms >= 0
        self.now = time.ticks_add(self.now, ms)
        self.idle += ms

    def poll(self, timeout_ms=0):
        return self.run(self.link.poll, timeout_ms)

    def next_try(self):
        return self.run(self.link.next_try)

    def publish(self, *args, **options):
        return self.run(self.link.publish, *args, **options)

    def tick(self, ms):
        while ms:
            step = min(ms, DAY_MS)
            self.now = time.ticks_add(self.now, step)
            ms -= step

    def come(self, result=True):
        """Wait until it is time, and let it try."""
        self.tick(self.next_try())
        same(self.poll(), result, "poll()")

    def lose(self, error=None):
        """The link is up, and breaks."""
        assert self.link.up
        self.fail("check_msg", error or OSError(104))
        assert self.poll() is False

    def fail(self, name, *errors):
        self.client.fails[name] = list(errors)


def fail(name, *errors, count=1, **options):
    """A World whose client fails so in that call, count times, at the time of each try."""
    w = World(**options)
    w.fail(name, *errors * count)
    for _ in range(len(errors) * count):
        w.come(False)
    return w


def up(d, *args, **options):
    """A Link over the client of a Driver, connected."""
    link = d.run(Link, d.client, *args, **options)
    d.answers.append(split(OK))
    assert d.run(link.poll) is True
    return link
