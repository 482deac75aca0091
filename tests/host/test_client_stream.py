"""Messages larger than RAM, both ways, in a heap of 64 KB and through small socket buffers."""

import hashlib

import pytest
from umqtt_harness.broker import Fault

SMALL = {"mpy": True, "heapsize": "64k"}
SIZE = (1 << 20) - 5


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_a_megabyte(broker_factory, run, qos):
    """In constant RAM, by partial writes; other messages go before and after."""
    broker = broker_factory(receive_buffer=4096)
    lines = run(
        broker,
        f"""
    import binascii, hashlib
    done = []
    c = connected(buffer_size=1024, keepalive=5)
    c.on_published(done.append)
    c.publish("t", "before", qos=1)
    sha = hashlib.sha256()
    def source(buf, offset):
        n = min(len(buf) - offset % 3, {SIZE} - offset)  # seldom the whole buffer
        for i in range(0, n, 16):
            buf[i] = (offset + i) // 5 & 255
        sha.update(memoryview(buf)[:n])
        return n
    print(c.publish_stream("big", {SIZE}, source, False, {qos}))
    c.publish("t", "after", qos=1)
    c.disconnect()
    print(binascii.hexlify(sha.digest()).decode())
    """,
        **SMALL,
    )
    (message,) = broker.messages("big")
    assert (len(message.payload), message.qos) == (SIZE, qos)
    assert hashlib.sha256(message.payload).hexdigest() == lines[1]
    assert lines[0] == ("2" if qos else "-1")
    assert [m.payload for m in broker.messages("t")] == [b"before", b"after"]


@pytest.mark.parametrize("qos", [1, 2])
def test_publish_stream_again_after_a_cut(broker_factory, run, qos):
    """The source is asked from 0 again; same id, DUP (MQTT-3.3.1-1); done once (QoS 2)."""
    broker = broker_factory()
    broker.fault(Fault("kill", "PUBACK" if qos == 1 else "PUBREC", at=0))
    lines = run(
        broker,
        f"""
        asked = []
        def source(buf, offset):
            if not offset:
                asked.append(1)
            for i in range(len(buf)):
                buf[i] = offset + i & 255
            return len(buf)
        c = connected(clean=False)
        print(error(c.publish_stream, "big", 100000, source, qos={qos})[:7])
        print(c.connect(False), c.stats()["in_flight"])
        until(c, lambda: not c.stats()["in_flight"])
        c.publish("t", "after", qos=1)
        print(len(asked))
        c.disconnect()
        """,
        **SMALL,
    )
    assert lines == ["OSError", "True 1", "2"]
    data = (bytes(range(256)) * 391)[:100000]
    sent = broker.packets(direction="in", type="PUBLISH", topic="big")
    assert [(e.packet_id, e.dup, e.payload == data) for e in sent] == [
        (1, False, True),
        (1, True, True),
    ]
    assert len(broker.messages("big")) == (1 if qos == 2 else 2)


def test_cut_within_a_streamed_packet(broker_factory, program):
    """The link dies in its midst: OSError; QoS 2 goes out again after connect()."""
    broker = broker_factory(receive_buffer=4096)
    child = program(
        broker,
        """
        def source(buf, offset):
            if offset > 50000 and not c.stats()["connects"] > 1 and not told:
                told.append(1)
                print("half")
                go()
            return len(buf)
        told = []
        c = connected(clean=False)
        print(error(c.publish_stream, "big", 500000, source, qos=2)[:7], c.sock)
        print(c.connect(False))
        until(c, lambda: not c.stats()["in_flight"])
        c.disconnect()
        """,
        **SMALL,
    )
    child.expect("half")
    broker.kill("c")
    child.send_line("")
    assert child.wait(30).stdout.splitlines()[-2:] == ["OSError None", "True"]
    (message,) = broker.messages("big")
    assert len(message.payload) == 500000


@pytest.mark.parametrize("qos", [0, 1])
def test_the_source_ends_early(broker, run, qos):
    """The packet cannot be finished: closed, and the error says so."""
    lines = run(
        broker,
        f"""
        def source(buf, offset):
            return 0 if offset > 3000 else len(buf)
        c = connected()
        print(error(c.publish_stream, "t", 10000, source, qos={qos}), c.sock)
        c.connect()
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
    )
    assert len(lines) == 1
    assert lines[0].startswith("ValueError publish_stream") and lines[0].endswith("None")
    assert [m.payload for m in broker.messages("t")] == [b"m"]


def test_the_source_fails(broker, run):
    lines = run(
        broker,
        """
        def source(buf, offset):
            if offset > 3000:
                raise OSError(5)
            return len(buf)
        c = connected()
        print(error(c.publish_stream, "t", 10000, source), c.sock)
        c.connect()
        c.publish("t", "m", qos=1)
        c.disconnect()
        """,
    )
    assert lines == ["OSError 5 None"]
    assert [m.payload for m in broker.messages("t")] == [b"m"]


def test_a_source_that_fills_more_than_is_left(broker, run):
    """length is what counts."""
    run(
        broker,
        """
        def source(buf, offset):
            for i in range(len(buf)):
                buf[i] = 65
            return len(buf)
        c = connected(buffer_size=64)
        for qos in (0, 1, 2):
            for length in (1, 63, 64, 65, 1000):
                c.publish_stream("t", length, source, qos=qos)
        c.disconnect()
        """,
    )
    wanted = [b"A" * n for n in (1, 63, 64, 65, 1000)] * 3
    assert [m.payload for m in broker.messages("t")] == wanted


RECEIVE = """
    import binascii, hashlib
    c = client(buffer_size=512)
    buf = bytearray(2048)
    mv = memoryview(buf)
    at = 0
    whole = 0
    sha = None
    def piece(m):
        global at, sha, whole
        if not m.offset:
            sha = hashlib.sha256()
            at = 0
            print("begins", m.topic, m.total, m.qos)
        if m.offset != at:
            print("offset", m.offset, "is not", at)
        n = m.payload_into(buf)
        if n != len(m):
            print("length", n, len(m))
        at += n
        sha.update(mv[:n])
        if at == m.total:
            whole += 1
            print("whole", binascii.hexlify(sha.digest()).decode())
    c.set_stream(piece)
    last = None
    def small(topic, msg):
        global last
        last = msg
        print("small", topic, msg)
    c.set_callback(small)
    c.connect(False)
    c.subscribe("#", 2)
    print("ready")
"""


@pytest.mark.parametrize("pieces", [0, 1000, 7])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_receive_300_kb(broker, program, qos, pieces):
    """Every byte once, in pieces no larger than the buffer; small ones before and behind."""
    child = program(
        broker,
        RECEIVE
        + """
    until(c, lambda: last == b"2", 15000)
    c.disconnect()
    """,
        **SMALL,
    )
    child.expect("ready")
    size = 30_000 if pieces == 7 else 300_000
    broker.split(pieces, pause_ms=0)
    data = bytes(i * 11 >> 2 & 255 for i in range(size))
    broker.publish("s", b"1", qos)
    broker.publish("big/topic", data, qos)
    broker.publish("s", b"2", qos)
    lines = child.wait(30).stdout.splitlines()
    assert lines[1:] == [
        "small b's' b'1'",
        f"begins b'big/topic' {size} {qos}",
        f"whole {hashlib.sha256(data).hexdigest()}",
        "small b's' b'2'",
    ]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_transfer_that_is_cut_off(broker, program, qos):
    """It starts again at offset 0 after the reconnect; QoS 0 does not come again."""
    broker.fault(Fault("kill", "PUBLISH", topic="big", at=20_000))
    child = program(
        broker,
        RECEIVE
        + """
    while error(c.wait_msg, 5000) == "none: True":
        pass
    print("cut", whole, c.sock)
    c.connect(False)
    until(c, lambda: not c.wait_msg(300))
    c.disconnect()
    """,
        **SMALL,
    )
    child.expect("ready")
    data = bytes(range(250)) * 200
    broker.publish("big", data, qos)
    lines = child.wait(30).stdout.splitlines()
    begins = f"begins b'big' 50000 {qos}"
    again = [begins, f"whole {hashlib.sha256(data).hexdigest()}"] if qos else []
    assert lines[1:] == [begins, "cut 0 None", *again]


def test_larger_than_the_buffer_without_set_stream(broker, run):
    """E15, MQTT-4.5.0-2: MQTTException(0x95), never skipped; the largest that fits is whole."""
    lines = run(
        broker,
        """
        got = []
        c = client(buffer_size=128)
        c.set_callback(lambda topic, msg: got.append(len(msg)))
        c.connect()
        c.subscribe("t", 1)
        c.publish("t", bytes(128 - 3 - 3))
        until(c, lambda: got)
        c.publish("t", bytes(300))
        print(error(c.wait_msg, 3000), c.sock, got)
        """,
    )
    assert lines == ["MQTTException 149 None [122]"]


def test_a_handler_fails_within_a_transfer(broker, program):
    """MQTT-4.8.0-2: closed, not acknowledged, and it comes again from the start."""
    child = program(
        broker,
        """
        c = client()
        log = []
        def piece(m):
            if m.offset + len(m) == m.total:
                log.append(m.total)
            if m.offset > 5000 and not log:
                log.append("failed")
                raise ValueError("mine")
        c.set_stream(piece)
        c.connect(False)
        c.subscribe("t", 2)
        print("ready")
        result = "none"
        while result[:4] == "none":
            result = error(c.wait_msg, 5000)
        print(result, c.sock)
        print(c.connect(False))
        until(c, lambda: len(log) == 2 and not c.stats()["awaiting_release"])
        print(log)
        """,
    )
    child.expect("ready")
    broker.publish("t", bytes(20000), 2)
    lines = child.wait().stdout.splitlines()
    assert lines[1:] == ["ValueError mine None", "True", "['failed', 20000]"]
