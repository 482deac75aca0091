"""Properties by name: bytes, round trips, and what encode() refuses."""

from tests.vectors.packets5 import ALL, BACKWARDS, EVERYTHING, LONG, MESSAGE, REVERSED
from tests.vectors.violations5 import wire
from umqtt_plus.properties import decode, encode
from util import Skip, each, raises, same

MOST4 = 0xFFFFFFFF

# packet, properties, bytes, what decode() makes of them where it is not the same
GOOD = (
    # none of them: a zero length (MQTT5-2.2.2-1)
    ("PUBLISH", {}, "<>"),
    ("CONNECT", {}, "<>"),
    ("WILL", {}, "<>"),
    ("SUBSCRIBE", {}, "<>"),
    ("UNSUBSCRIBE", {}, "<>"),
    ("DISCONNECT", {}, "<>"),
    ("AUTH", {}, "<>"),
    ("PUBLISH", {"payload_format_indicator": 0}, "<01 00>"),
    ("PUBLISH", {"payload_format_indicator": 1}, "<01 01>"),
    ("PUBLISH", {"message_expiry_interval": 0}, "<02 00000000>"),
    ("PUBLISH", {"message_expiry_interval": 1}, "<02 00000001>"),
    ("PUBLISH", {"message_expiry_interval": MOST4}, "<02 FFFFFFFF>"),
    ("PUBLISH", {"content_type": b""}, "<03 ''>"),
    ("PUBLISH", {"content_type": b"text/plain"}, "<03 'text/plain'>"),
    ("PUBLISH", {"content_type": b"+/#"}, "<03 '+/#'>"),
    ("PUBLISH", {"content_type": b"\xef\xbb\xbf"}, "<03 0003 EFBBBF>"),
    ("PUBLISH", {"response_topic": b"a/b"}, "<08 'a/b'>"),
    ("PUBLISH", {"correlation_data": b""}, "<09 0000>"),
    ("PUBLISH", {"correlation_data": b"\x00\xff\xc0"}, "<09 0003 00FFC0>"),
    ("PUBLISH", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("PUBLISH", {"user_property": [(b"", b"")]}, "<26 '' ''>"),
    # in the order given, and the same name twice
    (
        "PUBLISH",
        {"user_property": [(b"n", b"2"), (b"m", b""), (b"n", b"1")]},
        "<26 'n' '2' 26 'm' '' 26 'n' '1'>",
    ),
    # lengths of one and of two bytes (MQTT5-1.5.5-1)
    ("PUBLISH", {"correlation_data": b"a" * 124}, f"<09 007C {'61' * 124}>"),
    ("PUBLISH", {"correlation_data": b"a" * 125}, f"<09 007D {'61' * 125}>"),
    ("PUBLISH", {"content_type": b"a" * 200}, f"<03 00C8 {LONG}>"),
    ("CONNECT", {"session_expiry_interval": 0}, "<11 00000000>"),
    ("CONNECT", {"session_expiry_interval": 3600}, "<11 00000E10>"),
    ("CONNECT", {"session_expiry_interval": MOST4}, "<11 FFFFFFFF>"),
    ("CONNECT", {"receive_maximum": 1}, "<21 0001>"),
    ("CONNECT", {"receive_maximum": 65535}, "<21 FFFF>"),
    ("CONNECT", {"maximum_packet_size": 1}, "<27 00000001>"),
    ("CONNECT", {"maximum_packet_size": MOST4}, "<27 FFFFFFFF>"),
    ("CONNECT", {"topic_alias_maximum": 0}, "<22 0000>"),
    ("CONNECT", {"topic_alias_maximum": 65535}, "<22 FFFF>"),
    ("CONNECT", {"request_response_information": 0}, "<19 00>"),
    ("CONNECT", {"request_response_information": 1}, "<19 01>"),
    ("CONNECT", {"request_problem_information": 0}, "<17 00>"),
    ("CONNECT", {"request_problem_information": 1}, "<17 01>"),
    ("CONNECT", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("WILL", {"will_delay_interval": 0}, "<18 00000000>"),
    ("WILL", {"will_delay_interval": MOST4}, "<18 FFFFFFFF>"),
    ("WILL", {"payload_format_indicator": 1, "message_expiry_interval": 5}, "<01 01 02 00000005>"),
    (
        "WILL",
        {"content_type": b"c", "response_topic": b"r", "correlation_data": b"d"},
        "<03 'c' 08 'r' 09 'd'>",
    ),
    ("WILL", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("SUBSCRIBE", {"subscription_identifier": 1}, "<0B 01>"),
    ("SUBSCRIBE", {"subscription_identifier": 127}, "<0B 7F>"),
    ("SUBSCRIBE", {"subscription_identifier": 128}, "<0B 8001>"),
    ("SUBSCRIBE", {"subscription_identifier": 16383}, "<0B FF7F>"),
    ("SUBSCRIBE", {"subscription_identifier": 16384}, "<0B 808001>"),
    ("SUBSCRIBE", {"subscription_identifier": 2097151}, "<0B FFFF7F>"),
    ("SUBSCRIBE", {"subscription_identifier": 2097152}, "<0B 80808001>"),
    ("SUBSCRIBE", {"subscription_identifier": 268435455}, "<0B FFFFFF7F>"),
    ("SUBSCRIBE", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("UNSUBSCRIBE", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("DISCONNECT", {"session_expiry_interval": 5}, "<11 00000005>"),
    ("DISCONNECT", {"reason_string": b"bye"}, "<1F 'bye'>"),
    ("DISCONNECT", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    ("AUTH", {"user_property": [(b"n", b"v")]}, "<26 'n' 'v'>"),
    # a str is as good, and comes back as bytes
    ("PUBLISH", {"content_type": "\u00e9"}, "<03 0002 C3A9>", {"content_type": b"\xc3\xa9"}),
    ("PUBLISH", {"response_topic": "a/b"}, "<08 'a/b'>", {"response_topic": b"a/b"}),
    ("PUBLISH", {"correlation_data": "x"}, "<09 'x'>", {"correlation_data": b"x"}),
    (
        "PUBLISH",
        {"user_property": [("n", "v"), (b"n", "w")]},
        "<26 'n' 'v' 26 'n' 'w'>",
        {"user_property": [(b"n", b"v"), (b"n", b"w")]},
    ),
)

# packet, properties that it must refuse
BAD = (
    ("PUBLISH", {"payload": 1}),
    ("PUBLISH", {"content_type": b"a", "Content_Type": b"a"}),
    ("PUBLISH", {"": b""}),
    # for another packet
    ("PUBLISH", {"will_delay_interval": 1}),
    ("PUBLISH", {"session_expiry_interval": 1}),
    ("PUBLISH", {"reason_string": b"a"}),
    # MQTT5-3.3.4-6: a client's PUBLISH has none
    ("PUBLISH", {"subscription_identifier": 1}),
    ("WILL", {"subscription_identifier": 1}),
    ("CONNECT", {"will_delay_interval": 1}),
    ("CONNECT", {"payload_format_indicator": 1}),
    ("CONNECT", {"reason_string": b"a"}),
    # only a server's
    ("CONNECT", {"assigned_client_identifier": b"a"}),
    ("CONNECT", {"server_keep_alive": 5}),
    ("CONNECT", {"maximum_qos": 1}),
    ("CONNECT", {"retain_available": 1}),
    ("DISCONNECT", {"server_reference": b"h"}),
    ("SUBSCRIBE", {"content_type": b"a"}),
    ("UNSUBSCRIBE", {"subscription_identifier": 1}),
    ("DISCONNECT", {"receive_maximum": 5}),
    # X5-3.1.2.11.10-a: data without a method; both come from set_auth()
    ("CONNECT", {"authentication_data": b"a"}),
    # out of range
    ("PUBLISH", {"payload_format_indicator": 2}),
    ("PUBLISH", {"payload_format_indicator": -1}),
    ("PUBLISH", {"message_expiry_interval": -1}),
    ("PUBLISH", {"message_expiry_interval": MOST4 + 1}),
    # X5-3.1.2.11.3-a, X5-3.1.2.11.4-a: not 0
    ("CONNECT", {"receive_maximum": 0}),
    ("CONNECT", {"receive_maximum": 65536}),
    ("CONNECT", {"maximum_packet_size": 0}),
    ("CONNECT", {"maximum_packet_size": MOST4 + 1}),
    ("CONNECT", {"topic_alias_maximum": 65536}),
    ("CONNECT", {"topic_alias_maximum": -1}),
    ("CONNECT", {"session_expiry_interval": MOST4 + 1}),
    ("CONNECT", {"request_problem_information": 2}),
    ("CONNECT", {"request_response_information": 2}),
    ("WILL", {"will_delay_interval": MOST4 + 1}),
    # X5-3.8.2.1.2-a
    ("SUBSCRIBE", {"subscription_identifier": 0}),
    ("SUBSCRIBE", {"subscription_identifier": 268435456}),
    ("SUBSCRIBE", {"subscription_identifier": [1, 2]}),
    # MQTT5-3.3.2-13, MQTT5-3.3.2-19, MQTT5-1.5.4-1, MQTT5-1.5.4-2, MQTT5-1.5.7-1: texts are UTF-8
    ("PUBLISH", {"response_topic": b"\xc0\x80"}),
    ("PUBLISH", {"response_topic": b"a\x00"}),
    ("PUBLISH", {"response_topic": b"\xed\xa0\x80"}),
    ("PUBLISH", {"content_type": b"\xff"}),
    ("PUBLISH", {"content_type": "a\x00b"}),
    ("PUBLISH", {"content_type": b"\xe2\x82"}),
    ("PUBLISH", {"user_property": [(b"n", b"\x80")]}),
    ("PUBLISH", {"user_property": [(b"\xc0\x80", b"v")]}),
    ("PUBLISH", {"user_property": [(b"n", "a\x00")]}),
    ("DISCONNECT", {"reason_string": b"\xc1\xbf"}),
    # MQTT5-3.3.2-14, MQTT5-4.7.0-1: no wildcards
    ("PUBLISH", {"response_topic": b"a/+"}),
    ("PUBLISH", {"response_topic": "#"}),
    ("WILL", {"response_topic": b"a/#"}),
    ("PUBLISH", {"response_topic": b""}),
    # another type
    ("PUBLISH", {"message_expiry_interval": "5"}),
    ("PUBLISH", {"message_expiry_interval": None}),
    ("PUBLISH", {"message_expiry_interval": b"5"}),
    ("PUBLISH", {"content_type": 5}),
    ("PUBLISH", {"correlation_data": 5}),
    ("PUBLISH", {"content_type": None}),
    ("PUBLISH", {"user_property": 5}),
    ("PUBLISH", {"user_property": [b"n"]}),
    ("PUBLISH", {"user_property": [(b"n", 5)]}),
    ("PUBLISH", {"user_property": [(b"n", b"v", b"w")]}),
)

SERVER = {
    "session_expiry_interval": 3600,
    "server_keep_alive": 60,
    "response_information": b"info",
    "server_reference": b"host",
    "reason_string": b"why",
    "receive_maximum": 10,
    "topic_alias_maximum": 5,
    "maximum_qos": 1,
    "retain_available": 0,
    "user_property": [(b"n", b"v")],
    "maximum_packet_size": 4096,
    "wildcard_subscription_available": 0,
    "subscription_identifier_available": 1,
    "shared_subscription_available": 0,
}
# properties as a server sends them, what decode() makes of them
FOREIGN = (
    ("", {}),
    (ALL, MESSAGE),
    (BACKWARDS, MESSAGE),
    (EVERYTHING, SERVER),
    (REVERSED, SERVER),
    ("0B 03", {"subscription_identifier": 3}),
    ("0B 03 0B 8001 0B 03", {"subscription_identifier": [3, 128, 3]}),
    ("12 'id' 15 'M' 16 'd'", None),
    ("23 0001", {"topic_alias": 1}),
)


def test_encode():
    each(GOOD, lambda packet, given, data, *_: same(encode(packet, given), wire(data)))


def test_round_trip():
    def check(packet, given, data, back=None):
        same(decode(encode(packet, given)), given if back is None else back)

    each(GOOD, check)


def test_together():
    """All properties of a packet in one, and decode() at another place of a buffer."""

    def check(packet):
        given = {}
        for name, properties, _, *back in GOOD:
            if name == packet:
                given.update(back[0] if back else properties)
        data = encode(packet, given)
        same(decode(data), given)
        same(decode(b"\xff\xff" + data + b"\xff", 2), given)

    each([("PUBLISH",), ("CONNECT",), ("WILL",), ("SUBSCRIBE",), ("DISCONNECT",)], check)


def test_refused():
    """encode() raises ValueError that names the property, and nothing else."""

    each(BAD, refused)


def refused(packet, properties):
    with raises(ValueError) as caught:
        encode(packet, properties)
    names = [name for name in properties if name in str(caught.error)]
    assert names, f"{caught.error} names nothing"


def test_no_such_packet():
    """The kinds are named, also when there is nothing to encode."""
    for packet in ("Publish", "PUBACK", "", None):
        for properties in ({}, {"content_type": "a"}):
            with raises(ValueError) as caught:
                encode(packet, properties)
            for name in ("PUBLISH", "WILL", "AUTH"):
                assert name in str(caught.error), caught.error


def test_too_long():
    """For two bytes of length: MQTT5-4.7.3-3."""
    try:
        long = b"a" * 65536
        refused("PUBLISH", {"response_topic": long})
        refused("PUBLISH", {"correlation_data": long})
        refused("PUBLISH", {"user_property": [(long, b"")]})
    except MemoryError:
        raise Skip("needs a larger heap") from None


def test_decode_what_servers_send():
    """In any order, with repetitions: X5-2.2.2.2-b."""

    def check(data, wanted):
        found = decode(wire(f"<{data}>"))
        if wanted is not None:
            same(found, wanted)
        else:
            same(
                found,
                {
                    "assigned_client_identifier": b"id",
                    "authentication_method": b"M",
                    "authentication_data": b"d",
                },
            )

    each(FOREIGN, check)


def test_longest():
    """Three bytes of length, and the longest text: MQTT5-1.5.5-1, MQTT5-4.7.3-3."""
    try:
        longest = b"a" * 65535
        data = encode("PUBLISH", {"content_type": longest})
        found = decode(data)
    except MemoryError:
        raise Skip("needs a larger heap") from None
    same(data[:6], b"\x82\x80\x04\x03\xff\xff")
    same(len(data), 3 + 3 + 65535)
    same(found, {"content_type": longest})
    data = encode("PUBLISH", {"correlation_data": b"a" * 16380})
    same(data[:4], b"\xff\x7f\x09\x3f")
    data = encode("PUBLISH", {"correlation_data": b"a" * 16381})
    same(data[:5], b"\x80\x80\x01\x09\x3f")
