"""The view of a received message, and the two kinds of handler."""

from driver import Driver, publish
from util import each, raises, same


def received(data, look):
    """Feed one message; look(m) runs inside the handler."""
    d = Driver(handler=None)
    seen = []

    def handler(m):
        look(m)
        seen.append(m)

    d.client.set_message(handler)
    d.connect()
    d.feed(data)
    same(len(seen), 1)
    return d


def test_flags():
    def check(qos, flags):
        def look(m):
            same((m.qos, m.retain, m.dup), (qos, bool(flags & 1), bool(flags & 8)))

        received(publish(b"t", b"x", qos, 1, flags), look)

    each(((0, 0), (0, 1), (1, 0), (1, 8), (1, 9), (2, 1), (2, 8)), check)


def test_topic_and_payload():
    def look(m):
        same((m.topic, m.payload, len(m)), (b"a/b", b"hello\0", 6))
        for other in (b"a/b", bytearray(b"a/b"), memoryview(b"a/b")):
            assert m.topic_is(other)
        for other in (b"", b"a/", b"a/bc", b"a/c", b"b/b"):
            assert not m.topic_is(other)
        assert m.payload_is(b"hello\0") and not m.payload_is(b"hello") and not m.payload_is(b"")

    received(publish(b"a/b", b"hello\0", 1, 7), look)


def test_empty_payload():
    """X311-3.3.3-a"""

    def look(m):
        same((m.payload, len(m)), (b"", 0))
        assert m.payload_is(b"") and not m.payload_is(b"x")
        same(m.payload_into(bytearray(0)), 0)

    for qos in (0, 1, 2):
        received(publish(b"a", b"", qos, 7), look)


def test_payload_into():
    def look(m):
        buf = bytearray(b"........")
        same((m.payload_into(buf), bytes(buf)), (5, b"hello..."))
        buf = bytearray(5)
        same((m.payload_into(memoryview(buf)), bytes(buf)), (5, b"hello"))
        buf = bytearray(b"....")
        with raises(ValueError):
            m.payload_into(buf)
        same(bytes(buf), b"....")

    received(publish(b"a/b", b"hello"), look)


def test_handlers_change():
    """set_message() comes before set_callback(); None ends it; both may change at any time."""
    d = Driver(handler="callback")
    d.connect()
    d.feed(publish(b"t", b"1"))
    d.client.set_message(d._message)
    d.feed(publish(b"t", b"2"))
    d.client.set_message(None)
    d.feed(publish(b"t", b"3"))
    d.client.set_callback(None)
    d.feed(publish(b"t", b"4"))
    same([m[:2] for m in d.got], [(b"t", b"1"), (b"t", b"2"), (b"t", b"3")])
    same([len(m) for m in d.got], [2, 5, 2])


def test_callback_owns_its_bytes():
    """What a callback is given stays what it was."""
    d = Driver(handler="callback", buffer_size=64)
    d.connect()
    for i in range(50):
        d.feed(publish(b"t%d" % i, b"payload %d" % i))
    same(d.got, [(b"t%d" % i, b"payload %d" % i) for i in range(50)])


def test_on_published():
    """It may publish again, and may fail: the link stays, the message is done."""
    d = Driver(inflight=1)
    d.connect(False)
    left = [3]

    def published(packet_id):
        d.done.append(packet_id)
        left[0] -= 1
        if left[0]:
            assert d.accept(b"t", b"x", qos=1)

    d.client.on_published(published)
    d.accept(b"t", b"x", qos=1)
    for p in (1, 2, 3):
        d.feed(b"\x40\x02\x00" + bytes((p,)))
    same((d.done, d.tables), ([1, 2, 3], (0, 0)))

    def fail(packet_id):
        raise KeyError(packet_id)

    d.client.on_published(fail)
    d.accept(b"t", b"x", qos=1)
    with raises(KeyError, 4):
        d.feed(b"\x40\x02\x00\x04" + publish(b"t", b"x"))
    d.go()
    same((d.closed, d.tables, len(d.got)), (False, (0, 0), 1))


def test_stats():
    d = Driver()
    d.connect(False)
    names = sorted(d.client.stats())
    same(
        names,
        ["acks_ignored", "awaiting_release", "connects", "duplicates_dropped"]
        + ["in_flight", "pings", "resent"],
    )
    d.feed(b"\x40\x02\x00\x09" + b"\x70\x02\x00\x09" + b"\x50\x02\x00\x09")
    d.run(d.client.ping)
    same([d.client.stats()[name] for name in names], [3, 0, 1, 0, 0, 1, 0])
    d = Driver(inflight=0)
    same(sorted(d.client.stats()), names)
