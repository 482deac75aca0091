"""The offline queue: what it takes, what it drops to make room, and what it says about it."""

import sys

from outbox_world import HEAD, Box, topics
from umqtt_plus.outbox import Outbox
from util import Skip, each, raises, same

POLICIES = ("oldest", "newest", "refuse")


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
    with raises(ValueError) as caught:
        b.put(topic + b"t", b"")
    assert str(caught.error).startswith("topic: 65536")
    same(b.drain(), [(topic, b"")])


WRONG = (
    # arguments of put, what the message names
    (("", "x"), {}, "topic"),
    ((b"a/+", b"x"), {}, "topic"),
    ((b"#", b"x"), {}, "topic"),
    ((b"a\x00", b"x"), {}, "topic"),
    ((b"\xff", b"x"), {}, "topic"),
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
