"""Packets across the edges of the buffer, in any pieces; sockets that take little."""

from driver import Driver, Random, ack, parse, publish
from util import each, few, same
from umqtt_plus.errors import MQTTException

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def client(**options):
    d = Driver(**options)
    d.connect(False)
    d.out()
    return d


def traffic(random, most):
    """A stream of packets, what the handler sees of it, and the replies."""
    data = got = replies = None
    data, got, replies, open_ids = b"", [], b"", []
    topics = (b"a", b"ab", b"sensor/temp", b"\xc3\xa9/x", b"sensor/tem0", b"sensor/tempo")
    for _ in range(random.below(14) + 2):
        kind = random.below(10)
        topic = topics[random.below(len(topics))]
        if kind < 7:
            room = most - 9 - len(topic)
            payload = bytes([random.below(256) for _ in range(random.below(max(1, room)))])
            qos = (0, 0, 1, 1, 2, 2, 0)[kind]
            p = random.below(200) + 1
            if qos == 2 and len(open_ids) > 30 or qos == 1 and p in open_ids:
                continue
            flags = random.below(2) | (8 if qos and random.below(2) else 0)
            data += publish(topic, payload, qos, p, flags)
            if qos == 2 and p in open_ids:
                replies += ack(PUBREC, p)
                continue
            got.append((topic, payload, qos, bool(flags & 1), bool(flags & 8)))
            if qos == 2:
                open_ids.append(p)
            if qos:
                replies += ack(PUBREC if qos == 2 else PUBACK, p)
        elif kind == 7:
            data += b"\xd0\x00"
        elif kind == 8 and open_ids:
            p = open_ids.pop(random.below(len(open_ids)))
            data += ack(PUBREL, p)
            replies += ack(PUBCOMP, p)
        else:
            p = random.below(60000) + 300
            data += ack(PUBREC, p)
            replies += ack(PUBREL, p)
    return data, got, replies


def test_any_pieces():
    """A stream of packets gives the same in whatever pieces it comes: MQTT-7.1.2-1."""

    def check(seed):
        random = Random(seed)
        size = (64, 67, 100, 128)[seed % 4]
        data, got, replies = traffic(random, size)
        d = client(buffer_size=size)
        pieces = random.below(4)
        i = 0
        while i < len(data):
            n = (1, 9, 70, 300)[pieces]
            n = random.below(n) + 1
            d.feed(data[i : i + n])
            i += n
        same(d.out(), replies)
        same(d.got, got)

    each([(seed,) for seed in range(150)], check)


def test_every_place_in_the_buffer():
    """A packet that begins at each byte of the buffer, cut at each byte (buffer 64)."""
    data = publish(b"to/pic", b"0123456789", 1, 7)
    wanted = (b"to/pic", b"0123456789", 1, False, False)
    for before in few(range(5, 132, 3)):
        for cut in (1, 2, 3, 4, 9, 11, len(data) - 1):
            d = client(buffer_size=64)
            head = b""
            while len(head) < before:
                head += publish(b"q", b"." * min(40, max(0, before - len(head) - 5)))
            d.feed(head + data[:cut])
            d.feed(data[cut:] + data)
            same((d.got[-2:], d.out()), ([wanted, wanted], ack(PUBACK, 7) * 2))


def test_same_length_other_topic():
    """Topics that look alike are told apart, and each is checked."""
    d = client(buffer_size=64)
    names = (b"abcdef", b"abcdeg", b"abcde", b"abcdef", b"bbcdef", b"abcdefg", b"abcdef")
    d.feed(b"".join([publish(name, b"xyz") for name in names]))
    same([m[0] for m in d.got], list(names))
    for bad in (b"abcd\xc3", b"abcde+", b"abc\0ef", b"abcdef\xff"):
        d = client(buffer_size=64)
        for name in names:
            d.feed(publish(name, b"x"))
        same(d.refused(publish(bad, b"x")), 0x82)
    d = client(buffer_size=64)
    d.feed(publish(b"abcdef", b"xyz"))
    same(d.refused(b"\x30\x07\x00\x06abcde"), 0x82)  # the remembered topic ends behind it
    d = client(buffer_size=64)
    d.feed(publish(b"abcdef", b"xyz"))
    same(d.refused(b"\x32\x09\x00\x06abcdef\x01" + b"\xd0\x00"), 0x82)


def test_long_topics_that_differ_at_the_end():
    """However long the topic is: it is the one that came, and its last byte is checked."""
    for n in list(range(58, 72)) + [100, 127, 200]:
        one, two = b"x" * n + b"1", b"x" * n + b"2"
        d = client(buffer_size=256)
        names = [one, two, b"a", two, two, one, b"b", one, one]
        for name in names:
            d.feed(publish(name, b"y", 1, 7))
        same([m[0] for m in d.got], names)
        same(d.out(), ack(PUBACK, 7) * len(names))
        for last in (b"+", b"\0", b"\xff"):
            d = client(buffer_size=256)
            d.feed(publish(one, b"y") * 2)
            same(d.refused(publish(b"x" * n + last, b"y")), 0x82)


def test_any_bytes():
    """Whatever comes: handled, or closed with MQTTException; nothing else, nothing after it."""

    def check(seed):
        random = Random(seed)
        d = client(buffer_size=64)
        good = traffic(random, 64)[0]
        data = bytearray(good)
        if seed % 3 == 0:
            data = bytearray([random.below(256) for _ in range(100)])
        else:
            for _ in range(random.below(4) + 1):
                data[random.below(len(data))] = random.below(256)
        try:
            d.feed(bytes(data), (0, 1, 5)[random.below(3)])
        except MQTTException as error:
            assert d.closed and error.args[0] in (0x82, 0x95, 0x97)
        for first, body in parse(d.out()):
            assert first in (PUBACK, PUBREC, PUBREL, PUBCOMP) and len(body) == 2

    each([(seed,) for seed in range(400)], check)


def test_acks_wait_for_room():
    """A socket that takes nothing: no ack is lost, none is twice, nothing overflows."""
    ids = list(range(1, 31))

    def check(first, whole, packets):
        for handler in ("message", None):
            d = client(buffer_size=64, handler=handler)
            d.link.space = 0
            d.link.pieces.extend([b"".join(packets)] if whole else packets)
            d.go()
            data = b""
            for n in range(200):
                d.link.space = n % 3
                d.go()
                data += d.out()
            same(data, b"".join([ack(first, p) for p in ids]))
            if first in (PUBACK, PUBREC) and handler:
                same(len(d.got), 30)

    for whole in (True, False):
        check(PUBACK, whole, [publish(b"t", b"x", 1, p) for p in ids])
        check(PUBREC, whole, [publish(b"t", b"x", 2, p) for p in ids])
        check(PUBCOMP, whole, [ack(PUBREL, p) for p in ids])
        check(PUBREL, whole, [ack(PUBREC, p) for p in ids])


def test_larger_than_the_buffer():
    """Closed, not acknowledged: MQTT-4.8.0-2, MQTT-4.5.0-2, E15. What just fits is taken."""
    for qos in (0, 1, 2):
        for n in few(range(40, 80)):
            for size in (0, 1, 7):
                data = publish(b"topic", b"x" * n, qos, 7)
                d = client(buffer_size=64)
                before = publish(b"q", b"") * (n % 5)
                if len(data) <= 64:
                    d.feed(before + data, size)
                    same(len(d.got), n % 5 + 1)
                elif size and not before:
                    same(d.refused(data, size), 0x95)
                else:
                    try:  # a read of twice the buffer may bring it whole
                        d.feed(before + data, size)
                        same((d.got[-1][1], size), (b"x" * n, 0))
                    except MQTTException as error:
                        same((error.args[0], d.closed, d.out()), (0x95, True, b""))
    for head in (b"\x30\xff\xff\xff\x7f\x00\x01a", b"\x30\xff\xff\xff\x7f\xff\xffa"):
        d = client(buffer_size=64)
        same(d.refused(head + b"x" * 200), 0x95)


def test_short_writes():
    """Every kind of packet, n bytes at a time: the same bytes as in one go."""

    def check(n):
        d = client(timeout_ms=100)
        d.link.most = n
        d.accept(b"a", b"payload", qos=1)
        d.accept(b"b", b"payload", qos=2)
        d.feed(ack(PUBREC, 2) + publish(b"t", b"x", 1, 9))
        d.publish(b"c", b"payload")
        d.publish(b"c", b"again")
        d.publish(b"d", b"long" * 200)
        d.run(d.client.ping)
        d.accept(b"e", b"payload", qos=1)
        with_request = [b"\x90\x03\x00\x04\x01"]
        d.later = with_request
        same(d.subscribe(b"f", 1), 1)
        wanted = publish(b"a", b"payload", 1, 1) + publish(b"b", b"payload", 2, 2)
        wanted += ack(PUBREL, 2) + ack(PUBACK, 9)
        wanted += publish(b"c", b"payload") + publish(b"c", b"again")
        wanted += publish(b"d", b"long" * 200) + b"\xc0\x00" + publish(b"e", b"payload", 1, 3)
        wanted += b"\x82\x06\x00\x04\x00\x01f\x01"
        same(d.out(), wanted)

    each([(n,) for n in (1, 2, 3, 4, 5, 7, 20, -1)], check)
