"""PINGREQ in time, dead links seen, the clock's wrap."""

import time

from driver import RESUMED, Driver, ack, publish
from util import each, raises, same

PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


def client(keepalive, **options):
    d = Driver(keepalive=keepalive, **options)
    d.connect(False)
    d.out()
    return d


def margin(k):
    """ms before the promise ends at which a PINGREQ is due, for a keepalive of k seconds."""
    return k * 500 if k < 4 else max(1000, k * 250)


def answer_time(k):
    """ms after a PINGREQ when a silent link is dead."""
    return int(min(max(k * 500, min(5000, k * 750)), 30000))


KEEPALIVES = [(k,) for k in (1, 2, 3, 4, 5, 8, 10, 11, 60, 300, 65535)]


def until_written(d, step, most):
    """ms until something is written, looking every step ms."""
    for ms in range(0, most + step, step):
        if d.link.out:
            return ms
        d.tick(step)
    raise AssertionError("nothing was written within %d ms" % most)


def test_ping_in_time():
    """A PINGREQ starts before keepalive is over, and not much too early: MQTT-3.1.2-23."""

    def check(k):
        d = client(k)
        step = max(1, k * 20)
        for _ in range(4):
            ms = until_written(d, step, k * 1000)
            assert k * 1000 - margin(k) - step <= ms <= k * 1000 - margin(k) + 2 * step, ms
            same(d.out(), PINGREQ)
            d.feed(PINGRESP)

    each(KEEPALIVES, check)


def test_a_stalled_loop():
    """The application came back so late that only a PINGREQ at once keeps the promise, or so late
    that the server has given up (one and a half keepalive): closed, nothing is sent."""

    def check(k):
        d = client(k)
        d.tick(k * 1000)
        same(d.out(), PINGREQ)
        d = client(k)
        with raises(OSError, 110):
            d.tick(k * 1500 + 1)
        same((d.closed, d.out()), (True, b""))

    each(KEEPALIVES, check)


def test_received_packets_do_not_count():
    """What the server sends postpones no PINGREQ: MQTT-3.1.2-23."""

    def check(k):
        d = client(k)
        step = k * 50
        for ms in range(0, k * 1000 + step, step):
            if d.link.out:
                break
            d.now = time.ticks_add(d.now, step)
            d.feed(publish(b"t", b"x"))
        assert ms <= k * 1000 - margin(k) + 2 * step, ms
        same(d.out(), PINGREQ)

    each([(k,) for k in (2, 4, 10, 60)], check)


def test_sent_packets_count():
    """Each packet that is sent moves the PINGREQ; but one who only sends hears nothing of a dead
    link, so that it asks when nothing came for a whole keepalive."""

    def check(k, qos):
        d = client(k, inflight=8)
        silent = 0
        for _ in range(60):
            d.now = time.ticks_add(d.now, k * 100)
            silent += k * 100
            if qos:
                d.feed(ack(0x40, d.accept(b"a", b"x", qos=1)))
            else:
                d.publish(b"a", b"x")
                d.go()
            data = d.out()
            if PINGREQ in data:
                assert not qos
                assert k * 1000 <= silent <= k * 1200, silent
                d.feed(PINGRESP)
                silent = 0
        assert qos or silent < k * 1200

    each([(k, qos) for k in (2, 10, 60) for qos in (0, 1)], check)


def test_qos0_alone_is_enough():
    """publish() with QoS 0 and nothing else called keeps the connection, and sees its end."""
    d = client(10)
    pings = 0
    for _ in range(100):
        d.now = time.ticks_add(d.now, 1000)
        d.publish(b"a", b"x")
        data = d.out()
        if PINGREQ in data:
            pings += 1
            d.link.pieces.append(PINGRESP)
    assert 6 <= pings <= 12, pings  # an answer is read when the next thing is due
    with raises(OSError, 110):
        for _ in range(30):
            d.now = time.ticks_add(d.now, 1000)
            d.publish(b"a", b"x")
    assert d.closed


def test_no_answer():
    """A server that does not answer is given up in time; no DISCONNECT: X311-3.1.2.10-a,
    MQTT-3.12.4-1."""

    def check(k):
        d = client(k)
        step = max(1, k * 10)
        until_written(d, step, k * 1000)
        same(d.out(), PINGREQ)
        waited = 0
        with raises(OSError, 110):
            while waited < 2 * answer_time(k):
                waited += step
                d.tick(step)
        assert answer_time(k) - step <= waited <= answer_time(k) + step, waited
        same((d.closed, d.out()), (True, b""))
        d.connect(False, RESUMED)
        d.tick(step)

    each(KEEPALIVES, check)


def test_any_packet_shows_life():
    """Messages that come instead of the PINGRESP keep the link; a second PINGREQ goes out in time,
    since the server must hear from us: MQTT-3.1.2-23."""
    d = client(10)
    until_written(d, 100, 10000)
    d.out()
    for _ in range(6):
        d.now = time.ticks_add(d.now, 2000)
        d.feed(publish(b"t", b"x"))
    same((d.out(), d.closed), (PINGREQ, False))
    d.feed(PINGRESP)
    d.tick(1)
    same(d.out(), b"")


def test_answer_that_waits_in_the_socket():
    """Read first, judge then: the application was away, the answer came meanwhile."""
    d = client(10)
    until_written(d, 100, 10000)
    d.out()
    d.link.pieces.append(PINGRESP)
    d.now = time.ticks_add(d.now, 9000)
    d.go()
    assert not d.closed
    d = client(10)
    until_written(d, 100, 10000)
    d.link.pieces.append(publish(b"t", b"x"))
    d.now = time.ticks_add(d.now, 9000)
    d.go()
    same((d.closed, len(d.got)), (False, 1))


def test_off():
    """keepalive=0: no PINGREQ by itself, one when asked for: X311-3.1.2.10-b."""
    d = client(0)
    for _ in range(100):
        d.tick(6000)
    same(d.out(), b"")
    d.run(d.client.ping)
    same(d.out(), PINGREQ)
    d.run(d.client.ping)
    same(d.out(), b"")  # one at a time
    d.feed(PINGRESP)
    d.run(d.client.ping)
    same(d.out(), PINGREQ)


def test_waiting_pings():
    """wait_msg() and a blocked publish() send what is due while they wait: MQTT-3.1.2-23."""
    d = client(4, timeout_ms=60000)
    pings = []

    def reply(d):
        pings.append(d.out())
        d.link.pieces.append(PINGRESP)
        if len(pings) < 5:
            d.now = time.ticks_add(d.now, 3000)
            d.later.append(reply)

    d.now = time.ticks_add(d.now, 3000)
    d.later.append(reply)
    for _ in range(8):
        if not d.run(d.client.wait_msg, 10):
            break
    same(pings[0], PINGREQ)
    d = client(4, timeout_ms=3500)
    with raises(OSError, 110):
        d.publish(b"a", b"x", False, 1)
    same(d.out(), publish(b"a", b"x", 1, 1) + PINGREQ)


def test_blocked_write():
    """A socket that takes nothing: closed after one and a half keepalive at the latest."""
    d = client(10)
    d.link.space = 0
    d.accept(b"a", b"x", qos=1)
    start = d.now
    with raises(OSError, 110):
        for _ in range(40):
            d.tick(500)
    same((d.closed, d.out()), (True, b""))
    assert 14000 <= time.ticks_diff(d.now, start) <= 15500


def test_next_deadline():
    """ms until the client must run again; it keeps its promise when it runs just then."""

    def check(k):
        d = client(k)
        for _ in range(6):
            ms = d.run(d.client.next_deadline)
            assert 0 <= ms <= k * 1000 - margin(k) + 1, ms
            d.tick(ms)
            if d.out() == PINGREQ:
                d.feed(PINGRESP)

    each(KEEPALIVES, check)


def test_wrap():
    """All of it while the clock wraps."""

    def check(before, k):
        for room in (0, 1):
            d = client(k, now=-before)
            ms = until_written(d, 100, k * 1000)
            assert k * 1000 - margin(k) - 100 <= ms <= k * 1000 - margin(k) + 200, ms
            same(d.out(), PINGREQ)
            if room:
                d.feed(PINGRESP)
                until_written(d, 100, k * 1000)
                continue
            with raises(OSError, 110):
                d.tick(answer_time(k))

    each([(before, k) for before in (1, 50, 3000, 7600, 9000) for k in (4, 10)], check)
