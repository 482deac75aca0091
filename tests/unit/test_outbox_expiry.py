"""The offline queue over time: expiry, dropped(), months of use, and no allocation."""

import sys
import time

import umqtt_plus.outbox as room
from outbox_world import DAY, WHYS, Box, topics
from util import Skip, each, few, raises, same


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


def test_back():
    """What was not sent may be dropped, replaced and expire again; its number stands for nothing
    until it is lent once more."""
    b = Box(max_count=2, latest=True)
    b.put(b"a", b"1")
    b.put(b"b", b"1", expire_ms=1000)
    number = b.first()[0]
    b.box.back()
    b.box.done(number)
    same(len(b.box), 2)
    same(b.first()[:2], (number, b"a"))
    b.box.back()
    b.put(b"a", b"2")
    same(b.lost, [(b"a", b"1", "replaced")])
    same(b.lend(), (b"b", b"1"))
    b.box.done(number)
    b.step(5000)
    same((len(b.box), len(b.lost)), (2, 1))
    b.box.back()
    b.put(b"c", b"1")
    same(b.lost[1:], [(b"b", b"1", "expired")])
    b.lend()
    b.box.back()
    b.put(b"d", b"1")
    same(b.lost[2:], [(b"a", b"2", "oldest")])
    same(b.drain(), [(b"c", b"1"), (b"d", b"1")])


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


def test_dropped_may_say_done():
    """The lent message goes while what expired behind it is looked for."""

    def dropped(topic, msg, why):
        b._dropped(topic, msg, why)
        b.done()

    b = Box(dropped=dropped)
    b.put(b"a", bytes(30))
    for name in "bcdef":
        b.put(name, b"1234567", expire_ms=1000 if name in "bde" else 0)
    b.lend()
    b.step(5000)
    same([x[0] for x in b.lost], [b"b", b"d", b"e"])
    b.sent = 1
    same(b.drain(), topics("cf"))


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


def test_a_box_that_is_always_full():
    """Sizes of all kinds in any order: the slab stays in order."""
    b = Box(max_bytes=211, max_count=9)
    put = []
    for i in range(120):
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
    rows = (
        {},
        {"max_count": 5},
        {"max_bytes": 1000, "latest": True},
        {"policy": "newest", "expire_ms": 1000},
        {"policy": "newest", "max_count": 3, "expire_ms": 30 * DAY},
    )
    for options in few(rows):
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
