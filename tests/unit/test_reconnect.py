"""Link: when it tries again, what it does when it is up, what becomes of what waits.

A client of a few lines and a clock that stands still; the last tests put the real client in.
"""

import time

import umqtt_plus.outbox as store
import umqtt_plus.reconnect as room
from driver import OK, RESUMED, Driver, Random, ack, parse, publish, split
from umqtt_plus.client import MQTTException
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link
from util import each, few, raises, same

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
        room.collect = int  # takes long on CPython
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


# -- when it tries again -----------------------------------------------------------------------


def test_first_attempt_is_at_once():
    w = World()
    same(w.next_try(), 0)
    assert w.poll() is True
    same(w.client.calls, [("connect", False, False), ("check_msg",)])
    same((w.drawn, w.idle, w.next_try()), ([], 0, 0))


def test_windows_double_up_to_the_cap():
    w = fail("connect", OSError(111), count=40)
    same(w.drawn[:7], WINDOWS)
    same(w.drawn[7:], [60000] * 33)

    def check(first_ms, cap_ms, windows):
        w = fail("connect", OSError(110), count=len(windows), first_ms=first_ms, cap_ms=cap_ms)
        same(w.drawn, windows)

    each(
        (
            (100, 1000, [100, 200, 400, 800, 1000, 1000]),
            (5000, 5000, [5000, 5000]),
            (9000, 4000, [4000, 4000]),
            (1, 3, [1, 2, 3, 3]),
            (60000, 3600000, [60000, 120000, 240000, 480000, 960000, 1920000, 3600000, 3600000]),
        ),
        check,
    )


def test_default_windows():
    """Wide enough from the first wait on: a lost link is lost to a whole fleet at once."""
    w = World()
    real = Link(w.client)
    w.link.first_ms = real.first_ms
    w.fail("connect", *[OSError(111)] * 5)
    for _ in range(5):
        w.come(False)
    same(w.drawn, [8000, 16000, 32000, 60000, 60000])


def test_every_error_of_the_link_waits_alike():
    for error in (OSError(-2), OSError(113), OSError(), MemoryError(), MQTTException(3)):
        same(fail("connect", error, count=3).drawn, WINDOWS[:3])


def test_jitter_is_full():
    """From 1 ms to the whole window, wherever chance puts it."""
    for number, window in enumerate(WINDOWS):
        for draw in (0, 1, window // 2, window - 1):
            w = World()
            w.fail("connect", *[OSError(111)] * (number + 1))
            for _ in range(number):
                w.come(False)
            w.draw = lambda n: draw  # noqa: B023
            w.come(False)
            same((w.drawn[-1], w.next_try()), (window, draw + 1))


def test_real_random_numbers_fill_the_window():
    import random

    w = World(first_ms=1000, cap_ms=1000)
    w.draw = random.randrange
    waits = []
    for _ in range(200):
        w.fail("connect", OSError(111))
        w.come(False)
        waits.append(w.next_try())
        w.drawn.clear()
        w.told.clear()
        w.client.calls.clear()
    # fails once in 10**8 runs
    assert 1 <= min(waits) < 100 and 900 < max(waits) <= 1000
    assert 380 < sum(waits) // 200 < 620


def test_nothing_happens_before_its_time():
    w = fail("connect", OSError(111))
    same(w.next_try(), 1000)
    w.tick(999)
    assert w.poll() is False
    same((w.next_try(), len(w.client.calls)), (1, 1))
    w.tick(1)
    assert w.poll() is True


def test_an_attempt_counts_from_its_end():
    """A connect() that takes ten seconds is not followed by the next one at once."""
    w = World()
    real = w.client.connect

    def slow(*args, **options):
        w.tick(10000)
        real(*args, **options)

    w.client.connect = slow
    w.fail("connect", OSError(110))
    w.come(False)
    same(w.next_try(), 1000)


def test_only_a_long_life_starts_anew():
    def check(life_ms, window):
        w = fail("connect", OSError(111), count=3)
        w.come()
        w.tick(life_ms)
        assert w.poll() is True
        w.lose()
        same(w.drawn[3:], [window])

    each(((0, 8000), (STEADY - 1, 8000), (STEADY, 1000), (STEADY + 1, 1000)), check)
    w = World(steady_ms=5)
    for window in (1000, 1000):
        w.come()
        w.tick(5)
        w.lose()
        same(w.drawn.pop(), window)


def test_a_life_longer_than_ticks_can_tell():
    """On a board differences of ticks_ms change their sign after 6.2 days."""
    for days in (1, 6, 7, 9, 12, 13, 20, 100, 400):
        w = fail("connect", OSError(111), count=3)
        w.come()
        for _ in range(days):
            w.tick(DAY_MS)
            assert w.poll() is True
            same(w.next_try(), 0)
            w.client.calls.clear()
        w.lose()
        same(w.drawn[3:], [1000], "after %d days" % days)


def test_the_clock_may_wrap_anywhere():
    for start in (-1, -500, -1000, -1500, -3000, -7000, -40000, 0):
        w = fail("connect", OSError(111), count=3, now=start)
        same((w.drawn, w.next_try()), (WINDOWS[:3], 4000))
        w.tick(3999)
        assert w.poll() is False and w.next_try() == 1
        w.tick(1)
        assert w.poll() is True
        w.tick(STEADY - 1)
        w.lose()
        w.come()
        w.tick(STEADY)
        w.lose()
        same(w.drawn[3:], [8000, 1000])


# -- which refusals are slow -------------------------------------------------------------------

# What does not change by itself. 0x81 and 0x82 are not among them: the client itself says 0x82
# when the server breaks a rule, and then the next connection may well do (backing off, G9).
STOP = (1, 2, 4, 5, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99, 0x9A, 0x9B)


def test_refusals():
    """Back-off: 3, 0x80, 0x83, 0x88, 0x89, 0x97, 0x9F and all that nobody knows."""
    for code in range(1, 256):
        w = fail("connect", MQTTException(code), count=2)
        same(w.drawn, [SLOW, SLOW] if code in STOP else [1000, 2000], "code %d" % code)
        assert w.link.why.args[0] == code
    same(fail("connect", MQTTException(5), slow_ms=7000).drawn, [7000])


def test_numbers_of_the_system_are_no_refusals():
    for code in (1, 2, 4, 5):  # EPERM, ENOENT, EINTR, EIO
        same(fail("connect", OSError(code)).drawn, [1000])


def test_a_refusal_of_a_live_link():
    """As a 5.0 server's DISCONNECT would be, or a subscribe() that is not allowed."""
    w = World("t")
    w.come()
    w.lose(MQTTException(0x87))
    same(w.drawn, [SLOW])
    same(fail("subscribe", MQTTException(0x87), topics="t").drawn, [SLOW])


def test_after_a_refusal_the_count_goes_on():
    w = World()
    w.fail("connect", OSError(111), MQTTException(5), OSError(111))
    for _ in range(3):
        w.come(False)
    same(w.drawn, [1000, SLOW, 4000])


def test_slow_ms_0_raises_the_refusal():
    for code in STOP:
        w = World(slow_ms=0)
        error = MQTTException(code)
        w.fail("connect", error)
        with raises(MQTTException, code) as caught:
            w.poll()
        assert caught.error is error is w.link.why
        same(w.told, [("down", error)])
        assert not w.link.up and not w.client.sock
        assert w.next_try() > 0  # who goes on all the same does not hammer
        w.come()
    for code in (3, 0x80, 0x82, 0x88):
        assert not fail("connect", MQTTException(code), slow_ms=0).link.up


# -- another client with the same client_id ----------------------------------------------------


def kick(w, times, error=104):
    for _ in range(times):
        w.come()
        w.lose(OSError(error))


def test_five_quick_kicks_in_a_row():
    for error in (104, 107):
        w = World()
        kick(w, 7, error)
        same(w.drawn, [1000, 2000, 4000, 8000, SLOW, SLOW, SLOW])
    w = World(slow_ms=0)  # nobody refused, so nothing is raised
    kick(w, 6)
    same(w.drawn, [1000, 2000, 4000, 8000, 60000, 60000])


def test_a_life_that_is_long_ends_the_fight():
    w = World()
    kick(w, 4)
    w.come()
    w.tick(STEADY)
    w.lose()
    same(w.drawn[4:], [1000])
    kick(w, 4)
    same(w.drawn[5:], [2000, 4000, 8000, SLOW])


def test_a_failed_attempt_is_not_a_fight():
    """A server that is down now and then is another matter: so often as it likes."""
    for place in range(5):
        w = World()
        kick(w, place)
        w.fail("connect", OSError(111))
        w.come(False)
        kick(w, 9)
        same(w.drawn, (WINDOWS + [60000] * 9)[: place + 10], "failed at %d" % place)
    same(fail("connect", OSError(104), count=7).drawn, WINDOWS)
    w = World()
    kick(w, 5)
    w.fail("connect", OSError(111))
    w.come(False)
    kick(w, 2)
    same(w.drawn[4:], [SLOW, 32000, 60000, 60000])


def test_an_old_fight_is_forgotten():
    w = World()
    kick(w, 3)
    w.come()
    w.tick(STEADY)
    w.lose(OSError(110))
    w.fail("connect", OSError(110), OSError(110))
    w.come(False)
    w.come(False)
    kick(w, 3)
    same(w.drawn[3:], WINDOWS[:6])
    w = World()
    kick(w, 5)
    w.come()
    w.tick(STEADY)
    w.lose()
    kick(w, 5)
    same(w.drawn[4:], [SLOW, 1000, 2000, 4000, 8000, SLOW, SLOW])


def test_other_ends_are_not_a_fight():
    for error in (OSError(110), OSError(113), MQTTException(0x82), MemoryError()):
        w = World()
        for _ in range(7):
            w.come()
            w.lose(error)
        same(w.drawn, WINDOWS)


# -- when it is up -----------------------------------------------------------------------------


def test_what_connect_is_given():
    def check(clean, adopt):
        w = World(clean_session=clean, adopt=adopt)
        w.come()
        same(w.client.named("connect"), [(clean, adopt)])

    each(((False, False), (True, False), (False, True)), check)


def test_when_it_subscribes():
    topics = ["a", (b"b", 1)]

    def check(given, always, present, wanted):
        w = World(given, always=always)
        w.client.present = list(present)
        for _ in present:
            w.come()
            w.lose()
        got = []
        for call in w.client.calls:
            if call[0] == "connect":
                got.append(0)
            elif call[0] == "subscribe":
                got[-1] += 1
                same(call[1], topics if given is topics else [given], "the filters")
        same(got, wanted)

    each(
        (
            (topics, False, (0, 0, 0), [1, 1, 1]),
            (topics, False, (0, 1, 1), [1, 0, 0]),
            (topics, False, (0, 1, 0, 1), [1, 0, 1, 0]),
            (topics, False, (1, 1, 0, 1), [0, 0, 1, 0]),
            (topics, True, (0, 1, 1), [1, 1, 1]),
            (topics, True, (1, 1), [1, 1]),
            ((), False, (0, 1), [0, 0]),
            ((), True, (0, 1), [0, 0]),
        ),
        check,
    )


def test_one_filter_needs_no_list():
    for topic in ("a", b"a"):
        w = World(topic)
        w.come()
        same([list(call[0]) for call in w.client.named("subscribe")], [[topic]])
        same(w.link.granted, b"\x00")


def test_a_session_without_its_subscriptions():
    """The link broke between CONNACK and SUBACK: the session is there, the subscriptions not."""
    w = World("t")
    w.client.present = [0, 1, 1, 1]
    w.fail("subscribe", OSError(104), OSError(110))
    w.come(False)
    w.come(False)
    assert not w.link.up and w.told[0][0] == "down"
    w.come()
    same(len(w.client.named("subscribe")), 3)
    w.lose()
    w.come()
    same(len(w.client.named("subscribe")), 3)


def test_who_is_told():
    w = World("t", on_up=None, on_down=None)
    link = w.link
    told = w.told
    link.on_up = lambda present: told.append(("up", present, link.up))
    link.on_down = lambda error: told.append(
        ("down", error.args[0], link.up, w.client.sock, w.next_try(), link.why is error)
    )
    w.client.present = [0, 1]
    w.fail("connect", OSError(111))
    w.come(False)
    w.come()
    w.poll()
    w.lose()
    w.poll()
    w.come()
    same(
        told,
        [
            ("down", 111, False, None, 1000, True),
            ("up", 0, True),
            ("down", 104, False, None, 2000, True),
            ("up", 1, True),
        ],
    )
    w = World(on_up=None, on_down=None)
    kick(w, 2)  # nobody to be told


def test_on_up_may_publish():
    w = World(outbox=Outbox(), on_up=lambda present: w.publish(b"state", b"online", True, 1))
    same(w.publish(b"t", b"1"), 0)
    w.come()
    same(w.client.sent, [(b"t", b"1", False, 0), (b"state", b"online", True, 1)])


def test_what_on_up_and_on_down_raise():
    def bad(_):
        raise ValueError("mine")

    w = World(on_up=bad)
    with raises(ValueError, "mine"):
        w.poll()
    assert w.link.up and w.poll() is True
    same(len(w.client.named("connect")), 1)
    w = World(on_down=bad)
    w.come()
    w.fail("check_msg", OSError(104))
    with raises(ValueError, "mine"):
        w.poll()
    assert not w.link.up and w.next_try() == 1000
    w.come()


# -- poll() ------------------------------------------------------------------------------------


def test_poll_sleeps_while_it_is_not_time():
    def check(due_ms, timeout_ms):
        w = fail("connect", OSError(111), first_ms=due_ms)
        assert w.poll(timeout_ms) is False
        same(w.idle, timeout_ms)
        same(w.next_try(), due_ms - timeout_ms)
        same(len(w.client.calls), 1)

    each(((1000, 0), (1000, 1), (1000, 999), (60000, 100)), check)


def test_poll_asks_for_no_more_time_than_it_has():
    """What it slept until the try was due is not there any more for messages."""
    for timeout_ms in (1000, 1001, 5000):
        w = fail("connect", OSError(111), first_ms=1000)
        assert w.poll(timeout_ms) is True
        same(w.idle, timeout_ms, "poll(%d)" % timeout_ms)


def test_poll_while_up():
    w = World()
    w.come()
    w.client.calls.clear()
    assert w.poll() and w.poll(250) and w.poll(1)
    same(w.client.calls, [("check_msg",), ("wait_msg", 250), ("wait_msg", 1)])


def test_what_a_handler_raises_passes_through():
    for error in (ValueError("mine"), OSError(28), OSError(104), MQTTException(5), MemoryError()):
        for call, timeout_ms in (("check_msg", 0), ("wait_msg", 10)):
            w = World(slow_ms=0)
            w.come()
            w.fail(call, (error, True))
            with raises(type(error)) as caught:
                w.poll(timeout_ms)
            assert caught.error is error
            assert w.link.up and w.client.sock and w.poll() is True
            same((w.told, w.drawn), ([("up", 0)], []))


def test_a_handler_that_costs_the_link():
    """On a QoS 1 message the client closes the link, so that the message comes again: slower each
    time (G9)."""
    for call in ("check_msg", "connect", "subscribe"):
        w = World("t")
        if call == "check_msg":
            w.come()
            w.client.present = [1]
        for number in range(4):
            w.fail(call, ValueError("mine"))
            w.tick(w.next_try())
            with raises(ValueError, "mine"):
                w.poll()
            same((w.link.up, w.client.sock), (False, None))
            same(w.drawn[number:], [1000 << number], call)
            if call == "check_msg":
                w.come()
        w.come()


def test_a_handler_that_fails_before_it_is_up():
    """A QoS 0 message may come before the SUBACK: the link is open then, and not to be kept."""
    for error in (OSError(110), MQTTException(0x80), ValueError("mine")):
        w = World("t")
        w.fail("subscribe", (error, True))
        if isinstance(error, ValueError):
            with raises(ValueError, "mine"):
                w.poll()
        else:
            assert w.poll() is False
        same((w.link.up, w.client.sock, w.next_try()), (False, None, 1000))
        w.come()


def test_the_link_breaks_in_each_call():
    def check(call, error, timeout_ms):
        w = World("t", outbox=Outbox())
        if call in ("check_msg", "wait_msg", "publish"):
            w.come()
            w.told.clear()
        w.publish(b"a", b"1") if call != "publish" else w.link.outbox.put(b"a", b"1")
        sent = len(w.client.sent)
        w.fail(call, error)
        assert w.poll(timeout_ms) is False
        same((w.link.up, w.client.sock), (False, None))
        same(len(w.told), 1)
        same(w.told[0][0], "down")
        assert w.link.why is w.told[0][1]
        if call != "publish":
            assert w.link.why is error
        same((len(w.drawn), w.next_try()), (1, 1000))
        assert w.poll() is False
        w.come()
        same(w.told[1:], [("up", 0)])
        same(w.client.sent, [(b"a", b"1", False, 0)])
        assert sent <= 1

    rows = []
    for call in ("connect", "subscribe", "publish", "check_msg", "wait_msg"):
        for error in (OSError(104), OSError(110), OSError(32), MQTTException(0x82)):
            if call != "publish" or isinstance(error, OSError):
                rows.append((call, error, 10 if call == "wait_msg" else 0))
    each(rows, check)


# -- what waits --------------------------------------------------------------------------------


def test_publish_without_an_outbox():
    w = World()
    with raises(OSError, 107):
        w.publish(b"t", b"1")
    w.come()
    same([w.publish(b"t", b"1"), w.publish(b"t", b"2", True, 1)], [-1, 2])
    same(w.client.sent, [(b"t", b"1", False, 0), (b"t", b"2", True, 1)])
    w.client.room = 0
    with raises(OSError, 105):
        w.publish(b"t", b"3", qos=1)
    w.fail("publish", OSError(104))
    with raises(OSError, 104):
        w.publish(b"t", b"4")
    assert w.poll() is False
    with raises(OSError, 107):
        w.publish(b"t", b"5")
    same(len(w.client.sent), 2)


def test_publish_with_an_outbox():
    w = World(outbox=Outbox())
    same(w.publish(b"t", b"1"), 0)
    w.come()
    same([w.publish(b"t", b"2"), w.publish(b"t", b"3", False, 2)], [-1, 3])
    w.client.room = 0
    same(w.publish(b"t", b"4", True, 1), 0)
    w.client.room = 9
    w.fail("publish", OSError(104))
    same(w.publish(b"t", b"5"), 0)
    assert w.poll() is False
    same(w.publish(b"t", b"6"), 0)
    w.come()
    same([m[1] for m in w.client.sent], [b"1", b"2", b"3", b"4", b"5", b"6"])
    same(w.client.sent[3], (b"t", b"4", True, 1))
    same(len(w.link.outbox), 0)


def test_the_first_message_breaks_the_link():
    w = World(outbox=Outbox())
    w.come()
    w.fail("publish", OSError(104))
    same((w.publish(b"t", b"1"), len(w.link.outbox)), (0, 1))


def test_options_go_to_the_outbox():
    lost = []
    box = Outbox(max_count=2, policy="refuse", dropped=lambda *args: lost.append(args))
    w = World(outbox=box)
    same(w.publish(b"t", b"1", expire_ms=1000), 0)
    same(w.publish(b"u", b"2"), 0)
    with raises(OSError, 105):
        w.publish(b"t", b"3")
    same(w.publish(b"u", b"4", latest=True), 0)
    w.tick(60000)
    w.come()
    same(w.client.sent, [(b"u", b"4", False, 0)])
    same(lost, [(b"u", b"2", "replaced"), (b"t", b"1", "expired")])


def test_it_expires_while_the_link_is_down():
    lost = []
    box = Outbox(dropped=lambda *args: lost.append(args))
    w = World(outbox=box)
    w.publish(b"t", b"1", expire_ms=1000)
    w.fail("connect", *[OSError(111)] * 20)
    for _ in range(10):
        w.come(False)
        w.poll()
    same(lost, [(b"t", b"1", "expired")])


def test_order():
    w = World(outbox=Outbox())
    for n in range(5):
        w.publish(b"t", b"%d" % n, n & 1, n % 3)
    w.client.room = 2
    w.come()
    same([m[1] for m in w.client.sent], [b"0", b"1"])
    w.client.room = 1
    same(w.publish(b"t", b"5"), 0)  # behind those that wait, though there is room for one
    same([m[1] for m in w.client.sent], [b"0", b"1", b"2"])
    w.client.room = 9
    same(w.publish(b"t", b"6", qos=1), 7)
    same(
        w.client.sent,
        [(b"t", b"%d" % n, bool(n & 1), n % 3) for n in range(5)]
        + [(b"t", b"5", False, 0), (b"t", b"6", False, 1)],
    )


def test_what_did_not_go_may_be_replaced():
    def break_it(w):
        w.fail("publish", OSError(104))

    def fill_it(w):
        w.client.room = 0

    for stop in (break_it, fill_it):
        w = World(outbox=Outbox(latest=True))
        w.come()
        stop(w)
        same([w.publish(b"t", b"%d" % n) for n in range(3)], [0, 0, 0])
        w.poll()
        same(w.publish(b"t", b"3"), 0)
        same(len(w.link.outbox), 1)
        w.client.room = 9
        w.come()
        same(w.client.sent, [(b"t", b"3", False, 0)])


def test_a_handler_that_loses_the_link():
    """He may disconnect(), or publish on a link that breaks: poll() does not say True then."""
    w = World()
    w.client.handler = w.client._close
    assert w.poll() is False and w.poll() is False
    same([name for name, _ in w.told], ["up", "down"])
    same(w.next_try(), 1000)


def test_a_handler_publishes_while_some_wait():
    for inside in ("check_msg", "publish"):
        w = World(outbox=Outbox())
        for n in range(3):
            w.publish(b"t", b"%d" % n)
        replies = [b"r1", b"r2"]
        real = w.client.publish_nowait

        def handler(w=w, replies=replies):
            if replies:
                w.publish(b"t", replies.pop(0))

        def nowait(*args, real=real, handler=handler):
            done = real(*args)
            handler()
            return done

        if inside == "publish":
            w.client.publish_nowait = nowait
        else:
            w.client.handler = handler
        w.come()
        w.poll()
        same([m[1] for m in w.client.sent], [b"0", b"1", b"2", b"r1", b"r2"])


def test_what_the_client_can_never_take():
    """It is refused at once; what got into the outbox by another way does not stop the others."""
    lost = []
    w = World(outbox=Outbox(dropped=lambda *args: lost.append(args)))
    with raises(ValueError):
        w.publish(b"t", bytes(503), qos=1)
    same(w.publish(b"t", bytes(502), qos=1), 0)
    with raises(ValueError):
        w.publish(b"t", b"", qos=3)
    with raises(ValueError):
        w.publish(b"t/#", b"")
    w.client._tab = None  # inflight=0
    for qos in (1, 2):
        with raises(ValueError):
            w.publish(b"t", b"", qos=qos)
    w.link.outbox.put(b"t", b"bad")
    w.publish(b"t", b"good")
    w.client.calls.clear()
    real = w.client.publish_nowait

    def nowait(topic, msg, retain, qos):
        if msg == b"bad":
            raise ValueError("msg")
        return real(topic, msg, retain, qos)

    w.client.publish_nowait = nowait
    w.come()
    same([m[1] for m in w.client.sent], [bytes(502), b"good"])
    same(lost, [(b"t", b"bad", "refused")])


def test_asyncio_is_woken():
    class Event:
        calls = []

        def set(self):
            self.calls.append("set")

        def clear(self):
            self.calls.append("clear")

    w = World(outbox=Outbox())
    assert w.client._keep is True
    w.link._gone = Event()
    w.publish(b"t", b"1")
    same(Event.calls, ["set", "clear"])
    w.come()
    w.publish(b"t", b"2")
    same(Event.calls, ["set", "clear"])


def story(seed, box, clean):
    """Anything may happen. What publish() took goes out once and in order, or was dropped."""
    random = Random(seed)
    w = World("t", outbox=box, clean_session=clean)
    w.draw = random.below
    client = w.client
    real = client.publish_nowait
    took = []
    count = 0

    def nowait(*args):
        """When the link breaks, a QoS 1 message may be in the table by then."""
        if random.below(9) == 0:
            if args[3] and client.room and client.sock:
                p = real(*args)
                client._close()
                return p
            client._close()
            raise OSError(104)
        return real(*args)

    def take():
        nonlocal count
        count += 1
        msg = b"%d" % count
        qos = random.below(3)
        try:
            p = w.publish(b"t", msg, False, qos)
        except OSError as error:
            assert error.args[0] in (104, 105, 107)
            return
        assert p or box is not None
        took.append(msg)

    client.publish_nowait = nowait
    client.handler = lambda: None if random.below(6) else take()
    for _ in range(150):
        what = random.below(9)
        if what < 3:
            take()
        elif what == 8:
            w.tick(w.next_try())
        elif what == 3:
            w.tick(random.below(3) and random.below(40000))
        elif what == 4:
            client.room = random.below(4)
        elif what == 5:
            name = ("connect", "subscribe", "check_msg")[random.below(3)]
            w.fail(name, OSError((104, 107, 110, 111)[random.below(4)]))
        else:
            w.poll(random.below(2) and 20)
            assert w.link.up == (client.sock is not None)
        if w.link.up and client.sock:
            same(w.next_try(), 0)
        else:
            assert w.next_try() <= SLOW
    client.publish_nowait = real
    client.handler = None
    client.fails = {}
    client.room = 1000
    w.poll()
    w.come()
    return took, [m[1] for m in client.sent]


def test_nothing_is_lost_or_sent_twice():
    for seed in few(range(60)):
        lost = []
        box = None
        kind = seed % 4
        if kind:
            box = Outbox(
                max_count=(200, 200, 5, 5)[kind],
                policy="oldest" if kind == 2 else "refuse",
                dropped=lambda topic, msg, why: lost.append(msg),
            )
        took, sent = story(seed, box, seed & 1)
        what = "seed %d" % seed
        assert took, what
        numbers = [int(msg) for msg in sent]
        same(numbers, sorted(numbers), what)
        same(sorted(sent + lost), sorted(took), what)
        if kind in (1, 3):
            same(lost, [], what)
        if box is not None:
            same(len(box), 0, what)


# -- with the real client ----------------------------------------------------------------------


def up(d, *args, **options):
    """A Link over the client of a Driver, connected."""
    link = d.run(Link, d.client, *args, **options)
    d.answers.append(split(OK))
    assert d.run(link.poll) is True
    return link


def test_real_client_comes_back():
    d = Driver(inflight=2)
    down = []
    link = up(d, outbox=Outbox(), on_down=down.append)
    d.out()
    for n in range(4):
        d.run(link.publish, b"t", b"%d" % n, False, 1)
    same([body[5:] for _, body in parse(d.out())], [b"0", b"1"])
    d.link.error = 104
    assert d.run(link.poll) is False
    same([error.args[0] for error in down], [104])
    d.now = time.ticks_add(d.now, d.run(link.next_try))
    d.answers.append(split(RESUMED))
    assert d.run(link.poll) is True
    packets = parse(d.out())[1:]
    same([(first, body[5:]) for first, body in packets], [(0x3A, b"0"), (0x3A, b"1")])
    for _, body in packets:
        d.link.pieces.append(ack(0x40, body[3] << 8 | body[4]))
    for _ in range(4):
        assert d.run(link.poll) is True
    same([body[5:] for _, body in parse(d.out())], [b"2", b"3"])


def test_real_client_handles_nothing_inside_pump():
    """With keepalive due, a handler inside pump() would find the message not done yet."""
    d = Driver(keepalive=10)
    link = up(d, outbox=Outbox())
    d.out()
    d.then = lambda _: link.publish(b"t", b"reply")
    d.run(link.outbox.put, b"t", b"first")
    d.link.space = 500  # a pump() that finds no end finds one
    d.now = time.ticks_add(d.now, 20000)
    d.link.pieces.append(publish(b"down", b"command"))
    assert d.run(link.poll) is True
    sent = [body[3:] for first, body in parse(d.out()) if first == 0x30]
    same(sent, [b"first", b"reply"])


def test_real_client_is_refused():
    d = Driver()
    link = d.run(Link, d.client, slow_ms=0)
    d.answers.append(split(b"\x20\x02\x00\x04"))
    with raises(MQTTException, 4):
        d.run(link.poll)
    assert d.closed and not link.up


def test_real_client_with_a_handler_that_fails():
    """Right behind CONNACK comes what the session kept; a link that costs waits, too."""
    d = Driver()
    link = up(d)
    link.first_ms = 1000

    def bad(_):
        raise ValueError("mine")

    d.then = bad
    d.link.pieces.append(publish(b"down", b"1", 1, 7))
    for _ in range(3):
        with raises(ValueError, "mine"):
            d.run(link.poll)
        assert d.closed and not link.up and d.run(link.next_try) > 0
        d.now = time.ticks_add(d.now, d.run(link.next_try))
        d.answers.append([RESUMED + publish(b"down", b"1", 1, 7, 8)])
    d.then = None
    assert d.run(link.poll) is True
    same([got[1] for got in d.got], [b"1"] * 4)
