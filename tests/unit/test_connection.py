"""How a connection begins and ends: CONNACK, sessions that are there or not, DISCONNECT."""

from driver import OK, RESUMED, Driver, parse, publish
from util import raises, same
from umqtt_plus.errors import MQTTException


def test_session_present():
    """What connect() returns: MQTT-3.2.2-2, MQTT-3.2.2-3, X311-3.2.2.2-a, E66."""
    d = Driver()
    same((d.connect(False), d.client.session_present), (False, False))
    d.lose()
    same((d.connect(False, RESUMED), d.client.session_present), (True, True))
    d.lose()
    same((d.connect(False), d.client.session_present), (False, False))
    d.feed(publish(b"t", b"x", 1, 1))
    same(len(d.got), 1)


def test_foreign_session():
    """A session that this object did not begin is cleaned away: E65, X311-3.1.2.4-b."""
    d = Driver()
    links = []
    first = d._open

    def opened(*args):
        steps = first(*args)
        links.append(steps[-1])
        return steps

    d._open = opened
    same(d.connect(False, (RESUMED + publish(b"old", b"x", 1, 1), OK, OK)), False)
    same([link.out[9] for link in links], [0, 2, 0])
    same([bytes(link.out[-2:]) for link in links], [b"\xe0\x00", b"\xe0\x00", b"\x01c"])
    same([link.closed for link in links], [True, True, False])
    same(d.got, [])
    d.feed(publish(b"new", b"x"))
    same(len(d.got), 1)


def test_foreign_session_adopted():
    """adopt=True takes the session with what waits in it: X311-3.2.2.2-a, E65."""
    d = Driver()
    same(d.connect(False, RESUMED + publish(b"old", b"x", 1, 1), adopt=True), True)
    d.go()
    same((d.links, len(d.got), d.out()[-4:]), (1, 1, b"\x40\x02\x00\x01"))


def test_foreign_session_that_stays():
    """A server that keeps what it was told to forget: fails, and is closed (E65)."""
    d = Driver()
    with raises(MQTTException):
        d.connect(False, (RESUMED, OK, RESUMED))
    assert d.closed


def test_second_connect():
    """connect() on an open connection makes a new one: one CONNECT each, MQTT-3.1.0-2."""
    d = Driver()
    d.connect()
    old = d.link
    d.connect()
    same(d.links, 2)
    assert old.closed and not d.closed
    same([first for first, body in parse(old.out)], [0x10, 0xE0])
    same([first for first, body in parse(d.out())], [0x10])


def test_nothing_before_connack():
    """Nothing is sent behind CONNECT until CONNACK: X311-3.1.4-a, MQTT-3.1.4-5."""
    d = Driver(keepalive=1)
    d.connect(False)
    d.accept(b"a", b"x", qos=1)
    d.lose()
    seen = []

    def look(d):
        seen.append(len(parse(d.link.out)))
        if len(seen) == 3:
            d.link.pieces.append(RESUMED)

    d.answers.append([])
    d.later = [look, look, look]
    d.run(d.client.connect, False)
    d.go()
    same((seen, len(parse(d.out()))), ([1, 1, 1], 2))


def test_connack_before_connect_is_out():
    """Nobody can answer a CONNECT that is still on its way: MQTT-3.2.0-1, E60."""
    d = Driver("a long client id")
    d.space = 5
    d.answers.append([])
    more = lambda d: setattr(d.link, "space", -1)  # noqa: E731
    d.later = [OK, more]
    try:
        d.run(d.client.connect)
    except MQTTException:
        assert d.closed
        return
    same(len(parse(d.out())), 1)  # it was written first, and unharmed


def test_silence():
    """No CONNACK: OSError(ETIMEDOUT) at the deadline, closed. X311-3.2-a, E61."""
    d = Driver(timeout_ms=3000)
    d.answers.append([])
    with raises(OSError, 110):
        d.run(d.client.connect)
    same((d.closed, d.now), (True, 4000))
    d.answers.append([])
    with raises(OSError, 110):
        d.run(d.client.connect, True, 7)
    same((d.closed, d.now), (True, 11000))


def test_end_of_stream():
    """The link ends before and inside CONNACK: OSError, no violation. E16"""
    for n in range(4):
        d = Driver()
        d.answers.append([OK[:n]] if n else [])
        d.later = [lambda d: setattr(d.link, "eof", True)]
        with raises(OSError, 104):
            d.run(d.client.connect)
        assert d.closed
        d.connect()


def test_disconnect():
    """E0 00, then the end of the link: MQTT-3.14.1-1, MQTT-3.14.4-1, MQTT-3.14.4-2."""
    d = Driver(keepalive=10)
    d.connect(False)
    d.link.space = 8
    d.accept(b"a", b"payload", qos=1)
    d.out()
    d.later = [lambda d: setattr(d.link, "space", -1)]
    d.run(d.client.disconnect)
    assert d.closed
    same(d.out()[-2:], b"\xe0\x00")  # what had begun was finished first
    for verb in (d.client.check_msg, d.client.wait_msg, d.client.ping):
        with raises(OSError, 107):
            d.run(verb)
    for qos in (0, 1, 2):
        with raises(OSError, 107):
            d.publish(b"a", b"x", False, qos)
        with raises(OSError, 107):
            d.accept(b"a", b"x", qos=qos)
    with raises(OSError, 107):
        d.subscribe(b"a")
    same(d.out(), b"")
    d.run(d.client.disconnect)  # again: nothing happens
    same(d.links, 1)


def test_disconnect_on_a_stuck_link():
    """It closes at the deadline; an unfinished packet is not followed by E0 00."""
    d = Driver(timeout_ms=500)
    d.connect()
    d.out()
    d.link.space = 3
    d.accept(b"a", b"payload", qos=1)
    d.run(d.client.disconnect)
    same((d.closed, d.out(), d.now), (True, b"\x32\x0c\x00", 1500))


def test_attributes_make_no_room_after_connect():
    """What the client notes down later fits into its table as connect() has left it: to make that
    larger takes 600 bytes in one piece, on a heap that is not what it was."""
    for inflight in (0, 4):
        d = Driver(inflight=inflight, keepalive=10, handler=None)
        places = []
        for step in (
            d.connect,
            lambda: d.publish(b"a", b"x"),
            lambda: d.publish(b"a", bytes(2000)),
            lambda: d.accept(b"a", b"x", qos=1) if inflight else None,
            lambda: d.feed(publish(b"a", b"x", 2 if inflight else 0, 1) + publish(b"b", b"y")),
            lambda: (d.run(d.client.ping), d.feed(b"\xd0\x00")),
        ):
            step()
            n = len(d.client.__dict__)
            places.append(next(most for most in (47, 59, 73, 97) if n <= most))  # MicroPython's
        same(places, [73] * 6)
