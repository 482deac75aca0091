"""Eight faults that other clients hang on, crash on or lose messages by, each in a heap of 40 KB
(48 with set_stream).

Modules are compiled as for a board; the 64-bit port's objects are twice as large as a board's.
"""

import pytest
from umqtt_harness.scripted import accept, close, expect, expect_type, send, wait_eof

SMALL = {"mpy": True, "heapsize": "40k"}
STREAM = {"mpy": True, "heapsize": "48k"}  # the module for it takes 4 KB more
ACCEPTED = b"\x20\x02\x00\x00"
CONNECT = [expect_type("CONNECT"), send(ACCEPTED)]

RECEIVE = """
    c = client(buffer_size=128, inflight=2)
    c.set_callback(lambda topic, msg: print("message", topic, len(msg)))
    {before}
    c.connect()
    print(error(c.wait_msg, 5000))
    print(c.sock)
"""


def publish(topic, payload, first=0x30, packet_id=b""):
    body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
    length, n = b"", len(body)
    while True:
        n, low = divmod(n, 128)
        length += bytes((low | 128 * bool(n),))
        if not n:
            return bytes((first,)) + length + body


def test_a_length_of_six_continuation_bytes(scripted, run):
    """E10: closed at the fourth byte, with an error that says who is wrong."""
    server = scripted([*CONNECT, send(b"\x30\xff\xff\xff\xff\xff\xff\x01"), wait_eof()])
    lines = run(server, RECEIVE.format(before=""), **SMALL)
    assert lines == ["MQTTException 130", "None"]


def test_a_packet_of_200_mb_is_announced(scripted, run):
    """E15, MQTT-4.8.0-2: nothing is allocated by what the server says."""
    server = scripted([*CONNECT, send(b"\x30\x80\x84\xaf\x5f\x00\x01t" + bytes(600)), wait_eof()])
    lines = run(server, RECEIVE.format(before=""), **SMALL)
    assert lines == ["MQTTException 149", "None"]


def test_a_packet_of_200_mb_is_streamed(scripted, run):
    """With set_stream() it is taken as it comes; a link lost in it is an OSError (E16)."""
    head = b"\x30\x80\x84\xaf\x5f\x00\x01t"
    server = scripted([*CONNECT, send(head + bytes(300_000)), close()])
    lines = run(
        server,
        """
        c = client(buffer_size=128, inflight=2)
        got = 0
        def piece(m):
            global got
            if m.offset != got:
                print("offset", m.offset, "is not", got)
            got += len(m)
        c.set_stream(piece)
        c.connect()
        while True:
            result = error(c.wait_msg, 5000)
            if result != "none: True":
                break
        print(result, got, c.sock)
        """,
        **STREAM,
    )
    assert lines == ["OSError 104 300000 None"]


def test_8_kb_in_a_small_heap_closes(scripted, run):
    """E15: without set_stream() closed with a clear error, and no phantom messages."""
    steps = [*CONNECT, send(publish(b"t", bytes(range(48, 58)) * 820)), wait_eof()]
    assert run(scripted(steps), RECEIVE.format(before=""), **SMALL) == [
        "MQTTException 149",
        "None",
    ]


def test_8_kb_in_a_small_heap_in_pieces(scripted, run):
    """With set_stream(): every QoS in constant RAM, acknowledged when the last piece is there."""
    body = bytes(i % 251 for i in range(8192))
    server = scripted(
        [
            *CONNECT,
            send(publish(b"t", body) + publish(b"t", body, 0x32, b"\x00\x05")),
            expect(b"\x40\x02\x00\x05"),
            send(publish(b"t", body, 0x34, b"\x00\x06") + publish(b"u", b"small")),
            expect(b"\x50\x02\x00\x06"),
            send(publish(b"t", body, 0x3C, b"\x00\x06") + b"\x62\x02\x00\x06"),
            expect(b"\x50\x02\x00\x06" + b"\x70\x02\x00\x06"),
            close(),
        ]
    )
    lines = run(
        server,
        """
        c = client(buffer_size=128, inflight=2)
        buf = bytearray(256)
        wrong = 0
        def piece(m):
            global wrong
            for i in range(m.payload_into(buf)):
                if buf[i] != (m.offset + i) % 251:
                    wrong += 1
            if m.offset + len(m) == m.total:
                print("whole", m.qos, m.total, wrong)
        c.set_stream(piece)
        c.set_callback(print)
        c.connect()
        for i in range(9999):
            if error(c.wait_msg, 5000) != "none: True":
                break
        """,
        **STREAM,
    )
    assert lines == ["whole 0 8192 0", "whole 1 8192 0", "whole 2 8192 0", "b'u' b'small'"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_publish_is_never_answered(broker, run, qos):
    """Raises at the deadline; the message stays in the table and goes out again (MQTT-4.4.0-1)."""
    broker.drop("PUBACK" if qos == 1 else "PUBREC")
    lines = run(
        broker,
        f"""
        c = connected(clean=False, buffer_size=128, inflight=2)
        t = ticks_ms()
        print(error(c.publish, "t", "m", qos={qos}, timeout_ms=300))
        print(300 <= ticks_diff(ticks_ms(), t) < 5000, c.stats()["in_flight"])
        c.publish("t", "next")
        c.connect(False)
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
        **SMALL,
    )
    assert lines == ["OSError 110", "True 1"]
    first, again = broker.packets(direction="in", type="PUBLISH", qos=qos)
    assert again.dup and again.packet_id == first.packet_id and again.connection == 2
    assert broker.packets(direction="in", type="PUBLISH", payload="next")[0].connection == 1


def test_a_ping_is_never_answered(broker, run):
    """X311-3.1.2.10-a, MQTT-3.12.4-1: the dead link is noticed within 1.5 x keep alive."""
    broker.drop("PINGRESP", count=None)
    lines = run(
        broker,
        """
        c = connected(keepalive=2, buffer_size=128, inflight=2)
        t = ticks_ms()
        print(error(c.wait_msg))
        t = ticks_diff(ticks_ms(), t)
        print(1000 <= t <= 6000 or t, c.sock)
        """,
        **SMALL,
    )
    assert lines == ["OSError 110", "True None"]
    assert broker.packets(type="PINGREQ")


def test_qos_2_exactly_once(scripted, run):
    """MQTT-4.3.3-2: repeated before PUBREL, on this link and the next: handed over once."""
    first = publish(b"t", b"m", 0x34, b"\x00\x07")
    again = publish(b"t", b"m", 0x3C, b"\x00\x07")
    server = scripted(
        [
            *CONNECT,
            send(first),
            expect(b"\x50\x02\x00\x07"),
            send(again),
            expect(b"\x50\x02\x00\x07"),
            close(),
            accept(),
            expect_type("CONNECT"),
            send(b"\x20\x02\x01\x00" + again),
            expect(b"\x50\x02\x00\x07"),
            send(b"\x62\x02\x00\x07"),
            expect(b"\x70\x02\x00\x07"),
            send(first),
            expect(b"\x50\x02\x00\x07"),
            send(b"\x62\x02\x00\x07"),
            expect(b"\x70\x02\x00\x07"),
            close(),
        ]
    )
    lines = run(
        server,
        """
        c = client(buffer_size=128, inflight=2)
        c.set_callback(print)
        for _ in range(2):
            c.connect(False)
            for _ in range(9):
                if error(c.wait_msg, 5000)[:4] != "none":
                    break
            print(c.stats()["duplicates_dropped"])
        """,
        **SMALL,
    )
    assert lines == ["b't' b'm'", "1", "b't' b'm'", "2"]


def test_a_refused_filter(broker, run):
    """MQTT-3.8.4-5: 0x80 concerns that filter; the link stays."""
    broker.subscribe_result([0x80])
    broker.subscribe_result([1, 0x80, 0])
    lines = run(
        broker,
        """
        c = connected(buffer_size=128, inflight=2)
        print(error(c.subscribe, "no"))
        print(c.subscribe([("a", 1), ("b", 2), "c"]))
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
        **SMALL,
    )
    assert lines == ["MQTTException 128", r"b'\x01\x80\x00'"]
    assert len(broker.packets(type="CONNECT")) == 1
    assert len(broker.messages("t")) == 1


def test_a_puback_for_an_unknown_id(scripted, run):
    """E42: ignored and counted."""
    server = scripted(
        [
            *CONNECT,
            expect(b"\x32\x06\x00\x01t\x00\x01m"),
            send(b"\x40\x02\x12\x34" + b"\x40\x02\x00\x01"),
            send(b"\x40\x02\x00\x01"),
            expect(b"\x32\x06\x00\x01t\x00\x02n"),
            send(b"\x40\x02\x00\x02"),
            expect(b"\xe0\x00"),
            wait_eof(),
        ]
    )
    lines = run(
        server,
        """
        c = connected(buffer_size=128, inflight=2)
        print(c.publish("t", "m", qos=1))
        print(c.publish("t", "n", qos=1))
        print(c.stats()["acks_ignored"])
        c.disconnect()
        """,
        **SMALL,
    )
    assert lines == ["1", "2", "2"]
