"""With MQTT 5.0: what handlers do, clients without tables, links that take nothing."""

from driver import parse
from driver5 import OK, RESUMED, Connect, Driver5, ack, connack, publish, wire
from tests.vectors.violations5 import VIOLATIONS
from util import each, raises, same
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import encode

P = encode("PUBLISH", {"content_type": "t"})


def up(properties="", **options):
    d = Driver5(**options)
    d.connect(False, connack(properties))
    d.out()
    return d


def test_publish_in_a_handler():
    """With properties, every QoS; the acknowledgement of the message comes in its place."""
    d = up(inflight=8)

    def reply(d):
        d.publish(b"r0", b"0", properties=P)
        same(d.publish(b"r1", b"1", False, 1, properties=P), 1)
        same(d.run(d.client.publish_nowait, b"r2", b"2", False, 2, P), 2)

    d.then = reply
    d.feed(publish(b"q", b"?", 1, 9))
    found = d.out()
    for packet in (
        wire("30| 'r0' <03 't'> 30"),
        wire("32| 'r1' 0001 <03 't'> 31"),
        wire("34| 'r2' 0002 <03 't'> 32"),
        ack(0x40, 9),
    ):
        same(found.count(packet), 1)
    same(len(parse(found)), 4)


def test_publish_when_published():
    """on_published() publishes the next one: one always under way, also after a refusal, and
    never more than the server's window."""
    d = Driver5(inflight=4)
    left = [5]

    def again(packet_id):
        d.done.append(packet_id)
        if left[0]:
            left[0] -= 1
            d.client.publish_nowait(b"a", b"x", False, 1 + left[0] % 2)

    d.client.on_published(again)
    d.connect(False, connack("21 0001"))
    d.out()
    d.accept(b"a", b"x")
    for p in range(1, 7):
        ((first, body),) = parse(d.out())
        same((body[3], body[4]), (0, p))
        if first & 4:
            d.feed(ack(0x50, p, 0x10 if p % 4 else 0x97))
            if p % 4:
                same(d.out(), ack(0x62, p))
                d.feed(ack(0x70, p))
        else:
            d.feed(ack(0x40, p, 0 if p % 3 else 0x87))
    same((d.done, d.tables), ([1, 2, 3, 4, 5, 6], (0, 0)))


def test_disconnect_in_a_handler():
    """The message is dealt with: not acknowledged on this link; a QoS 2 one that comes again over
    the next is a copy."""

    def check(qos, times):
        d = up()
        d.then = lambda d: d.run(d.client.disconnect)
        try:
            d.feed(publish(b"t", b"x", qos, 9) + publish(b"t", b"y", 1, 10))
        except OSError as error:
            same(error.args[0], 107)
        same((d.closed, d.out(), len(d.got)), (True, b"\xe0\x00", 1))
        d.then = None
        d.connect(False, RESUMED)
        d.out()
        d.feed(publish(b"t", b"x", qos, 9, 8))
        same((d.out(), len(d.got)), (ack(0x30 + 16 * qos, 9), times))

    each(((1, 2), (2, 1)), check)


def test_not_in_a_handler():
    """connect(), and waiting for an answer."""
    d = up()
    codes = []

    def look(d):
        for f in (d.client.connect, d.client.wait_msg, d.client.check_msg):
            try:
                d.run(f)
            except OSError as error:
                codes.append(error.args[0])

    d.then = look
    d.feed(publish(b"t", b"x"))
    same(codes, [114, 114, 114])
    assert not d.closed


# -- without tables ------------------------------------------------------------------------------


def test_without_tables():
    """inflight=0: QoS 0 out, QoS 0 and 1 in, requests; acks for nothing are answered, too."""
    d = up(inflight=0)
    d.publish(b"a", b"x", properties=P)
    same(d.out(), wire("30| 'a' <03 't'> 78"))
    d.feed(publish(b"t", b"x", 1, 9) + publish(b"t", b"y", properties="01 01"))
    same((d.out(), len(d.got)), (ack(0x40, 9), 2))
    d.feed(ack(0x40, 5) + ack(0x50, 6) + ack(0x62, 7) + ack(0x70, 8))
    same(d.out(), ack(0x62, 6, 0x92) + ack(0x70, 7, 0x92))
    d.later = [wire("90| 0001 <> 01")]
    same(d.subscribe("f", 1), 1)
    with raises(ValueError):
        d.subscribe("f", 2)
    with raises(ValueError):
        d.publish(b"a", b"x", qos=1)
    d.out()
    d.connect(False, connack("24 00 22 0002", 1))
    d.publish(b"a", b"x")
    same(Connect(d.out()).more, parse(wire("30| 'a' <23 0001> 78")))
    # QoS 2 cannot be kept apart without a table: closed, not dropped
    same(d.violated(publish(b"t", b"x", 2, 7)), 0x97)


def test_violations_without_tables():
    """A client without tables closes, too, with the same code."""

    def check(ids, name, packet, codes):
        known = ("E46v5", "E47v5", "E51v5")
        if name == "up" and ids.split()[0] not in known:
            d = up(inflight=0)
            code = d.violated(wire(packet))
            assert code in codes, code

    each(VIOLATIONS, check)


# -- a link that takes nothing -------------------------------------------------------------------


def test_more_answers_than_room():
    """A server that sends faster than it reads: all answers go out in the end, in order, and
    nothing is handled before there is room for its answer."""

    def check(first, reply, size):
        d = up()
        d.link.space = 0
        data = b"".join([ack(first, p) for p in range(100, 200)])
        for piece in (data[i : i + size] for i in range(0, len(data), size)):
            d.link.pieces.append(piece)
            d.go()
        d.link.space = -1
        for _ in range(60):
            d.go()
        same(d.out(), b"".join([reply(p) for p in range(100, 200)]))

    each(
        [
            (first, reply, size)
            for first, reply in (
                (0x62, lambda p: ack(0x70, p, 0x92)),
                (0x50, lambda p: ack(0x62, p, 0x92)),
            )
            for size in (4, 50, 400)
        ],
        check,
    )


def test_more_messages_than_room():
    def check(qos, size):
        d = up()
        d.link.space = 0
        data = b"".join([publish(b"t", b"x", qos, p) for p in range(100, 140)])
        for piece in (data[i : i + size] for i in range(0, len(data), size)):
            d.link.pieces.append(piece)
            d.go()
        d.link.space = -1
        for _ in range(40):
            d.go()
        same(len(d.got), 40)
        same(d.out(), b"".join([ack(0x30 + 16 * qos, p) for p in range(100, 140)]))

    each([(qos, size) for qos in (1, 2) for size in (9, 50, 400)], check)


def test_a_message_that_is_half_out():
    """What the server answers to a message of which not all is out yet counts for nothing; and the
    DISCONNECT after a violation does not go into the middle of it."""
    d = up()
    d.link.space = 3
    d.accept(b"a", b"12345")
    d.feed(ack(0x40, 1))
    same(d.done, [])
    with raises(MQTTException, 0x82):
        d.feed(b"\xc0\x00")
    same(d.out(), publish(b"a", b"12345", 1, 1)[:3])
    d.connect(False, RESUMED)
    same(Connect(d.out()).more[0][1], publish(b"a", b"12345", 1, 1)[2:])


def test_stats():
    """The counters count with MQTT 5.0, too."""
    d = up(keepalive=10)
    d.accept(b"a", b"1")
    d.feed(ack(0x40, 77) + ack(0x62, 78))
    d.feed(publish(b"t", b"x", 2, 5) + publish(b"t", b"x", 2, 5, 8))
    d.tick(9000)
    d.lose()
    d.connect(False, RESUMED)
    s = d.client.stats()
    same((s["connects"], s["pings"], s["resent"], s["duplicates_dropped"]), (2, 1, 1, 1))
    same((s["acks_ignored"], s["in_flight"], s["awaiting_release"]), (1, 1, 1))
    d.connect(True, OK)
    s = d.client.stats()
    same((s["in_flight"], s["awaiting_release"]), (0, 0))
