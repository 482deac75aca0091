"""SUBSCRIBE and UNSUBSCRIBE of MQTT 5.0: bytes, options, what the server has not, answers."""

from driver5 import RESUMED, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException


def up(properties="", **options):
    d = Driver5(**options)
    d.connect(False, connack(properties))
    d.out()
    return d


# arguments, options, bytes behind the packet id, codes, what subscribe() returns
SUBSCRIBES = (
    # MQTT5-3.8.1-1, MQTT5-2.2.2-1, MQTT5-3.8.3-5, MQTT5-3.8.3-2
    (("f",), {}, "<> 'f' 00", "00", 0),
    ((b"f", 1), {}, "<> 'f' 01", "01", 1),
    ((b"f", 2), {}, "<> 'f' 02", "02", 2),
    # E57v5, MQTT5-3.8.4-7: what the server grants
    (("f", 2), {}, "<> 'f' 02", "00", 0),
    (("f", 0), {}, "<> 'f' 00", "02", 2),
    # MQTT5-3.8.3-1
    (("\u00e9",), {}, "<> 0002 C3A9 00", "00", 0),
    # MQTT5-3.9.3-1: the codes in the order of the filters
    ((["a", ("b", 1), (b"c", 2)],), {}, "<> 'a' 00 'b' 01 'c' 02", "020087", b"\x02\x00\x87"),
    ((["a"], 1), {}, "<> 'a' 01", "80", b"\x80"),
    # X5-3.8.3.1-a: the options
    (("f", 1), {"no_local": True}, "<> 'f' 05", "01", 1),
    (("f",), {"retain_as_published": True}, "<> 'f' 08", "00", 0),
    (("f",), {"retain_handling": 1}, "<> 'f' 10", "00", 0),
    (
        (["f", ("g", 2)],),
        {"no_local": True, "retain_as_published": True, "retain_handling": 2},
        "<> 'f' 2C 'g' 2E",
        "0002",
        b"\x00\x02",
    ),
    # X5-3.8.2.1.2-a
    (("f",), {"properties": {"subscription_identifier": 1}}, "<0B 01> 'f' 00", "00", 0),
    (
        ("f",),
        {"properties": {"subscription_identifier": 268435455, "user_property": [("n", "v")]}},
        "<0B FFFFFF7F 26 'n' 'v'> 'f' 00",
        "00",
        0,
    ),
    # MQTT5-4.7.1-1, MQTT5-4.7.1-2
    (
        (["#", "+", "a/+/b", "+/#", "/", "a//b"],),
        {},
        "<> '#' 00 '+' 00 'a/+/b' 00 '+/#' 00 '/' 00 'a//b' 00",
        "000000000000",
        bytes(6),
    ),
    # MQTT5-4.8.2-1, MQTT5-4.8.2-2
    (
        (["$share/g/a", "$share/g//a", "$share/g/+/#", "$share/g/#"], 1),
        {},
        "<> '$share/g/a' 01 '$share/g//a' 01 '$share/g/+/#' 01 '$share/g/#' 01",
        "01010101",
        b"\x01" * 4,
    ),
)


def test_subscribe():
    def check(args, options, data, codes, wanted):
        d = up()
        d.later = [wire(f"90| 0001 <> {codes}")]
        same(d.subscribe(*args, **options), wanted)
        same(d.out(), wire(f"82| 0001 {data}"))

    each(SUBSCRIBES, check)


# topic, properties, bytes behind the packet id, codes, what unsubscribe() returns
UNSUBSCRIBES = (
    # MQTT5-3.10.1-1, MQTT5-2.2.2-1, MQTT5-3.10.3-2
    ("f", None, "<> 'f'", "00", 0),
    (b"f", None, "<> 'f'", "11", 0x11),
    # MQTT5-3.10.3-1
    ("\u00e9", None, "<> 0002 C3A9", "00", 0),
    # MQTT5-3.11.3-1
    (["a", b"b", "c/#"], None, "<> 'a' 'b' 'c/#'", "001187", b"\x00\x11\x87"),
    (["a"], None, "<> 'a'", "11", b"\x11"),
    ("$share/g/a", None, "<> '$share/g/a'", "00", 0),
    ("f", {"user_property": [("n", "v")]}, "<26 'n' 'v'> 'f'", "00", 0),
)


def test_unsubscribe():
    """MQTT5-3.10.4-5: also for a filter that was not subscribed to."""

    def check(topic, properties, data, codes, wanted):
        d = up()
        d.later = [wire(f"B0| 0001 <> {codes}")]
        same(d.unsubscribe(topic, properties=properties), wanted)
        same(d.out(), wire(f"A2| 0001 {data}"))

    each(UNSUBSCRIBES, check)


def test_refused():
    """E114: a single filter that is refused raises its code; the connection stays."""

    def check(code):
        d = up()
        d.later = [wire(f"90| 0001 <1F 'why'> {code:02X}")]
        with raises(MQTTException, code):
            d.subscribe("f")
        d.later = [wire(f"B0| 0002 <> {code:02X}")]
        with raises(MQTTException, code):
            d.unsubscribe("f")
        assert not d.closed
        d.feed(publish(b"t", b"x"))
        same(len(d.got), 1)

    each([(code,) for code in (0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2, 0xFE)], check)


BAD = (
    # MQTT5-3.8.3-2, MQTT5-3.10.3-2
    ([],),
    # MQTT5-4.7.3-1, MQTT5-4.7.3-2, MQTT5-1.5.4-1, MQTT5-1.5.4-2, MQTT5-3.8.3-1, MQTT5-3.10.3-1
    ("",),
    (["a", ""],),
    (b"a\x00b",),
    (b"\xed\xa0\x80",),
    (b"\xc3",),
    # MQTT5-4.7.1-1, MQTT5-4.7.1-2
    ("a#",),
    ("a/#/b",),
    ("##",),
    ("a+",),
    ("+a",),
    ("a/b+/c",),
    # MQTT5-4.8.2-1, MQTT5-4.8.2-2
    ("$share//a",),
    ("$share/",),
    ("$share/g",),
    ("$share/g/",),
    ("$share/g+/a",),
    ("$share/g#/a",),
    ("$share/+/a",),
)


def test_wrong_filters():
    """ValueError, and nothing is sent."""

    def check(topic):
        d = up()
        with raises(ValueError):
            d.subscribe(topic)
        with raises(ValueError):
            d.unsubscribe(topic)
        same((d.out(), d.closed), (b"", False))

    each(BAD, check)


def test_wrong_options():
    """X5-3.8.3.1-a, X5-3.8.2.1.2-a, MQTT5-3.8.3-5; MQTT5-3.8.3-4: no No Local on a shared one."""

    def check(args, options):
        d = up()
        with raises(ValueError):
            d.subscribe(*args, **options)
        same(d.out(), b"")

    each(
        (
            (("f", 3), {}),
            (("f", -1), {}),
            (([("f", 4)],), {}),
            (("f",), {"retain_handling": 3}),
            (("f",), {"retain_handling": -1}),
            (("f",), {"properties": {"subscription_identifier": 0}}),
            (("f",), {"properties": {"subscription_identifier": 268435456}}),
            (("f",), {"properties": {"content_type": "t"}}),
            (("$share/g/a",), {"no_local": True}),
            ((["a", "$share/g/a"],), {"no_local": True}),
        ),
        check,
    )


def test_what_the_server_has_not():
    """X5-3.2.2.3.11-a: refused here, and all else goes."""

    def check(properties, bad, good):
        d = up(properties)
        for args, options in bad:
            with raises(ValueError):
                d.subscribe(*args, **options)
        same(d.out(), b"")
        for args, options in good:
            d.later = [wire(f"90| {d.client._tab.next_id:04X} <> 00")]
            same(d.subscribe(*args, **options), 0)

    one = {"properties": {"subscription_identifier": 1}}
    wild = (("a/+",), {}), (("#",), {}), (("$share/g/#",), {})
    shared = (("$share/g/a",), {}), (("$share/g/+",), {})
    plain = (("a",), {}), (("$SYS/a",), {})
    each(
        (
            ("28 00", wild, plain + shared[:1] + ((("a",), one),)),
            ("29 00", ((("a",), one),), plain + wild + shared),
            ("2A 00", shared, plain + wild[:2] + ((("a",), one),)),
            ("28 01 29 01 2A 01", ((("a",), {"retain_handling": 3}),), plain + wild + shared),
        ),
        check,
    )


def test_a_message_before_the_answer():
    """X5-3.8.4-a"""
    d = up()
    d.later = [publish(b"f", b"x", 1, 9) + wire("90| 0001 <> 01")]
    same(d.subscribe("f", 1), 1)
    same((d.got[0][:2], d.out()), ((b"f", b"x"), wire("82| 0001 <> 'f' 01") + ack(0x40, 9)))


def test_answers_in_another_order():
    """MQTT5-2.2.1-6, MQTT5-3.8.4-2: two requests of a handler, answered in reverse; each frees its
    own id."""
    d = up()

    def ask(d):
        d.then = None
        same(d.subscribe("a"), None)
        same(d.unsubscribe(["b", "c"]), None)

    d.then = ask
    d.feed(publish(b"t", b"x"))
    same(d.out(), wire("82| 0001 <> 'a' 00") + wire("A2| 0002 <> 'b' 'c'"))
    d.feed(wire("B0| 0002 <> 0011"))
    d.feed(wire("90| 0001 <> 00"))
    assert not d.closed
    same(d.violated(wire("90| 0001 <> 00")), 0x82)


def test_a_late_answer():
    """Nobody waits any more: the id is taken until the answer comes, which is no violation."""
    d = up()
    with raises(OSError, 110):
        d.subscribe("f", timeout_ms=1000)
    d.set_next_id(1)
    same(d.accept(b"a", b"x"), 2)
    d.feed(wire("90| 0001 <> 00"))
    assert not d.closed
    d.set_next_id(1)
    same(d.accept(b"a", b"x"), 1)


def test_not_sent_again():
    """A request is no session state: nothing of it is left after the connection. X5-4.1-a,
    X5-3.8.4-b: nor are subscription identifiers, which the client only passes on."""
    d = up()
    with raises(OSError, 110):
        d.subscribe("f", timeout_ms=1000, properties={"subscription_identifier": 5})
    d.connect(False, RESUMED)
    first, *more = d.out()[:1], d.out()
    same((first, more), (b"\x10", [b""]))
    d.want = (0x0B,)
    d.feed(publish(b"f", b"x", properties="0B 05"))
    same(d.seen, [{0x0B: 5}])
    d.set_next_id(1)
    same(d.accept(b"a", b"x"), 1)
