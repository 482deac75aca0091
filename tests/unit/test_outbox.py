"""The offline queue: what it keeps, what it drops and why, what it says about it."""

import sys
import time

import umqtt_plus.outbox as room
from umqtt_plus.outbox import Outbox
from util import Skip, each, raises, same

HEAD = 12  # what a record costs besides topic and msg
DAY = 86400000
WHYS = ("oldest", "newest", "replaced", "expired")
POLICIES = ("oldest", "newest", "refuse")


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


def test_in_and_out():
    b = Box()
    assert b.first() is None
    b.box.done(1)
    same((len(b.box), b.box.bytes), (0, 0))
    assert b.put("a/\xe9", "m\xe9", retain=True, qos=2) is True
    assert b.put(bytearray(b"b"), bytearray(b"xy"), qos=1) is True
    assert b.put(memoryview(b"-c-")[1:2], memoryview(b"")) is True
    same(b.box.bytes, 3 * HEAD + 7 + 3 + 1)
    b.lend()
    same(b.lent[1:], (b"a/\xc3\xa9", b"m\xc3\xa9", True, 2))
    assert isinstance(b.lent[1], bytes) and isinstance(b.lent[2], bytes)
    assert b.lent[3] is True
    b.done()
    b.lend()
    same(b.lent[1:], (b"b", b"xy", False, 1))
    b.done()
    b.lend()
    same(b.lent[1:], (b"c", b"", False, 0))
    b.done()
    assert b.first() is None
    b.check()


def test_what_is_put_is_copied():
    b = Box()
    topic = bytearray(b"a")
    msg = bytearray(b"x")
    b.put(topic, msg)
    topic[0] = msg[0] = 0
    got = b.lend()
    b.put(b"b", b"y")
    b.done()
    same(got, (b"a", b"x"))


def test_wide_items_are_bytes():
    """Items of more than one byte count as their bytes."""
    import array

    b = Box()
    data = array.array("H", [1, 2, 3])
    b.put(b"a", data)
    b.put(b"b", memoryview(data))
    same(b.drain(), [(b"a", bytes(data)), (b"b", bytes(data))])


def test_longest_topic():
    if sys.implementation.name == "micropython":
        raise Skip("takes 300 KB of heap")
    b = Box(max_bytes=65535 + HEAD)
    topic = b"t" * 65535
    b.put(topic, b"")
    with raises(ValueError) as caught:
        b.put(topic, b"x")
    assert "max_bytes" in str(caught.error)
    same(b.drain(), [(topic, b"")])


WRONG = (
    # arguments of put, what the message names
    (("", "x"), {}, "topic"),
    ((b"a/+", b"x"), {}, "topic"),
    ((b"#", b"x"), {}, "topic"),
    ((b"a\x00", b"x"), {}, "topic"),
    ((b"\xff", b"x"), {}, "topic"),
    ((b"t" * 65536, b"x"), {}, "topic"),
    ((b"a", b"x"), {"qos": 3}, "qos"),
    ((b"a", b"x"), {"qos": -1}, "qos"),
    ((b"a", b"x"), {"expire_ms": -1}, "expire_ms"),
    ((b"a", b"x"), {"expire_ms": 1 << 39}, "expire_ms"),
    ((b"a", b"x" * 100), {}, "max_bytes"),
)


def test_wrong_arguments_change_nothing():
    for policy in POLICIES:

        def check(args, options, name, policy=policy):
            b = Box(max_bytes=100, policy=policy, latest=True)
            b.put(b"a", b"1", expire_ms=1000)
            b.put(b"b", bytes(100 - b.box.bytes - HEAD - 1))
            b.step(60000, tick=False)
            before = b.box.stats()
            with raises(ValueError) as caught:
                b.put(*args, **options)
            assert str(caught.error).startswith(name) or name in str(caught.error), caught.error
            same(b.box.stats(), before)
            same(b.lost, [])

        each(WRONG, check)


def test_wrong_types_change_nothing():
    def check(*args):
        b = Box(max_bytes=40, max_count=1)
        b.put(b"a", b"1")
        with raises(TypeError):
            b.put(*args)
        b.check()
        same(b.drain(), [(b"a", b"1")])

    each(
        [(b"b", 5), (b"b", None), (b"b", [1, 2]), (b"b", {300: 1}), (None, b"x"), (7, b"x")], check
    )


def test_wrong_construction():
    def check(name, options):
        with raises(ValueError) as caught:
            Outbox(**options)
        assert str(caught.error).startswith(name), caught.error

    each(
        [
            ("max_bytes", {"max_bytes": HEAD}),
            ("max_bytes", {"max_bytes": -1}),
            ("max_bytes", {"max_bytes": (1 << 20) + 1}),
            ("max_count", {"max_count": 0}),
            ("policy", {"policy": "latest"}),
            ("policy", {"policy": None}),
            ("expire_ms", {"expire_ms": -1}),
            ("dropped", {"dropped": "print"}),
        ],
        check,
    )


FULL = (
    # box for three, policy, latest, topics put before, lent?, topic put; result, lost, left
    ("oldest", False, "abc", False, "d", True, [("a", "oldest")], "bcd"),
    ("oldest", False, "abc", False, "b", True, [("a", "oldest")], "bcb"),
    ("oldest", False, "abc", True, "d", True, [("b", "oldest")], "acd"),
    ("oldest", True, "abc", False, "d", True, [("a", "oldest")], "bcd"),
    ("oldest", True, "abc", False, "b", True, [("b", "replaced")], "acb"),
    ("oldest", True, "abc", True, "d", True, [("b", "oldest")], "acd"),
    ("oldest", True, "abc", True, "b", True, [("b", "replaced")], "acb"),
    ("oldest", True, "abc", True, "a", True, [("b", "oldest")], "aca"),
    ("newest", False, "abc", False, "d", False, [("d", "newest")], "abc"),
    ("newest", False, "abc", True, "d", False, [("d", "newest")], "abc"),
    ("newest", True, "abc", False, "d", False, [("d", "newest")], "abc"),
    ("newest", True, "abc", False, "a", True, [("a", "replaced")], "bca"),
    ("newest", True, "abc", True, "a", False, [("a", "newest")], "abc"),
    ("newest", True, "abc", True, "c", True, [("c", "replaced")], "abc"),
    ("refuse", False, "abc", False, "d", 105, [], "abc"),
    ("refuse", False, "abc", True, "a", 105, [], "abc"),
    ("refuse", True, "abc", False, "d", 105, [], "abc"),
    ("refuse", True, "abc", False, "c", True, [("c", "replaced")], "abc"),
    ("refuse", True, "abc", True, "a", 105, [], "abc"),
    ("refuse", True, "abc", True, "b", True, [("b", "replaced")], "acb"),
    # not full
    ("oldest", False, "ab", False, "a", True, [], "aba"),
    ("oldest", True, "ab", False, "a", True, [("a", "replaced")], "ba"),
    ("oldest", True, "ab", True, "a", True, [], "aba"),
    ("newest", True, "a", True, "a", True, [], "aa"),
    ("refuse", True, "a", False, "a", True, [("a", "replaced")], "a"),
)


def test_no_room():
    """Each policy with and without latest and a lent message, by bytes and by count."""

    def check(policy, latest, before, lent, topic, result, lost, left):
        for options in ({"max_bytes": 3 * (HEAD + 8) + 7}, {"max_count": 3}):
            b = Box(policy=policy, latest=latest, **options)
            for pair in topics(before):
                b.put(*pair)
            if lent:
                b.lend()
            if result == 105:
                with raises(OSError, 105):
                    b.put(topic, "1234567")
                same(b.box.stats()["refused"], 1)
            else:
                assert b.put(topic, "1234567") is result
            same(b.lost, [(t.encode(), b"1234567", why) for t, why in lost])
            b.check()
            if lent:
                b.done()
            same(b.drain(), topics(left[1:] if lent else left))

    each(FULL, check)


EXPIRY = (
    # policy, latest, lent?, topic put into the full box a(expired) b c, lost
    ("oldest", False, False, "d", [("a", "expired")], "bcd"),
    ("oldest", False, True, "d", [("b", "oldest")], "acd"),
    ("newest", False, False, "d", [("a", "expired")], "bcd"),
    ("newest", False, True, "d", [("d", "newest")], "abc"),
    ("refuse", False, False, "d", [("a", "expired")], "bcd"),
    ("oldest", True, False, "a", [("a", "expired")], "bca"),
    ("oldest", True, True, "a", [("b", "oldest")], "aca"),
    ("newest", True, True, "a", [("a", "newest")], "abc"),
    ("newest", True, True, "c", [("c", "replaced")], "abc"),
)


def test_no_room_and_expiry():
    """What has expired goes before the policy is asked, unless it is lent."""

    def check(policy, latest, lent, topic, lost, left):
        b = Box(policy=policy, latest=latest, max_count=3)
        b.put(b"a", b"1234567", expire_ms=5000)
        b.put(b"b", b"1234567")
        b.put(b"c", b"1234567", expire_ms=DAY)
        if lent:
            b.lend()
        b.step(8000, tick=False)
        b.put(topic, b"1234567")
        same(b.lost, [(t.encode(), b"1234567", why) for t, why in lost])
        b.check()
        if lent:
            b.done()
        same(b.drain(), topics(left[1:] if lent else left))

    each(EXPIRY, check)


def test_a_large_one_drops_several():
    b = Box(max_bytes=5 * 20)
    for pair in topics("abcde"):
        b.put(*pair)
    b.put(b"f", bytes(2 * 20 + 1 - HEAD - 1))
    same([x[0] + b" " + x[2].encode() for x in b.lost], [b"a oldest", b"b oldest", b"c oldest"])
    same(b.box.bytes, 2 * 20 + 41)
    b.put(b"g", bytes(100 - HEAD - 1))
    same((len(b.box), b.box.bytes, len(b.lost)), (1, 100, 6))
    b.check()


def test_lent_leaves_no_room():
    """Nothing is dropped in vain when the new one cannot fit beside what is lent."""

    def check(policy, options, result):
        b = Box(policy=policy, latest=True, **options)
        b.put(b"a", b"1234567")
        b.lend()
        more = len(b.box) < options.get("max_count", 9) and b.put(b"b", b"1")
        count = len(b.box)
        if result == 105:
            with raises(OSError, 105):
                b.put(b"b", bytes(60))
        else:
            assert b.put(b"b", bytes(60)) is False
            same(b.lost, [(b"b", bytes(60), "newest")])
        same(len(b.box), count)
        b.check()
        b.done()
        same(b.drain(), [(b"b", b"1")] if more else [])
        assert b.put(b"b", bytes(60)) is True

    rows = []
    for policy, result in (("oldest", False), ("newest", False), ("refuse", 105)):
        rows += [(policy, {"max_bytes": 80}, result), (policy, {"max_count": 1}, result)]
    each(rows, check)


def test_replacing_needs_room():
    """latest: the room of the old one counts, and the old one stays when that is too little."""
    for policy in ("newest", "refuse"):
        b = Box(policy=policy, latest=True, max_bytes=3 * 20)
        for pair in topics("abc"):
            b.put(*pair)
        try:
            assert b.put(b"b", b"12345678") is False
        except OSError as error:
            same((policy, error.args[0]), ("refuse", 105))
        assert b.put(b"b", b"7654321") is True
        b.check()
        same(b.drain(), [(b"a", b"1234567"), (b"c", b"1234567"), (b"b", b"7654321")])


def test_latest_for_one_put():
    """latest of put() goes before that of the box; all older ones of the topic are replaced."""
    b = Box(latest=False)
    for i in range(3):
        b.put(b"a/x", b"%d" % i)
        b.put(b"b/x", b"%d" % i)
    b.put(b"a/x", b"new", latest=True)
    same(b.lost, [(b"a/x", b"%d" % i, "replaced") for i in (2, 1, 0)])
    same(b.drain(), [(b"b/x", b"0"), (b"b/x", b"1"), (b"b/x", b"2"), (b"a/x", b"new")])
    b = Box(latest=True)
    b.put(b"a", b"0")
    b.put(b"a", b"1", latest=False)
    same(b.drain(), [(b"a", b"0"), (b"a", b"1")])


def test_latest_knows_topics_apart():
    b = Box(latest=True)
    names = (b"a", b"b", b"ab", b"ba", b"aa", b"b/a", b"a/a")
    for name in names:
        b.put(name, name)
    same(b.lost, [])
    same(b.drain(), [(name, name) for name in names])


def test_numbers():
    """done() wants the number of what is lent now; the same message keeps its number."""
    b = Box()
    for pair in topics("abc"):
        b.put(*pair)
    number = b.first()[0]
    same(b.first()[0], number)
    same(len(b.box), 3)
    for wrong in (number + 1, number - 1, 0, None):
        b.box.done(wrong)
    same(len(b.box), 3)
    b.box.done(number)
    b.box.done(number)
    same(len(b.box), 2)
    second = b.first()
    assert second[0] != number
    b.box.done(number)
    same(len(b.box), 2)
    b.box.clear()
    b.put(b"d", b"")
    assert b.first()[0] not in (number, second[0])
    b.box.done(second[0])
    same((len(b.box), b.box.stats()["sent"]), (1, 1))


def test_not_lent_is_not_done():
    """After first() of an empty box, or once the lent one has expired, nothing is removed."""
    b = Box(expire_ms=1000)
    b.put(b"a", b"")
    number = b.first()[0]
    b.step(10000)
    same(len(b.box), 1)
    assert b.first() is None
    b.put(b"b", b"")
    b.box.done(number)
    b.box.done(number + 1)
    same((len(b.box), b.lost), (1, [(b"a", b"", "expired")]))


def test_clear():
    b = Box(max_count=3)
    for pair in topics("abcd"):
        b.put(*pair)
    b.lend()
    b.box.clear()
    same((len(b.box), b.box.bytes, len(b.lost)), (0, 0, 1))
    same(b.box.stats()["cleared"], 3)
    b.box.done(b.lent[0])
    b.check()
    for pair in topics("efgh"):
        b.put(*pair)
    same(b.drain(), topics("fgh"))


LIVES = (1, 999, 1000, 1001, 1500, 59999, 60000, DAY, 30 * DAY, 400 * DAY)
NOWS = (0, 1000, 1999, -1, -500, -1500, -70000, -2 * DAY)


def test_expiry():
    """Never before its time, at most two seconds after it; also across the wrap of the clock."""

    def check(now, life):
        for late in (0, 1, 500, 999):
            b = Box(now=now, expire_ms=life)
            b.put(b"x", b"", expire_ms=0)
            b.step(late, tick=False)
            b.put(b"a", b"1")
            b.step(life - 1)
            same(len(b.box), 2, "too early:")
            b.step(2001)
            same(b.lost, [(b"a", b"1", "expired")])
            same(b.drain(), [(b"x", b"")])

    each([(now, life) for now in NOWS for life in LIVES], check)


def test_expiry_by_any_call():
    """put(), first() and tick() find what has expired; tick() takes the time from its caller."""

    def check(call):
        b = Box(expire_ms=3000)
        b.put(b"a", b"1")
        b.put(b"b", b"2", expire_ms=2 * DAY)
        b.put(b"c", b"3", expire_ms=1)
        b.step(5001, tick=False)
        call(b)
        same(b.lost, [(b"a", b"1", "expired"), (b"c", b"3", "expired")])
        same(b.drain()[0], (b"b", b"2"))

    each(
        [
            (lambda b: b.put(b"d", b""),),
            (lambda b: b.first(),),
            (lambda b: b.run(b.box.tick),),
            (lambda b: b.box.tick(b.now),),
        ],
        check,
    )


def test_often_ticked():
    """Time adds up whatever the steps: none is lost, none counted twice."""
    for step in (1, 7, 333, 999, 1000, 1001):
        b = Box(now=-30000)
        b.put(b"a", b"", expire_ms=60000)
        passed = 0
        while len(b.box):
            b.step(step)
            passed += step
            assert passed <= 62000 + step, step
        assert passed >= 60000, step


def test_lent_outlives_its_time():
    """A lent message does not expire; first() asks anew, and so it may."""
    b = Box(expire_ms=5000)
    b.put(b"a", b"1")
    b.put(b"b", b"2", expire_ms=0)
    b.lend()
    number = b.lent[0]
    b.step(3000)
    same(b.first()[:2], (number, b"a"))
    b.step(DAY)
    b.put(b"c", b"3")
    same((len(b.box), b.lost), (3, []))
    same(b.lend(), (b"b", b"2"))
    assert b.lent[0] != number
    same(b.lost, [(b"a", b"1", "expired")])
    b.box.done(number)
    b.done()
    same(b.drain(), [(b"c", b"3")])


def test_lent_and_sent_after_its_time():
    b = Box(expire_ms=5000)
    b.put(b"a", b"1")
    b.lend()
    b.step(DAY)
    b.done()
    same((len(b.box), b.lost), (0, []))
    b.check()


def test_months_of_waiting():
    """A message waits for two years, one with a life of 20 months goes in its time."""
    b = Box()
    b.put(b"a", b"for ever")
    b.put(b"b", b"20 months", expire_ms=600 * DAY)
    for _ in range(599):
        b.step(DAY)
    same((len(b.box), b.lost), (2, []))
    b.step(DAY + 2000)
    same(b.lost, [(b"b", b"20 months", "expired")])
    b.step(130 * DAY)
    same(b.drain(), [(b"a", b"for ever")])


def test_clock_of_seconds_wraps():
    """34 years on, deadlines hold across the wrap of the own clock."""
    b = Box()
    left = 1 << 30  # seconds
    while left > 600000:
        b.step(500000000)
        left -= 500000
    b.step((left - 100) * 1000)
    for life in (50, 99, 100, 101, 200):
        b.put(b"%d" % life, b"", expire_ms=life * 1000)
    b.put(b"0", b"")
    for passed in range(210):
        live = {x for x in (50, 99, 100, 101, 200) if passed < x}
        late = {x for x in (50, 99, 100, 101, 200) if passed <= x + 2}
        assert len(live) < len(b.box) <= len(late) + 1, passed
        b.step(1000)
    same(b.drain(), [(b"0", b"")])


def test_an_older_now_counts_nothing():
    b = Box(expire_ms=10000)
    b.put(b"a", b"")
    for _ in range(100):
        b.step(1)
        b.box.tick(time.ticks_add(b.now, -1500))
    same(len(b.box), 1)
    b.step(9800)
    same(len(b.box), 1)
    b.step(2100)
    same(len(b.box), 0)


def test_too_long_a_pause():
    """Beyond what ticks_diff can tell the pause is not counted, but time goes on after it."""
    if time.ticks_add(0, -1) != (1 << 30) - 1:
        raise Skip("ticks wrap at %d here" % (time.ticks_add(0, -1) + 1))
    b = Box(expire_ms=10000)
    b.put(b"a", b"")
    b.step(6 * DAY, tick=False)
    b.step(DAY, tick=False)
    b.run(b.box.tick)
    same(len(b.box), 1)
    b.step(12001)
    same(len(b.box), 0)


def test_dropped_may_look():
    """dropped() sees the box as it is without the message, and may use it."""
    seen = []

    def dropped(topic, msg, why):
        seen.append((topic, why, len(b.box), b.box.bytes))
        b.run(b.box.tick)
        b.box.stats()

    b = Box(max_count=3, dropped=dropped, latest=True)
    b.put(b"a", b"", expire_ms=1000)
    b.put(b"b", b"", expire_ms=1000)
    b.put(b"c", b"")
    b.step(5000)
    same(seen, [(b"a", "expired", 2, 26), (b"b", "expired", 1, 13)])
    b.put(b"d", b"")
    b.put(b"e", b"")
    b.put(b"f", b"")
    same(seen[2:], [(b"c", "oldest", 2, 26)])
    b.put(b"e", b"")
    same(seen[3:], [(b"e", "replaced", 2, 26)])


def test_dropped_may_empty_the_box():
    """Whatever dropped() takes out, no record is read where none is."""

    def dropped(topic, msg, why):
        b._dropped(topic, msg, why)
        b.box.clear()

    for latest in (False, True):
        b = Box(max_bytes=100, dropped=dropped, latest=latest)
        for name in "abcd":
            b.put(name, b"1234567", expire_ms=1000)
        b.put(b"d", bytes(60), latest=latest)
        same(b.drain(), [(b"d", bytes(60))])
        for name in "abcd":
            b.put(name, b"1234567", expire_ms=1000)
        b.step(5000)
        same((len(b.box), b.box.bytes), (0, 0))
        why = "replaced" if latest else "oldest"
        same([(x[0], x[2]) for x in b.lost], [(b"d" if latest else b"a", why), (b"a", "expired")])
        b.check()


def test_dropped_raises():
    """The error comes out, the counts hold, and the box goes on."""

    def dropped(topic, msg, why):
        calls.append((topic, why))
        raise KeyError

    for call in range(4):
        calls = []
        b = Box(max_count=2, dropped=dropped, policy="newest" if call == 3 else "oldest")
        b.put(b"a", b"", expire_ms=1000)
        b.put(b"b", b"")
        with raises(KeyError):
            if call == 0:
                b.put(b"c", b"")
            elif call == 1:
                b.put(b"b", b"", latest=True)
            elif call == 2:
                b.step(5000)
            else:
                b.put(b"c", b"")
        k = b.box.stats()
        gone = k["oldest"] + k["replaced"] + k["expired"]
        same((k["accepted"], k["queued"], len(calls)), (2, 2 - gone, 1))
        same(calls[0][1], ("oldest", "replaced", "expired", "newest")[call])
        b.box.dropped = None
        if not gone:
            b.box.done(b.first()[0])
        assert b.put(b"d", b"")
        same(len(b.box), 2)


def test_no_dropped():
    b = Box(max_count=2, dropped=None, expire_ms=1000, latest=True)
    for name in "aabc":
        b.put(name, b"")
    b.step(5000)
    k = b.box.stats()
    same([k[why] for why in WHYS], [1, 0, 1, 2])


def test_years_in_a_full_box():
    """Sizes of all kinds through a box that is always full: the slab stays in order."""
    b = Box(max_bytes=211, max_count=9)
    put = []
    for i in range(300):
        pair = (b"t" * (1 + i * 7 % 11), b"%d" % i + b"m" * (i * 13 % 60))
        put.append(pair)
        b.put(*pair)
        assert 0 < b.box.bytes <= 211 and 0 < len(b.box) <= 9
        if i % 3 == 0:
            got = b.lend()
            if i % 2:
                b.done()
                put.remove(got)
    b.check()
    left = b.drain()
    assert len(left) > 1
    lost = [x[:2] for x in b.lost]
    same(sorted(left + lost), sorted(put))
    same(left, [pair for pair in put if pair in left])


class Work:
    """Calls that allocate nothing; a closure over as many names would."""

    topic = b"sensor/1"
    other = bytearray(b"sensor/2")
    msg = b"0123456789"
    buf = bytearray(300)
    number = 0

    def run(self, box, i):
        box.put(self.topic, self.msg, False, 1)
        box.put(self.other, self.buf, True, 2, 2000, False)
        box.put(self.other, self.msg, False, 0, None, i & 1)
        box.tick(1000 + i * 100)
        if i % 50 == 30:
            box.done(self.number)
        elif i % 100 == 99:
            box.clear()
        return len(box) + box.bytes


def test_allocates_nothing():
    """put() of bytes, done() and tick() under a locked heap: into room, full, latest, expiring."""
    if sys.implementation.name != "micropython":
        raise Skip("only MicroPython can lock its heap")
    from micropython import heap_lock, heap_unlock

    work = Work()
    for options in (
        {},
        {"max_count": 5},
        {"max_bytes": 1000, "latest": True},
        {"policy": "newest", "expire_ms": 1000},
        {"policy": "newest", "max_count": 3, "expire_ms": 30 * DAY},
    ):
        b = Box(dropped=None, **options)
        for i in range(700):
            b.now = 1000 + i * 100
            if i % 50 == 9:
                work.number = b.first()[0]
            before = room.ticks_ms
            room.ticks_ms = b._ticks_ms
            heap_lock()
            try:
                work.run(b.box, i)
            finally:
                heap_unlock()
                room.ticks_ms = before
        b.sent = b.box.stats()["sent"]
        assert b.box.stats()["accepted"] > 50 and b.sent, options
    heap_lock()
    try:
        locks = not bytes(work.buf)
    except MemoryError:
        locks = True
    heap_unlock()
    assert locks, "an allocation is not noticed"
