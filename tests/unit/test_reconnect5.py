"""Link with MQTT 5.0: what each reason code leads to, and the outbox with properties.

The real client over a socket of memory; chance always says the longest wait, and it is recorded.
"""

import time

import umqtt_plus.outbox as store
import umqtt_plus.reconnect as room
import umqtt_plus.reconnect5 as room5
from driver5 import OK, RESUMED, Driver5, ack, connack, parse, publish, split, wire
from flash import Flash
from flash5 import Board5
from umqtt_plus.errors import MQTTException
from umqtt_plus.outbox import Outbox
from umqtt_plus.outbox5 import Outbox5
from umqtt_plus.reconnect import Link
from umqtt_plus.reconnect5 import places
from util import each, raises, same

FIRST, CAP, STEADY, SLOW = 1000, 60000, 30000, 600000


class World(Driver5):
    """link is a Link over the client; drawn the largest wait of each random number."""

    def __init__(self, link=(), **options):
        Driver5.__init__(self, **options)
        self.drawn = []
        self.told = []
        self.ups = 0
        self.link_options = {"first_ms": FIRST, "on_down": self.told.append}
        self.link_options.update(link)
        self.l = self.run(Link, self.client, on_up=self._up, **self.link_options)

    def _up(self, present):
        self.ups += 1

    def randrange(self, n):
        self.drawn.append(n)
        return n - 1

    def run(self, f, *args, **options):
        before = room.random, room.collect, room5.randrange
        clocks = room.ticks_ms, room.sleep_ms, store.ticks_ms
        room.random = self
        room.collect = int
        room5.randrange = self.randrange
        room.ticks_ms = store.ticks_ms = self._ticks_ms
        room.sleep_ms = self._sleep_ms
        try:
            return Driver5.run(self, f, *args, **options)
        finally:
            room.random, room.collect, room5.randrange = before
            room.ticks_ms, room.sleep_ms, store.ticks_ms = clocks

    def _sleep_ms(self, ms):
        self.now = time.ticks_add(self.now, ms)

    def turn(self):
        return self.run(self.l.poll)

    @property
    def next_try(self):
        return self.run(self.l.next_try)

    def come(self, answer=OK, up=True):
        """Wait until it is time; the server gives that answer."""
        self.now = time.ticks_add(self.now, self.next_try)
        self.answers.append(split(answer))
        same(self.turn(), up, "poll()")
        return self

    def end(self, code, properties=""):
        """The server sends DISCONNECT; how long the Link waits at most."""
        self.link.pieces.append(wire(f"E0| {code:02X} <{properties}>"))
        while self.turn():
            pass
        same(self.told[-1].args[:2], (code, "server"))
        assert self.closed and not self.l.up
        return self.next_try

    def live(self):
        """The connection lives long enough."""
        self.now = time.ticks_add(self.now, STEADY)
        assert self.turn()
        return self


def refused(code, **link):
    """How long it waits behind a CONNACK with that code, the second time."""
    w = World(link)
    for _ in range(2):
        w.come(connack(code=code), False)
    same([e.args[:2] for e in w.told], [(code, "server")] * 2)
    return w


# -- how long it waits ---------------------------------------------------------------------------

STOP = (0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, 0x95, 0x99, 0x9A, 0x9B)
BACK_OFF = (0x80, 0x83, 0x88, 0x89, 0x97, 0x9F)


def test_refusals():
    """The retry guide of errors for CONNACK. MQTT5-3.2.2-7"""
    each([(code,) for code in STOP], lambda code: same(refused(code).next_try, SLOW))
    each([(code,) for code in BACK_OFF], lambda code: same(refused(code).next_try, 2 * FIRST))


def test_refusals_are_raised():
    """slow_ms=0: what waiting does not mend; nothing else."""

    def check(code):
        w = World({"slow_ms": 0})
        with raises(MQTTException, code, "server"):
            w.come(connack(code=code))
        same(len(w.told), 1)

    each([(code,) for code in STOP + (0x9C, 0x9D)], check)
    each([(code,) for code in BACK_OFF], lambda code: refused(code, slow_ms=0))


def test_disconnect():
    """The policy of section H, at the first and at the second time in a row."""

    def check(code, first, second):
        w = World().come()
        same(w.end(code), first)
        w.come()
        same(w.end(code), second)
        w.come().live()
        same(w.end(code), first)

    back_off = [(c, FIRST, 2 * FIRST) for c in (0, 0x80, 0x83, 0x89, 0x8B, 0x93, 0x96, 0x97, 0x9F)]
    slow = [(c, SLOW, SLOW) for c in STOP + (0x8F, 0x98, 0x9E, 0xA1, 0xA2)]
    at_once = [(c, 1, 2 * FIRST) for c in (0x8D, 0xA0)]
    each(back_off + slow + at_once + [(0xC7, FIRST, 2 * FIRST)], check)


def test_what_the_client_finds_is_no_reason_to_stop():
    """The server breaks a rule: back-off, as with 3.1.1 (G9)."""
    w = World().come()
    w.link.pieces.append(b"\xb0\x00")
    assert not w.turn()
    same((w.told[0].args, w.next_try), ((0x81,), FIRST))


def test_disconnect_is_raised():
    def check(code):
        w = World({"slow_ms": 0}).come()
        with raises(MQTTException, code, "server", b"why", None):
            w.end(code, "1F 'why'")

    each([(code,) for code in (0x82, 0x87, 0x8A, 0x8E, 0x9C, 0x9D, 0xA2)], check)
    same(World({"slow_ms": 0}).come().end(0x98), CAP)


def test_taken_over():
    """Two with one client_id do not fight: half of slow_ms passes at least, each time."""
    w = World()
    for n in range(4):
        w.come(RESUMED if n else OK)
        w.randrange = lambda n: 0
        assert w.end(0x8E) > SLOW // 2
        w.l._at = w.now
        w.come(RESUMED)
        w.randrange = lambda n: n - 1
        same(w.end(0x8E), SLOW)


def test_the_program_has_seen_the_reason():
    """DISCONNECT comes while publish() waits: the Link knows why, all the same."""
    w = World().come()
    w.later.append(wire("E0| 8E <1F 'other'>"))
    with raises(MQTTException, 0x8E):
        w.publish(b"t", b"m", qos=1)
    assert not w.turn()
    same((w.told[0].args, w.next_try), ((0x8E, "server", b"other", None), SLOW))
    same(w.l.why.args[0], 0x8E)
    for error in (104, 107):
        w.come()
        if error == 104:
            w.link.error = 104
            assert not w.turn()
        else:
            w.end(0x80)
            w.come()
            w.then = lambda w: w.client.disconnect()
            w.link.pieces.append(publish(b"t", b"m"))
            assert not w.turn()
        same(w.told[-1].args, (error,))


def test_no_aliases_any_more():
    """0x94: our aliases are wrong, it says; with the next connection there are none."""
    w = World().come(connack("22 0005"))
    for aliased in (True, False):
        w.out()
        for _ in range(2):
            w.run(w.client.publish, b"topic", b"m")
        same(
            parse(w.out())[1],
            (0x30, wire("30| '' <23 0001> 6D" if aliased else "30| 'topic' <> 6D")[2:]),
        )
        same(w.end(0x94), FIRST if aliased else 2 * FIRST)
        w.come(connack("22 0005"))


# -- a message that ends each connection ---------------------------------------------------------


def culprit(code, *messages, **options):
    """(ids in the table, sent again with the next connection) after DISCONNECT with code.

    messages: (msg, retain, qos), sent and not answered.
    """
    w = World(inflight=8).come()
    for msg, retain, qos in messages:
        assert w.accept(b"t", msg, retain, qos)
    w.wait = w.end(code)
    w.out()
    w.come(RESUMED)
    w.again = [body[3] << 8 | body[4] for first, body in parse(w.out()) if first & 0xF0 == 0x30]
    return w


def test_a_culprit_is_parked():
    """It fails for good, with the code; the others go out again. The next wait is short."""
    small = b"m"

    def check(code, messages, which):
        w = culprit(code, *messages)
        left = [i + 1 for i in range(len(messages)) if i + 1 != which]
        same((w.again, w.codes, w.wait), (left, [(which, code)], FIRST))
        same(w.client.unresolved, [])

    many = [(small, False, 1), (b"larger", False, 1), (small, True, 1), (small, False, 2)]
    many += [(b"larger", False, 1), (small, True, 2)]
    each(
        [
            (0x95, many, 2),
            (0x9A, many, 3),
            (0x9B, many, 4),
            (0x99, many, 1),
            (0x90, many, 1),
            (0x9B, many[:3], 1),
        ],
        check,
    )


def test_parked_is_nothing_to_stop_for():
    """With slow_ms=0, too: the cause has gone."""
    w = World({"slow_ms": 0}).come()
    w.accept(b"t", b"m", qos=1)
    same(w.end(0x99), FIRST)
    w.come(RESUMED)
    with raises(MQTTException, 0x99):
        w.end(0x99)


def test_parked_and_published_anew():
    """on_published() publishes, which cannot be now: the Link goes on, and waits as it would."""
    w = World()
    w.come(connack(session_present=0))
    said = []

    def told(p):
        w._published(p)
        try:
            w.client.publish_nowait(b"n", b"x", False, 1)
        except OSError as e:
            said.append(e.args[0])
            raise

    w.client.on_published(told)
    w.accept(b"t", b"m", True)
    same(w.end(0x9A), FIRST)
    same((w.codes, said, w.tables, len(w.told)), ([(1, 0x9A)], [107], (0, 0), 1))
    w.come(connack(session_present=1))
    w.accept(b"t", b"m")
    same(w.out()[-9:], publish(b"t", b"m", 1, 2))


def test_nothing_to_park():
    """No message that fits: slow, and what waits goes out again."""

    def check(code, *messages):
        w = culprit(code, *messages)
        same((len(w.again), w.codes, w.wait), (len(messages), [], SLOW))

    each([(0x9A, (b"m", False, 1), (b"m", False, 2)), (0x95,), (0x97 - 1 + 2,)], check)
    w = World(inflight=0).come()
    same(w.end(0x95), SLOW)


def test_an_endless_loop_ends():
    """Each connection ends with 0x99 because of a stored message: one less each time."""
    w = World(inflight=4).come()
    for i in range(4):
        w.accept(b"t", b"%d" % i, qos=2)
    waits = []
    for _ in range(5):
        waits.append(w.end(0x99))
        w.come(RESUMED)
    same(waits, [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, SLOW])
    same([code for _, code in w.codes], [0x99] * 4)
    same(w.tables, (0, 0))


def test_its_id_stays_taken():
    """Of QoS 2, as long as the session lives: the server may hold it (MQTT5-2.2.1-3)."""

    def check(qos, present, free):
        w = culprit(0x99, (b"m", False, qos))
        w.lose()
        assert not w.turn()
        w.come(RESUMED if present else OK)
        w.set_next_id(1)
        same(w.accept(b"t", b"n", qos=1), 1 if free else 2)

    each([(1, True, True), (2, True, False), (2, False, True)], check)


def test_what_was_not_sent_is_no_culprit():
    """Receive Maximum 1: the second message never went out."""
    w = World(inflight=4).come(connack("21 0001"))
    w.accept(b"t", b"m", False, 1)
    w.accept(b"t", b"m", True, 2)
    same(w.end(0x9A), SLOW)
    w.come(connack("21 0001", 1))
    same((w.end(0x9B), w.codes), (2 * FIRST, [(1, 0x9B)]))


def test_a_refused_connect_parks_nothing():
    """0x9A in CONNACK is about the will; what was sent over the last connection is kept."""
    w = World().come()
    w.accept(b"t", b"m", True, 1)
    w.link.error = 104
    assert not w.turn()
    w.come(connack(code=0x9A), False)
    same((w.codes, w.tables), ([], (1, 0)))


def test_who_publishes_is_told():
    w = World().come()
    w.later.append(wire("E0| 99 <1F 'no'>"))
    with raises(MQTTException, 0x99, "server", b"no"):
        w.publish(b"t", b"m", qos=1)
    assert not w.turn()
    same((w.codes, w.tables, w.next_try), ([(1, 0x99)], (0, 0), FIRST))


# -- another server ------------------------------------------------------------------------------


def test_places():
    each(
        [
            (None, []),
            (b"", []),
            (b"a", [("a", 0)]),
            (b"a:1883 b.c:99", [("a", 1883), ("b.c", 99)]),
            (b"[::1]:5 [fe80::2] fe80::3", [("::1", 5), ("fe80::2", 0), ("fe80::3", 0)]),
            (b"10.0.0.1:x ok:7", [("ok", 7)]),
        ],
        lambda reference, found: same(places(reference), found),
    )


def moved(code, **link):
    return World(link).come(), wire(f"20| 00{code:02X} <1C 'b:7'>")


def at(w):
    return w.client.server, w.client.port


def test_moved_is_reported():
    """Nobody says that we go: we stay, slow. The reference reaches on_down()."""

    def check(code, **options):
        w = World(options)
        w.come(wire(f"20| 00{code:02X} <1C 'b:7'>"), False)
        same((w.told[0].args[3], at(w), w.next_try), (b"b:7", ("server", 1883), SLOW))
        w.come()
        same((w.end(code), w.told[1].args[3], at(w)), (SLOW, None, ("server", 1883)))

    for code in (0x9C, 0x9D):
        check(code)
        check(code, on_moved=lambda e, places: None)


def test_moved_and_followed():
    """0x9C: for one connection; 0x9D: for good. Home when the other one does not let us in."""

    def check(code, refused, then):
        asked = []

        def on_moved(e, places):
            asked.append((e.args[0], places))
            return places[0]

        w = World({"on_moved": on_moved})
        if refused:
            w.come(wire(f"20| 00{code:02X} <1C 'b:7 c'>"), False)
        else:
            w.come()
            w.end(code, "1C 'b:7 c'")
        same((at(w), w.next_try), (("b", 7), FIRST))
        same(asked, [(code, [("b", 7), ("c", 0)])])
        w.come(RESUMED if not refused else OK).live()
        w.link.error = 104
        assert not w.turn()
        same(at(w), then)
        w.come(b"", False)  # no answer
        same(at(w), ("server", 1883))
        w.come()

    for refused in (True, False):
        check(0x9C, refused, ("server", 1883))
        check(0x9D, refused, ("b", 7))


def test_the_session_belongs_to_the_old_server():
    """What may have been sent is not sent to another one; what was not, goes out there."""
    w = World({"on_moved": lambda e, places: places[0]}, inflight=4).come(connack("21 0001"))
    w.accept(b"t", b"1", qos=2)
    w.accept(b"t", b"2", qos=1)
    w.end(0x9D, "1C 'b'")
    w.come(OK)
    same(at(w), ("b", 1883))
    packets = parse(w.out())
    same(
        [(first, body) for first, body in packets if first & 0xF0 == 0x30],
        [(0x32, wire("| 't' 0002 <> 32")[1:])],
    )
    same(w.client.unresolved, [(1, False)])


def test_on_down_moves():
    """The program sets client.server itself: it is tried soon."""
    w = World()

    def on_down(e):
        w.client.server = "x"

    w.l.on_down = on_down
    w.come(connack(code=0x9D), False)
    same((at(w), w.next_try), (("x", 1883), FIRST))


def test_hops_are_bounded():
    """Servers that send us around: three of them, then home, and slow; it begins anew later."""
    n = [0]

    def on_moved(e, places):
        n[0] += 1
        return "s%d" % n[0], 0

    w = World({"on_moved": on_moved})
    seen = []
    for _ in range(4):
        w.come(connack(code=0x9D), False)
        seen.append((w.client.server, w.next_try))
    same(seen, [("s1", FIRST), ("s2", FIRST), ("s3", FIRST), ("server", SLOW)])
    w.come().live()
    w.end(0x9C)
    same((w.client.server, w.next_try), ("s4", FIRST))


# -- subscriptions, properties, outbox -----------------------------------------------------------


def test_subscribe_options():
    w = World({"topics": ["a", ("b", 1)], "subscribe": {"no_local": True, "retain_handling": 1}})
    w.later.append(wire("90| 0001 <> 00 01"))
    w.come()
    same(w.l.granted, b"\x00\x01")
    packets = parse(w.out())
    same(packets[1], (0x82, wire("82| 0001 <> 'a' 14 'b' 15")[2:]))


def test_a_refused_filter():
    """granted tells, as with 3.1.1; the link is up."""
    w = World({"topics": "a"})
    w.later.append(wire("90| 0001 <1F 'no'> 87"))
    w.come()
    same(w.l.granted, b"\x87")


def test_publish_with_properties():
    w = World().come()
    w.out()
    same(w.run(w.l.publish, b"t", b"m", False, 1, properties={"content_type": "x"}), 1)
    same(w.run(w.l.publish, b"t", b"m"), -1)
    same(w.out(), wire("32| 't' 0001 <03 'x'> 6D") + publish(b"t", b"m"))


def test_no_properties_in_a_plain_outbox():
    """Said while the link is up, too, and not only when it is needed."""
    w = World({"outbox": Outbox()}).come()
    with raises(ValueError):
        w.run(w.l.publish, b"t", b"m", properties={"content_type": "x"})
    w.run(w.l.publish, b"t", b"m")
    same(w.out()[-7:], publish(b"t", b"m"))


def test_outbox_with_properties():
    dropped = []
    w = World({"outbox": Outbox5(dropped=lambda *m: dropped.append(m))})
    w.come(b"", False)
    for n, props in enumerate((None, {"content_type": "x"}, {"user_property": [("k", "v")] * 30})):
        same(w.run(w.l.publish, b"t", b"%d" % n, n == 1, n, properties=props), 0)
    w.come()
    want = publish(b"t", b"0") + wire("33| 't' 0001 <03 'x'> 31")
    want += publish(b"t", b"2", 2, 2, properties="26 'k' 'v' " * 30)
    out = w.out()
    same(out[-len(want) :], want)
    same((len(w.l.outbox), dropped), (0, []))


def test_outbox_expiry():
    """The server gets what is left; what is too old is not sent at all."""
    dropped = []
    w = World({"outbox": Outbox5(dropped=lambda *m: dropped.append(m)), "first_ms": 20000})
    w.come(b"", False)
    for s in (5, 100, 1000):
        props = {"message_expiry_interval": s, "content_type": "c"}
        w.run(w.l.publish, b"t", b"%d" % s, properties=props)
    w.run(w.l.publish, b"t", b"short", expire_ms=3000, properties={"message_expiry_interval": 99})
    w.come()
    out = w.out()
    want = b"".join(
        publish(b"t", b"%d" % (20 + s), properties=f"02 {s:08X} 03 'c'") for s in (80, 980)
    )
    want = want.replace(b"1000", b"1000")
    same(out[-len(want) :], want)
    same(dropped, [(b"t", b"5", "expired"), (b"t", b"short", "expired")])


def test_outbox_tells_what_was_dropped():
    """Without the properties, whatever the reason."""

    def check(policy, latest, topics, why):
        dropped = []
        box = Outbox5(
            max_count=1, policy=policy, latest=latest, dropped=lambda *m: dropped.append(m)
        )
        for n, topic in enumerate(topics):
            box.put(topic, b"%d" % n, properties={"content_type": "x" * 200})
        same(dropped, [(topics[0 if why != "newest" else 1], b"01"[why == "newest" :][:1], why)])

    each(
        [
            ("oldest", False, (b"a", b"b"), "oldest"),
            ("newest", False, (b"a", b"b"), "newest"),
            ("oldest", True, (b"a", b"a"), "replaced"),
        ],
        check,
    )
    dropped = []
    w = World({"outbox": Outbox5(dropped=lambda *m: dropped.append(m))})
    w.come(b"", False)
    w.run(w.l.publish, b"t", b"m", True, properties={"content_type": "x"})
    w.come(connack("25 00"))
    same(dropped, [(b"t", b"m", "refused")])


# -- version="auto" ------------------------------------------------------------------------------


def test_auto_falls_back():
    """A Link over a client that finds 3.1.1: properties are left out, 3.1.1 counts from then."""
    w = World({"outbox": Outbox5(), "topics": "a"}, version="auto")
    w.run(w.l.publish, b"t", b"m", qos=1, properties={"content_type": "x"})
    w.answers.append(split(connack(code=0x84)))
    w.later.append(b"\x90\x03\x00\x01\x00")
    w.come(b"\x20\x02\x00\x00")
    same(w.out()[-8:], b"\x32\x06\x00\x01t\x00\x02m")
    w.link.pieces.append(ack(0x40, 2) + b"\x30\x04\x00\x01am")
    assert w.turn()
    same((w.done, w.got[0][:2], w.told), ([2], (b"a", b"m"), []))
    w.link.error = 104
    assert not w.turn()
    same(w.next_try, FIRST)
    w.come(b"\x20\x02\x00\x05", False)
    same(w.next_try, SLOW)


def test_outbox_in_a_store():
    """What waits survives a reboot with its properties, and goes out once."""
    dropped = []
    b = Board5(Flash(), store={"outbox": Outbox5(dropped=lambda *m: dropped.append(m))})
    link = b.run(Link, b.client, outbox=b.store.outbox)
    for qos in (1, 2, 0):
        b.run(link.publish, b"t", b"m", False, qos, properties={"content_type": "x%d" % qos})
    b = b.reboot(999, store={"outbox": Outbox5()})
    link = b.run(Link, b.client, outbox=b.store.outbox)
    same(len(link.outbox), 3)
    b.up()
    link.up = True
    same(b.run(link.pump), 0)
    want = publish(b"t", b"m", 1, 1, 0, "03 'x1'") + publish(b"t", b"m", 2, 2, 0, "03 'x2'")
    same(b.out(), want + publish(b"t", b"m", properties="03 'x0'"))
    b = b.reboot(999, store={"outbox": Outbox5()})
    b.connect(False, RESUMED)
    want = publish(b"t", b"m", 1, 1, 8, "03 'x1'") + publish(b"t", b"m", 2, 2, 8, "03 'x2'")
    b.go()
    same(b.out()[-len(want) :], want)
    same((dropped, len(b.store.outbox)), ([], 0))
