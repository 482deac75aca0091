"""A client that only publishes, without a handler: what reaches it, and QoS 1 and 2 in turn.

Without on_published() a publish() that waits goes a way of its own as long as nothing else is on
its way, with it by way of the table; both are tried.
"""

from time import ticks_diff

from driver import RESUMED, SIZES, Driver, ack, parse, publish
from tests.vectors.violations import VIOLATIONS
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
RESENT = ack(PUBREL, 3) + publish(b"a", b"1", 1, 1, 8) + publish(b"b", b"2", 2, 2, 8)


def client(report=True, **options):
    d = Driver(handler=None, **options)
    if not report:
        d.client.on_published(None)
    d.connect(False)
    d.out()
    return d


def test_violations():
    """As with a handler: MQTT-4.8.0-1, X311-3.14-a. Nothing has been received before."""

    def check(ids, data, reason):
        if "E51" in ids:
            return  # needs a message received before
        data = bytes.fromhex(data)
        for size in SIZES:
            d = client()
            for topic, payload, qos in ((b"a", b"1", 1), (b"b", b"2", 2), (b"c", b"3", 2)):
                d.accept(topic, payload, qos=qos)
            d.feed(ack(PUBREC, 3))
            same(d.refused(data + ack(PUBACK, 1) + b"\xd0\x00", size), reason)
            same(d.tables, (3, 0))
            d.connect(False, RESUMED)
            same(d.out()[15:], RESENT)

    each(VIOLATIONS, check)


def test_all_that_may_come():
    """Acks and PINGRESPs in any pieces, then a message: acknowledged though nobody listens
    (MQTT-4.5.0-2, E28)."""
    for size in SIZES:
        d = client()
        for qos in (1, 2, 2, 1):
            d.accept(b"a", b"x", qos=qos)
        d.out()
        d.feed(b"\xd0\x00" + ack(PUBACK, 4) + ack(PUBREC, 3) + b"\xd0\x00" + ack(PUBREC, 2), size)
        d.feed(b"\xd0\x80\x00" + ack(PUBACK, 99) + ack(PUBREC, 99) + ack(PUBREL, 98), size)
        d.feed(publish(b"t", b"x", 1, 7) + publish(b"t", b"x", 2, 8) + ack(PUBREL, 8), size)
        d.feed(ack(PUBCOMP, 3) + ack(PUBACK, 1) + ack(PUBCOMP, 2), size)
        wanted = ack(PUBREL, 3) + ack(PUBREL, 2) + ack(PUBREL, 99) + ack(PUBCOMP, 98)
        wanted += ack(PUBACK, 7) + ack(PUBREC, 8) + ack(PUBCOMP, 8)
        same((d.out(), d.done, d.tables), (wanted, [4, 3, 1, 2], (0, 0)))


def test_qos1_in_turn():
    """publish() with QoS 1, each answered while it waits: ids, bytes, reports."""
    for keepalive, report in ((0, False), (10, False), (0, True), (10, True)):
        d = client(report, buffer_size=64, keepalive=keepalive)
        for i in range(1, 60):
            payload = bytes(range(i))[: i % 54]
            d.later = [ack(PUBACK, i)]
            same(d.publish(b"a", payload, i & 1, 1), i)
            same(d.out(), publish(b"a", payload, 1, i, i & 1))
            if i % 7 == 0:
                d.publish(b"a", b"between")
                same(d.out(), publish(b"a", b"between"))
            if i % 5 == 0:
                d.go()
        same((d.done, d.tables, d.later), (list(range(1, 60)) if report else [], (0, 0), []))


def test_every_length_in_turn():
    """The same with every length around 128 and around the buffer, and an answer that comes in
    two pieces: it is taken whole, or refused before anything is written."""
    for size in (64, 128, 200):
        for n in list(range(size - 20, size + 2)) + list(range(115, 135)):
            for pieces in (1, 2):
                d = client(False, buffer_size=size)
                d.later = [ack(PUBACK, 1)] if pieces == 1 else [b"\x40\x02", b"\x00\x01"]
                d.go()
                try:
                    same(d.publish(b"topic", b"x" * n, False, 1), 1)
                except ValueError:
                    assert n + 5 > size - 10, n
                    same((d.out(), d.tables), (b"", (0, 0)))
                    continue
                same(d.out(), publish(b"topic", b"x" * n, 1, 1))
                same(d.tables, (0, 0))


# what comes instead of the PUBACK alone; then what the client has written behind the message
ANSWERS = (
    ([ack(PUBACK, 1)], b""),
    ([ack(PUBACK, 1) + publish(b"t", b"x", 1, 7)], ack(PUBACK, 7)),
    ([publish(b"t", b"x", 1, 7) + ack(PUBACK, 1)], ack(PUBACK, 7)),
    ([publish(b"t", b"x", 1, 7), ack(PUBACK, 1)], ack(PUBACK, 7)),
    ([b"\xd0\x00", ack(PUBACK, 1)], b""),
    ([b"\xd0\x00" + ack(PUBACK, 1)], b""),
    ([ack(PUBACK, 9), ack(PUBACK, 1)], b""),
    ([ack(PUBACK, 257), ack(PUBACK, 1)], b""),
    ([ack(PUBREC, 9), ack(PUBACK, 1)], ack(PUBREL, 9)),
    ([b"\x40", b"\x02\x00", b"\x01"], b""),
    ([b"\x40\x82\x00\x00", b"\x01"], b""),
    ([publish(b"t", b"x" * 70), ack(PUBACK, 1)], b""),
)


def test_answers_in_turn():
    """The answer alone, in pieces, behind or before something else; a wrong one does not count."""

    def check(answer, replies):
        for write, report in ((-1, False), (3, False), (-1, True)):
            d = client(report)
            d.link.most = write
            d.later = list(answer)
            same(d.publish(b"a", b"hello", False, 1), 1)
            same((d.done, d.tables, d.later), ([1] if report else [], (0, 0), []))
            d.go()
            same(d.out(), publish(b"a", b"hello", 1, 1) + replies)
            d.later = [ack(PUBACK, 2)]
            same(d.publish(b"a", b"again", False, 1), 2)
            same(d.out(), publish(b"a", b"again", 1, 2))

    each(ANSWERS, check)


def test_wrong_answers_in_turn():
    """A violation in place of the PUBACK closes; the message stays: MQTT-4.8.0-1, E46, E41."""
    for answer in (
        ack(PUBCOMP, 1),
        ack(PUBREC, 1),
        ack(PUBACK, 0),
        b"\x41\x02\x00\x01",
        b"\x00\x00",
    ):
        d = client(False)
        d.later = [answer]
        with raises(Exception, 0x82):
            d.publish(b"a", b"hello", False, 1)
        same((d.closed, d.out(), d.done), (True, publish(b"a", b"hello", 1, 1), []))
        d.connect(False, RESUMED)
        same(d.out()[15:], publish(b"a", b"hello", 1, 1, 8))


def test_lost_in_turn():
    """No answer, an end of the stream, a broken link at each byte: the message is kept and sent
    again with DUP (MQTT-4.3.2-1, MQTT-3.3.1-1)."""
    wanted = publish(b"a", b"hello", 1, 1)

    def check(n, what):
        d = client(n % 3 == 0, timeout_ms=100, keepalive=n % 2)
        if n % 3 == 0:
            d.go()  # after a look in vain it is the table's way
        d.link.space = n
        if what == "eof":
            d.later = [lambda d: setattr(d.link, "eof", True)]
        elif what == "reset":
            d.later = [lambda d: setattr(d.link, "error", 104)]
        with raises(OSError, 110 if what == "silence" else 104):
            d.publish(b"a", b"hello", False, 1)
        same((d.out(), d.tables), (wanted[:n], (1, 0)))
        if what == "silence" and n % 3 == 0:  # the rest goes out later, as it began
            d.link.space = -1
            d.go()
            same(d.out(), wanted[n:])
        if not d.closed:
            d.lose()
        d.connect(False, RESUMED)
        same(d.out()[15:], publish(b"a", b"hello", 1, 1, 8))
        d.feed(ack(PUBACK, 1))
        same((d.done, d.tables), ([] if n % 3 else [1], (0, 0)))

    each([(n, what) for n in range(13) for what in ("silence", "eof", "reset")], check)


def test_deadline_in_turn():
    """No answer: publish() gives up after timeout_ms, not later, whichever way it went."""
    for qos in (1, 2):
        for keepalive in (0, 1, 10):
            for report in (False, True):
                d = client(report, timeout_ms=500, keepalive=keepalive)
                start = d.now
                with raises(OSError, 110):
                    d.publish(b"a", b"hello", False, qos)
                same(ticks_diff(d.now, start), 500)
                same(d.tables, (1, 0))


QOS2 = publish(b"a", b"hello", 2, 1)
RESENT2 = publish(b"a", b"hello", 2, 1, 8)
# what comes for a QoS 2 message; then what the client has written behind it
ANSWERS2 = (
    ([ack(PUBREC, 1), ack(PUBCOMP, 1)], ack(PUBREL, 1)),
    ([ack(PUBREC, 1)[:3], ack(PUBREC, 1)[3:], ack(PUBCOMP, 1)], ack(PUBREL, 1)),
    ([ack(PUBREC, 1), ack(PUBCOMP, 1)[:1], ack(PUBCOMP, 1)[1:]], ack(PUBREL, 1)),
    ([ack(PUBREC, 9), ack(PUBREC, 1), ack(PUBCOMP, 1)], ack(PUBREL, 9) + ack(PUBREL, 1)),
    ([ack(PUBREC, 1), ack(PUBREC, 9), ack(PUBCOMP, 1)], ack(PUBREL, 1) + ack(PUBREL, 9)),
    ([ack(PUBREC, 1), ack(PUBREC, 1), ack(PUBCOMP, 1)], ack(PUBREL, 1) + ack(PUBREL, 1)),
    ([ack(PUBREC, 1), ack(PUBCOMP, 257), ack(PUBCOMP, 1)], ack(PUBREL, 1)),
    (
        [publish(b"t", b"x", 1, 7), ack(PUBREC, 1), ack(PUBCOMP, 1)],
        ack(PUBACK, 7) + ack(PUBREL, 1),
    ),
    (
        [ack(PUBREC, 1), publish(b"t", b"x", 1, 7), ack(PUBCOMP, 1)],
        ack(PUBREL, 1) + ack(PUBACK, 7),
    ),
    ([ack(PUBREC, 1), b"\xd0\x00" + ack(PUBCOMP, 1)], ack(PUBREL, 1)),
    ([ack(PUBREC, 1) + b"\xd0\x00", ack(PUBCOMP, 1)], ack(PUBREL, 1)),
    (
        [ack(PUBREC, 1), ack(PUBCOMP, 1) + publish(b"t", b"x", 1, 7)],
        ack(PUBREL, 1) + ack(PUBACK, 7),
    ),
)


def test_qos2_answers_in_turn():
    """PUBREC and PUBCOMP alone, in pieces, beside something else: each PUBREC brings a PUBREL, and
    the message is sent once (MQTT-4.3.3-1)."""

    def check(answer, replies):
        for write, report in ((-1, False), (3, False), (-1, True)):
            d = client(report)
            d.link.most = write
            d.later = list(answer)
            same(d.publish(b"a", b"hello", False, 2), 1)
            same((d.done, d.tables, d.later), ([1] if report else [], (0, 0), []))
            d.go()
            same(d.out(), QOS2 + replies)
            d.later = [ack(PUBREC, 2), ack(PUBCOMP, 2)]
            same(d.publish(b"a", b"again", True, 2), 2)
            same(d.out(), publish(b"a", b"again", 2, 2, 1) + ack(PUBREL, 2))

    each(ANSWERS2, check)


def test_qos2_lost_in_turn():
    """The link ends at each byte of PUBLISH and PUBREL: after PUBREC only the PUBREL goes out
    again (MQTT-4.3.3-1), before it the PUBLISH with DUP."""

    def check(n, what):
        d = client(n % 3 == 0, timeout_ms=100, keepalive=n % 2)
        if n % 3 == 0:
            d.go()  # after a look in vain it is the table's way
        d.link.space = n
        after = n >= len(QOS2)
        d.later = [ack(PUBREC, 1)] if after else []
        if what == "eof":
            d.later.append(lambda d: setattr(d.link, "eof", True))
        elif what == "reset":
            d.later.append(lambda d: setattr(d.link, "error", 104))
        with raises(OSError, 110 if what == "silence" else 104):
            d.publish(b"a", b"hello", False, 2)
        wanted = QOS2 + ack(PUBREL, 1)
        same((d.out(), d.tables), (wanted[:n], (1, 0)))
        if what == "silence" and n & 1:  # the rest goes out later, as it began
            d.link.space = -1
            d.go()
            same(d.out(), wanted[n:] if after else QOS2[n:])
        if not d.closed:
            d.lose()
        d.connect(False, RESUMED)
        same(d.out()[15:], ack(PUBREL, 1) if after else RESENT2)
        d.feed(ack(PUBCOMP, 1) if after else ack(PUBREC, 1) + ack(PUBCOMP, 1))
        same((d.done, d.tables), ([] if n % 3 else [1], (0, 0)))

    each([(n, what) for n in range(len(QOS2) + 5) for what in ("silence", "eof", "reset")], check)


def test_release_cut_in_turn():
    """A PUBREL of which the socket takes no more than some bytes: what is due by then is behind
    the whole of it."""
    for n in range(4):
        d = client(False)
        d.link.space = len(QOS2) + n
        d.later = [
            ack(PUBREC, 1),
            publish(b"t", b"x", 1, 77),
            lambda d: setattr(d.link, "space", -1),
            ack(PUBCOMP, 1),
        ]
        same(d.publish(b"a", b"hello", False, 2), 1)
        d.go()
        same(d.out(), QOS2 + ack(PUBREL, 1) + ack(PUBACK, 77), "%d bytes" % n)
        same(d.tables, (0, 0))


def test_wrong_qos2_answers_in_turn():
    """MQTT-4.8.0-1, E46, E47: closed, and the message stays as far as it got."""
    for answer in ((ack(PUBACK, 1),), (ack(PUBCOMP, 1),), (ack(PUBREC, 1), ack(PUBACK, 1))):
        d = client(False)
        d.later = list(answer)
        with raises(Exception, 0x82):
            d.publish(b"a", b"hello", False, 2)
        same(d.closed, True)
        d.connect(False, RESUMED)
        same(d.out()[15:], RESENT2 if len(answer) == 1 else ack(PUBREL, 1))


def test_on_published_that_publishes():
    """It is called from within publish(), and publishing there does not wait, nor nest."""
    d = client()
    deep = [0, 0]

    def published(p):
        d.done.append(p)
        deep[0] += 1
        deep[1] = max(deep)
        if p < 9:
            d.publish(b"a", b"%d" % p, False, 1)
        deep[0] -= 1

    def answer(d):
        p = parse(d.link.out)[-1][1]
        d.link.pieces.append(ack(PUBACK, p[3] << 8 | p[4]))
        d.later.append(answer)

    d.client.on_published(published)
    d.later = [answer]
    d.publish(b"a", b"first", False, 1)
    for _ in range(20):
        d.run(d.client.wait_msg, 10)
    same((d.done, deep[1]), (list(range(1, 10)), 1))


def test_with_others_in_flight():
    """publish() waits for its own answer, whatever else is open, and reports each once."""
    for qos, answer in ((1, ack(PUBACK, 1)), (2, ack(PUBREC, 1) + ack(PUBCOMP, 1))):
        for later in ([ack(PUBACK, 2)], [answer, ack(PUBACK, 2)], [answer + ack(PUBACK, 2)]):
            d = client(inflight=2)
            d.accept(b"a", b"1", qos=qos)
            d.later = list(later)
            same(d.publish(b"a", b"2", False, 1), 2)
            if len(later) == 1 and later[0] == ack(PUBACK, 2):
                same((d.done, d.tables), ([2], (1, 0)))
                d.feed(answer)
            same((sorted(d.done), d.tables), ([1, 2], (0, 0)))
            d.later = [ack(PUBACK, 3)]
            same(d.publish(b"a", b"3", False, 1), 3)
    d = client(timeout_ms=10)
    with raises(OSError, 110):
        d.subscribe(b"t")  # id 1 stays taken
    for p in (2, 3, 65535, 2, 3):
        d.set_next_id(p if p > 2 else 1)  # 1 is passed over
        d.later = [ack(PUBACK, p)]
        same(d.publish(b"a", b"x", False, 1), p)
