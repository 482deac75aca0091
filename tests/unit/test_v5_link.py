"""The link with MQTT 5.0: keep alive as the server wants it, DISCONNECT both ways, breaks."""

from driver import parse
from driver5 import RESUMED, Connect, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"


def up(properties="", **options):
    d = Driver5(**options)
    d.connect(False, connack(properties))
    d.out()
    return d


# -- keep alive ----------------------------------------------------------------------------------


def until_ping(d, most):
    """ms until a PINGREQ, looking every 50 ms; None by most."""
    for ms in range(0, most, 50):
        if d.out() == PINGREQ:
            return ms
        d.tick(50)
    return None


def test_keep_alive():
    """MQTT5-3.1.2-20: with nothing to send a PINGREQ in time; inbound packets do not count."""

    def check(k):
        d = up(keepalive=k)
        for _ in range(3):
            ms = until_ping(d, k * 1000)
            assert ms is not None and ms >= k * 400, ms
            d.feed(PINGRESP)
        for _ in range(20):
            d.feed(publish(b"t", b"x"))
            if PINGREQ in d.out():
                break
            d.tick(k * 50)
        else:
            raise AssertionError("no PINGREQ")

    each(((2,), (5,), (60,)), check)


def test_server_keep_alive():
    """MQTT5-3.1.2-21, MQTT5-3.2.2-21: shorter, longer, or 0 for none."""

    def check(mine, given):
        d = up(f"13 {given:04X}", keepalive=mine)
        if not given:
            same(until_ping(d, 200000), None)
            d.run(d.client.ping)  # X5-3.1.2.10-b: at any time
            same(d.out(), PINGREQ)
            return
        for _ in range(2):
            ms = until_ping(d, given * 1000)
            assert ms is not None and ms >= given * 400, ms
            d.feed(PINGRESP)

    each(((60, 2), (2, 60), (0, 5), (60, 0), (5, 5), (0, 0)), check)


def test_keep_alive_of_the_next_connection():
    """MQTT5-3.1.2-21: it holds for its connection; the next CONNECT has one's own again."""
    d = Driver5(keepalive=60)
    d.connect(False, connack("13 0002"))
    same(Connect(d.out()).keep_alive, 60)
    assert until_ping(d, 2000) is not None
    d.connect(False, RESUMED)
    same(Connect(d.out()).keep_alive, 60)
    same(until_ping(d, 40000), None)
    d.connect(False, connack("13 0000", 1))
    d.out()
    same(until_ping(d, 100000), None)


def test_no_keep_alive():
    """X5-3.1.2.10-b: 0 switches it off."""
    d = up()
    same(until_ping(d, 600000), None)
    assert not d.closed


def test_no_answer():
    """X5-3.1.2.10-a, MQTT5-3.12.4-1: a server that does not answer PINGREQ is given up."""

    def check(mine, given):
        d = up(given, keepalive=mine)
        assert until_ping(d, 10000) is not None
        with raises(OSError, 110):
            for _ in range(300):
                d.tick(100)
        same((d.closed, d.out()), (True, b""))

    each(((10, ""), (0, "13 000A"), (60, "13 0004")), check)


# -- DISCONNECT of the client --------------------------------------------------------------------


def test_disconnect():
    """MQTT5-3.14.4-2, MQTT5-3.14.4-1: sent, closed at once, and nothing behind it."""
    d = up()
    d.accept(b"a", b"1")
    d.out()
    d.run(d.client.disconnect)
    same((d.out(), d.closed), (b"\xe0\x00", True))
    with raises(OSError, 107):
        d.publish(b"a", b"x")
    d.run(d.client.disconnect)
    d.connect(False, RESUMED)
    same(Connect(d.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))


def test_nothing_behind_it():
    """MQTT5-3.14.4-1: what waits goes out before; what comes while it is sent is not answered."""
    d = up()
    d.link.space = 1
    d.run(d.client.publish_nowait, b"a", b"x")
    d.link.space = -1
    d.link.pieces.append(publish(b"t", b"x", 1, 9))
    d.run(d.client.disconnect)
    same(d.out(), publish(b"a", b"x") + b"\xe0\x00")
    same((d.closed, d.got), (True, []))


# code, properties, bytes
GOODBYES = (
    (0, None, "E0 00"),
    (0, {}, "E0 00"),
    (4, None, "E0 02 04 00"),
    (4, {"reason_string": "bye"}, "E0| 04 <1F 'bye'>"),
    (0, {"session_expiry_interval": 60}, "E0| 00 <11 0000003C>"),
    (0x80, {"user_property": [("n", "v")]}, "E0| 80 <26 'n' 'v'>"),
    (0x81, None, "E0| 81"),
    (0x82, None, "E0| 82"),
    (0x83, None, "E0| 83"),
    (0x90, None, "E0| 90"),
    (0x93, None, "E0| 93"),
    (0x94, None, "E0| 94"),
    (0x95, None, "E0| 95"),
    (0x96, None, "E0| 96"),
    (0x97, None, "E0| 97"),
    (0x98, None, "E0| 98"),
    (0x99, None, "E0| 99"),
)


def test_disconnect_with_a_reason():
    """MQTT5-3.14.2-1: every code that a client may send; 4 publishes the will."""

    def check(code, properties, data):
        d = up()
        d.run(d.client.disconnect, code, properties)
        assert d.closed
        got = d.out()
        wanted = wire(data)
        # without properties their length may be there or not
        assert got == wanted or len(wanted) == 3 and got == wire(data + " <>"), got

    each(GOODBYES, check)


def test_wrong_goodbyes():
    """MQTT5-3.14.2-1: codes that are only the server's, or nobody's. Nothing is sent."""

    def check(code, properties):
        d = up()
        with raises(ValueError):
            d.run(d.client.disconnect, code, properties)
        same(d.out(), b"")

    codes = (1, 0x10, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x9A, 0x9C, 0xA2, 0xFF, 256, -1)
    each([(code, None) for code in codes], check)
    each(
        (
            (0, {"server_reference": "h"}),
            (0, {"content_type": "t"}),
            (0, {"session_expiry_interval": -1}),
            (0, {"reason_string": b"\xff"}),
        ),
        check,
    )


def test_no_session_out_of_none():
    """X5-3.14.2.2.2-a: a session that ends with the connection cannot be made a lasting one."""

    def check(clean, properties):
        d = Driver5(properties=properties)
        d.connect(clean)
        d.out()
        with raises(ValueError):
            d.run(d.client.disconnect, 0, {"session_expiry_interval": 10})
        same(d.out(), b"")
        d.run(d.client.disconnect, 0, {"session_expiry_interval": 0})
        assert d.out()[:1] == b"\xe0" and d.closed

    each(((True, None), (False, {"session_expiry_interval": 0})), check)


def test_a_goodbye_that_is_too_large():
    """MQTT5-3.14.2-3, MQTT5-3.14.2-4, MQTT5-3.2.2-15: without the text, or refused, but never
    larger than the server takes."""

    def check(properties):
        d = up("27 00000010")
        try:
            d.run(d.client.disconnect, 4, properties)
        except ValueError:
            same(d.out(), b"")
            return
        assert len(d.out()) <= 16

    each(
        (
            ({"reason_string": "a" * 12},),
            ({"user_property": [("name", "value")]},),
            ({"user_property": [("n", "v"), ("n", "v")]},),
        ),
        check,
    )
    d = up("27 00000010")
    d.run(d.client.disconnect, 4, {"reason_string": "12345"})
    same(d.out(), wire("E0| 04 <1F '12345'>"))


# -- DISCONNECT of the server --------------------------------------------------------------------


def test_while_a_call_waits():
    """Whoever waits gets what the server said: X5-3.14.4-a, MQTT5-4.13.2-1."""
    bye = wire("E0| 8E <1F 'taken'>")

    def check(call):
        d = up()
        d.later = [bye]
        with raises(MQTTException, 0x8E, "server", b"taken", None):
            call(d)
        assert d.closed
        assert [first for first, _ in parse(d.out())].count(0xE0) == 0

    each(
        (
            (lambda d: d.publish(b"a", b"x", qos=1),),
            (lambda d: d.publish(b"a", b"x", qos=2),),
            (lambda d: d.subscribe("f"),),
            (lambda d: d.unsubscribe("f"),),
            (lambda d: d.run(d.client.wait_msg),),
        ),
        check,
    )


def test_what_it_says():
    """The reason in words."""
    d = up()
    with raises(MQTTException, 0x9D) as caught:
        d.feed(wire("E0| 9D <1C 'h2:1884' 1F 'moved'>"))
    text = str(caught.error)
    assert "server moved" in text and "h2:1884" in text, text


def test_a_message_before_it():
    """What came before in the same read is handled."""
    d = up()
    with raises(MQTTException, 0x8B):
        d.feed(publish(b"t", b"x") + wire("E0| 8B"))
    same(len(d.got), 1)


# -- links that break --------------------------------------------------------------------


def test_a_violation_over_a_blocked_link():
    """MQTT5-4.13.2-1, X5-4.13.1-a: closed also when the DISCONNECT cannot be sent, never in the
    middle of another packet."""

    def check(space, busy):
        d = up()
        if busy:
            d.link.space = 3
            d.accept(b"a", b"1")
        d.link.space = space
        with raises(MQTTException, 0x82):
            d.feed(b"\xc0\x00")
        assert d.closed
        if busy:
            same(d.out(), publish(b"a", b"1", 1, 1)[: 3 + space])
        else:
            found = parse(d.out())
            assert found in ([], [(0xE0, b"\x82")]), found

    each([(space, busy) for space in range(6) for busy in (False, True)], check)


def test_not_into_another_packet():
    """The link takes bytes again at the moment of the violation, and half a PUBLISH is out."""
    d = up()
    d.link.space = 3
    d.accept(b"a", b"1")

    def free(d):
        d.link.space = -1

    d.then = free
    with raises(MQTTException, 0x82):
        d.feed(publish(b"t", b"x") + b"\xc0\x00")
    same((d.closed, d.out()), (True, publish(b"a", b"1", 1, 1)[:3]))


def test_a_violation_over_a_broken_link():
    """The reason is what counts, not that it could not be sent."""
    d = up()

    def broken(buf, off=0, n=None):
        raise OSError(104)

    d.link.write = broken
    with raises(MQTTException, 0x81):
        d.feed(wire("30| 0002 C080 <>"))
    assert d.closed


def test_small_writes():
    """MQTT5-4.2.0-1: a stream that takes a byte at a time carries the same."""

    def check(most):
        d = Driver5(client_id="id")
        d.space = -1
        d.connect(False)
        whole = d.out()
        d.link.most = most
        for qos in (0, 1, 2):
            d.run(d.client.publish, b"a", b"x" * 50, timeout_ms=1000) if not qos else d.accept(
                b"a", b"x" * 50, qos=qos
            )
        d.feed(publish(b"t", b"x", 1, 9) + publish(b"t", b"x", 2, 9), 1)
        d.go()
        same(
            d.out(),
            publish(b"a", b"x" * 50)
            + publish(b"a", b"x" * 50, 1, 1)
            + publish(b"a", b"x" * 50, 2, 2)
            + ack(0x40, 9)
            + ack(0x50, 9),
        )
        same(len(parse(whole)), 1)

    each(((1,), (2,), (7,)), check)
