"""CONNECT of MQTT 5.0, what may not stand in it, and what a CONNACK does to the client."""

from driver import parse
from driver5 import OK, RESUMED, Connect, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import decode, encode

WILL = (b"w", b"gone", False, 0)
MOST4 = 0xFFFFFFFF

# options, will, clean, flags, keep alive, (will properties, topic, payload), user, password
CONNECTS = (
    # MQTT5-3.1.2-3, MQTT5-3.1.2-11, MQTT5-3.1.2-13, MQTT5-3.1.2-16, MQTT5-3.1.2-18
    ({}, None, True, 0x02, 0, None, None, None),
    ({}, None, False, 0x00, 0, None, None, None),
    ({"keepalive": 65535}, None, True, 0x02, 65535, None, None, None),
    ({"keepalive": 258}, None, True, 0x02, 258, None, None, None),
    # MQTT5-3.1.2-9, MQTT5-3.1.2-12
    ({}, WILL, True, 0x06, 0, ({}, b"w", b"gone"), None, None),
    ({}, (b"w", b"gone", False, 1), True, 0x0E, 0, ({}, b"w", b"gone"), None, None),
    ({}, (b"w", b"gone", False, 2), False, 0x14, 0, ({}, b"w", b"gone"), None, None),
    ({}, (b"w", b"gone", True, 2), True, 0x36, 0, ({}, b"w", b"gone"), None, None),
    ({}, (b"w", b"", True), True, 0x26, 0, ({}, b"w", b""), None, None),
    # the will's payload is binary, its topic text: MQTT5-3.1.3-11
    ({}, ("\u00e9", b"\x00\xff"), True, 0x06, 0, ({}, b"\xc3\xa9", b"\x00\xff"), None, None),
    # MQTT5-3.1.2-17, MQTT5-3.1.3-12
    ({"user": "u"}, None, True, 0x82, 0, None, b"u", None),
    ({"user": ""}, None, True, 0x82, 0, None, b"", None),
    ({"user": "\u00fc"}, None, True, 0x82, 0, None, b"\xc3\xbc", None),
    # MQTT5-3.1.2-19, and a password that is no text
    ({"user": b"u", "password": b"\0\xff"}, None, True, 0xC2, 0, None, b"u", b"\0\xff"),
    ({"user": "", "password": ""}, None, True, 0xC2, 0, None, b"", b""),
    # what 3.1.1 does not allow: 3.1.2.9
    ({"password": b"token"}, None, True, 0x42, 0, None, None, b"token"),
    # MQTT5-3.1.3-1: the order of everything
    (
        {"user": "u", "password": "p", "keepalive": 60},
        (b"w", b"gone", True, 1, {"will_delay_interval": 5, "content_type": "t"}),
        False,
        0xEC,
        60,
        ({"will_delay_interval": 5, "content_type": b"t"}, b"w", b"gone"),
        b"u",
        b"p",
    ),
)


def test_connect():
    """MQTT5-3.1.0-1: it is first. MQTT5-3.1.2-1, MQTT5-3.1.2-2: name MQTT, version 5."""

    def check(options, will, clean, flags, keep_alive, wanted, user, password):
        d = Driver5(**options)
        if will:
            d.client.set_last_will(*will)
        same(d.connect(clean), False)
        c = Connect(d.out())
        same((c.flags, c.keep_alive, c.client_id, c.more), (flags, keep_alive, b"c", []))
        same((c.will, c.user, c.password), (wanted, user, password))

    each(CONNECTS, check)


def test_exact_bytes():
    """Receive Maximum 16 and a Maximum Packet Size one below buffer_size, since there are servers
    that send one byte more; and with Clean Start 0 that the session never ends
    (X5-3.1.2.11.2-a: absent would be 0)."""
    d = Driver5("id", keepalive=60)
    d.connect(True)
    same(d.out(), wire("10| 'MQTT' 05 02 003C <21 0010 27 000001FF> 'id'"))
    d = Driver5("id", buffer_size=128)
    d.connect(False)
    same(d.out(), wire("10| 'MQTT' 05 00 0000 <11 FFFFFFFF 21 0010 27 0000007F> 'id'"))


# properties, clean, what CONNECT has
ASKED = (
    ({}, True, {"receive_maximum": 16, "maximum_packet_size": 511}),
    (
        {},
        False,
        {
            "receive_maximum": 16,
            "maximum_packet_size": 511,
            "session_expiry_interval": MOST4,
        },
    ),
    # MQTT5-3.1.2-23, X5-3.1.2.11.2-a
    (
        {"session_expiry_interval": 3600},
        True,
        {"receive_maximum": 16, "maximum_packet_size": 511, "session_expiry_interval": 3600},
    ),
    (
        {"session_expiry_interval": 0},
        False,
        {"receive_maximum": 16, "maximum_packet_size": 511, "session_expiry_interval": 0},
    ),
    (
        {"receive_maximum": 1, "maximum_packet_size": 100, "topic_alias_maximum": 2},
        True,
        {"receive_maximum": 1, "maximum_packet_size": 100, "topic_alias_maximum": 2},
    ),
    (
        {"request_problem_information": 0, "user_property": [("n", "v"), ("n", "w")]},
        True,
        {
            "receive_maximum": 16,
            "maximum_packet_size": 511,
            "request_problem_information": 0,
            "user_property": [(b"n", b"v"), (b"n", b"w")],
        },
    ),
    (
        {"user_property": [("n", "v" * 150)]},  # a property length of two bytes
        True,
        {
            "receive_maximum": 16,
            "maximum_packet_size": 511,
            "user_property": [(b"n", b"v" * 150)],
        },
    ),
)


def test_properties():
    """As a dict, and as the bytes of encode(): MQTT5-2.2.2-1, X5-3.1.2.11.3-a, X5-3.1.2.11.4-a."""

    def check(given, clean, wanted):
        for properties in (given, encode("CONNECT", given)):
            d = Driver5(properties=properties)
            for _ in range(2):
                d.connect(clean)
                same(Connect(d.out()).properties, wanted)

    each(ASKED, check)


def test_properties_of_the_will():
    """MQTT5-3.1.2-9, MQTT5-2.2.2-1: a zero length without any, in every order of the setters."""
    d = Driver5()
    d.client.set_last_will(b"w", b"x", properties={"message_expiry_interval": 7})
    d.connect()
    same(Connect(d.out()).will, ({"message_expiry_interval": 7}, b"w", b"x"))
    d.client.set_last_will(b"w", b"y")
    d.connect()
    same(Connect(d.out()).will, ({}, b"w", b"y"))
    with raises(ValueError):
        d.client.set_last_will(b"w", b"x", properties={"session_expiry_interval": 7})
    with raises(ValueError):
        d.client.set_last_will(b"w", b"x", properties={"response_topic": "a/+"})
    d.connect()
    same(Connect(d.out()).will, ({}, b"w", b"y"))


def test_client_id():
    """First in the payload, UTF-8, may be empty: MQTT5-3.1.3-3, MQTT5-3.1.3-4."""

    def check(client_id, wanted):
        d = Driver5(client_id)
        d.connect(True, connack("12 'z'") if not wanted else OK)
        same(Connect(d.out()).client_id, wanted)

    each(
        (
            ("\u00e9", b"\xc3\xa9"),
            (b"", b""),
            ("a" * 23, b"a" * 23),
            ("\ufeffx", b"\xef\xbb\xbfx"),
        ),
        check,
    )


def test_assigned_client_id():
    """MQTT5-3.1.3-7, MQTT5-3.2.2-16, MQTT5-3.1.3-2: it names the session from then on."""
    for clean in (True, False):
        d = Driver5("")
        d.connect(clean, connack("12 'given'"))
        same(d.client.client_id, b"given")
        d.connect(clean)
        same(Connect(d.out()).client_id, b"given")


def test_no_assigned_client_id():
    """E72: no lasting session without a name for it; a clean one does without. MQTT5-3.2.2-16"""
    d = Driver5("")
    d.connect(True)
    d.feed(publish(b"a", b"x"))
    same(len(d.got), 1)
    d = Driver5("")
    with raises(MQTTException, 0x82):
        d.connect(False)
    assert d.closed
    same(d.goodbye(), 0x82)


def test_another_client_id():
    """E73: an identifier for one who has one is passed over."""
    d = Driver5("mine")
    d.connect(True, connack("12 'given'"))
    same(d.client.client_id, b"mine")


BAD = (
    # MQTT5-1.5.4-1, MQTT5-1.5.4-2, MQTT5-3.1.3-4, MQTT5-3.1.3-12
    {"client_id": b"a\x00b"},
    {"client_id": b"\xed\xa0\x80"},
    {"user": b"a\x00b"},
    {"user": b"\xff"},
    {"keepalive": 65536},
    {"buffer_size": 10},
    {"version": 3},
    {"version": 6},
    # MQTT5-4.4.0-1: nothing is sent again on a live connection
    {"retry_ms": 1000},
    # X5-3.1.2.11.3-a, X5-3.1.2.11.4-a, X5-3.1.2.11.10-a
    {"properties": {"receive_maximum": 0}},
    {"properties": {"maximum_packet_size": 0}},
    {"properties": {"authentication_data": b"x"}},
    {"properties": {"will_delay_interval": 5}},
    {"properties": {"no_such_thing": 5}},
    {"properties": b"\x03\x21\x00"},
)


def test_wrong_arguments():
    """ValueError when the client is made; nothing can be sent then."""

    def check(options):
        with raises(ValueError):
            Driver5(**options)

    each([(options,) for options in BAD], check)


def test_wrong_wills():
    """MQTT5-3.1.2-12, MQTT5-3.1.3-11, MQTT5-3.3.2-2, MQTT5-4.7.0-1, MQTT5-4.7.3-1."""

    def check(*will):
        d = Driver5()
        with raises(ValueError):
            d.client.set_last_will(*will)
        d.connect()
        same(Connect(d.out()).will, None)

    each(
        (
            (b"w", b"", False, 3),
            (b"", b"x"),
            (b"a/+", b"x"),
            (b"#", b"x"),
            (b"a\x00b", b"x"),
            (b"\xed\xa0\x80", b"x"),
        ),
        check,
    )


def test_a_packet_size_that_does_not_fit():
    """What is announced must fit the buffer."""
    d = Driver5(properties={"maximum_packet_size": 513})
    with raises(ValueError):
        d.connect()
    same(d.links, 0)


def test_one_connect():
    """One CONNECT on a connection, and nothing before it: MQTT5-3.1.0-1, MQTT5-3.1.0-2."""
    d = Driver5()
    for _ in range(3):
        d.connect(False)
        d.accept(b"a", b"x")
        d.feed(publish(b"a", b"x", 1, 1))
        same([first for first, _ in parse(d.out())].count(0x10), 1)
    same(d.links, 3)


def test_silence():
    """E61v5, X5-3.2-a: no CONNACK by the deadline, closed."""

    def check(answer):
        d = Driver5()
        with raises(OSError, 110):
            d.connect(True, answer, timeout=5)
        assert d.closed
        same(Connect(d.out()).more, [])

    each(((b"",), (OK[:1],), (OK[:-1],), (connack("1F 'why'")[:-2],)), check)


def test_nothing_before_connack():
    """X5-3.1.4-a: whoever publishes waits, and what is in the table stays there."""
    d = Driver5()
    d.connect(False)
    d.accept(b"a", b"1")
    d.lose()
    d.out()
    d.later = [lambda d: same(Connect(d.out()).more, []), RESUMED]
    d.connect(False, b"", timeout=5)
    same(d.out(), publish(b"a", b"1", 1, 1, 8))


def test_refused_and_nothing_done():
    """MQTT5-3.1.4-6, MQTT5-3.2.2-6: the session is what it was before a refusal."""
    d = Driver5()
    d.connect(False)
    d.accept(b"a", b"1")
    d.feed(publish(b"b", b"2", 2, 7))
    d.lose()
    for code in (0x80, 0x87, 0x88, 0x97):
        with raises(MQTTException, code, "server"):
            d.connect(False, connack(code=code))
        same((d.tables, d.done, d.closed), ((1, 1), [], True))
        same(Connect(d.out()).more, [])
    d.connect(False, RESUMED)
    same(Connect(d.out()).more, [(0x3A, publish(b"a", b"1", 1, 1)[2:])])


def test_what_a_refusal_says():
    """args: code, "server", Reason String, Server Reference."""
    d = Driver5()
    with raises(MQTTException, 0x9D, "server", b"moved", b"h2:1884") as caught:
        d.connect(True, connack("1F 'moved' 1C 'h2:1884'", code=0x9D))
    text = str(caught.error)
    assert "server moved" in text and "h2:1884" in text and "moved" in text, text
    with raises(MQTTException, 0x87, "server", None, None):
        d.connect(True, connack(code=0x87))


def test_connack_lasts():
    """client.connack is of this connection: nothing of the last one is left."""
    d = Driver5()
    d.connect(False, connack("21 0005 22 0003 24 01 13 0009"))
    d.connect(False, RESUMED)
    same(decode(d.client.connack), {})
    same(d.accept(b"a", b"x", qos=2), 1)
    same(d.accept(b"a", b"x", retain=True), 2)
    d.feed(ack(0x40, 2))
    same(d.done, [2])
