"""Messages larger than the buffers: set_stream(), publish_stream(), long QoS 0 payloads."""

import umqtt_plus.stream  # noqa: F401, so that the drivers find its clock
from driver import OK, RESUMED, Driver, Random, ack, parse, publish
from util import each, few, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


class Receiver(Driver):
    """pieces: (offset, total, topic, bytes) of each call of the stream's handler."""

    def __init__(self, **options):
        self.pieces = []
        self.fail_at = None
        Driver.__init__(self, **options)
        self.client.set_stream(self._piece)
        self.connect(False)
        self.out()

    def _piece(self, m):
        buf = bytearray(len(m))
        same(m.payload_into(buf), len(m))
        same(bytes(buf), m.payload)
        self.pieces.append((m.offset, m.total, m.topic, bytes(buf)))
        if self.fail_at == len(self.pieces):
            raise KeyError("no")

    def check(self, topic, payload):
        """The pieces make up one message; they leave no gap, none is empty."""
        at = 0
        for offset, total, name, data in self.pieces:
            same((offset, total), (at, len(payload)))
            same(name, b"" if at else topic)
            assert data
            at += len(data)
        same(b"".join([piece[3] for piece in self.pieces]), payload)


def body(n):
    return bytes([i * 7 & 255 for i in range(n)])


def test_pieces():
    """In constant memory and in whatever pieces they come: E15, MQTT-7.1.2-1."""

    def check(n, qos, size):
        d = Receiver(buffer_size=64)
        d.feed(publish(b"small", b"s"))
        d.feed(publish(b"big", body(n), qos, 7) + publish(b"next", b"x", 1, 8), size)
        d.check(b"big", body(n))
        same([m[0] for m in d.got], [b"small", b"next"])
        first = (b"", ack(PUBACK, 7), ack(PUBREC, 7))[qos]
        same(d.out(), first + ack(PUBACK, 8))

    for qos in (0, 1, 2):
        each([(n, qos, size) for n in (140, 200) for size in (0, 1, 3, 7, 50, 64)], check)
        check(2000, qos, 50)


def test_any_split():
    """Cut in two at each byte."""
    data = publish(b"big", body(200), 1, 7)
    for cut in range(1, 140):
        d = Receiver(buffer_size=64)
        d.feed(data[:cut])
        d.feed(data[cut:])
        d.check(b"big", body(200))
        same(d.out(), ack(PUBACK, 7))


def test_qos2_copy_is_passed_over():
    """A large message that was had already: PUBREC and no call. MQTT-4.3.3-2, E50"""
    d = Receiver(buffer_size=64)
    d.feed(publish(b"big", body(200), 2, 7))
    count = len(d.pieces)
    d.feed(publish(b"big", body(200), 2, 7, 8) + publish(b"small", b"s"), 9)
    same((len(d.pieces), d.out(), len(d.got)), (count, ack(PUBREC, 7) * 2, 1))
    d.feed(ack(PUBREL, 7))
    d.feed(publish(b"big", body(200), 2, 7))
    assert len(d.pieces) > count


def test_cut_off():
    """The link is lost in the middle: no ack; it begins again at offset 0. MQTT-4.3.2-2, E16"""
    for qos, first in ((1, PUBACK), (2, PUBREC)):
        d = Receiver(buffer_size=64)
        d.feed(publish(b"big", body(300), qos, 7)[:200], 20)
        assert d.pieces
        same(d.tables, (0, 0))
        d.lose()
        same(d.out(), b"")
        d.connect(False, RESUMED)
        d.out()
        d.pieces.clear()
        d.feed(publish(b"big", body(300), qos, 7, 8), 20)
        d.check(b"big", body(300))
        same(d.out(), ack(first, 7))


def test_handler_fails():
    """QoS 1 and 2: closed, not acknowledged (MQTT-4.8.0-2). QoS 0: the offsets go on right."""
    for qos in (1, 2):
        for at in (1, 2, 3):
            d = Receiver(buffer_size=64)
            d.fail_at = at
            with raises(KeyError):
                d.feed(publish(b"big", body(300), qos, 7), 30)
            same((d.closed, d.out(), d.tables), (True, b"", (0, 0)))
    for at in (1, 2, 3):
        d = Receiver(buffer_size=64)
        d.fail_at = at
        data = publish(b"big", body(300)) + publish(b"small", b"s")
        for i in range(0, len(data), 30):
            try:
                d.feed(data[i : i + 30])
            except KeyError:
                same(len(d.pieces), at)
        same((d.closed, len(d.got)), (False, 1))
        d.check(b"big", body(300))


def test_disconnect_in_the_handler():
    d = Receiver(buffer_size=64)
    d.client.set_stream(lambda m: d.run(d.client.disconnect))
    with raises(OSError, 107):
        d.feed(publish(b"big", body(300), 1, 7), 50)
    same((d.closed, d.out()), (True, b"\xe0\x00"))


def source(data, most=1000, calls=None):
    def readinto(buf, offset):
        n = min(most, len(buf), len(data) - offset)
        buf[:n] = data[offset : offset + n]
        if calls is not None:
            calls.append(offset)
        return n

    return readinto


def test_publish_stream():
    """The packet is as long as it says, whatever the source and the socket do at once."""

    def check(n, most, write, qos):
        d = Driver(buffer_size=64)
        d.connect(False)
        d.out()
        d.link.most = write
        d.later = [ack(PUBACK, 1)] if qos == 1 else [ack(PUBREC, 1), ack(PUBCOMP, 1)]
        data = body(n)
        p = d.run(d.client.publish_stream, b"to/pic", n, source(data, most), True, qos)
        same(p, 1 if qos else -1)
        wanted = publish(b"to/pic", data, qos, 1, 1)
        same(d.out(), wanted + (ack(PUBREL, 1) if qos == 2 else b""))
        same((d.done, d.tables), ([1] if qos else [], (0, 0)))
        d.publish(b"to/pic", b"after")
        same(d.out(), publish(b"to/pic", b"after"))

    for qos in (0, 1, 2):
        each(
            [
                (n, most, write, qos)
                for n in (1, 63, 64, 200, 1000)
                for most in (1, 10, 64)
                for write in (1, 7, -1)
            ],
            check,
        )


def test_publish_stream_again():
    """Lost in the middle: the same packet with DUP after the next connect, from the source's
    beginning; after PUBREC only the PUBREL. MQTT-4.4.0-1, MQTT-3.3.1-1, MQTT-4.3.3-1"""
    for qos in (1, 2):
        d = Driver(buffer_size=64, timeout_ms=100)
        d.connect(False)
        d.out()
        d.link.space = 100
        data = body(300)
        with raises(OSError, 110):
            d.run(d.client.publish_stream, b"t", 300, source(data), False, qos)
        same((d.closed, d.tables), (True, (1, 0)))
        same(d.out(), publish(b"t", data, qos, 1)[:100])
        d.connect(False, RESUMED)
        d.go()
        out = d.out()
        same(out[2 + out[1] :], publish(b"t", data, qos, 1, 8))
        if qos == 2:
            d.feed(ack(PUBREC, 1))
            d.lose()
            d.connect(False, RESUMED)
            out = d.out()
            same(out[2 + out[1] :], ack(PUBREL, 1) * 1)
            d.feed(ack(PUBCOMP, 1))
        else:
            d.feed(ack(PUBACK, 1))
        same((d.done, d.tables), ([1], (0, 0)))


def test_source_that_ends_early():
    """Its packet cannot be finished: ValueError, closed."""
    for qos in (0, 1):
        d = Driver(buffer_size=64)
        d.connect(False)
        with raises(ValueError):
            d.run(d.client.publish_stream, b"t", 300, source(body(200)), False, qos)
        assert d.closed


def failing(how, at=0):
    """A source of 300 bytes that raises how from offset at on, or returns it."""

    def readinto(buf, offset):
        if offset < at:
            return min(len(buf), at - offset)
        if isinstance(how, Exception):
            raise how
        return how

    return readinto


ENDS = (KeyError("mine"), OSError(2), 0, -1, None)


def test_source_that_fails():
    """Its own exception, closed; the message is not in the table, others stay there."""

    def check(how, at, qos):
        d = Driver(buffer_size=64, inflight=2)
        d.connect(False)
        d.accept(b"a", b"other")
        with raises(type(how) if isinstance(how, Exception) else ValueError) as caught:
            d.run(d.client.publish_stream, b"t", 300, failing(how, at), False, qos)
        assert caught.error is how or not isinstance(how, Exception)
        same((d.closed, d.tables), (True, (1, 0)))
        d.connect(False, RESUMED)
        d.go()
        same(d.out()[15:], publish(b"a", b"other", 1, 1, 8))
        d.feed(ack(PUBACK, 1))
        d.later = [ack(PUBACK, 3 if qos else 2)]
        d.publish(b"a", b"next", False, 1)
        same(d.tables, (0, 0))

    each([(how, at, qos) for how in ENDS for at in (0, 100) for qos in (0, 1, 2)], check)


def test_source_that_fails_when_asked_again():
    """After a reconnect: OSError(5) once, the message is dropped, the next connect() succeeds."""

    def check(how, at, qos):
        d = Driver(buffer_size=64, timeout_ms=100)
        d.connect(False)
        d.link.space = 100
        sources = [source(body(300))]
        with raises(OSError, 110):
            d.run(d.client.publish_stream, b"t", 300, lambda b, o: sources[0](b, o), False, qos)
        same(d.tables, (1, 0))
        sources[0] = failing(how, at)
        with raises(OSError, 5):
            d.connect(False, RESUMED)
            d.go()
        same((d.closed, d.tables), (True, (0, 0)))
        d.connect(False, RESUMED)
        d.go()
        same((len(parse(d.out())), d.done), (1, []))
        d.later = [ack(PUBACK, 2)]
        same(d.publish(b"a", b"next", False, 1), 2)

    each([(how, at, qos) for how in ENDS for at in (0, 100) for qos in (1, 2)], check)


def test_long_topics_and_heads():
    """Topics as long as fit, with a remaining length of one to four bytes: whole or refused."""
    for qos in (0, 1, 2):
        for n in few(range(48, 64)):
            for length in (20, 150, 17000):
                d = Driver(buffer_size=64, inflight=2)
                d.connect(False)
                d.accept(b"first", b"x" * 40, qos=1)
                d.link.space = 0
                d.accept(b"other", b"y" * 40, qos=1)
                d.out()
                d.link.space = -1
                d.feed(ack(PUBACK, 1))
                d.out()
                d.later = [ack(PUBACK, 3)] if qos == 1 else [ack(PUBREC, 3), ack(PUBCOMP, 3)]
                sent = 0
                try:
                    d.run(
                        d.client.publish_stream, b"t" * n, length, lambda b, o: len(b), False, qos
                    )
                    sent = 1
                except ValueError:
                    assert n > 48, n
                found = parse(d.out())
                if sent:
                    same(found[0][1][: n + 2], b"\0" + bytes((n,)) + b"t" * n)
                    same(len(found[0][1]), length + n + (4 if qos else 2))
                d.lose()
                d.connect(False, OK)
                same(parse(d.out())[1:], [(0x3A, b"\0\5other\0\2" + b"y" * 40)])


def test_long_qos0():
    """A payload that does not fit the buffer goes out from where it is, in whatever pieces."""
    random = Random(3)
    for _ in range(40):
        n = random.below(400)
        d = Driver(buffer_size=64)
        d.connect()
        d.out()
        d.link.most = random.below(30) or -1
        kind = (bytes, bytearray, memoryview)[random.below(3)]
        d.publish(b"to/pic", kind(body(n)), True)
        d.publish(b"to/pic", b"more")
        same(d.out(), publish(b"to/pic", body(n), 0, 0, 1) + publish(b"to/pic", b"more"))
    d.link.most = 30
    d.publish(b"to/pic", "\u00e9" * 100)
    same(d.out(), publish(b"to/pic", b"\xc3\xa9" * 100))


def test_publish_stream_in_a_handler():
    """The reply of the message follows the packet."""
    d = Driver(buffer_size=64)
    d.connect(False)
    d.out()
    d.then = lambda d: d.run(d.client.publish_stream, b"t", 300, source(body(300)), False, 1)
    d.feed(publish(b"in", b"x", 1, 7))
    same(d.out(), publish(b"t", body(300), 1, 1) + ack(PUBACK, 7))
    d.feed(ack(PUBACK, 1))
    same((d.done, d.tables), ([1], (0, 0)))


def test_topic_behind_a_large_message():
    """The topic of a large message is remembered, too: the next one is not taken for the last."""
    d = Receiver(buffer_size=200)
    d.feed(publish(b"a", b"0"))
    d.feed(publish(b"a", b"1") + publish(b"a/b", body(230)) + publish(b"a/b", b"2"))
    same([m[:2] for m in d.got], [(b"a", b"0"), (b"a", b"1"), (b"a/b", b"2")])
