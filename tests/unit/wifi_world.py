"""A board's world for unit tests of wifi.py: a fake radio, and a clock that moves when it waits.

Nothing really waits, so an hour takes no time. Chance is the same in each run.
"""

import sys
import time

import util
from driver import Random

sys.path.append(util.__file__.replace("\\", "/").rpartition("/")[0] + "/..")

import umqtt_plus.wifi as room  # noqa: E402
from fakes.network import FLAVOURS, AccessPoint, Air, Clock, Network  # noqa: E402

BOTH = (("rp2",), ("esp32",))
SECRET = "open sesame"
TWO = [("home", SECRET), ("shed", SECRET)]
PERIOD = time.ticks_add(0, -1) + 1


class World:
    """One board. wifi is the supervisor; changes are what on_change() was told, with the time."""

    def __init__(self, flavour, networks=("home", SECRET), points=None, now=0, setup=None, **opts):
        self.clock = Clock(now)
        if points is None:
            points = (AccessPoint("home", SECRET), AccessPoint("shed", SECRET, -80))
        self.air = Air(self.clock, *points)
        self.radio = FLAVOURS[flavour](self.air)
        if setup:
            setup(self.radio)
        self.random = Random(1)
        self.chance = lambda bits: self.random.below(1 << bits)
        self.changes = []
        self.said = set()
        self.fed_at = now
        self.hungry_ms = 0  # the longest time without food
        if "feed" not in opts:
            opts["feed"] = self.feed
        sys.modules["network"] = Network(self.radio)
        try:
            self.wifi = self.run(room.WiFi, networks, **opts)
        finally:
            del sys.modules["network"]
        self.wifi.on_change(self.changed)

    def changed(self, up):
        self.changes.append((self.clock.now, up))

    def feed(self):
        self.hungry_ms = max(self.hungry_ms, self.clock.now - self.fed_at)
        self.fed_at = self.clock.now

    def run(self, f, *args, **options):
        """Call f in this world's time."""
        before = room.ticks_ms, room.sleep_ms, room.getrandbits
        room.ticks_ms = lambda: self.clock.now % PERIOD
        room.sleep_ms = self.clock.spend
        room.getrandbits = self.chance
        try:
            return f(*args, **options)
        finally:
            room.ticks_ms, room.sleep_ms, room.getrandbits = before

    def poll(self):
        ms = self.run(self.wifi.poll)
        assert ms >= 1, "poll() wants to be called again after %r ms" % ms
        text = self.status()
        if "waiting" not in text:  # those count down, and there is little room on a board
            self.said.add(text)
        return ms

    def spend(self, ms, step=None):
        """ms pass. Polled when it wants to be, or every step ms."""
        end = self.clock.now + ms
        while self.clock.now < end:
            wish = self.poll()
            self.clock.spend(max(1, min(step or wish, end - self.clock.now)))

    def until(self, what, within_ms):
        """Poll until what() holds; how long it took."""
        start = self.clock.now
        while not what():
            assert self.clock.now - start <= within_ms, "not within %d ms: %s" % (
                within_ms,
                self.status(),
            )
            self.clock.spend(self.poll())
        return self.clock.now - start

    def until_up(self, within_ms=10000):
        """The truth, too, is that it is connected."""
        return self.until(lambda: self.wifi.up and self.radio.joined, within_ms)

    def until_down(self, within_ms=20000):
        return self.until(lambda: not self.wifi.up, within_ms)

    def status(self):
        return self.run(self.wifi.status)

    def log(self, verb):
        """[(ms, argument)] of the calls of one verb."""
        return [(when, argument) for when, v, argument in self.radio.log if v == verb]

    def tried(self):
        return [ssid for _, ssid in self.log("connect")]

    def heard(self, text):
        assert text in self.said, "%r was not said, but %r" % (text, sorted(self.said))


def set_to(**values):
    """For World(setup=): attributes of the radio."""

    def setup(radio):
        for name in values:
            setattr(radio, name, values[name])

    return setup


def wrong_password(tells):
    return (AccessPoint("home", "changed since", tells=tells),)
