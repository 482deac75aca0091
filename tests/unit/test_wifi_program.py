"""The Wi-Fi supervisor beside a program: polling, sleep, NTP, asyncio."""

import sys

import micropython
from util import Skip, each, raises, same
from wifi_world import BOTH, World

from fakes.network import FLAVOURS  # wifi_world has made it findable

# -- the program's side --------------------------------------------------------------------


def test_polling_while_up_allocates_nothing():
    w = World("rp2", ntp=None)
    w.until_up()
    poll = w.wifi.poll
    now = w.clock.now
    poll(now)
    micropython.heap_lock()
    try:
        for _ in range(50):
            poll(now)
            poll()
    finally:
        micropython.heap_unlock()
    same(poll(now), 1000)


def test_polled_rarely_or_often_it_gets_there():
    def check(flavour, step):
        w = World(flavour)
        w.spend(60000, step)
        assert w.wifi.up
        w.air.vanish("home", 25000)
        w.spend(240000, step)
        assert w.wifi.up and w.radio.joined

    each([(f, step) for f in FLAVOURS for step in (31, 100, 1000, 5000)], check)


def test_disconnect_for_sleep():
    def check(flavour):
        w = World(flavour)
        w.until_up()
        w.run(w.wifi.disconnect)
        same((w.radio.on, w.radio.joined, w.wifi.up), (False, None, False))
        same(len(w.log("deinit")), 1 if flavour == "rp2" else 0)
        same(w.status(), "off")
        calls = len(w.radio.log)
        w.spend(100000)
        same(len(w.radio.log), calls)
        w.run(w.wifi.start)
        w.until_up()
        w.run(w.wifi.start)  # no harm
        w.spend(5000)
        assert w.wifi.up
        w.run(w.wifi.disconnect)
        same(w.run(w.wifi.connect, 10), True)
        same([up for _, up in w.changes], [True, False, True, False, True])

    each(BOTH, check)


def test_disconnect_inside_on_change():
    def check(flavour, when):
        w = World(flavour)

        def off(up):
            if up == when:
                w.wifi.disconnect()

        w.wifi.on_change(off)
        w.spend(10000)
        if not when:
            w.air.vanish("home")
        w.spend(100000)
        same((w.status(), w.wifi.up), ("off", False))

    each([(f, when) for f in FLAVOURS for when in (True, False)], check)


def test_on_change_may_raise():
    """Its exception comes out of poll(); the link is watched on."""
    w = World("esp32")
    w.wifi.on_change(lambda up: 1 // 0)
    with raises(ZeroDivisionError):
        w.until_up()
    assert w.wifi.up
    w.spend(10000)
    with raises(ZeroDivisionError):
        w.air.vanish("home", 30000)
        w.spend(20000)
    assert not w.wifi.up
    with raises(ZeroDivisionError):
        w.spend(60000)
    assert w.wifi.up


# -- NTP -----------------------------------------------------------------------------------


class Ntp:
    """ntptime; the first `failures` calls raise."""

    host = "pool"
    timeout = 5

    def __init__(self, w, failures, error=OSError(110)):
        self.w = w
        self.failures = failures
        self.error = error
        self.calls = []

    def settime(self):
        assert self.timeout == 1
        self.calls.append(self.w.clock.now)
        same(self.w.fed_at, self.w.clock.now)
        if len(self.calls) <= self.failures:
            self.w.clock.spend(1000)
            raise self.error

    def during(self, f, *args):
        sys.modules["ntptime"] = self
        try:
            f(*args)
        finally:
            del sys.modules["ntptime"]


def test_ntp_once_up():
    """Before on_change(), so that TLS finds a clock; once, also after later losses."""

    def check(flavour, ntp, host):
        w = World(flavour, ntp=ntp)
        server = Ntp(w, 0)
        order = []
        w.wifi.on_change(lambda up: order.append((up, w.wifi.clock_ok)))
        server.during(w.until_up)
        same((w.wifi.clock_ok, server.host, len(server.calls)), (True, host, 1))
        same(order, [(True, True)])
        w.air.vanish("home", 20000)
        server.during(w.spend, 100000)
        same((len(server.calls), order[2:]), (1, [(True, True)]))

    each(
        [(f, n, h) for f in FLAVOURS for n, h in ((True, "pool"), ("10.0.0.1", "10.0.0.1"))], check
    )


def test_ntp_failure_is_not_fatal_and_tried_later():
    def check(error):
        w = World("rp2", ntp=True)
        server = Ntp(w, 9, error)
        server.during(w.spend, 1800 * 1000)
        same((w.wifi.clock_ok, len(server.calls), len(w.changes)), (True, 10, 1))
        gaps = [b - a for a, b in zip(server.calls, server.calls[1:])]
        assert 4000 <= gaps[0] <= 6000 and 600000 <= gaps[-1] <= 602000, gaps
        assert gaps == sorted(gaps), gaps

    each([(OSError(110),), (OSError(-2),), (IndexError("short"),), (OverflowError(),)], check)


def test_ntp_is_not_asked_for():
    w = World("rp2")
    server = Ntp(w, 0)
    server.during(w.spend, 60000)
    same((server.calls, w.wifi.clock_ok), ([], False))


def test_ntp_without_the_module():
    try:
        import ntptime  # noqa: F401
    except ImportError:
        pass
    else:
        raise Skip("this MicroPython has ntptime")
    w = World("rp2", ntp=True)
    w.until_up()
    w.spend(60000)
    same((w.wifi.clock_ok, w.wifi.up), (False, True))


def test_the_watchdog_is_fed_around_ntp():
    w = World("rp2", ntp=True)
    server = Ntp(w, 1)
    server.during(w.run, w.wifi.connect, 20)
    assert w.hungry_ms <= 1000, w.hungry_ms
    same(len(server.calls), 1)


# -- asyncio -------------------------------------------------------------------------------


class Nap:
    """await Nap(): give the test its turn. For CPython and MicroPython."""

    def __init__(self):
        self.go = True

    def __iter__(self):
        return self

    __await__ = __iter__

    def __next__(self):
        if not self.go:
            raise StopIteration
        self.go = False


def loop(w, *tasks, rounds=100000):
    """Run coroutines of w.wifi until the first has ended; each sleeps in the world's time."""
    if sys.implementation.name == "cpython":
        try:
            from shims import aio as module
        except ImportError:
            raise Skip("the shims have no asyncio") from None
    else:
        import asyncio as module
    naps = []

    def sleep_ms(ms):
        assert 1 <= ms <= 1000, ms
        naps.append(ms)
        return Nap()

    before = module.sleep_ms
    module.sleep_ms = sleep_ms
    try:
        for _ in range(rounds):
            naps.clear()
            for task in tasks:
                try:
                    w.run(task.send, None)
                except StopIteration:
                    return
            w.clock.spend(min(naps))
    finally:
        module.sleep_ms = before
        for task in tasks:
            task.close()
    raise AssertionError("no end: " + w.status())


def test_wait_up():
    def check(flavour, with_run):
        w = World(flavour)
        w.air.vanish("home", 100000)
        tasks = [w.wifi.wait_up()]
        if with_run:
            tasks.append(w.wifi.run())
        loop(w, *tasks)
        assert w.wifi.up and w.radio.joined
        w.feed()
        assert w.hungry_ms <= 1000, w.hungry_ms

    each([(f, with_run) for f in FLAVOURS for with_run in (False, True)], check)


def test_run_watches_until_disconnect():
    def check(flavour):
        w = World(flavour)
        w.clock.after(20000, lambda: w.air.vanish("home", 30000))
        w.clock.after(200000, lambda: w.run(w.wifi.disconnect))
        loop(w, w.wifi.run())
        assert 200000 <= w.clock.now <= 201000
        same([up for _, up in w.changes], [True, False, True, False])

    each(BOTH, check)


def test_run_does_not_feed_while_up():
    """Or the watchdog would not see that the rest of the program is stuck."""
    w = World("rp2")
    w.clock.after(300000, lambda: w.run(w.wifi.disconnect))
    loop(w, w.wifi.run())
    assert w.clock.now - w.fed_at > 290000


def test_wait_up_after_disconnect():
    w = World("rp2")
    w.run(w.wifi.disconnect)
    with raises(OSError, 107):
        loop(w, w.wifi.wait_up())
    w.clock.after(30000, lambda: w.run(w.wifi.disconnect))
    loop(w, w.wifi.run())  # switches it on
    assert [up for _, up in w.changes] == [True, False]
