"""What a 5.0 client may not send brings the reason code that the standard names, and the end.

A row is (name, bytes, code). Where the standard names no code, 0x81 is for what cannot be read
and 0x82 for what can be read but is not allowed. The same bytes go to Mosquitto; where 2.0.11
does something else, MOSQUITTO says what: another code, EOF for hanging up without a word,
LENIENT for carrying on. A newer one may also do what the row says.
"""

import pytest
from peer import packet, text
from peer5 import (
    ALIAS,
    ALIAS_MAXIMUM,
    AUTH_DATA,
    AUTH_METHOD,
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FORMAT,
    IDENTIFIER,
    MAXIMUM_PACKET,
    MAXIMUM_QOS,
    PROBLEM_INFO,
    REASON,
    RECEIVE_MAXIMUM,
    RESPONSE_INFO,
    RESPONSE_TOPIC,
    SERVER_KEEP_ALIVE,
    SERVER_REFERENCE,
    SESSION_EXPIRY,
    USER,
    WILL_DELAY,
    Peer5,
    ack,
    auth,
    connect,
    disconnect,
    props,
    publish,
    subscribe,
    unsubscribe,
)  # fmt: skip
from test_broker_protocol import server_fixture  # noqa: F401
from umqtt_harness import packets, packets5

EOF, LENIENT = "eof", "lenient"
BAD_TEXT = [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80", b"\xe2\x82", b"a\0b"]


def pub(*pairs, topic="t", qos=0):
    return publish(topic, b"m", qos, False, 1, False, *pairs)


def sub(*filters):
    return subscribe(1, *filters)


def raw_pub(properties):
    return packet(0x30, text("t") + properties)


FRAMING = [
    ("type 0", b"\x00\x00", 0x81),
    ("second CONNECT", connect("again"), 0x82),
    ("second CONNECT of 3.1.1", b"\x10\x0d\0\4MQTT\4\2\0\0\0\1c", 0x82),
    ("CONNACK", b"\x20\x03\0\0\0", 0x82),
    ("SUBACK", b"\x90\x04\0\1\0\0", 0x82),
    ("UNSUBACK", b"\xb0\x04\0\1\0\0", 0x82),
    ("PINGRESP", b"\xd0\x00", 0x82),
    ("QoS 3", packet(0x36, text("t") + b"\0\1\0"), 0x81),
    ("DUP with QoS 0", packet(0x38, text("t") + b"\0"), 0x82),
    ("PUBACK flags", packet(0x41, b"\0\1"), 0x81),
    ("PUBREL flags", packet(0x60, b"\0\1"), 0x81),
    ("SUBSCRIBE flags", b"\x80" + sub(("t", 0))[1:], 0x81),
    ("UNSUBSCRIBE flags", b"\xa0" + unsubscribe(1, "t")[1:], 0x81),
    ("PINGREQ flags", b"\xc1\x00", 0x81),
    ("PINGREQ with a body", b"\xc0\x01\x00", 0x81),
    ("DISCONNECT flags", b"\xe1\x00", 0x81),
    ("AUTH flags", b"\xf1\x00", 0x81),
    ("remaining length of 5 bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
    ("remaining length not the shortest", b"\xc0\x80\x00", 0x81),
]
PUBLISH = [
    ("id 0", publish("t", b"", 1, False, 0), 0x82),
    ("no room for the id", packet(0x32, text("t") + b"\0"), 0x81),
    ("no property length", packet(0x30, text("t")), 0x81),
    ("topic runs over", packet(0x30, b"\0\5t"), 0x81),
    ("no topic and no alias", pub(topic=""), 0x82),
    ("+ in the topic", pub(topic="a/+"), 0x82),
    ("# in the topic", pub(topic="a/#"), 0x82),
    *[(f"topic {bad.hex()}", pub(topic=bad), 0x81) for bad in BAD_TEXT],
    ("property length runs over", raw_pub(b"\x05\x01\x00"), 0x81),
    ("property length not the shortest", raw_pub(b"\x80\x00"), 0x81),
    ("property length of 5 bytes", raw_pub(b"\x80\x80\x80\x80\x01"), 0x81),
    ("property cut", raw_pub(b"\x03\x02\x00\x00"), 0x81),
    ("string runs over the property length", raw_pub(b"\x04\x03\x00\x02ab"), 0x81),
    ("unknown property 00", raw_pub(b"\x02\x00\x00"), 0x81),
    ("unknown property 04", raw_pub(b"\x02\x04\x00"), 0x81),
    ("unknown property 7f", raw_pub(b"\x02\x7f\x00"), 0x81),
    ("unknown property of two bytes", raw_pub(b"\x03\x81\x01\x00"), 0x81),
    ("misplaced property", pub((SESSION_EXPIRY, 1)), 0x81),
    ("will delay", pub((WILL_DELAY, 1)), 0x81),
    ("reason string", pub((REASON, "r")), 0x81),
    ("format twice", pub((FORMAT, 1), (FORMAT, 1)), 0x82),
    ("expiry twice", pub((EXPIRY, 1), (EXPIRY, 1)), 0x82),
    ("content type twice", pub((CONTENT_TYPE, "a"), (CONTENT_TYPE, "a")), 0x82),
    ("response topic twice", pub((RESPONSE_TOPIC, "a"), (RESPONSE_TOPIC, "a")), 0x82),
    ("correlation twice", pub((CORRELATION, "a"), (CORRELATION, "a")), 0x82),
    ("format 2", pub((FORMAT, 2)), 0x82),
    ("alias 0", pub((ALIAS, 0)), 0x94),
    ("alias above the maximum", pub((ALIAS, 11)), 0x94),
    ("wildcard in the response topic", pub((RESPONSE_TOPIC, "a/+")), 0x82),
    ("empty response topic", pub((RESPONSE_TOPIC, "")), 0x82),
    ("subscription identifier", pub((IDENTIFIER, 1)), 0x82),
    ("subscription identifier 0", pub((IDENTIFIER, 0)), 0x82),
    ("user property not UTF-8", pub((USER, (b"\xff", "v"))), 0x81),
    ("user value not UTF-8", pub((USER, ("k", b"\xff"))), 0x81),
    ("content type not UTF-8", pub((CONTENT_TYPE, b"\xc0\x80")), 0x81),
    ("response topic not UTF-8", pub((RESPONSE_TOPIC, b"\xed\xa0\x80")), 0x81),
    ("payload not the UTF-8 it claims", raw_pub(props((FORMAT, 1)) + b"\xff"), 0x99),
]
SUBSCRIBE = [
    ("id 0", subscribe(0, ("t", 0)), 0x82),
    ("no filter", sub(), 0x82),
    ("no options", packet(0x82, b"\0\1\0" + text("t")), 0x81),
    ("no property length", packet(0x82, b"\0\1"), 0x81),
    ("QoS 3", sub(("t", 3)), 0x82),
    ("reserved bits", sub(("t", 0x40)), 0x81),
    ("retain handling 3", sub(("t", 0x30)), 0x82),
    ("empty filter", sub(("", 0)), 0x81),
    ("a#", sub(("a#", 0)), 0x81),
    ("#/a", sub(("#/a", 0)), 0x81),
    ("a+/b", sub(("a+/b", 0)), 0x81),
    ("identifier 0", subscribe(1, ("t", 0), properties=[(IDENTIFIER, 0)]), 0x82),
    (
        "identifier twice",
        subscribe(1, ("t", 0), properties=[(IDENTIFIER, 1), (IDENTIFIER, 2)]),
        0x82,
    ),
    (
        "identifier of 5 bytes",
        subscribe(1, ("t", 0), properties=[(IDENTIFIER, b"\x80\x80\x80\x80\x01")]),
        0x81,
    ),
    ("misplaced property", subscribe(1, ("t", 0), properties=[(EXPIRY, 1)]), 0x81),
    ("no local on a shared one", sub(("$share/g/t", 4)), 0x82),
    ("shared without a group", sub(("$share//t", 0)), 0x82),
    ("shared without a filter", sub(("$share/g/", 0)), 0x82),
    ("shared without the second slash", sub(("$share/g", 0)), 0x82),
    ("wildcard in the group", sub(("$share/+/t", 0)), 0x82),
    *[(f"filter {bad.hex()}", sub((bad, 0)), 0x81) for bad in BAD_TEXT],
]
UNSUBSCRIBE = [
    ("id 0", unsubscribe(0, "t"), 0x82),
    ("no filter", unsubscribe(1), 0x82),
    ("no property length", packet(0xA2, b"\0\1"), 0x81),
    ("misplaced property", unsubscribe(1, "t", properties=[(IDENTIFIER, 1)]), 0x81),
    ("a#", unsubscribe(1, "a#"), 0x81),
]
ACKS = [
    ("PUBACK id 0", ack(0x40, 0), 0x82),
    ("PUBACK cut", packet(0x40, b"\0"), 0x81),
    ("PUBACK property length runs over", packet(0x40, b"\0\1\0\5"), 0x81),
    ("PUBACK left-over bytes", packet(0x40, b"\0\1\0\0\0"), 0x81),
    ("PUBACK unknown code", ack(0x40, 1, 0x7F), 0x82),
    ("PUBACK code of the server", ack(0x40, 1, 0x10), 0x82),
    ("PUBACK code of another packet", ack(0x40, 1, 0x92), 0x82),
    ("PUBACK reason string twice", ack(0x40, 1, 0, (REASON, "a"), (REASON, "b")), 0x82),
    ("PUBACK misplaced property", ack(0x40, 1, 0, (EXPIRY, 1)), 0x81),
    ("PUBREC unknown code", ack(0x50, 1, 0x11), 0x82),
    ("PUBREL id 0", ack(0x62, 0), 0x82),
    ("PUBREL unknown code", ack(0x62, 1, 0x80), 0x82),
    ("PUBCOMP unknown code", ack(0x70, 1, 0x10), 0x82),
    ("PUBCOMP id 0", ack(0x70, 0), 0x82),
]
DISCONNECT = [
    ("code of the server", disconnect(0x8E), 0x82),
    ("unknown code", disconnect(0x01), 0x82),
    ("left-over bytes", packet(0xE0, b"\0\0\0"), 0x81),
    ("misplaced property", disconnect(0, (RECEIVE_MAXIMUM, 1)), 0x81),
    ("server reference", disconnect(0, (SERVER_REFERENCE, "x")), 0x82),
    ("expiry twice", disconnect(0, (SESSION_EXPIRY, 0), (SESSION_EXPIRY, 0)), 0x82),
    ("expiry where CONNECT had none", disconnect(0, (SESSION_EXPIRY, 9)), 0x82),
]
AUTH = [
    ("without a method in CONNECT", auth(0x18, (AUTH_METHOD, "M")), 0x82),
    ("re-authentication without one", auth(0x19, (AUTH_METHOD, "M")), 0x82),
    ("without a method in AUTH", b"\xf0\x00", 0x82),
]
AFTER_CONNECT = [
    (group + name, data, code)
    for group, rows in (
        ("", FRAMING), ("PUBLISH: ", PUBLISH), ("SUBSCRIBE: ", SUBSCRIBE), ("", ACKS),
        ("UNSUBSCRIBE: ", UNSUBSCRIBE), ("DISCONNECT: ", DISCONNECT), ("AUTH: ", AUTH),
    )
    for name, data, code in rows
]  # fmt: skip


def con(*pairs, **options):
    return connect("c", True, 0, *pairs, **options)


def will(*pairs, topic="w", qos=0, **options):
    return con(will=(topic, b"m", qos, False), will_props=pairs, **options)


INSTEAD_OF_CONNECT = [
    ("reserved flag", con(flags=1), 0x81),
    ("will QoS 3", will(qos=3), 0x81),
    ("will retain without a will", con(flags=0x20), 0x81),
    ("will QoS without a will", con(flags=0x08), 0x81),
    ("property length runs over", con(raw_props=b"\x05\x11"), 0x81),
    ("no room for properties", packet(0x10, connect("c")[2:12]), 0x81),
    ("left-over bytes", packet(0x10, con()[2:] + b"x"), 0x81),
    ("cut inside the client id", packet(0x10, connect("client")[2:-2]), 0x81),
    ("unknown property", con(raw_props=b"\x02\x7f\x00"), 0x81),
    ("misplaced property", con((EXPIRY, 1)), 0x81),
    ("will delay outside the will", con((WILL_DELAY, 1)), 0x81),
    ("property of CONNACK", con((MAXIMUM_QOS, 1)), 0x81),
    ("server keep alive", con((SERVER_KEEP_ALIVE, 1)), 0x81),
    ("session expiry twice", con((SESSION_EXPIRY, 1), (SESSION_EXPIRY, 1)), 0x82),
    ("receive maximum 0", con((RECEIVE_MAXIMUM, 0)), 0x82),
    ("receive maximum twice", con((RECEIVE_MAXIMUM, 1), (RECEIVE_MAXIMUM, 1)), 0x82),
    ("maximum packet size 0", con((MAXIMUM_PACKET, 0)), 0x82),
    ("maximum packet size twice", con((MAXIMUM_PACKET, 9), (MAXIMUM_PACKET, 9)), 0x82),
    ("alias maximum twice", con((ALIAS_MAXIMUM, 1), (ALIAS_MAXIMUM, 1)), 0x82),
    ("request problem information 2", con((PROBLEM_INFO, 2)), 0x82),
    ("request response information 2", con((RESPONSE_INFO, 2)), 0x82),
    ("authentication data without a method", con((AUTH_DATA, b"x")), 0x82),
    ("method twice", con((AUTH_METHOD, "a"), (AUTH_METHOD, "a")), 0x82),
    ("user property not UTF-8", con((USER, (b"\xff", "v"))), 0x81),
    ("will: misplaced property", will((SESSION_EXPIRY, 1)), 0x81),
    ("will: alias", will((ALIAS, 1)), 0x81),
    ("will: delay twice", will((WILL_DELAY, 1), (WILL_DELAY, 1)), 0x82),
    ("will: format 2", will((FORMAT, 2)), 0x82),
    ("will: wildcard in the response topic", will((RESPONSE_TOPIC, "#")), 0x82),
    ("will: wildcard in the topic", will(topic="w/#"), 0x82),
    ("will: empty topic", will(topic=""), 0x82),
    *[(f"client id {bad.hex()}", connect(bad), 0x81) for bad in BAD_TEXT],
]


MOSQUITTO = {
    **dict.fromkeys((
        "SUBACK", "UNSUBACK", "PINGRESP", "DUP with QoS 0", "PUBACK flags", "PINGREQ flags",
        "PINGREQ with a body", "remaining length not the shortest", "PUBLISH: format 2",
        "PUBLISH: wildcard in the response topic", "PUBLISH: empty response topic",
        "PUBLISH: subscription identifier", "PUBLISH: subscription identifier 0",
        "PUBLISH: payload not the UTF-8 it claims", "SUBSCRIBE: no local on a shared one",
        "SUBSCRIBE: shared without a group", "SUBSCRIBE: shared without a filter",
        "SUBSCRIBE: shared without the second slash", "SUBSCRIBE: wildcard in the group",
        "PUBACK left-over bytes", "PUBACK unknown code", "PUBACK code of the server",
        "PUBACK code of another packet", "PUBREC unknown code", "PUBREL unknown code",
        "PUBCOMP unknown code", "authentication data without a method", "will: format 2",
        "will: wildcard in the response topic",
    ), LENIENT),
    **dict.fromkeys((
        "second CONNECT", "second CONNECT of 3.1.1", "CONNACK", "PUBREL flags",
        "DISCONNECT flags", "AUTH flags", "remaining length of 5 bytes", "PUBLISH: format twice",
        "PUBLISH: expiry twice", "PUBLISH: content type twice", "PUBLISH: response topic twice",
        "PUBLISH: correlation twice", "PUBLISH: user property not UTF-8",
        "PUBLISH: user value not UTF-8", "PUBLISH: content type not UTF-8",
        "PUBLISH: response topic not UTF-8", "SUBSCRIBE: identifier twice", "PUBACK id 0",
        "PUBACK cut", "PUBACK property length runs over", "PUBACK reason string twice",
        "PUBACK misplaced property", "PUBREL id 0", "PUBCOMP id 0",
        *(name for name, _, _ in AFTER_CONNECT if name.startswith(("DISCONNECT: ", "AUTH: "))),
    ), EOF),
    "type 0": 0x82,
    "PUBLISH: alias 0": 0x81,
    "SUBSCRIBE: id 0": 0x81,
    "SUBSCRIBE: no filter": 0x81,
    "SUBSCRIBE: QoS 3": 0x81,
    "SUBSCRIBE: retain handling 3": 0x81,
    "SUBSCRIBE: identifier 0": 0x81,
    "UNSUBSCRIBE: id 0": 0x81,
    "UNSUBSCRIBE: no filter": 0x81,
}  # fmt: skip


def _rows(rows):
    return [pytest.param(name, data, code, id=name) for name, data, code in rows]


def _reaction(peer, data, lenient):
    """What a server does about it: a reason code, EOF or LENIENT."""
    # A ping behind it only where it is answered: unread bytes turn the server's FIN into a reset.
    peer.send(data + (b"\xc0\x00" if lenient else b""))
    code = EOF
    try:
        while True:
            got = peer.receive()
            if got.type == "PINGRESP":
                return LENIENT
            if got.type in ("CONNACK", "DISCONNECT"):
                code = got.code
            if got.type == "CONNACK" and code == 0:
                assert lenient, "it let us in"
    except (EOFError, ConnectionError):
        return code


@pytest.mark.parametrize("name, data, code", _rows(AFTER_CONNECT))
def test_after_connect(server, name, data, code):
    with Peer5.online(server) as peer:
        if server.broker is None:
            seen = MOSQUITTO.get(name, code)
            assert _reaction(peer, data, seen == LENIENT) in (seen, code)
            return
        assert _reaction(peer, data, False) == code
        server.broker.wait_gone(peer.client_id)
        blamed = [v for v in server.broker.violations if v.startswith(peer.client_id + ":")]
        assert len(blamed) == 1
        assert server.broker.packets(client_id=peer.client_id, type="MALFORMED")[-1].note


@pytest.mark.parametrize("name, data, code", _rows(INSTEAD_OF_CONNECT))
def test_instead_of_connect(server, name, data, code):
    """The bundled broker says why in a CONNACK; Mosquitto mostly hangs up without a word."""
    with Peer5(server) as peer:
        if server.broker is None:
            seen = MOSQUITTO.get(name, EOF)
            assert _reaction(peer, data, seen == LENIENT) in (seen, code)
        else:
            assert _reaction(peer, data, False) == code


def test_every_name_in_the_table_of_mosquitto_is_a_row():
    names = {row[0] for row in (*AFTER_CONNECT, *INSTEAD_OF_CONNECT)}
    assert set(MOSQUITTO) <= names


def test_every_change_of_one_byte_parses_or_is_malformed():
    """No byte makes the parser fail in another way, and what it says has a reason code."""
    message = [(FORMAT, 1), (EXPIRY, 9), (RESPONSE_TOPIC, "r"), (USER, ("k", "v")), (ALIAS, 1)]
    legal = [
        connect(
            "client", True, 60, (SESSION_EXPIRY, 5), (AUTH_METHOD, "M"), (AUTH_DATA, b"d"),
            will=("will", b"gone", 1, True), will_props=[(WILL_DELAY, 3)], user="u", password="p",
        ),
        publish("a/b", b"m", 2, True, 513, True, *message),
        subscribe(513, ("a/+", 1), ("$share/g/#", 2), properties=[(IDENTIFIER, 300)]),
        unsubscribe(513, "a/+", properties=[(USER, ("k", "v"))]),
        ack(0x62, 513, 0x92, (REASON, "why")),
        disconnect(4, (SESSION_EXPIRY, 1), (REASON, "why")),
        auth(0x18, (AUTH_METHOD, "M"), (AUTH_DATA, b"d")),
    ]  # fmt: skip
    parsed = malformed = 0
    for raw in legal:
        for at in range(len(raw)):
            for byte in range(256):
                changed = raw[:at] + bytes((byte,)) + raw[at + 1 :]
                framer = packets.Framer(1 << 20)
                framer.level = 5
                try:
                    for whole, body in framer.feed(changed):
                        parsed += packets5.parse(whole, body).type in packets.NAMES
                except packets.Malformed as error:
                    malformed += 1
                    assert error.code in (0x81, 0x82, 0x94, 0x95)
    assert parsed > 1000 and malformed > 1000
