"""The Wi-Fi supervisor: what is set up, several networks, its words, wrong arguments."""

from util import each, few, raises, same
from wifi_world import BOTH, PERIOD, SECRET, TWO, World, set_to, wrong_password

from fakes.network import FLAVOURS, AccessPoint  # wifi_world has made it findable

# -- what is set up ------------------------------------------------------------------------


def test_hostname_and_country():
    """network.hostname() before the radio starts; config(dhcp_hostname=) otherwise."""

    def check(flavour, legacy):
        w = World(flavour, hostname="barn", country="DE", setup=set_to(legacy=legacy))
        w.until_up()
        verbs = [verb for _, verb, _ in w.radio.log]
        same((w.log("hostname"), w.log("country")), ([(0, "barn")], [(0, "DE")]))
        assert verbs.index("country") < verbs.index("active")
        assert (verbs.index("hostname") < verbs.index("active")) != legacy

    each([(f, legacy) for f in FLAVOURS for legacy in (False, True)], check)


def test_static_address():
    """Needs no DHCP; set again whenever the radio was off."""

    def check(flavour):
        static = ("10.0.0.99", "255.255.255.0", "10.0.0.1", "9.9.9.9")
        w = World(flavour, static=static)
        w.air.points["home"].dhcp = False
        w.air.vanish("home", 30000)
        w.until_up(90000)
        same(w.status(), "connected to home, 10.0.0.99, -61 dBm")

    each(BOTH, check)


def test_no_address():
    def check(flavour, text):
        w = World(flavour)
        w.air.points["home"].dhcp = False
        w.until(lambda: "waiting" in w.status(), 16000)
        same(w.status()[: len(text)], text)
        w.air.points["home"].dhcp = True
        w.until_up(30000)

    # ESP32 has no status of its own for that
    each([("rp2", "no address from home;"), ("esp32", "no answer from home, wrong")], check)


# -- several networks ----------------------------------------------------------------------


def test_the_second_network_and_back_at_the_next_loss():
    def check(flavour, scan):
        w = World(flavour, TWO, scan=scan)
        w.until_up()
        w.air.vanish("home", 60000)
        w.until(lambda: w.radio.joined == "shed" and w.wifi.up, 30000)
        same(w.status(), "connected to shed, 10.0.0.7, -80 dBm")
        w.spend(600000)  # home is long back
        same(w.radio.joined, "shed")
        w.air.vanish("shed", 5000)
        w.until_down()
        w.until_up(20000)
        same(w.radio.joined, "home" if flavour == "rp2" else "shed")
        # ESP32 finds back by itself when it takes no longer than the grace time
        w.air.vanish("shed", 30000)
        w.until(lambda: w.radio.joined == "home" and w.wifi.up, 40000)

    each([(f, scan) for f in FLAVOURS for scan in (False, True)], check)


def test_a_scan_puts_what_is_in_sight_first():
    """Hidden ones come after those, in their order; a failing scan changes no order."""
    names = ["far", "hidden", "gone", "near"]

    def check(flavour, broken, wanted):
        points = [AccessPoint(name, "not " + SECRET, tells=True) for name in names]
        points[1].hidden = True
        points[2].present = False
        w = World(flavour, [(name, SECRET) for name in names], points, scan=True)
        w.radio.broken = {"scan": broken}
        w.until(lambda: len(w.tried()) == 4, 70000)
        same(w.tried(), wanted)
        same(len(w.log("scan")), 1)

    each([(f, 0, ["far", "near", "hidden", "gone"]) for f in FLAVOURS], check)
    each([(f, 1, names) for f in FLAVOURS], check)


def test_a_hidden_network_and_bytes():
    w = World("rp2", [(b"none", None), (b"cave", "")], [AccessPoint("cave", hidden=True)])
    assert w.air.points  # the fake knows names as str
    w.air.points = {b"cave": w.air.points["cave"]}
    same(w.run(w.wifi.connect, 30), True)


def test_no_scan_where_there_is_no_choice():
    w = World("rp2", scan=True)
    w.until_up()
    same(w.log("scan"), [])


def test_all_fail_and_each_is_named():
    def check(flavour, there, text):
        w = World(flavour, TWO, [AccessPoint(there, "not " + SECRET, tells=True)])
        w.chance = lambda bits: 0
        text += "; waiting "
        w.until(lambda: w.status().startswith(text), 30000)
        assert w.status().endswith(" s before trying home again")
        w.spend(600000)
        assert len(w.tried()) > 30, w.tried()  # one might come back any moment: not slow

    for flavour in few(FLAVOURS):
        check(flavour, "home", "wrong password for home, shed not found")
        check(flavour, "shed", "home not found, wrong password for shed")


# -- words ---------------------------------------------------------------------------------


def test_the_seconds_in_words_count_down():
    w = World("rp2", points=())
    w.until(lambda: "waiting" in w.status(), 20000)
    w.wifi._pause = 4000
    w.wifi._at = w.clock.now % PERIOD
    same(w.status(), "home not found; waiting 4 s before trying home again")
    w.clock.spend(3500)
    same(w.status(), "home not found; waiting 1 s before trying home again")
    w.clock.spend(5000)
    same(w.status(), "home not found; waiting 0 s before trying home again")


def test_statuses_in_words():
    """What either port's number says of home after an attempt."""
    table = (
        ("rp2", -3, "wrong password for home"),
        ("rp2", -2, "home not found"),
        ("rp2", -1, "home refuses"),
        ("rp2", 0, "home: status 0"),
        ("rp2", 1, "no answer from home, wrong password?"),
        ("rp2", 2, "no address from home"),
        ("esp32", 1000, "no answer from home, wrong password?"),
        ("esp32", 1001, "no answer from home, wrong password?"),
        ("esp32", 202, "wrong password for home"),
        ("esp32", 201, "home not found"),
        ("esp32", 200, "home: status 200"),
        ("esp32", 203, "home refuses"),
        ("esp32", 204, "home: status 204"),
        ("esp32", 210, "home wants other security"),
        ("esp32", 211, "home wants other security"),
        ("esp32", 212, "home: status 212"),
    )

    def check(flavour, number, text):
        w = World(flavour, points=())
        w.radio.status = lambda what=None: number
        w.until(lambda: "waiting" in w.status(), 20000)
        same(w.status().split(";")[0], text)

    each(table, check)


def test_no_password_is_ever_shown():
    def check(flavour):
        w = World(flavour, TWO, wrong_password(True), hostname="barn", ntp=True)
        w.spend(400000)
        w.air.points["home"].password = SECRET
        w.until_up(200000)
        w.air.vanish("home", 20000)
        w.spend(60000)
        w.run(w.wifi.disconnect)
        for text in list(w.said) + [w.status(), repr(w.wifi), str(w.wifi)]:
            assert SECRET not in text, text

    each(BOTH, check)
    for password in (SECRET[:7], 10 * SECRET):
        with raises(ValueError) as caught:
            World("rp2", ("home", password))
        text = str(caught.error)
        assert password not in text and "password for home" in text, text


def test_wrong_arguments():
    def check(networks, options):
        with raises(ValueError):
            World("rp2", networks, **options)

    home = ("home", SECRET)
    table = [
        ((), {}),
        ([], {}),
        (("", SECRET), {}),
        ((33 * "x", SECRET), {}),
        ((17 * "\u00e9", SECRET), {}),
        (("home", "short"), {}),
        (("home", 65 * "x"), {}),
        ([home, ("shed", "short")], {}),
        (("home",), {}),
        ([("home", SECRET, 1)], {}),
        (home, {"hostname": 33 * "x"}),
        (home, {"country": "DEU"}),
        (home, {"static": ("10.0.0.9", "255.255.255.0")}),
        (home, {"attempt_ms": 999}),
        (home, {"attempt_ms": 600001}),
    ]
    each(table, check)
    for networks in (["home", SECRET], [["home", SECRET]], ((16 * "\u00e9", SECRET),)):
        World("rp2", networks)
