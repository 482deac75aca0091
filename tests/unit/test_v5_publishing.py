"""Publishing with MQTT 5.0: bytes, properties, packet ids, answers."""

from driver import parse
from driver5 import RESUMED, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import encode

P = encode("PUBLISH", {"content_type": "t", "user_property": [("n", "v")]})
HEX = "03 't' 26 'n' 'v'"


def up(properties="", clean=False, **options):
    d = Driver5(**options)
    d.connect(clean, connack(properties))
    d.out()
    return d


def ids(data):
    """Packet ids of the PUBLISHes in data."""
    found = []
    for first, body in parse(data):
        if first & 0xF0 == 0x30 and first & 6:
            i = 2 + (body[0] << 8 | body[1])
            found.append(body[i] << 8 | body[i + 1])
    return found


# topic, msg, retain, properties, bytes of a QoS 0 message
MESSAGES = (
    # MQTT5-2.2.2-1, MQTT5-2.2.1-2, MQTT5-4.3.1-1, MQTT5-3.3.1-2, MQTT5-3.3.2-1
    (b"a", b"x", False, None, "30 05 0001 61 00 78"),
    (b"a", b"x", True, None, "31 05 0001 61 00 78"),
    (b"a", b"", False, None, "30 04 0001 61 00"),
    ("\u00e9", "\u00fc", False, None, "30| 0002 C3A9 <> C3BC"),
    ("a", b"x", False, {}, "30| 'a' <> 78"),
    (b"a", b"x", False, P, f"30| 'a' <{HEX}> 78"),
    (b"a", b"x", True, {"message_expiry_interval": 5}, "31| 'a' <02 00000005> 78"),
    # MQTT5-3.3.2-13, MQTT5-3.3.2-19
    (
        b"a",
        b"x",
        False,
        {"response_topic": "\u00e9", "content_type": "\u00e9"},
        "30| 'a' <03 0002 C3A9 08 0002 C3A9> 78",
    ),
    # MQTT5-1.5.5-1: lengths of one and two bytes
    (b"a", b"x" * 123, False, None, "30 7F 0001 61 00" + " 78" * 123),
    (b"a", b"x" * 124, False, None, "30 8001 0001 61 00" + " 78" * 124),
    (b"a", b"", False, {"correlation_data": b"x" * 124}, "30 8301 'a' 7F 09 007C" + " 78" * 124),
    (b"a", b"", False, {"correlation_data": b"x" * 125}, "30 8501 'a' 8001 09 007D" + " 78" * 125),
)


def test_qos0():
    def check(topic, msg, retain, properties, data):
        d = up()
        for _ in range(3):
            same(d.publish(topic, msg, retain, properties=properties), -1)
            same(d.out(), wire(data))
            same(d.run(d.client.publish_nowait, topic, msg, retain, properties=properties), -1)
            same(d.out(), wire(data))

    each(MESSAGES, check)


def test_qos1_and_2():
    """An id that is not 0, DUP 0: MQTT5-2.2.1-3, MQTT5-4.3.2-1, MQTT5-4.3.2-2, MQTT5-4.3.3-1,
    MQTT5-4.3.3-2. Acknowledged by PUBACK, or PUBREC and PUBCOMP: MQTT5-4.3.3-4."""

    def check(topic, msg, retain, properties, data):
        d = up()
        data = wire(data)
        _, body = parse(data)[0]
        n = 2 + (body[0] << 8 | body[1])
        for qos in (1, 2):
            wanted = (0x30 | qos << 1 | retain, body[:n] + bytes((0, qos)) + body[n:])
            if qos == 1:
                d.later = [ack(0x40, 1)]
            else:
                d.later = [ack(0x50, 2), ack(0x70, 2)]
            same(d.publish(topic, msg, retain, qos, properties=properties), qos)
            found = parse(d.out())
            same(found[0], wanted)
            same(found[1:], [] if qos == 1 else [(0x62, b"\x00\x02")])
        same((d.codes, d.tables), ([(1, 0), (2, 0)], (0, 0)))

    each(MESSAGES, check)


def test_properties_change():
    """Each message has its own: none of the last one is left, with the same topic object, too."""
    d = up(inflight=8)
    topic = b"a"
    other = encode("PUBLISH", {"payload_format_indicator": 1})
    rows = ((P, HEX), (None, ""), (other, "01 01"), (P, HEX), (P, HEX), ({}, ""), (None, ""))
    for properties, data in rows + rows:
        d.publish(topic, b"x", properties=properties)
        same(d.out(), wire(f"30| 'a' <{data}> 78"))
    changing = {"content_type": "1"}
    for text in ("1", "2", "3"):
        changing["content_type"] = text
        d.publish(topic, b"x", properties=changing)
        same(d.out(), wire(f"30| 'a' <03 '{text}'> 78"))
    for p, (properties, data) in enumerate(rows):
        d.run(d.client.publish_nowait, topic, b"x", False, 1, properties)
        same(d.out(), wire(f"32| 'a' {p + 1:04X} <{data}> 78"))


def test_properties_of_two_at_once():
    """A handler that publishes while another publish() waits for room takes nothing of that one,
    and leaves it its properties."""
    d = up(inflight=1)
    d.accept(b"first", b"1")
    d.out()

    def reply(d):
        d.run(d.client.publish, b"reply", b"r")

    d.then = reply
    d.later = [publish(b"q", b"?"), ack(0x40, 1), ack(0x40, 2)]
    same(d.publish(b"second", b"2", False, 1, properties=P), 2)
    same(
        d.out(),
        wire("30| 'reply' <> 72") + wire(f"32| 'second' 0002 <{HEX}> 32"),
    )


BAD = (
    # MQTT5-3.3.2-2, MQTT5-4.7.0-1, MQTT5-4.7.3-1, MQTT5-4.7.3-2, MQTT5-1.5.4-1, MQTT5-1.5.4-2
    (b"a/+", b"x", False, 0, None),
    ("#", b"x", False, 0, None),
    (b"", b"x", False, 0, None),
    (b"a\x00", b"x", False, 1, None),
    (b"\xed\xa0\x80", b"x", False, 0, None),
    (b"\xc3", b"x", False, 2, None),
    # MQTT5-3.3.1-4
    (b"a", b"x", False, 3, None),
    (b"a", b"x", False, -1, None),
    # MQTT5-3.3.2-8, MQTT5-3.3.4-6, MQTT5-3.3.2-14
    (b"a", b"x", False, 0, {"topic_alias": 0}),
    (b"a", b"x", False, 0, {"topic_alias": 1}),
    (b"a", b"x", False, 1, {"subscription_identifier": 1}),
    (b"a", b"x", False, 1, {"response_topic": "a/+"}),
    (b"a", b"x", False, 0, {"content_type": b"\xff"}),
    (b"a", b"x", False, 0, b"\x05abc"),
    (b"a", b"x" * 600, False, 1, None),
    (b"a", b"", False, 1, {"correlation_data": b"x" * 600}),
    (b"a", b"", False, 0, {"correlation_data": b"x" * 600}),
)


def test_wrong_messages():
    """ValueError, nothing is sent and nothing is kept; the next one is right."""

    def check(topic, msg, retain, qos, properties):
        d = up()
        for f in (d.client.publish, d.client.publish_nowait):
            with raises(ValueError):
                d.run(f, topic, msg, retain, qos, properties=properties)
            same((d.out(), d.tables, d.closed), (b"", (0, 0), False))
            d.publish(b"a", b"x")
            same(d.out(), wire("30| 'a' <> 78"))

    each(BAD, check)


# -- answers -----------------------------------------------------------------------------------


def test_refused():
    """E110, E111, MQTT5-4.4.0-2, X5-4.13.2-a: publish() raises the code; the message is done, the
    connection stays, the others are not touched."""

    def check(qos, code):
        d = up()
        d.accept(b"b", b"x")
        d.out()
        d.later = [wire(f"{0x30 + 16 * qos:02X}| 0002 {code:02X} <1F 'why'>")]
        with raises(MQTTException, code, "server", b"why"):
            d.publish(b"a", b"x", False, qos)
        same(parse(d.out()), parse(publish(b"a", b"x", qos, 2)))
        same((d.tables, d.codes, d.closed), ((1, 0), [(2, code)], False))
        same(d.client.reason_code, code)
        d.feed(ack(0x40, 1))
        same(d.codes, [(2, code), (1, 0)])
        d.lose()
        d.connect(False, RESUMED)
        same(parse(d.out())[1:], [])

    each([(q, code) for q in (1, 2) for code in (0x80, 0x87, 0x90, 0x97, 0x99, 0xFE)], check)


def test_not_found_is_an_end():
    """E113, X5-3.6.2.1-a: a server that has forgotten the id has had the message: no failure."""
    d = up()
    d.later = [ack(0x50, 1), ack(0x70, 1, 0x92)]
    same(d.publish(b"a", b"x", qos=2), 1)
    d.accept(b"a", b"x", qos=2)
    d.feed(ack(0x50, 2))
    d.lose()
    d.connect(False, RESUMED)
    d.feed(ack(0x70, 2, 0x92))
    same((d.done, d.tables), ([1, 2], (0, 0)))
    d.set_next_id(2)
    d.later = [ack(0x40, 2)]
    same(d.publish(b"a", b"x", qos=1), 2)


def test_nobody_subscribed():
    """E112: success, and reason_code says it."""
    d = up()
    d.later = [ack(0x40, 1, 0x10)]
    same(d.publish(b"a", b"x", qos=1), 1)
    same(d.client.reason_code, 0x10)
    d.later = [ack(0x50, 2, 0x10), ack(0x70, 2)]
    same(d.publish(b"a", b"x", qos=2), 2)
    same(d.client.reason_code, 0x10)
    d.later = [ack(0x40, 3)]
    same(d.publish(b"a", b"x", qos=1), 3)
    same(d.client.reason_code, 0)
    same(d.codes, [(1, 0x10), (2, 0x10), (3, 0)])


def test_an_old_refusal_does_not_hit_a_new_message():
    """An id that was refused to publish_nowait() is used again after a round of all of them."""
    d = up()
    d.accept(b"a", b"x")
    d.feed(ack(0x40, 1, 0x87))
    d.set_next_id(1)
    d.later = [ack(0x40, 1)]
    same(d.publish(b"a", b"y", qos=1), 1)


def test_ids():
    """MQTT5-2.2.1-3, MQTT5-4.3.2-1, MQTT5-4.3.3-1: never 0, never one that is open, one pool with
    SUBSCRIBE and UNSUBSCRIBE; not free between PUBREC and PUBCOMP (X5-2.2.1-a)."""
    d = up(inflight=4)
    d.set_next_id(65534)
    for wanted in (65534, 65535, 1):
        same(d.accept(b"a", b"x", qos=2), wanted)
    d.feed(ack(0x50, 65535))
    d.set_next_id(65534)
    d.out()
    d.later = [wire("90| 0002 <> 00")]
    d.subscribe("f")
    same(d.out(), wire("82| 0002 <> 'f' 00"))
    d.set_next_id(65535)
    d.later = [wire("B0| 0002 <> 00")]
    d.unsubscribe("f")
    same(d.out(), wire("A2| 0002 <> 'f'"))
    d.set_next_id(65535)
    same(d.accept(b"a", b"x"), 4)
    same(d.accept(b"a", b"x"), 0)  # all places are taken
    d.feed(ack(0x70, 65535))
    d.set_next_id(65535)
    same(d.accept(b"a", b"x"), 65535)
