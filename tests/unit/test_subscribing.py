"""SUBSCRIBE and UNSUBSCRIBE: bytes, filters, answers that fit and that do not."""

from driver import RESUMED, SIZES, Driver, ack, packet, parse, publish
from util import each, raises, same
from umqtt_plus.errors import MQTTException


def client(**options):
    d = Driver(**options)
    d.connect(False)
    d.out()
    return d


def suback(packet_id, codes):
    return packet(0x90, bytes((packet_id >> 8, packet_id & 255)) + codes)


def test_bytes():
    """MQTT-3.8.1-1, MQTT-3.8.3-1, MQTT-3.8.3-4, MQTT-3.10.1-1, MQTT-3.10.3-1, MQTT-2.2.2-1,
    MQTT-2.3.1-1."""

    def check(topics, qos, codes, result, data):
        d = client()
        d.set_next_id(258)
        d.later = [suback(258, codes)]
        same(d.subscribe(topics, qos), result)
        same(d.out(), data)

    each(
        (
            (b"a", 0, b"\0", 0, b"\x82\x06\x01\x02\0\1a\0"),
            ("\u00e9", 1, b"\1", 1, b"\x82\x07\x01\x02\0\2\xc3\xa9\1"),
            ("\ufeff", 2, b"\2", 2, b"\x82\x08\x01\x02\0\3\xef\xbb\xbf\2"),
            (["a", b"b/#"], 1, b"\1\0", b"\1\0", b"\x82\x0c\x01\x02\0\1a\1\0\3b/#\1"),
            (
                [("a", 2), b"+", ("c", 0)],
                1,
                b"\0\1\0",
                b"\0\1\0",
                b"\x82\x0e\x01\x02\0\1a\2\0\1+\1\0\1c\0",
            ),
            ([b"a"], 0, b"\x80", b"\x80", b"\x82\x06\x01\x02\0\1a\0"),
        ),
        check,
    )

    def check(topics, data):
        d = client()
        d.set_next_id(258)
        d.later = [ack(0xB0, 258)]
        d.unsubscribe(topics)
        same(d.out(), data)

    each(
        (
            (b"a", b"\xa2\x05\x01\x02\0\1a"),
            (["a", b"b"], b"\xa2\x08\x01\x02\0\1a\0\1b"),
            ("\u00e9", b"\xa2\x06\x01\x02\0\2\xc3\xa9"),
        ),
        check,
    )


FILTERS = (
    # MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.3-1, MQTT-4.7.3-2, MQTT-1.5.3-1, MQTT-1.5.3-2
    (b"#", True),
    (b"a/#", True),
    (b"/#", True),
    (b"+", True),
    (b"+/a/#", True),
    (b"a/+/c", True),
    (b"+/+", True),
    (b"/", True),
    (b"//", True),
    (b"$SYS/#", True),
    (b"a b", True),
    (b"a#", False),
    (b"a/#/b", False),
    (b"##", False),
    (b"#/", False),
    (b"a/b#", False),
    (b"#a", False),
    (b"a+", False),
    (b"+a", False),
    (b"a/b+/c", False),
    (b"++", False),
    (b"+#", False),
    (b"", False),
    ("", False),
    (b"a\0b", False),
    (b"\xed\xa0\x80", False),
    (b"\xc0\x80", False),
    (b"a\xe2\x82", False),
)


def test_filters():
    """A wrong filter is refused with ValueError, and nothing is written."""

    def check(topic_filter, right):
        d = client()
        if right:
            d.later = [suback(1, b"\0")]
            same(d.subscribe(topic_filter), 0)
            d.later = [ack(0xB0, 2)]
            d.unsubscribe(topic_filter)
            return
        for call in (d.subscribe, d.unsubscribe):
            with raises(ValueError):
                call(topic_filter)
            with raises(ValueError):
                call([b"good", topic_filter])
        same(d.out(), b"")
        d.publish(b"still", b"well")
        same(d.out(), publish(b"still", b"well"))

    each(FILTERS, check)


def test_wrong_arguments():
    """No filter at all: MQTT-3.8.3-3, MQTT-3.10.3-2. QoS 3: MQTT-3.8.3-4. Too long: MQTT-4.7.3-3,
    and what would not fit the buffer."""
    d = client(buffer_size=128)
    for call in (
        lambda: d.subscribe([]),
        lambda: d.unsubscribe([]),
        lambda: d.subscribe(()),
        lambda: d.subscribe(b"a", 3),
        lambda: d.subscribe(b"a", -1),
        lambda: d.subscribe([("a", 4)]),
        lambda: d.subscribe(b"a" * 200),
        lambda: d.unsubscribe([b"a" * 60, b"b" * 60, b"c"]),
    ):
        with raises(ValueError):
            call()
    same(d.out(), b"")
    d = client(inflight=0)
    with raises(ValueError):
        d.subscribe(b"a", 2)  # could not be received once only
    d.later = [suback(1, b"\1")]
    same(d.subscribe(b"a", 1), 1)


def test_results_in_order():
    """One code a filter, in their order: MQTT-3.8.4-5, MQTT-3.9.3-1. More than asked: E57."""

    def check(codes):
        for size in SIZES:
            d = client()
            data = suback(1, codes)
            d.later = [data[i : i + (size or 99)] for i in range(0, len(data), size or 99)]
            same(d.subscribe([b"a", b"b", b"c"], 0), codes)

    each(((b"\0\x80\1",), (b"\2\0\x80",), (b"\x80\x80\x80",), (b"\2\2\2",), (b"\0\0\0",)), check)


def test_refused_filter():
    """MQTTException(0x80) for a single one; the connection stays: MQTT-3.8.4-5."""
    d = client()
    d.later = [suback(1, b"\x80")]
    with raises(MQTTException, 0x80):
        d.subscribe(b"a", 1)
    assert not d.closed
    d.later = [suback(2, b"\1")]
    same(d.subscribe(b"a", 1), 1)


WRONG = (
    # topics, answer; MQTT-3.8.4-2, MQTT-3.10.4-4, MQTT-2.3.1-7 for ids and kinds
    ("E54 MQTT-3.8.4-5", [b"a", b"b", b"c"], b"\x90\x04\0\1\0\0"),
    ("E54 MQTT-3.8.4-5", [b"a", b"b", b"c"], b"\x90\x06\0\1\0\0\0\0"),
    ("E54", b"a", b"\x90\x04\0\1\0\0"),
    ("E55", b"a", b"\x90\x02\0\1"),
    ("E55", b"a", b"\x90\x01\0"),
    ("E55", b"a", b"\x90\x00"),
    ("E56 MQTT-3.9.3-2", b"a", b"\x90\x03\0\1\3"),
    ("E56 MQTT-3.9.3-2", b"a", b"\x90\x03\0\1\x7f"),
    ("E56 MQTT-3.9.3-2", b"a", b"\x90\x03\0\1\x81"),
    ("E56 MQTT-3.9.3-2", [b"a", b"b"], b"\x90\x04\0\1\0\xff"),
    ("E53 MQTT-3.8.4-2", b"a", b"\x90\x03\0\2\0"),
    ("E53 MQTT-2.3.1-7", b"a", b"\xb0\x02\0\1"),
    ("E53", b"a", b"\xb0\x02\0\2"),
    ("E41", b"a", b"\x90\x03\0\0\0"),
    ("E04", b"a", b"\x92\x03\0\1\0"),
)
WRONG_UNSUBACKS = (
    ("E58 X311-2.2-a", b"\xb0\x03\0\1\0"),
    ("E58", b"\xb0\x01\0"),
    ("E53 MQTT-3.10.4-4", b"\xb0\x02\0\2"),
    ("E53", b"\x90\x03\0\1\0"),
    ("E55", b"\x90\x02\0\1"),
    ("E04", b"\xb2\x02\0\1"),
)


def test_wrong_answers():
    """The call fails with 0x82, the client closes, nothing is written any more."""

    def check(ids, topics, data, call="subscribe"):
        for size in SIZES:
            d = client()
            n = size or 99
            data2 = data + publish(b"more", b"x")
            d.later = [data2[i : i + n] for i in range(0, len(data2), n)]
            with raises(MQTTException, 0x82):
                getattr(d, call)(topics)
            same((d.closed, d.got), (True, []))
            same(len(parse(d.out())), 1)
            d.connect(False, RESUMED)
            d.later = [suback(2, b"\0")]
            same(d.subscribe(b"again"), 0)

    each(WRONG, check)
    each([(ids, b"a", data, "unsubscribe") for ids, data in WRONG_UNSUBACKS], check)


def test_answers_in_any_order():
    """Requests from a handler and from outside; each answer finds its own: MQTT-2.3.1-7,
    MQTT-3.8.4-2, MQTT-3.10.4-4."""
    d = client()

    def inside(d):
        same(d.subscribe(b"in/1"), None)
        same(d.subscribe([b"in/2", b"in/3"], 1), None)
        d.unsubscribe(b"in/4")

    d.then = inside
    d.feed(publish(b"t", b"x"))
    d.then = None
    same([first for first, body in parse(d.out())], [0x82, 0x82, 0xA2])
    d.later = [ack(0xB0, 3) + suback(4, b"\1") + suback(2, b"\0\1") + suback(1, b"\x80")]
    same(d.subscribe(b"out", 1), 1)
    assert not d.closed
    same(d.refused(suback(1, b"\0")), 0x82)  # answered already


def test_message_before_the_answer():
    """It is delivered, and the call returns as usual: X311-3.8.4-a."""
    d = client()
    d.later = [publish(b"a", b"1", 1, 7), publish(b"a", b"2") + suback(1, b"\1")]
    same(d.subscribe(b"a", 1), 1)
    same([m[1] for m in d.got], [b"1", b"2"])
    same(d.out()[-4:], ack(0x40, 7))


def test_no_answer():
    """OSError at the deadline; the late answer is taken and its id is free after it."""
    d = client(timeout_ms=100)
    with raises(OSError, 110):
        d.subscribe([b"a", b"b"])
    with raises(OSError, 110):
        d.unsubscribe(b"a", 50)
    assert not d.closed
    d.feed(ack(0xB0, 2) + suback(1, b"\0\0"))
    assert not d.closed
    same(d.refused(suback(1, b"\0\0")), 0x82)


def test_handler_that_raises_before_the_answer():
    """The late answer is taken, and its id is free after it."""

    def boom(d):
        raise KeyError("mine")

    for call, late in (("subscribe", suback(1, b"\0")), ("unsubscribe", ack(0xB0, 1))):
        d = client()
        d.then = boom
        d.later = [publish(b"t", b"x")]
        with raises(KeyError):
            d.run(getattr(d.client, call), b"a")
        d.then = None
        d.feed(late)
        assert not d.closed
        d.out()
        d.set_next_id(1)
        d.later = [suback(1, b"\0")]
        same(d.subscribe(b"b"), 0)
        same(d.out(), b"\x82\x06\0\1\0\1b\0")


def test_not_sent_again():
    """A request that a lost link cut off is no session state (X311-3.1.2.4-a)."""
    d = client(timeout_ms=100)
    with raises(OSError, 110):
        d.subscribe(b"a")
    d.link.space = 3
    with raises(OSError):
        d.subscribe(b"b")
    if not d.closed:
        d.lose()
    d.connect(False, RESUMED)
    same(len(parse(d.out())), 1)
    same(d.tables, (0, 0))
    same(d.refused(suback(1, b"\0")), 0x82)  # the answer of another connection
