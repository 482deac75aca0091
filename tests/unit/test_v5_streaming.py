"""MQTT 5.0 through small buffers: packets cut anywhere, messages in pieces, both ways."""

from driver import Random, parse
from driver5 import RESUMED, Connect, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException


def numbers(n):
    return bytes([i & 255 for i in range(n)])


def source(body):
    def readinto(buf, offset):
        piece = body[offset : offset + len(buf)]
        buf[: len(piece)] = piece
        return len(piece)

    return readinto


def test_packets_cut_anywhere():
    """A hundred packets of every size, in pieces of random size, with the smallest buffer."""

    def check(seed):
        random = Random(seed)
        d = Driver5(buffer_size=64, properties={"topic_alias_maximum": 3})
        d.connect(False)
        d.out()
        data = bytearray()
        got = []
        replies = b""
        topics = [b"", b"", b"", b""]
        for p in range(1, 100):
            kind = random.below(8)
            if kind == 0:
                data.extend(b"\xd0\x00")
                continue
            if kind == 1:
                data.extend(ack(0x62, 60000 + p))
                replies += ack(0x70, 60000 + p, 0x92)
                continue
            qos = random.below(3)
            properties = ""
            topic = b"abcdefghij"[: 1 + random.below(10)]
            shown = topic
            if kind > 4:
                alias = 1 + random.below(3)
                properties = f"23 {alias:04X}"
                if topics[alias] and random.below(2):
                    shown = topics[alias]
                    topic = b""
                topics[alias] = shown
            if random.below(3) == 0:
                properties += " 26 'n' 'v'"
            body = numbers(random.below(30))
            data.extend(publish(topic, body, qos, p if qos else 0, random.below(2), properties))
            got.append((shown, body, qos))
            if qos:
                replies += ack(0x30 + 16 * qos, p)
                if qos == 2:
                    data.extend(ack(0x62, p))
                    replies += ack(0x70, p)
        i = 0
        while i < len(data):
            n = 1 + random.below(70)
            d.link.pieces.append(bytes(data[i : i + n]))
            i += n
            if random.below(2):
                d.go()
        d.rest()
        same([m[:3] for m in d.got], got)
        same(d.out(), replies)
        same(d.tables, (0, 0))

    each([(seed,) for seed in range(16)], check)


def test_out():
    """publish_stream(): a property length of zero, the payload in pieces, any QoS; again from the
    start after a reconnect, with DUP."""

    def check(n, qos):
        d = Driver5(buffer_size=64)
        d.connect(False)
        d.out()
        body = numbers(n)
        d.later = [ack(0x40, 1)] if qos == 1 else [ack(0x50, 1), ack(0x70, 1)]
        d.run(d.client.publish_stream, b"big", n, source(body), False, qos)
        data = d.out()
        same(
            data[: len(data) - (4 if qos == 2 else 0)], publish(b"big", body, qos, 1 if qos else 0)
        )
        if not qos:
            return
        with raises(OSError, 110):
            d.run(d.client.publish_stream, b"big", n, source(body), True, qos, timeout_ms=100)
        d.lose()
        d.connect(False, RESUMED)
        same(Connect(d.out()).more, parse(publish(b"big", body, qos, 2, 9)))

    each([(n, qos) for n in (1, 100, 1000) for qos in (0, 1, 2)], check)


def test_out_with_aliases():
    """MQTT5-3.2.2-17, MQTT5-3.3.2-9: what is streamed uses the same aliases."""
    d = Driver5(buffer_size=64)
    d.connect(False, connack("22 0001"))
    d.out()
    topics = {}
    for turn in range(6):
        topic = b"a" if turn % 3 else b"b"
        if turn % 2:
            d.publish(topic, b"x")
        else:
            d.run(d.client.publish_stream, topic, 100, source(numbers(100)))
        ((_, body),) = parse(d.out())
        n = body[1]
        found = body[2 : 2 + n]
        rest = body[2 + n :]
        if rest[0]:
            same(rest[:4], b"\x03\x23\x00\x01")
            if n:
                topics[1] = found
            found = topics[1]
        same(found, topic)


def test_in():
    """set_stream() with everything that 5.0 adds: an alias, properties larger than a piece, a
    repetition that is passed over, then a message that fits."""
    d = Driver5(buffer_size=128, properties={"topic_alias_maximum": 1})
    seen = []

    def piece(m):
        if not m.offset:
            seen.append((m.topic, m.property(2), m.qos, m.total))
        seen.append(m.payload)

    d.client.set_stream(piece)
    d.connect(False)
    d.out()
    body = numbers(300)
    for size in (0, 1, 50):
        for flags in (0, 8):
            seen.clear()
            d.feed(publish(b"big", body, 2, 7, flags, "02 00000005 23 0001 26 'n' 'v'"), size)
            d.rest()
            same(d.out(), ack(0x50, 7))
            if flags:
                same(seen, [])
            else:
                same(seen[0], (b"big", 5, 2, 300))
                same(b"".join(seen[1:]), body)
        d.feed(ack(0x62, 7), size)
        d.rest()
        same(d.out(), ack(0x70, 7))
        seen.clear()
        d.feed(
            publish(b"", body, 1, 8, 0, "23 0001") + publish(b"", b"x", 0, 0, 0, "23 0001"), size
        )
        d.rest()
        same((seen[0], b"".join(seen[1:])), ((b"big", None, 1, 300), body))
        same((d.got.pop()[:2], d.out()), ((b"big", b"x"), ack(0x40, 8)))


def test_in_and_bad():
    """What is wrong with a message is seen before its first piece: nothing is handed over."""

    def check(data, code):
        d = Driver5(buffer_size=64)
        seen = []
        d.client.set_stream(lambda m: seen.append(m.payload))
        d.connect(False)
        d.out()
        for size in (0, 1, 7):
            d.connect(False, RESUMED)
            d.out()
            with raises(MQTTException, code):
                d.feed(data, size)
                d.rest()
            same((d.closed, seen, d.goodbye()), (True, [], code))

    x = b"x" * 200
    each(
        (
            (publish(b"\xc0\x80", x), 0x81),
            (publish(b"a/+", x), 0x82),
            (publish(b"", x), 0x82),
            (publish(b"a", x, 1, 0), 0x82),
            (publish(b"a", x, 0, 0, 8), 0x82),
            (publish(b"a", x, properties="23 0001"), 0x94),
            (publish(b"a", x, properties="7F 00"), 0x81),
            (publish(b"a", x, properties="01 02"), 0x82),
            (publish(b"a", x, properties="02 00000001 02 00000001"), 0x82),
            (publish(b"a", x, properties="03 0002 C080"), 0x81),
            (publish(b"a" * 70, x), 0x95),
            (wire("30 FFFF7F 0001 61 FFFFFFFF7F") + x, 0x81),
        ),
        check,
    )


def test_properties_larger_than_the_buffer():
    """They cannot be looked at piece by piece: closed with 0x95."""
    d = Driver5(buffer_size=64)
    d.client.set_stream(lambda m: None)
    for size in (0, 1, 7):
        d.connect(False)
        d.out()
        same(
            d.violated(publish(b"a", b"x" * 100, properties=f"09 0064 {'61' * 100}"), size),
            0x95,
        )


def test_cut_in_a_streamed_message():
    """E16v5: it begins anew over the next connection, and no id is left behind."""

    def check(qos):
        d = Driver5(buffer_size=64)
        seen = []
        d.client.set_stream(lambda m: seen.append((m.offset, m.payload)))
        d.connect(False)
        data = publish(b"big", numbers(300), qos, 7, 0, "01 01")
        d.feed(data[:150])
        assert seen
        d.lose()
        same(d.tables, (0, 0))
        d.connect(False, RESUMED)
        d.out()
        seen.clear()
        d.feed(data)
        same((seen[0][0], b"".join([x for _, x in seen])), (0, numbers(300)))
        same(d.out(), ack(0x30 + 16 * qos, 7))

    each(((1,), (2,)), check)
