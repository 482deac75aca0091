"""Exact bytes on a socket: what the client writes, and that it closes where it must."""

import pytest
from umqtt_harness.scripted import accept, close, expect, expect_type, send, wait_eof

CONNECT = bytes.fromhex("10 0d 00 04 4d 51 54 54 04 02 00 00 00 01 63")
CONNECT_KEPT = bytes.fromhex("10 0d 00 04 4d 51 54 54 04 00 00 00 00 01 63")
ACCEPTED = b"\x20\x02\x00\x00"
PRESENT = b"\x20\x02\x01\x00"

CONNECTS = [
    # MQTT-3.1.2-1, MQTT-3.1.2-3, MQTT-3.1.2-11, MQTT-3.1.2-13, MQTT-3.1.2-15, MQTT-3.1.2-18
    ("client()", True, "10 0d 0004 4d515454 04 02 0000 0001 63"),
    ("client(keepalive=65535)", True, "10 0d 0004 4d515454 04 02 ffff 0001 63"),
    ("client()", False, "10 0d 0004 4d515454 04 00 0000 0001 63"),
    # MQTT-3.1.3-3
    ("client('')", True, "10 0c 0004 4d515454 04 02 0000 0000"),
    # MQTT-3.1.3-4
    ("client('\u00e9')", True, "10 0e 0004 4d515454 04 02 0000 0002 c3a9"),
    # MQTT-3.1.2-19, MQTT-3.1.2-20
    ("client(user='')", True, "10 0f 0004 4d515454 04 82 0000 0001 63 0000"),
    ("client(user='u')", True, "10 10 0004 4d515454 04 82 0000 0001 63 0001 75"),
    # MQTT-3.1.2-21, MQTT-3.1.3-11
    (
        "client(user='\u00fc', password=b'\\x00\\xff')",
        True,
        "10 15 0004 4d515454 04 c2 0000 0001 63 0002 c3bc 0002 00ff",
    ),
    ("client(user='u', password='')", True, "10 12 0004 4d515454 04 c2 0000 0001 63 0001 75 0000"),
    # MQTT-3.1.2-9, MQTT-3.1.2-14: will QoS 0, 1, 2, retained, empty
    ("will(client(), 't', 'm')", True, "10 13 0004 4d515454 04 06 0000 0001 63 0001 74 0001 6d"),
    (
        "will(client(), 't', 'm', False, 1)",
        True,
        "10 13 0004 4d515454 04 0e 0000 0001 63 0001 74 0001 6d",
    ),
    (
        "will(client(), 't', '', True, 2)",
        True,
        "10 12 0004 4d515454 04 36 0000 0001 63 0001 74 0000",
    ),
    # MQTT-3.1.3-1: the order of the payload
    (
        "will(client('c', user='u', password='p', keepalive=258), 't', 'm', True)",
        False,
        "10 19 0004 4d515454 04 e4 0102 0001 63 0001 74 0001 6d 0001 75 0001 70",
    ),
]


@pytest.mark.parametrize(("text", "clean", "wanted"), CONNECTS)
def test_connect(scripted, run, text, clean, wanted):
    """CONNECT is the first packet (MQTT-3.1.0-1) and the only one; E0 00 is the last."""
    server = scripted(
        [expect(bytes.fromhex(wanted)), send(ACCEPTED), expect(b"\xe0\x00"), wait_eof()]
    )
    run(
        server,
        f"""
        def will(c, *args):
            c.set_last_will(*args)
            return c
        c = {text}
        c.connect({clean})
        c.disconnect()
        """,
    )


def test_every_packet(scripted, run):
    """First bytes and ids of all that is sent (MQTT-2.2.2-1, MQTT-2.3.1-1, MQTT-2.3.1-5,
    MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.6.1-1); one write for each packet."""
    server = scripted(
        [
            expect(CONNECT),
            send(ACCEPTED),
            expect(bytes.fromhex("30 05 0001 61 7879")),
            expect(bytes.fromhex("31 03 0001 61")),
            expect(bytes.fromhex("32 06 0001 61 0001 78")),
            send(bytes.fromhex("40 02 0001")),
            expect(bytes.fromhex("33 06 0001 61 0002 78")),
            send(bytes.fromhex("40 02 0002")),
            expect(bytes.fromhex("34 06 0001 61 0003 78")),
            send(bytes.fromhex("50 02 0003")),
            expect(bytes.fromhex("62 02 0003")),
            send(bytes.fromhex("70 02 0003")),
            expect(bytes.fromhex("82 06 0004 0001 61 01")),
            send(bytes.fromhex("90 03 0004 01")),
            expect(bytes.fromhex("82 0b 0005 0001 61 02 0002 622f 00")),
            send(bytes.fromhex("90 04 0005 02 00")),
            expect(bytes.fromhex("a2 05 0006 0001 61")),
            send(bytes.fromhex("b0 02 0006")),
            expect(bytes.fromhex("a2 08 0007 0001 61 0001 62")),
            send(bytes.fromhex("b0 02 0007")),
            expect(bytes.fromhex("c0 00")),
            send(bytes.fromhex("d0 00")),
            expect(bytes.fromhex("e0 00")),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = connected()
        print(c.publish("a", "xy"), c.publish("a", "", True))
        print(c.publish("a", "x", qos=1), c.publish("a", "x", True, 1), c.publish("a", "x", qos=2))
        print(c.subscribe("a", 1), c.subscribe([("a", 2), "b/"]))
        print(c.unsubscribe("a"), c.unsubscribe(["a", "b"]))
        c.ping()
        c.wait_msg(2000)
        c.disconnect()
        """,
    )
    assert lines[:2] == ["-1 -1", "1 2 3"]
    assert lines[2].startswith("1 b'")


def test_every_reply(scripted, run):
    """MQTT-3.3.4-1, MQTT-2.3.1-6; replies in the order of the messages (MQTT-4.6.0-2, -3)."""
    server = scripted(
        [
            expect(CONNECT),
            send(ACCEPTED + bytes.fromhex("30 03 0001 61  32 06 0001 61 abcd 78")),
            expect(bytes.fromhex("40 02 abcd")),
            send(bytes.fromhex("34 06 0001 61 abcd 79")),
            expect(bytes.fromhex("50 02 abcd")),
            send(bytes.fromhex("62 02 abcd  62 02 0bad  50 02 0bad")),
            expect(bytes.fromhex("70 02 abcd  70 02 0bad  62 02 0bad")),
            send(bytes.fromhex("32 05 0001 61 0005  34 05 0001 61 0002  32 05 0001 61 0009")),
            send(bytes.fromhex("34 05 0001 61 0001")),
            expect(bytes.fromhex("40 02 0005  50 02 0002  40 02 0009  50 02 0001")),
            send(bytes.fromhex("d0 00  70 02 0777  40 02 0777")),
            send(bytes.fromhex("32 05 0001 7a 000a")),
            expect(bytes.fromhex("40 02 000a")),
            close(),
        ]
    )
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        c.connect()
        while error(c.wait_msg, 3000) == "none: True":
            pass
        """,
    )
    assert lines == [f"b'a' {p!r}" for p in (b"", b"x", b"y", b"", b"", b"", b"")] + ["b'z' b''"]


BEFORE_CONNACK = [
    ("30 04 0001 61 78", "E60, MQTT-3.2.0-1"),
    ("d0 00", "E60"),
    ("90 03 0001 00", "E60"),
    ("20 02 02 00", "E63, X311-3.2.2.1-a"),
    ("20 02 01 00", "E64, MQTT-3.2.2-1"),
    ("20 02 00 06", "E68, MQTT-3.2.2-6"),
    ("20 02 00 ff", "E68"),
    ("20 03 00 00 00", "E12"),
    ("21 02 00 00", "E04"),
]


@pytest.mark.parametrize(("packet", "case"), BEFORE_CONNACK)
def test_closes_before_connack(scripted, run, packet, case):
    """MQTT-4.8.0-1: connect() fails with 0x82, nothing is handed over, nothing more is sent."""
    server = scripted([expect(CONNECT), send(bytes.fromhex(packet)), wait_eof()])
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        print(error(c.connect), c.sock)
        """,
    )
    assert lines == ["MQTTException 130 None"]


VIOLATIONS = [
    ("00 00", "E01, X311-2.1-a"),
    ("f0 00", "E02"),
    ("10 0d 0004 4d515454 04 02 0000 0001 63", "E03"),
    ("c0 00", "E03"),
    ("e0 00", "E03"),
    ("41 02 0001", "E04, MQTT-2.2.2-2"),
    ("d1 00", "E04"),
    ("60 02 0001", "E05, MQTT-3.6.1-1"),
    ("36 07 0001 61 0001 7879", "E08, MQTT-3.3.1-4"),
    ("38 04 0001 61 78", "E09, MQTT-3.3.1-2"),
    ("30 ff ff ff ff 01", "E10, X311-2.2.3-a"),
    ("d0 01 00", "E12, X311-2.2-a"),
    ("30 03 0005 61", "E13"),
    ("62 03 0001 00", "E14"),
    ("30 05 0002 c080 78", "E20, MQTT-1.5.3-1"),
    ("30 05 0003 610062", "E21, MQTT-1.5.3-2"),
    ("30 05 0003 eda080", "E22"),
    ("30 05 0003 612f2b", "E25, MQTT-3.3.2-2"),
    ("30 02 0000", "E26, MQTT-4.7.3-1"),
    ("32 05 0001 61 0000", "E40, MQTT-2.3.1-4"),
    ("40 02 0000", "E41"),
    ("90 03 0001 00", "E53"),
    ("b0 02 0001", "E53"),
    ("20 02 00 00", "E62"),
]


@pytest.mark.parametrize(("packet", "case"), VIOLATIONS)
def test_closes_on_a_violation(scripted, run, packet, case):
    """MQTT-4.8.0-1, X311-3.14-a: closed without DISCONNECT; the message before counts, what is
    behind does not; the next connect() works and resends what was open."""
    server = scripted(
        [
            expect(CONNECT_KEPT),
            send(ACCEPTED),
            expect(bytes.fromhex("32 06 0001 74 0001 6d")),
            send(bytes.fromhex("30 04 0001 61 31" + packet + "30 04 0001 61 32")),
            wait_eof(),
            accept(),
            expect(CONNECT_KEPT),
            send(PRESENT),
            expect(bytes.fromhex("3a 06 0001 74 0001 6d")),
            send(bytes.fromhex("40 02 0001")),
            expect(b"\xe0\x00"),
        ]
    )
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        c.connect(False)
        c.publish_nowait("t", "m", qos=1)
        result = "none"
        while result[:4] == "none":
            result = error(c.wait_msg, 3000)
        print(result, c.sock, error(c.publish, "t", "m"))
        print(c.connect(False))
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
    )
    assert lines == ["b'a' b'1'", "MQTTException 130 None OSError 107", "True"]


SUBACKS = [
    ("90 02 0001", "E55"),
    ("90 03 0001 03", "E56, MQTT-3.9.3-2"),
    ("90 03 0001 7f", "E56"),
    ("90 04 0001 00 00", "E54, MQTT-3.8.4-5"),
    ("90 03 0002 00", "E53, MQTT-3.8.4-2"),
    ("b0 02 0001", "E53"),
    ("b0 03 0001 00", "E58"),
]


@pytest.mark.parametrize(("packet", "case"), SUBACKS)
def test_bad_suback(scripted, run, packet, case):
    server = scripted(
        [
            expect(CONNECT),
            send(ACCEPTED),
            expect_type("SUBSCRIBE"),
            send(bytes.fromhex(packet)),
            wait_eof(),
        ]
    )
    lines = run(server, 'c = connected()\nprint(error(c.subscribe, "a"), c.sock)')
    assert lines == ["MQTTException 130 None"]


WRONG_ACKS = [
    (1, "50 02 0001", "E46"),
    (1, "70 02 0001", "E46"),
    (2, "40 02 0001", "E46"),
    (2, "70 02 0001", "E47"),
]


@pytest.mark.parametrize(("qos", "answer", "case"), WRONG_ACKS)
def test_the_wrong_ack(scripted, run, qos, answer, case):
    """The message stays in the table."""
    server = scripted(
        [
            expect(CONNECT),
            send(ACCEPTED),
            expect_type("PUBLISH"),
            send(bytes.fromhex(answer)),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        f"""
        c = connected()
        print(error(c.publish, "a", "x", qos={qos}), c.sock, c.stats()["in_flight"])
        """,
    )
    assert lines == ["MQTTException 130 None 1"]


def test_a_second_pubrec(scripted, run):
    """E48: PUBREL again; and only PUBREL after the next connect() (MQTT-4.3.3-1)."""
    server = scripted(
        [
            expect(CONNECT_KEPT),
            send(ACCEPTED),
            expect(bytes.fromhex("34 06 0001 61 0001 78")),
            send(bytes.fromhex("50 02 0001")),
            expect(bytes.fromhex("62 02 0001")),
            send(bytes.fromhex("50 02 0001")),
            expect(bytes.fromhex("62 02 0001")),
            close("rst"),
            accept(),
            expect(CONNECT_KEPT),
            send(PRESENT),
            expect(bytes.fromhex("62 02 0001")),
            send(bytes.fromhex("70 02 0001")),
            expect(bytes.fromhex("34 06 0001 61 0002 79")),
            send(bytes.fromhex("50 02 0002")),
            expect(bytes.fromhex("62 02 0002")),
            send(bytes.fromhex("70 02 0002")),
            expect(b"\xe0\x00"),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = client()
        c.connect(False)
        print(error(c.publish, "a", "x", qos=2)[:7])
        c.connect(False)
        print(c.publish("a", "y", qos=2))
        c.disconnect()
        """,
    )
    assert lines == ["OSError", "2"]


def test_end_of_stream_within_a_packet(scripted, run):
    """E16: no violation but a lost link; the half message is not handed over."""
    server = scripted([expect(CONNECT), send(ACCEPTED + b"\x32\x09\x00\x01a\x00\x01xy"), close()])
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        c.connect()
        print(error(c.wait_msg, 3000)[:7], c.sock)
        """,
    )
    assert lines == ["OSError None"]


def test_a_message_before_its_suback(scripted, run):
    """X311-3.8.4-a, E57: delivered, and subscribe() returns what was granted."""
    server = scripted(
        [
            expect(CONNECT),
            send(ACCEPTED),
            expect_type("SUBSCRIBE"),
            send(bytes.fromhex("30 04 0001 61 78  90 03 0001 02"), pieces=1),
            expect(b"\xe0\x00"),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = client()
        c.set_callback(print)
        c.connect()
        print(c.subscribe("a"))
        c.disconnect()
        """,
    )
    assert lines == ["b'a' b'x'", "2"]


def test_nothing_behind_disconnect(scripted, run):
    """MQTT-3.14.4-2: acks that were due are before E0 00 or never."""
    server = scripted(
        [
            expect_type("CONNECT"),
            send(ACCEPTED),
            expect(bytes.fromhex("32 06 0001 61 0001 78")),
            send(bytes.fromhex("32 05 0001 61 0001 50 02 0099 d0 00")),
            expect(b"\xe0\x00"),
            wait_eof(),
        ]
    )
    run(
        server,
        """
        c = connected(keepalive=1)
        c.publish_nowait("a", "x", qos=1)
        c.disconnect()
        """,
    )
