"""Link: when it tries again, which refusals are slow, what it does when it is up."""

from link_world import DAY_MS, SLOW, STEADY, WINDOWS, World, fail
from umqtt_plus.errors import MQTTException
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link
from util import each, raises, same

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


def test_what_the_server_rules_out():
    """Wildcards, say, by its CONNACK: it may change its mind. A wrong argument is the caller's."""
    w = World("a/#")
    w.fail("subscribe", ValueError("topic_filter: the server takes no wildcards", 0xA2))
    w.come(False)
    assert WINDOWS[-1] < w.next_try() <= SLOW
    w.come()
    same(w.link.up, True)
    w = World("a/#")
    w.fail("subscribe", ValueError("topic_filter"))
    with raises(ValueError):
        w.come()


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
            (topics, False, (1, 1, 0, 1), [1, 0, 1, 0]),  # who knows what an earlier boot did
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
