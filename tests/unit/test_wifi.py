"""The Wi-Fi supervisor and the quirks that were reported of ESP32 and rp2 (Pico W)."""

from util import each, raises, same
from wifi_world import BOTH, PERIOD, SECRET, TWO, World, room, set_to, wrong_password

from fakes.network import FLAVOURS  # wifi_world has made it findable

# -- connecting ----------------------------------------------------------------------------


def test_connects_and_says_so():
    def check(flavour, now):
        w = World(flavour, now=now)
        same(w.status(), "starting")
        assert not w.wifi.up
        w.until_up(5000)
        same(w.status(), "connected to home, 10.0.0.7, -61 dBm")
        same(w.tried(), ["home"])
        w.heard("trying home")
        w.spend(300000)
        same((w.tried(), len(w.changes)), (["home"], 1))

    # also across the wrap of the clock
    each([(f, now) for f in FLAVOURS for now in (0, PERIOD - 1500, PERIOD - 60000)], check)


def test_connect_waits():
    def check(flavour):
        w = World(flavour)
        same(w.run(w.wifi.connect, 10), True)
        assert w.wifi.up and 2000 < w.clock.now < 5000
        same(w.run(w.wifi.connect, 0), True)

    each(BOTH, check)


def test_connect_ends_at_its_deadline():
    """OSError(ETIMEDOUT), and the next connect() goes on from there."""

    def check(flavour, timeout):
        w = World(flavour)
        w.air.vanish("home")
        with raises(OSError, 110):
            w.run(w.wifi.connect, timeout)
        same(w.clock.now, int(timeout * 1000))
        w.air.come("home")
        same(w.run(w.wifi.connect), True)

    each([(f, timeout) for f in FLAVOURS for timeout in (0, 0.5, 7, 100)], check)


def test_the_watchdog_is_fed_while_waiting():
    """At most 1 s without food, but for what the radio itself takes."""

    def check(flavour, scan, most):
        w = World(flavour, TWO, scan=scan, setup=set_to(start_ms=800))
        w.air.vanish("home")
        w.air.vanish("shed")
        with raises(OSError, 110):
            w.run(w.wifi.connect, 300)
        w.feed()
        assert w.hungry_ms <= most, w.hungry_ms

    each([(f, scan, 1000 + 1000 * scan) for f in FLAVOURS for scan in (0, 1)], check)


def test_without_a_watchdog():
    w = World("rp2", feed=None)
    same(w.run(w.wifi.connect, 10), True)


# -- the quirks, each by its name ----------------------------------------------------------


def test_rp2_stays_in_connecting_for_ever_on_a_wrong_password():
    """The deadline ends it, and what can be guessed is said. Later the password is right."""
    w = World("rp2", points=wrong_password(False))
    w.until(lambda: w.tried(), 500)
    w.spend(14000)
    same((w.radio.status(), w.status()), (1, "trying home"))
    text = "no answer from home, wrong password?; "
    w.until(lambda: w.status().startswith(text + "waiting "), 1500)
    w.until(lambda: w.status() == text + "trying home", 3000)
    w.spend(60000)
    assert 3 <= len(w.tried()) <= 5, w.tried()
    w.air.points["home"].password = SECRET
    w.until_up(40000)


def test_a_wrong_password_is_named_and_tried_slowly():
    """Twice at once, since a first refusal may be untrue; then once in a minute or two."""

    def check(flavour):
        w = World(flavour, points=wrong_password(True))
        w.until(lambda: w.status().startswith("wrong password for home; waiting "), 9000)
        w.until(lambda: len(w.tried()) == 2, 5000)
        same(w.status(), "wrong password for home; trying home")
        w.spend(1500 * 1000)
        same(w.status()[:23], "wrong password for home")
        times = [when for when, _ in w.log("connect")][2:]
        gaps = [b - a for a, b in zip(times, times[1:])]
        assert len(gaps) > 8 and 60000 <= min(gaps) and max(gaps) < 150000, gaps
        w.radio.air.points["home"].password = SECRET
        w.until_up(150000)
        assert "wrong" not in w.status()

    each(BOTH, check)


def test_a_first_refusal_of_the_right_password_costs_seconds():
    """rp2 reports a wrong password for the first association with some access points."""

    def check(flavour):
        w = World(flavour)
        w.air.points["home"].refusals = 1
        w.until_up(12000)

    each(BOTH, check)


def test_a_failure_must_last_to_be_believed():
    """status() says wrong password for a moment, and then the link is up: one try was enough."""

    def check(flavour):
        w = World(flavour)
        w.air.points["home"].hiccups = 2
        w.until_up(10000)
        same(w.tried(), ["home"])

    each(BOTH, check)


def test_status_speaks_of_the_last_try_until_it_changes():
    """Then it is news, although it says the same: no need to wait for the deadline."""
    w = World("rp2", TWO, points=(), setup=set_to(keeps=True))
    w.until(lambda: w.log("connect")[1:], 10000)
    same(w.radio.status(), 1)
    w.until(lambda: "waiting" in w.status(), 6000)


def test_esp32_reconnects_by_itself_and_is_let():
    """Statuses 1000 and 202 in between are no reason to disturb it."""
    w = World("esp32")
    w.until_up()
    seen = set()
    calls = len(w.radio.log)
    w.air.vanish("home", 7000)
    for _ in range(120):
        w.spend(100)
        seen.add(w.radio.status())
    assert {1000, 202, 1001, 1010} <= seen, seen
    same(len(w.radio.log), calls)
    assert w.wifi.up and w.radio.joined
    same([up for _, up in w.changes], [True, False, True])
    w.heard("link to home lost")


def test_esp32_is_helped_after_the_grace_time():
    w = World("esp32")
    w.until_up()
    w.air.vanish("home", 40000)
    start = w.clock.now
    w.until(lambda: len(w.tried()) == 2, 20000)
    assert 10000 < w.clock.now - start < 15000
    w.until_up(60000)


def test_rp2_does_not_reconnect_and_is_helped_at_once():
    """With status 1 it only seems to be busy; that takes the grace time."""

    def check(number, most):
        w = World("rp2", setup=set_to(lost_number=number))
        w.until_up()
        w.air.vanish("home", 500)
        w.until_down()
        same(w.status(), "link to home lost")
        assert w.until_up(20000) < most

    each([(0, 7000), (1, 16000)], check)


def test_isconnected_lags_when_the_link_comes_up():
    def check(flavour):
        w = World(flavour, setup=set_to(lag_up_ms=4000))
        took = w.until_up()
        assert 6000 < took < 9000, took
        same(w.tried(), ["home"])

    each(BOTH, check)


def test_isconnected_lags_when_the_link_is_lost():
    """What isconnected() does not know yet cannot be told; then all goes its way."""

    def check(flavour):
        w = World(flavour, setup=set_to(lag_down_ms=9000))
        w.until_up()
        w.air.vanish("home", 1000)
        assert w.until_down() < 13000
        w.until_up(10000)

    each(BOTH, check)


def test_isconnected_flickers_and_nothing_happens():
    def check(flavour, ms):
        w = World(flavour)
        w.until_up()
        w.spend(5000)
        calls = len(w.radio.log)
        for _ in range(5):
            w.radio.shown = False
            w.spend(ms)
            w.radio.shown = True
            w.spend(3000)
        same((len(w.radio.log), len(w.changes), w.wifi.up), (calls, 1, True))

    each([(f, ms) for f in FLAVOURS for ms in (1, 500, 1900)], check)


def test_isconnected_lags_after_disconnect():
    """It speaks of the old network while the new one is tried: not taken for success."""

    def check(flavour):
        w = World(flavour, [("home", SECRET), ("shed", SECRET)])
        w.radio.lag_leave_ms = 1500
        # as after a soft reset: the radio is still on, and in another network
        w.radio.on = w.radio.shown = True
        w.radio.wanted = (w.radio.joined, _) = ("shed", SECRET)
        w.clock.spend(50)
        w.until(lambda: w.wifi.up, 10000)
        same((w.radio.joined, w.tried()), ("home", ["home"]))
        same(w.status(), "connected to home, 10.0.0.7, -61 dBm")

    each(BOTH, check)


def test_esp32_raises_when_connect_is_called_while_connecting():
    """Somebody, boot.py say, has begun: it is told to stop first, and the rest is patience."""

    def check(held):
        w = World("esp32")
        w.radio.active(True)
        w.radio.connect("elsewhere", "whatever")
        w.radio.broken = {"disconnect": held}
        w.until_up(12000)
        same(w.log("active"), [(0, True), (0, True)])  # it was still the first round

    each([(0,), (1,), (2,), (4,)], check)


def test_esp32_keeps_speaking_of_the_last_failure():
    """status() is 201 of the first network for as long as the second one is joined."""
    w = World("esp32", [("home", SECRET), ("shed", SECRET)])
    w.air.vanish("home")
    w.radio.lag_up_ms = 4000  # a slow DHCP server
    w.until(lambda: len(w.tried()) == 2, 10000)
    same(w.radio.status(), 201)
    w.until_up()
    same((w.tried(), w.radio.joined), (["home", "shed"], "shed"))


def test_power_saving_is_off_unless_wanted():
    """It drops idle links on a Pico W. Set again whenever the radio was off."""

    def check(flavour, wanted, pm):
        w = World(flavour, pm=wanted)
        w.air.vanish("home", 30000)
        w.until_up(90000)
        assert (0, True) in w.log("active") and len(w.log("active")) > 2
        same(w.radio.pm, pm)

    each([(f, pm, pm or 10) for f in FLAVOURS for pm in (None, 11, 12)], check)


def test_a_port_without_pm():
    class Wlan:
        """Passes on all but the names of power saving."""

        def __init__(self, radio):
            for name in ("active", "connect", "disconnect", "isconnected", "ifconfig", "config"):
                setattr(self, name, getattr(radio, name))
            self.status = radio.status

    w = World("esp32")
    w.wifi._wlan = Wlan(w.radio)
    w.until_up()
    same(w.log("config"), [])
    same(w.run(w.wifi.disconnect), None)  # nor has it deinit()


# -- losing it -----------------------------------------------------------------------------


def test_killed_at_any_moment_it_comes_back():
    """Without a reset, whatever happened when. The step is no divisor of anything."""

    def vanish(w):
        w.air.vanish("home", 8000)

    def gone_long(w):
        w.air.vanish("home", 45000)

    def switched_off(w):
        w.radio.active(False)

    def left(w):
        w.radio.disconnect()

    def stuck(w):
        w.radio.stuck = True
        w.radio.joined = None
        w.radio.after(0, w.radio.lost)

    def raising(w):
        w.radio.broken = {"connect": 3, "disconnect": 2, "active": 1, "config": 1}
        vanish(w)

    def check(flavour, kill, when):
        w = World(flavour)
        w.spend(when)
        try:
            kill(w)
        except OSError:
            return  # ESP32: not started yet
        w.radio.log.clear()
        w.spend(1500)
        w.until_up(150000)
        w.spend(60000)
        assert w.wifi.up and w.radio.joined, w.status()

    for kill in (vanish, gone_long, switched_off, left, stuck, raising):
        each([(f, kill, when) for f in FLAVOURS for when in range(1, 6500, 311)], check)


def test_every_call_may_raise():
    def check(flavour, verb, count):
        w = World(flavour, TWO, scan=True, hostname="barn", country="DE")
        w.radio.broken = {verb: count}
        w.until_up(600000)

    verbs = ("active", "connect", "disconnect", "config", "scan", "hostname", "country")
    each([(f, verb, n) for f in FLAVOURS for verb in verbs for n in (1, 3, 9)], check)


def test_the_radio_refuses():
    def check(flavour):
        w = World(flavour)
        w.radio.broken = {"connect": 100000}
        w.until(lambda: w.status().startswith("the radio refuses home; waiting "), 17000)
        w.radio.broken = {}
        w.until_up(40000)

    each(BOTH, check)


def test_rounds_get_rarer_by_chance():
    """Full jitter: a wait is anything between 250 ms and a limit that doubles up to 64 s."""

    def check(flavour, chance, wanted):
        w = World(flavour, points=())
        w.chance = lambda bits: chance * ((1 << bits) - 1) >> 4
        waits = []
        for _ in wanted:
            w.until(lambda: "waiting" in w.status(), 20000)
            waits.append(w.until(lambda: "waiting" not in w.status(), 65000))
        for wait, ms in zip(waits, wanted):
            assert ms - 110 <= wait <= ms, (waits, wanted)  # seen at the poll after

    # of the fake's chances, 16 is the greatest
    most = [250 + (1000 << i) for i in (1, 2, 3, 4, 5, 6, 6, 6)]
    half = [250 + (500 << i) for i in (1, 2, 3, 4, 5, 6, 6, 6)]
    for flavour in FLAVOURS:
        each([(flavour, 16, most), (flavour, 8, half), (flavour, 0, 8 * [250])], check)


def test_waits_differ():
    """Boards that lost the same access point do not come back in step."""
    before = room.getrandbits
    waits = set()
    for _ in range(8):
        w = World("rp2", points=())
        w.chance = before
        w.until(lambda: "waiting" in w.status(), 20000)
        waits.add(w.until(lambda: "waiting" not in w.status(), 65000))
    assert len(waits) > 4, waits


def test_a_loss_after_long_trouble_begins_with_short_waits():
    def check(flavour):
        w = World(flavour)
        w.chance = lambda bits: (1 << bits) - 1
        w.air.vanish("home", 600000)
        w.until_up(700000)
        w.spend(5000)
        w.air.vanish("home", 30000)
        w.until_down()
        w.until(lambda: "waiting" in w.status(), 16000)
        assert w.until(lambda: "waiting" not in w.status(), 70000) < 2300
        w.until_up(40000)

    each(BOTH, check)
