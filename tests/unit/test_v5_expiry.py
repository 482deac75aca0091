"""Messages that wait in the table and expire there, by a clock that stands still."""

from driver5 import OK, RESUMED, Driver5, ack, connack, publish
from flash5 import Board5
from flash import DEL, MARK, PUT
import umqtt_plus.expiry5  # noqa: F401, before the clocks are looked for
from umqtt_plus.errors import MQTTException
from util import each, raises, same

EXPIRED = 0xFE
PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
WINDOW = connack("21 0001")  # one message at once
AGAIN = connack("21 0001", 1)


def life(s):
    return {"message_expiry_interval": s}


def one(p, s, qos=1, dup=0, payload=b"x"):
    return publish(b"t", payload, qos, p, dup, "02 %08X" % s)


def busy(cls=Driver5, **options):
    """A window of one, in which message 1 is."""
    d = cls(inflight=4, **options)
    d.connect(False, WINDOW)
    d.accept(b"t", b"first", qos=1)
    d.out()
    return d


def waits(d, s, qos=1, payload=b"x"):
    return d.run(d.client.publish_nowait, b"t", payload, False, qos, life(s))


def test_sent_at_once():
    """As it is; the clock does not matter afterwards, not even for a resend (MQTT5-4.3.3-7)."""
    for qos in (1, 2):
        d = Driver5()
        d.connect(False)
        d.out()
        waits(d, 5, qos)
        same(d.out(), one(1, 5, qos))
        d.tick(6000)
        d.lose()
        d.connect(False, RESUMED)
        data = d.out()
        same(data[2 + data[1] :], one(1, 5, qos, 8))


def test_sent_late():
    """The interval is lowered by the time that the message has waited; QoS 2, too."""

    def check(s, ms, left, qos):
        d = busy()
        same(waits(d, s, qos), 2)
        same(d.out(), b"")
        d.tick(ms)
        d.feed(ack(PUBACK, 1))
        same(d.out(), one(2, left, qos))
        d.lose()
        d.now += 99000000
        d.connect(False, AGAIN)
        data = d.out()
        same(data[2 + data[1] :], one(2, left, qos, 8))  # what was sent does not change

    each(
        (
            (100, 0, 100, 1),
            (100, 999, 100, 1),
            (100, 1000, 99, 2),
            (100, 42500, 58, 2),
            (2, 1999, 1, 1),
            (100000, 70000, 99930, 1),
            (0x1FFFFFFF, 5000, 0x1FFFFFFA, 1),
            (0x20000000, 5000, 0x20000000, 1),  # 17 years: for ever
            (0xFFFFFFFF, 5000, 0xFFFFFFFF, 2),
            (0, 5000, 0, 1),  # it never had a life to lose
        ),
        check,
    )


def test_dropped():
    """Never sent and expired: the place is free, on_published() is told, nothing is sent."""
    d = busy()
    waits(d, 5)
    waits(d, 7, 2)
    waits(d, 1000)
    d.tick(4999)
    same(d.codes, [])
    d.tick(1)
    same((d.codes, d.tables), ([(2, EXPIRED)], (3, 0)))
    d.tick(2000)
    same(d.codes[1:], [(3, EXPIRED)])
    d.feed(ack(PUBACK, 1))
    same(d.out(), one(4, 993))
    d.feed(ack(PUBACK, 4))
    same((d.codes[2:], d.tables), ([(1, 0), (4, 0)], (0, 0)))
    d.accept(b"t", b"next", qos=1)
    same(d.out(), publish(b"t", b"next", 1, 5))


def test_expired_without_a_link():
    """It is found when there is one, before anything is sent."""
    for again in (AGAIN, RESUMED, OK, WINDOW):
        d = busy()
        waits(d, 5)
        waits(d, 50, 1, b"y")
        d.lose()
        d.now += 6000
        d.connect(False, again)
        d.go()
        if again in (AGAIN, RESUMED):
            d.feed(ack(PUBACK, 1))
        data = d.out()
        assert one(2, 5)[-9:] not in data
        same(data[-len(one(3, 44)) :], one(3, 44, 1, 0, b"y"))
        assert (2, EXPIRED) in d.codes, d.codes
        d.feed(ack(PUBACK, 3))
        same(d.tables, (0, 0))


def test_who_waits_is_told():
    """publish() raises when its message has expired."""
    d = busy()
    with raises(MQTTException, EXPIRED):
        d.publish(b"t", b"x", qos=1, properties=life(3))
    same((d.tables, d.client._v.failed), ((1, 0), []))
    d.feed(ack(PUBACK, 1))
    same(d.out(), b"")
    d.accept(b"t", b"1", qos=1)
    with raises(OSError, 110):
        d.publish(b"t", b"x", qos=1, properties=life(30))
    d.tick(30000)  # nobody waits any more
    same((d.codes[-1], d.tables), ((4, EXPIRED), (1, 0)))


def test_others_do_not_expire():
    """Without the property, and with others; QoS 0; the slot of one that expired."""
    d = busy()
    waits(d, 1)
    d.tick(1000)
    same(d.codes, [(2, EXPIRED)])
    for properties in (None, {"user_property": [("a", "b")]}, {"payload_format_indicator": 1}):
        d.run(d.client.publish_nowait, b"t", b"x", False, 1, properties)
    d.tick(100000000)
    same((len(d.codes), d.tables[0]), (1, 4))
    d = Driver5(inflight=0)
    d.connect()
    d.run(d.client.publish_nowait, b"t", b"x", False, 0, life(5))
    same(d.out()[-12:], publish(b"t", b"x", 0, 0, 0, "02 00000005"))


def test_a_handler_that_publishes():
    """on_published() of one that has expired may publish the next one."""
    d = busy()

    def published(p):
        d.done.append((p, d.client.reason_code))
        if d.client.reason_code == EXPIRED and len(d.done) < 4:
            waits(d, 5)

    d.client.on_published(published)
    waits(d, 5)
    for _ in range(4):
        d.tick(5000)
    same(d.done, [(2, EXPIRED), (3, EXPIRED), (4, EXPIRED), (6, EXPIRED)])
    d.feed(ack(PUBACK, 1))
    same((d.out(), d.tables), (b"", (0, 0)))


def test_nothing_is_left_to_send():
    """All that waited has expired when the window opens, and nobody has asked the clock yet."""
    d = busy()
    waits(d, 5)
    waits(d, 5, 2)
    d.now += 6000
    d.feed(ack(PUBACK, 1))
    same((d.out(), d.tables), (b"", (0, 0)))
    same(sorted(d.codes), [(1, 0), (2, EXPIRED), (3, EXPIRED)])
    waits(d, 5)
    same(d.out(), one(4, 5))


def test_behind_a_blocked_link():
    """What has expired while the link took nothing is not sent when it does, by whatever call."""
    d = Driver5()
    d.connect(False)
    d.out()
    d.link.space = 0
    d.accept(b"t", b"first", qos=1)
    waits(d, 5)
    waits(d, 50)
    d.now += 6000
    d.link.space = -1
    d.accept(b"t", b"last", qos=1)
    first, last = publish(b"t", b"first", 1, 1), publish(b"t", b"last", 1, 4)
    same((d.out(), d.codes), (first + one(3, 44) + last, []))
    d.go()
    same((d.codes, d.tables), ([(2, EXPIRED)], (3, 0)))


def test_partly_written():
    """One that has begun to go out does not expire."""
    d = Driver5()
    d.connect(False)
    d.out()
    d.link.space = 3
    waits(d, 5)
    d.now += 10000
    d.lose()
    d.connect(False, RESUMED)
    data = d.out()
    same(data[2 + data[1] :], one(1, 5, 1, 8))


def test_wrapped_ticks():
    d = busy(now=-3000)
    waits(d, 10)
    d.tick(5000)
    d.feed(ack(PUBACK, 1))
    same(d.out(), one(2, 5))


def test_on_file():
    """With a store: what expired leaves the file; what was sent late may be sent again with the
    interval of the beginning, after a power cut."""
    b = busy(Board5)
    waits(b, 5)
    waits(b, 50)
    b.now += 6000
    b.leaves = lambda first, body: None  # its interval is another one by now
    b.feed(ack(PUBACK, 1))
    same(b.out(), one(3, 44))
    same(b.file.kinds, [MARK, PUT, PUT, PUT, DEL, DEL])
    same(sorted(b.codes), [(1, 0), (2, EXPIRED)])
    b = b.reboot(999)
    b.leaves = lambda first, body: None
    b.now += 99000
    b.connect(False, RESUMED)
    data = b.out()
    same(data[2 + data[1] :], one(3, 50, 1, 8))


def test_with_a_store_and_a_free_window():
    b = Board5().up()
    waits(b, 5)
    same(b.out(), one(1, 5))
    waits(b, 0)
    same(b.out(), one(2, 0))


def test_a_server_that_forgets_5():
    """version="auto": what waited goes out with 3.1.1, without properties, and never expires."""
    d = busy(version="auto")
    waits(d, 5)
    d.lose()
    d.now += 9000
    d.connect(False, (connack("", 0, 0x84), b"\x20\x02\x01\x00"))
    same(d.out()[-20:], b"\x3a\x0a\0\1t\0\1first" + b"\x32\x06\0\1t\0\2x")
    d.tick(99000)
    same((d.tables, d.codes), ((2, 0), []))
