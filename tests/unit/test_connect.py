"""CONNECT byte by byte, and what may not stand in it."""

from driver import Driver, parse
from util import Skip, each, raises, same

NAME = b"\x00\x04MQTT\x04"
WILL = (b"w", b"gone", False, 0)
NO_ID = b"\x00\x01c"
Q = (b"\x00\x01w\x00\x04gone",)

# options, will, clean, what follows the protocol level
CONNECTS = (
    # MQTT-3.1.2-3, MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-15, MQTT-3.1.2-18, MQTT-3.1.2-20
    ({}, None, True, b"\x02\x00\x00" + NO_ID),
    ({}, None, False, b"\x00\x00\x00" + NO_ID),  # MQTT-3.1.2-4
    ({"keepalive": 65535}, None, True, b"\x02\xff\xff" + NO_ID),
    ({"keepalive": 258}, None, True, b"\x02\x01\x02" + NO_ID),
    # MQTT-3.1.2-9, MQTT-3.1.2-14
    ({}, WILL, True, b"\x06\x00\x00" + NO_ID + Q[0]),
    ({}, (b"w", b"gone", False, 1), True, b"\x0e\x00\x00" + NO_ID + Q[0]),
    ({}, (b"w", b"gone", False, 2), True, b"\x16\x00\x00" + NO_ID + Q[0]),
    ({}, (b"w", b"gone", True, 0), True, b"\x26\x00\x00" + NO_ID + Q[0]),
    ({}, (b"w", b"gone", True, 2), True, b"\x36\x00\x00" + NO_ID + Q[0]),
    ({}, (b"w", b"", True, 0), True, b"\x26\x00\x00" + NO_ID + b"\x00\x01w\x00\x00"),
    # the will's message is binary, its topic text: MQTT-3.1.3-10
    ({}, ("\u00e9", b"\x00\xff", False, 0), True, b"\x06\0\0" + NO_ID + b"\0\2\xc3\xa9\0\2\0\xff"),
    # MQTT-3.1.2-19, MQTT-3.1.3-11
    ({"user": "u"}, None, True, b"\x82\x00\x00" + NO_ID + b"\x00\x01u"),
    ({"user": ""}, None, True, b"\x82\x00\x00" + NO_ID + b"\x00\x00"),
    ({"user": "\u00fc"}, None, True, b"\x82\x00\x00" + NO_ID + b"\x00\x02\xc3\xbc"),
    # MQTT-3.1.2-21, and a password that is no text
    ({"user": b"u", "password": b"\0\xff"}, None, True, b"\xc2\0\0" + NO_ID + b"\0\1u\0\2\0\xff"),
    ({"user": "", "password": ""}, None, True, b"\xc2\0\0" + NO_ID + b"\0\0\0\0"),
    # the order of everything: MQTT-3.1.3-1
    (
        {"user": "u", "password": "p", "keepalive": 60},
        (b"w", b"gone", True, 1),
        False,
        b"\xec\x00\x3c" + NO_ID + Q[0] + b"\x00\x01u\x00\x01p",
    ),
)


def test_connect_bytes():
    """MQTT-3.1.2-1, MQTT-3.1.2-2: the name is MQTT, the level 4. MQTT-3.1.0-1: it is first."""

    def check(options, will, clean, rest):
        d = Driver(**options)
        if will:
            d.client.set_last_will(*will)
        same(d.connect(clean), False)
        body = NAME + rest
        same(d.out(), bytes((0x10, len(body))) + body)

    each(CONNECTS, check)


def test_client_id():
    """First in the payload, UTF-8, may be empty: MQTT-3.1.3-3, MQTT-3.1.3-4."""

    def check(client_id, field):
        d = Driver(client_id)
        d.connect()
        same(d.out(), bytes((0x10, 10 + len(field))) + NAME + b"\x02\x00\x00" + field)

    each(
        (
            ("\u00e9", b"\x00\x02\xc3\xa9"),
            (b"", b"\x00\x00"),
            ("", b"\x00\x00"),
            ("a" * 23, b"\x00\x17" + b"a" * 23),
            ("\ufeffx", b"\x00\x04\xef\xbb\xbfx"),  # MQTT-1.5.3-3
        ),
        check,
    )


def test_empty_client_id_needs_a_clean_session():
    """MQTT-3.1.3-7: no connection is even opened."""
    d = Driver("")
    with raises(ValueError):
        d.connect(False)
    same(d.links, 0)


def test_long_connect():
    """A remaining length of two and of three bytes."""

    def check(size, n, head):
        d = Driver("i" * n, buffer_size=size)
        d.connect()
        out = d.out()
        same(out[: len(head)], head)
        same(len(out), len(head) + 12 + n)
        same(len(parse(out)), 1)

    each(
        (
            (512, 115, b"\x10\x7f"),
            (512, 116, b"\x10\x80\x01"),
            (512, 800, b"\x10\xac\x06"),
        ),
        check,
    )
    with raises(ValueError):
        Driver("i" * 300, buffer_size=64)  # would not fit the buffers


def test_very_long_connect():
    """A remaining length of three bytes; fields of more than 65535 bytes: MQTT-4.7.3-3."""

    def check(n, head):
        d = Driver("i" * n, buffer_size=8300)
        d.connect()
        same(d.out()[: len(head)], head)

    try:
        each(((16371, b"\x10\xff\x7f"), (16372, b"\x10\x80\x80\x01")), check)
        long = bytes(65536)
        for options in ({"client_id": long}, {"user": long}, {"user": "u", "password": long}):
            with raises(ValueError):
                Driver(**options)
        d = Driver()
        for will in ((long, b""), (b"w", long)):
            with raises(ValueError):
                d.client.set_last_will(*will)
    except MemoryError:
        raise Skip("needs a larger heap") from None


BAD = (
    # MQTT-1.5.3-1, MQTT-1.5.3-2
    {"client_id": b"a\x00b"},
    {"client_id": b"\xed\xa0\x80"},
    {"client_id": b"\xc3"},
    {"user": b"a\x00b"},
    {"user": b"\xff"},
    {"password": b"p"},  # MQTT-3.1.2-22
    {"keepalive": 65536},
    {"keepalive": -1},
    {"buffer_size": 10},
    {"inflight": -1},
    {"version": 3},
)


def test_wrong_arguments():
    """ValueError when the client is made; nothing can be sent then."""

    def check(options):
        with raises(ValueError):
            Driver(**options)

    each([(options,) for options in BAD], check)


def test_wrong_wills():
    """MQTT-3.1.2-14, MQTT-3.1.3-10, MQTT-3.3.2-2, MQTT-4.7.1-1, MQTT-4.7.3-1."""

    def check(*will):
        d = Driver()
        with raises(ValueError):
            d.client.set_last_will(*will)
        d.connect()
        same(d.out()[9], 2)  # no will

    each(
        (
            (b"w", b"", False, 3),
            (b"w", b"", False, -1),
            (b"", b"x"),
            (b"a/+", b"x"),
            (b"#", b"x"),
            (b"a\x00b", b"x"),
            (b"\xed\xa0\x80", b"x"),
        ),
        check,
    )
