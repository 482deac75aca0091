"""Every packet of tests/vectors/violations.py: whole, in pieces, and with more behind it."""

from driver import OK, RESUMED, SIZES, Driver, ack, parse, publish
from tests.vectors.violations import ACCEPTED, CONNACKS, VIOLATIONS
from util import each, raises, same
from umqtt_plus.errors import MQTTException

MORE = publish(b"more", b"x") + publish(b"more", b"x", 1, 30) + ack(0x40, 1)
RESENT = ack(0x62, 3) + publish(b"a", b"1", 1, 1, 8) + publish(b"b", b"2", 2, 2, 8)


def client(handler="message", **options):
    """With the session that tests/vectors/violations.py describes."""
    d = Driver(handler=handler, **options)
    d.connect(False)
    same((d.accept(b"a", b"1", qos=1), d.accept(b"b", b"2", qos=2)), (1, 2))
    same(d.accept(b"c", b"3", qos=2), 3)
    d.feed(ack(0x50, 3))
    d.feed(publish(b"d", b"4", 2, 7))
    same(d.tables, (3, 1))
    d.out()
    d.got.clear()
    return d


def resumes(d):
    """The session is what it was: MQTT-4.1.0-1, MQTT-4.4.0-1."""
    same(d.tables, (3, 1))
    d.connect(False, RESUMED)
    data = d.out()
    same(data[-len(RESENT) :], RESENT)
    same(data[0], 0x10)
    d.feed(publish(b"d", b"4", 2, 7, 8))
    same((d.out(), d.got), (ack(0x50, 7), []))
    d.feed(ack(0x62, 7))
    same((d.out(), d.tables), (ack(0x70, 7), (3, 0)))


def violation(data, reason, size, handler="message"):
    d = client(handler)
    same(d.refused(data, size), reason)
    resumes(d)


def test_the_vectors():
    """They break the one rule that they name: the remaining length is right, but for E10."""

    def check(*row):
        data = bytes.fromhex([x for x in row[1:] if isinstance(x, str)][0])
        if "E10" not in row[0].split():
            same(len(parse(data)), 1)
            same(parse(data + b"\xd0\x00")[1:], [(0xD0, b"")])

    each(VIOLATIONS, check)
    each(CONNACKS, check)
    each([row[:2] for row in ACCEPTED], check)


def test_violation_whole():
    """Nothing of the packet takes effect, no DISCONNECT: MQTT-4.8.0-1, X311-3.14-a."""
    each(VIOLATIONS, lambda ids, data, reason: violation(bytes.fromhex(data), reason, 0))


def test_violation_with_more_behind():
    """What follows a bad packet is not looked at: MQTT-4.8.0-1."""
    each(VIOLATIONS, lambda ids, data, reason: violation(bytes.fromhex(data) + MORE, reason, 0))


def test_violation_in_pieces():
    def check(ids, data, reason):
        data = bytes.fromhex(data)
        for size in SIZES[1:]:
            if size < len(data):
                violation(data, reason, size)

    each(VIOLATIONS, check)


def test_violation_with_a_callback():
    each(
        VIOLATIONS,
        lambda ids, data, reason: violation(bytes.fromhex(data) + MORE, reason, 0, "callback"),
    )


def test_violation_behind_good_packets():
    """What came before in the same read is handled; its acks are not sent any more."""

    def check(ids, data, reason):
        data = bytes.fromhex(data)
        for n in (1, 2, 40):
            d = client(buffer_size=64)
            d.got.clear()
            with raises(MQTTException, reason):
                d.feed(publish(b"q" * n) + data)
            same((d.closed, len(d.got), d.out()), (True, 1, b""))
            d.got.clear()
            resumes(d)

    each(VIOLATIONS, check)


def test_violation_without_tables():
    """A client that has no tables closes, too."""

    def check(ids, data, reason):
        if ids in ("E46", "E47") or "E51" in ids:
            return  # needs messages in flight
        d = Driver(inflight=0)
        d.connect()
        same(d.refused(bytes.fromhex(data) + MORE), reason)

    each(VIOLATIONS, check)


def test_accepted():
    """What is unusual and allowed, whole and in pieces, with a message behind it."""

    def check(ids, data, got, reply):
        data = bytes.fromhex(data)
        for size in SIZES:
            d = client()
            d.feed(data + publish(b"more", b"x"), size)
            wanted = [got] if got else []
            same([m[:2] for m in d.got], wanted + [(b"more", b"x")])
            same(d.out(), bytes.fromhex(reply))
            assert not d.closed

    each(ACCEPTED, check)


def test_connack():
    """A CONNACK that is wrong or refuses: connect() fails, the client closes and says nothing."""

    def check(ids, clean, data, reason):
        data = bytes.fromhex(data)
        for size in SIZES:
            for more in (b"", MORE):
                d = Driver()
                with raises(MQTTException, reason):
                    d.connect(clean, data + more, size)
                same((d.closed, d.got, d.links), (True, [], 1))
                same(d.out()[:1], b"\x10")
                assert len(d.out()) == 0

    each(CONNACKS, check)


def test_connack_keeps_the_session():
    """A refusal leaves the session as it is: MQTT-3.2.2-4, MQTT-3.1.4-5."""

    def check(ids, clean, data, reason):
        if not clean or reason > 5:
            return
        d = client()
        d.lose()
        with raises(MQTTException, reason):
            d.connect(False, bytes.fromhex(data))
        assert d.closed
        resumes(d)

    each(CONNACKS, check)


def test_refusal_then_accepted():
    """After a refusal the same object connects."""
    d = Driver()
    with raises(MQTTException, 3):
        d.connect(True, b"\x20\x02\x00\x03")
    d.connect(True, OK)
    d.feed(publish(b"t", b"x"))
    same(len(d.got), 1)
