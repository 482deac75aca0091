"""PUBLISH as it goes out: bytes, packet ids, acknowledgements, what is refused."""

from driver import RESUMED, Driver, ack, packet, parse, publish
from util import Skip, each, raises, same


def client(**options):
    d = Driver(**options)
    d.connect(False)
    d.out()
    return d


def test_bytes():
    """Topic first, no id with QoS 0, DUP 0: MQTT-2.2.2-1, MQTT-2.3.1-5, MQTT-3.3.1-2,
    MQTT-3.3.2-1, MQTT-4.3.1-1, MQTT-4.3.2-1."""
    d = client()
    same(d.publish(b"a", b"x"), -1)
    same(d.out(), b"\x30\x04\x00\x01ax")
    same(d.publish(b"a", b"x", True), -1)
    same(d.out(), b"\x31\x04\x00\x01ax")
    d.publish("\u00e9", "\u00fc")
    same(d.out(), b"\x30\x06\x00\x02\xc3\xa9\xc3\xbc")
    d.publish(b"a", b"")
    same(d.out(), b"\x30\x03\x00\x01a")
    same(d.accept(b"a", b"x", qos=1), 1)
    same(d.out(), b"\x32\x06\x00\x01a\x00\x01x")
    same(d.accept(b"a", b"x", True, 2), 2)
    same(d.out(), b"\x35\x06\x00\x01a\x00\x02x")
    same(d.accept("\ufeff\u00e9", "\u00fc", False, 1), 3)  # MQTT-1.5.3-3
    same(d.out(), b"\x32\x0b\x00\x05\xef\xbb\xbf\xc3\xa9\x00\x03\xc3\xbc")


def test_every_length():
    """The remaining length is right on both sides of every step, the buffer's end included."""

    def check(size, qos, kind):
        # packets as long as the buffer and a bit more, and around 128
        for n in list(range(110, 135)) + list(range(size - 20, size + 30)):
            d = client(buffer_size=size)
            body = bytes(i & 255 for i in range(n))
            try:
                d.accept(b"topic", kind(body), qos=qos)
            except ValueError:
                assert qos and n + 5 > size - 9, n
                same(d.out(), b"")
                continue
            same(d.out(), publish(b"topic", body, qos, 1))

    each([(size, qos, bytes) for size in (64, 200) for qos in (0, 1, 2)], check)
    each([(150, qos, kind) for kind in (bytearray, memoryview) for qos in (0, 1)], check)


def test_three_byte_lengths():
    """Slots do not touch each other when the remaining length needs three bytes."""
    try:
        d = client(buffer_size=16400, inflight=2)
        d.link.space = 0
        bodies = (b"x" * 16392, b"y" * 16392)
        wanted = b""
        for i, body in enumerate(bodies):
            try:
                d.accept(b"a", body, qos=1)
                wanted += publish(b"a", body, 1, i + 1)
            except ValueError:
                d.accept(b"a", body[:-8], qos=1)
                wanted += publish(b"a", body[:-8], 1, i + 1)
        d.link.space = -1
        d.go()
        assert d.out() == wanted
        for n in (16376, 16377, 16380, 16381):
            d.publish(b"abcde", bodies[0][:n])
            assert d.out() == publish(b"abcde", bodies[0][:n])
    except MemoryError:
        raise Skip("needs a larger heap") from None


def test_many_topics_in_turn():
    """The topic that is kept ready for QoS 0 is the one that was asked for."""
    d = client()
    names = [b"a", b"long/er", "a", bytearray(b"a"), b"b", "\u00e9"]
    for i in range(60):
        name = names[i * 7 % 6]
        qos = i % 4 == 3
        if qos and d.tables[0] == 4:
            d.feed(b"".join([ack(0x40, p) for p in range(max(1, i - 60), i)]))
        p = d.accept(name, b"%d" % i, qos=int(qos))
        plain = name.encode() if isinstance(name, str) else bytes(name)
        same(d.out(), publish(plain, b"%d" % i, int(qos), p))
    changing = bytearray(b"one")
    d.publish(changing, b"")
    changing[:] = b"two"
    d.publish(changing, b"")
    same(d.out(), publish(b"one") + publish(b"two"))
    changing[:] = b"t+o"
    with raises(ValueError):
        d.publish(changing, b"")


BAD_TOPICS = (
    # MQTT-3.3.2-2, MQTT-4.7.1-1, MQTT-4.7.3-1, MQTT-4.7.3-2, MQTT-1.5.3-1, MQTT-1.5.3-2
    (b"a/+",),
    (b"#",),
    ("+",),
    (b"a#b",),
    (b"",),
    ("",),
    (b"a\x00b",),
    ("a\0b",),
    (b"\xc0\x80",),
    (b"\xed\xa0\x80",),
    (b"\xf4\x90\x80\x80",),
    (b"ab\xe2\x82",),
    (bytearray(b"a/#"),),
)


def test_wrong_topics():
    """ValueError, nothing is written, nothing kept."""
    d = client()

    def check(topic):
        for qos in (0, 1, 2):
            with raises(ValueError):
                d.publish(topic, b"x", False, qos)
            with raises(ValueError):
                d.accept(topic, b"x", qos=qos)
        same((d.out(), d.tables), (b"", (0, 0)))

    each(BAD_TOPICS, check)
    for qos in (3, -1, 4):  # MQTT-3.3.1-4
        with raises(ValueError):
            d.publish(b"a", b"x", False, qos)
        with raises(ValueError):
            d.accept(b"a", b"x", qos=qos)
    same((d.out(), d.accept(b"a", b"x", qos=1)), (b"", 1))
    d = client(inflight=0)
    with raises(ValueError):
        d.publish(b"a", b"x", False, 1)
    with raises(ValueError):
        d.accept(b"a", b"x", qos=1)
    same((d.out(), d.publish(b"a", b"x")), (b"", -1))


def test_longest_topic():
    """65535 bytes are a topic, 65536 are not; bytes count, not characters: MQTT-4.7.3-3."""
    try:
        d = client(buffer_size=65545, inflight=0)
        topic = b"t" * 65535
        d.publish(topic, b"")
        data = d.out()
        same((data[:7], len(data)), (b"\x30\x81\x80\x04\xff\xfft", 65541))
        for wrong in (topic + b"t", "\u00e9" * 32768):
            with raises(ValueError):
                d.publish(wrong, b"")
        same(d.out(), b"")
    except MemoryError:
        raise Skip("needs a larger heap") from None


def test_ids_wrap():
    """..., 65534, 65535, 1: never 0. MQTT-2.3.1-1"""
    for slots in (1, 2, 3, 4, 7):
        d = client(inflight=slots)
        d.set_next_id(65533)
        ids = []
        for _ in range(5):
            ids.append(d.accept(b"a", b"x", qos=1))
            d.feed(ack(0x40, ids[-1]))
        same(ids, [65533, 65534, 65535, 1, 2])
        same((d.done, d.tables), (ids, (0, 0)))


def test_ids_in_use_are_passed_over():
    """By PUBLISH, SUBSCRIBE and UNSUBSCRIBE alike: MQTT-2.3.1-2, MQTT-2.3.1-3."""
    d = client(inflight=4)
    d.set_next_id(65535)
    same((d.accept(b"a", b"x", qos=1), d.accept(b"b", b"x", qos=2)), (65535, 1))
    d.feed(ack(0x50, 1))  # PUBREC alone does not free it
    d.out()
    for again in (65535, 1):
        d.set_next_id(again)
        seen = []

        def answer(d, seen=seen):
            first, body = parse(d.link.out)[-1]
            seen.append(body[0] << 8 | body[1])
            p = seen[-1]
            d.link.pieces.append(packet(0x90, body[:2] + b"\0") if first == 0x82 else ack(0xB0, p))

        d.later = [answer, answer]
        d.subscribe(b"t")
        d.unsubscribe(b"t")
        same(seen, [2, 3])
        d.set_next_id(again)
        p = d.accept(b"c", b"x", qos=1)
        assert p not in (65535, 1, 0)
        d.feed(ack(0x40, p))
    d.feed(ack(0x40, 65535) + ack(0x70, 1))
    same(d.tables, (0, 0))
    d.set_next_id(1)
    same(d.accept(b"a", b"x", qos=2), 1)


def test_ids_of_requests_are_passed_over():
    """A SUBSCRIBE that was not answered keeps its id: MQTT-2.3.1-2, MQTT-2.3.1-3."""
    d = client(timeout_ms=100)
    with raises(OSError, 110):
        d.subscribe(b"t")
    same(parse(d.out())[0][1][:2], b"\x00\x01")
    d.set_next_id(1)
    ids = [d.accept(b"a", b"x", qos=1) for _ in range(4)]
    assert 1 not in ids and 0 not in ids, ids
    d.feed(b"\x90\x03\x00\x01\x00" + b"".join([ack(0x40, p) for p in ids]))
    d.set_next_id(1)
    same(d.accept(b"a", b"x", qos=1), 1)


def test_full_table_refuses():
    """publish_nowait() gives 0, publish() waits: nothing is overwritten. MQTT-4.1.0-2"""
    for slots in (1, 2, 5):
        d = client(inflight=slots, timeout_ms=50)
        ids = [d.accept(b"a", b"%d" % i, qos=1) for i in range(slots)]
        d.out()
        same(d.accept(b"a", b"more", qos=1), 0)
        with raises(OSError, 105):
            d.publish(b"a", b"more", False, 2)
        same((d.out(), d.closed), (b"", False))
        d.later = [ack(0x40, ids[0]), lambda d: d.link.pieces.append(ack(0x40, ids[-1] + 1))]
        p = d.publish(b"a", b"more", False, 1)
        same((p % slots, d.out()), (ids[0] % slots, publish(b"a", b"more", 1, p)))
        d.lose()
        d.connect(False, RESUMED)
        rest = [publish(b"a", b"%d" % i, 1, ids[i], 8) for i in range(1, slots)]
        same(d.out()[-sum(map(len, rest)) :] if rest else b"", b"".join(rest))
