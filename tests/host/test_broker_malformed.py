"""What a client may not send ends its connection, at the bundled broker and at Mosquitto.

A row is (name, bytes sent after CONNECT). Rows of STRICTER are things that Mosquitto survives:
the bundled broker is a witness for clients under test and lets nothing pass.
"""

import pytest
from peer import Peer, ack, connect, packet, publish, subscribe, text, unsubscribe
from test_broker_protocol import server_fixture  # noqa: F401
from umqtt_harness import packets

BAD_TEXT = [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80", b"\xe2\x82", b"a\0b"]

AFTER_CONNECT = [
    ("type 0", b"\x00\x00"),
    ("type 15", b"\xf0\x00"),
    ("second CONNECT", connect("again")),
    ("CONNACK", b"\x20\x02\x00\x00"),
    ("QoS 3", packet(0x36, text("a") + b"\0\1")),
    ("PUBLISH id 0", publish("a", b"", 1, packet_id=0)),
    ("PUBLISH without room for the id", packet(0x32, text("a") + b"\0")),
    ("PUBLISH topic runs over", packet(0x30, b"\0\5a")),
    ("empty topic", publish("", b"x")),
    ("+ in a topic", publish("a/+", b"")),
    ("# in a topic", publish("a/#", b"")),
    ("SUBSCRIBE flags 0", packet(0x80, b"\0\1" + text("a") + b"\0")),
    ("SUBSCRIBE id 0", subscribe(0, ("a", 0))),
    ("SUBSCRIBE without filter", packet(0x82, b"\0\1")),
    ("SUBSCRIBE without QoS", packet(0x82, b"\0\1" + text("a"))),
    ("SUBSCRIBE QoS 3", subscribe(1, ("a", 3))),
    ("SUBSCRIBE reserved bits", subscribe(1, ("a", 4))),
    ("SUBSCRIBE empty filter", subscribe(1, ("", 0))),
    ("SUBSCRIBE a#", subscribe(1, ("a#", 0))),
    ("SUBSCRIBE #/a", subscribe(1, ("#/a", 0))),
    ("SUBSCRIBE a+/b", subscribe(1, ("a+/b", 0))),
    ("UNSUBSCRIBE flags 0", packet(0xA0, b"\0\1" + text("a"))),
    ("UNSUBSCRIBE id 0", unsubscribe(0, "a")),
    ("UNSUBSCRIBE without filter", packet(0xA2, b"\0\1")),
    ("PUBREL flags 0", packet(0x60, b"\0\1")),
    ("PUBACK id 0", ack(0x40, 0)),
    ("PUBACK cut", packet(0x40, b"\0")),
    ("remaining length of 5 bytes", b"\x30\xff\xff\xff\xff\x01"),
    *[(f"topic {bad.hex()}", publish(bad)) for bad in BAD_TEXT],
    *[(f"filter {bad.hex()}", subscribe(1, (bad, 0))) for bad in BAD_TEXT],
]

STRICTER = [
    ("PINGRESP", b"\xd0\x00"),
    ("UNSUBACK", b"\xb0\x02\x00\x01"),
    ("SUBACK", b"\x90\x03\x00\x01\x00"),
    ("DUP with QoS 0", b"\x38\x03\x00\x01a"),
    ("remaining length that goes on after 4 bytes", b"\x30\xff\xff\xff\xff"),
    ("remaining length not the shortest", b"\xc0\x80\x00"),
    ("PINGREQ flags", b"\xc1\x00"),
    ("PINGREQ with a body", b"\xc0\x01\x00"),
    ("DISCONNECT flags", b"\xe1\x00"),
    ("DISCONNECT with a body", b"\xe0\x01\x00"),
    ("PUBACK flags", packet(0x41, b"\0\1")),
    ("PUBACK too long", packet(0x40, b"\0\1\0")),
    ("PUBREC id 0", ack(0x50, 0)),
    ("PUBREL id 0", ack(0x62, 0)),
    ("PUBREL too long", packet(0x62, b"\0\1\0")),
]

INSTEAD_OF_CONNECT = [
    ("PUBLISH first", publish("a")),
    ("PINGREQ first", b"\xc0\x00"),
    ("DISCONNECT first", b"\xe0\x00"),
    ("protocol name", connect("c", name="MQTX")),
    ("reserved flag", connect("c", flags=1)),
    ("will QoS 3", connect("c", will=("a", b"", 3, 0))),
    ("will retain without a will", connect("c", flags=0x20)),
    ("will QoS without a will", connect("c", flags=0x08)),
    ("password without a user", connect("c", password="x")),
    ("will topic with a wildcard", connect("c", will=("a/#", b"", 0, 0))),
    ("will topic empty", connect("c", will=("", b"", 0, 0))),
    ("cut inside the client id", packet(0x10, connect("client")[2:-2])),
    ("left-over bytes", packet(0x10, connect("c")[2:] + b"x")),
    ("CONNECT flags", b"\x11" + connect("c")[1:]),
    *[(f"client id {bad.hex()}", connect(bad)) for bad in BAD_TEXT],
]


def _ids(rows):
    return [name for name, _ in rows]


@pytest.mark.parametrize("name, data", AFTER_CONNECT, ids=_ids(AFTER_CONNECT))
def test_after_connect(server, name, data):
    with Peer.online(server) as peer:
        peer.send(data)
        peer.expect_eof()
        _blames(server, peer.client_id)


@pytest.mark.parametrize("name, data", STRICTER, ids=_ids(STRICTER))
def test_stricter(broker, name, data):
    with Peer.online(broker) as peer:
        peer.send(data)
        peer.expect_eof()
        assert len(broker.violations) == 1


@pytest.mark.parametrize("name, data", INSTEAD_OF_CONNECT, ids=_ids(INSTEAD_OF_CONNECT))
def test_instead_of_connect(server, name, data):
    with Peer(server) as peer:
        peer.send(data)
        if server.broker:
            peer.expect_eof()
            return
        # Mosquitto may refuse with a code first; what counts is that it lets nobody in.
        try:
            answer = peer.receive()
        except (EOFError, ConnectionError):
            return
        assert answer.type == "CONNACK" and answer.body[1] != 0
        peer.expect_eof()


@pytest.mark.parametrize(
    "qos, wrong",
    [(1, 0x50), (1, 0x70), (2, 0x40), (2, 0x70)],
    ids=["PUBREC for 1", "PUBCOMP for 1", "PUBACK for 2", "PUBCOMP for 2"],
)
def test_acknowledgement_of_the_wrong_kind(server, qos, wrong):
    with Peer.online(server) as peer:
        topic = f"wrong/{peer.client_id}"
        peer.subscribe((topic, 2))
        with Peer.online(server) as pub:
            pub.publish(topic, b"m", qos)
        got = peer.expect_message(topic, b"m", qos, acknowledge=False)
        peer.send(ack(wrong, got.packet_id))
        peer.expect_eof()
        _blames(server, peer.client_id)


def test_qos_1_with_an_id_that_is_open_for_qos_2(broker):
    with Peer.online(broker) as peer:
        peer.send(publish("a", b"m", 2, packet_id=5))
        peer.expect("PUBREC", packet_id=5)
        peer.send(publish("a", b"m", 1, packet_id=5))
        peer.expect_eof()
        assert broker.messages("a") == []


def test_every_change_of_one_byte_parses_or_is_malformed():
    legal = [
        connect("client", True, 60, ("will", b"gone", 1, True), "user", "password"),
        publish("a/b", b"m", 2, True, 513, True),
        subscribe(513, ("a/+", 1), ("#", 2)),
        unsubscribe(513, "a/+", "#"),
        ack(0x62, 513),
    ]
    parsed = malformed = 0
    for raw in legal:
        for at in range(len(raw)):
            for byte in range(256):
                changed = raw[:at] + bytes((byte,)) + raw[at + 1 :]
                try:
                    for whole, body in packets.Framer(1 << 20).feed(changed):
                        parsed += packets.parse(whole, body).type in packets.NAMES
                except packets.Malformed:
                    malformed += 1
    assert parsed > 1000 and malformed > 1000


def _blames(server, client_id):
    if server.broker:
        server.broker.wait_gone(client_id)
        assert [v for v in server.broker.violations if v.startswith(client_id + ":")]


SURVIVED = [
    ("PUBACK unknown", [ack(0x40, 77)], "PUBACK for packet id 77"),
    ("PUBCOMP unknown", [ack(0x70, 77)], "PUBCOMP for packet id 77"),
    ("PUBREC unknown", [ack(0x50, 77)], "PUBREC for packet id 77"),
    (
        "QoS 2 repeated without DUP",
        [publish("a", b"m", 2, packet_id=5), publish("a", b"m", 2, packet_id=5)],
        "without DUP",
    ),
    (
        "QoS 2 id reused",
        [publish("a", b"m", 2, packet_id=5), publish("a", b"other", 2, packet_id=5)],
        "reused",
    ),
    (
        "SUBSCRIBE with an open id",
        [publish("a", b"m", 2, packet_id=5), subscribe(5, ("a", 0))],
        "SUBSCRIBE with id 5",
    ),
]


@pytest.mark.parametrize("name, data, text", SURVIVED, ids=[row[0] for row in SURVIVED])
def test_noted_but_survived(broker, name, data, text):
    with Peer.online(broker) as peer:
        for piece in data:
            peer.send(piece)
        peer.send(b"\xc0\x00")
        while peer.receive().type != "PINGRESP":
            pass
        assert [v for v in broker.violations if text in v], broker.violations
        assert len(broker.violations) == 1


def test_acks_out_of_order_are_noted(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("a", 1))
        for _ in range(2):
            broker.publish("a", b"m", 1)
        ids = [peer.expect("PUBLISH").packet_id for _ in range(2)]
        peer.send(ack(0x40, ids[1]), ack(0x40, ids[0]))
        peer.quiet()
        assert broker.violations == [
            f"{peer.client_id}: PUBACK for id {ids[1]} before the one for id {ids[0]}"
        ]


def test_bytes_after_disconnect_are_noted(broker):
    with Peer.online(broker) as peer:
        peer.send(b"\xe0\x00\xc0\x00")
        peer.expect_eof()
        assert broker.violations == [f"{peer.client_id}: bytes after DISCONNECT"]
