"""The session of MQTT 5.0: what is sent again and when, what is dropped, what CONNACK decides."""

from driver import parse
from driver5 import OK, RESUMED, Connect, Driver5, ack, connack, publish, wire
from util import each, raises, same
from umqtt_plus.errors import MQTTException


def up(**options):
    d = Driver5(**options)
    d.connect(False)
    d.out()
    return d


def loaded(**options):
    """Open: 1 awaits PUBACK, 2 PUBREC, 3 PUBCOMP, 4 PUBCOMP (its PUBREC came first), 5 PUBACK; of
    the server 7 and 8 await PUBREL."""
    d = up(inflight=8, **options)
    d.accept(b"a", b"1", qos=1)
    d.accept(b"b", b"2", qos=2)
    d.accept(b"c", b"3", True, qos=2)
    d.accept(b"d", b"4", qos=2)
    d.accept(b"e", b"5", qos=1)
    d.feed(ack(0x50, 4) + ack(0x50, 3))
    d.feed(publish(b"x", b"7", 2, 7) + publish(b"x", b"8", 2, 8))
    same(d.tables, (5, 2))
    d.out()
    d.got.clear()
    return d


RELEASES = ack(0x62, 4) + ack(0x62, 3)
AGAIN = (
    RELEASES
    + publish(b"a", b"1", 1, 1, 8)
    + publish(b"b", b"2", 2, 2, 8)
    + publish(b"e", b"5", 1, 5, 8)
)


def test_resume():
    """Clean Start 0 and Session Present: each once, with its id, DUP 1 and all else as it was, in
    the order of old; PUBRELs in the order of the PUBRECs: MQTT5-4.4.0-1, MQTT5-3.3.1-1,
    MQTT5-4.6.0-1, MQTT5-4.6.0-4, MQTT5-4.3.2-3, MQTT5-4.3.3-3, MQTT5-4.3.3-5, MQTT5-3.2.2-3,
    MQTT5-3.1.2-23, MQTT5-3.6.1-1. Whatever the time that passed: X5-3.1.2.11.2-b."""

    def check(size, ms):
        d = loaded()
        for _ in range(3):
            d.lose()
            d.now += ms
            same(d.connect(False, RESUMED, size), True)
            data = d.out()
            c = Connect(data)
            same(c.flags & 2, 0)
            same(c.more, parse(AGAIN))
            same((d.done, d.tables), ([], (5, 2)))
        # ids 7 and 8 are known: MQTT5-4.3.3-10, MQTT5-4.3.3-11, MQTT5-4.3.3-12
        d.feed(publish(b"x", b"7", 2, 7, 8))
        same((d.out(), d.got), (ack(0x50, 7), []))
        d.feed(ack(0x62, 8) + ack(0x62, 7))
        same(d.out(), ack(0x70, 8) + ack(0x70, 7))
        d.feed(publish(b"x", b"new", 2, 7))
        same((d.out(), len(d.got)), (ack(0x50, 7), 1))

    each([(size, ms) for size in (0, 1, 3) for ms in (0, 1000, 10000000)], check)


def test_never_on_a_live_link():
    """MQTT5-4.4.0-1: nothing is sent again while the connection lives, however long it is silent;
    MQTT5-4.1.0-1: and nothing is given up."""
    d = loaded(keepalive=60)
    for _ in range(100):
        d.tick(30000)
        for first, _ in parse(d.out()):
            same(first, 0xC0)
            d.feed(b"\xd0\x00")
    same(d.tables, (5, 2))
    d.feed(ack(0x40, 1) + ack(0x40, 5) + ack(0x70, 3))
    same(d.done, [1, 5, 3])


def test_never_publish_again_after_pubrel():
    """MQTT5-4.3.3-6, also when the link broke before all of the PUBREL was out."""

    def check(space):
        d = up()
        d.accept(b"a", b"1", qos=2)
        d.out()
        d.link.space = space
        d.feed(ack(0x50, 1))
        d.lose()
        d.connect(False, RESUMED)
        same(Connect(d.out()).more, parse(ack(0x62, 1)))
        d.lose()
        d.connect(False, RESUMED)
        same(Connect(d.out()).more, parse(ack(0x62, 1)))
        d.feed(ack(0x70, 1))
        same(d.done, [1])

    each([(space,) for space in range(5)], check)


def test_no_expiry_once_sent():
    """MQTT5-4.3.3-7: a message with an expiry goes out again long after it."""
    d = up()
    d.run(d.client.publish_nowait, b"a", b"1", False, 2, {"message_expiry_interval": 1})
    sent = d.out()
    d.lose()
    d.now += 3600000
    d.connect(False, RESUMED)
    again = d.out()
    same(again[-len(sent) :], bytes((sent[0] | 8,)) + sent[1:])


def test_properties_go_out_again():
    """Byte by byte as it was, but for DUP: MQTT5-3.3.1-1."""
    properties = {"content_type": "t", "correlation_data": b"x" * 130}
    d = up()
    for qos in (1, 2):
        d.run(d.client.publish_nowait, b"a", b"1", True, qos, properties)
    sent = parse(d.out())
    d.lose()
    d.connect(False, RESUMED)
    same(Connect(d.out()).more, [(first | 8, body) for first, body in sent])


def test_dup_is_of_this_packet():
    """MQTT5-3.3.1-3: a message that is passed on in a handler is new."""
    d = up()

    def relay(d):
        d.accept(b"out", b"x", qos=1)

    d.then = relay
    d.feed(publish(b"in", b"x", 1, 9, 8))
    same(d.got[0][4], True)
    assert publish(b"out", b"x", 1, 1) in d.out()


# -- the session is lost -----------------------------------------------------------------------


def test_lost():
    """E66v5, MQTT5-3.2.2-5: Session Present 0: nothing of the old session is sent, its ids mean
    nothing, and client.unresolved has what became of nobody knows what."""
    d = loaded()
    d.lose()
    same(d.connect(False, OK), False)
    same(Connect(d.out()).more, [])
    same(d.tables, (0, 0))
    same(
        sorted(d.client.unresolved),
        [(1, False), (2, False), (3, True), (4, True), (5, False)],
    )
    # the server's ids are new ones: E66v5
    d.feed(publish(b"x", b"new", 2, 7))
    same((d.out(), len(d.got)), (ack(0x50, 7), 1))
    # and the client goes on with another session
    p = d.accept(b"f", b"6")
    same(d.out(), publish(b"f", b"6", 1, p))
    d.lose()
    d.connect(False, RESUMED)
    same(Connect(d.out()).more, parse(publish(b"f", b"6", 1, p, 8)))


def test_lost_twice():
    """client.unresolved is of the last connect() alone."""
    d = up()
    d.accept(b"a", b"1")
    d.connect(False, OK)
    same(d.client.unresolved, [(1, False)])
    d.accept(b"b", b"2", qos=2)
    d.connect(False, OK)
    same(d.client.unresolved, [(2, False)])
    d.connect(False, RESUMED)
    same(d.client.unresolved, [])


def test_what_was_never_sent_survives():
    """E66v5: it goes out as a new message, DUP 0, after the loss."""
    d = Driver5(inflight=8)
    d.connect(False, connack("21 0001"))
    for text in (b"1", b"2", b"3"):
        d.accept(b"a", text)
    d.out()
    d.connect(False, OK)
    same(Connect(d.out()).more, parse(publish(b"a", b"2", 1, 2) + publish(b"a", b"3", 1, 3)))
    same(d.client.unresolved, [(1, False)])
    d.feed(ack(0x40, 2) + ack(0x40, 3))
    same((d.done, d.tables), ([2, 3], (0, 0)))


def test_never_sent_and_resumed():
    """MQTT5-4.4.0-1: what never went out has no DUP when its turn comes."""
    d = Driver5(inflight=8)
    d.connect(False, connack("21 0001"))
    for text in (b"1", b"2"):
        d.accept(b"a", text)
    d.out()
    d.connect(False, connack("21 0001", 1))
    same(Connect(d.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))
    d.feed(ack(0x40, 1))
    second = d.out()
    same(second[1:], publish(b"a", b"2", 1, 2)[1:])
    same(second[0], 0x32)


def test_clean():
    """Clean Start 1 ends the session on this side, too: MQTT5-3.1.2-4."""
    d = loaded()
    d.lose()
    same(d.connect(True, OK), False)
    c = Connect(d.out())
    same((c.flags & 2, c.more, d.tables), (2, [], (0, 0)))
    d.feed(publish(b"x", b"new", 2, 7))
    same((d.out(), len(d.got)), (ack(0x50, 7), 1))
    d.lose()
    # and that one is not taken up again: it ended with its connection
    d.connect(False, OK)
    same(Connect(d.out()).more, [])


def test_expiry_zero():
    """X5-3.1.2.11.2-a, X5-3.2.2.3.2-a: a session that ends with the connection leaves nothing, if
    the client asked for it or the server said so."""

    def check(clean, properties, given):
        d = Driver5(properties=properties)
        d.connect(clean, connack(given))
        d.accept(b"a", b"1")
        d.feed(publish(b"x", b"7", 2, 7))
        d.lose()
        d.connect(False, OK)
        same(Connect(d.out()).more, [])
        same(d.tables, (0, 0))

    each(
        (
            (False, {"session_expiry_interval": 0}, ""),
            (False, {"session_expiry_interval": 3600}, "11 00000000"),
            (False, None, "11 00000000"),
            (True, None, ""),
        ),
        check,
    )


def test_expiry_that_the_server_gives():
    """X5-3.2.2.3.2-a: more than was asked for: the session outlives the connection."""
    d = Driver5(properties={"session_expiry_interval": 0})
    d.connect(False, connack("11 00000E10"))
    d.accept(b"a", b"1")
    d.lose()
    d.connect(False, RESUMED)
    same(Connect(d.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))


def test_clean_start_with_a_lasting_session():
    """MQTT5-3.1.2-23: Clean Start 1 begins a session that may outlive the connection."""
    d = Driver5(properties={"session_expiry_interval": 3600})
    d.connect(True)
    d.accept(b"a", b"1")
    d.lose()
    same(d.connect(False, RESUMED), True)
    same(Connect(d.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))


def test_a_session_of_somebody_else():
    """E65v5, MQTT5-3.2.2-4: Session Present 1 for a client that has none: closed before anything
    but a DISCONNECT is sent; then it begins anew."""
    d = Driver5()
    links = []
    start = d._open

    def note(*args):
        if d.link:
            links.append(d.link)
        return start(*args)

    d._open = note
    same(d.connect(False, (RESUMED, OK, OK)), False)
    links.append(d.link)
    same([Connect(bytes(link.out)).flags & 2 for link in links], [0, 2, 0])
    for link in links[:2]:
        assert link.closed
        more = Connect(bytes(link.out)).more
        assert [first for first, _ in more] in ([], [0xE0]), more
    d.accept(b"a", b"1")
    d.lose()
    same(d.connect(False, RESUMED), True)


def test_again_and_again():
    """E65v5: a server that has a session each time is given up."""
    d = Driver5()
    with raises(MQTTException, 0x82):
        d.connect(False, (RESUMED, OK, RESUMED))
    assert d.closed


def test_adopt():
    """adopt=True takes such a session over."""
    d = Driver5()
    same(d.connect(False, RESUMED, adopt=True), True)
    d.feed(publish(b"x", b"7", 2, 7))
    same(d.links, 1)


# -- what the new connection does not take -----------------------------------------------------


def test_not_taken_any_more():
    """MQTT5-3.2.2-11, MQTT5-3.2.2-14, MQTT5-3.2.2-15: what was stored is not sent against the
    limits of a new connection, and its id is not used for another message while the server may
    hold it."""

    def check(properties, message, retain, qos):
        d = up(inflight=4)
        p = d.accept(b"a", message, retain, qos)
        d.out()
        d.lose()
        d.connect(False, connack(properties, 1))
        same(Connect(d.out()).more, [])
        same((d.tables[0], d.closed), (0, False))
        d.set_next_id(p)
        assert (
            d.run(
                d.client.publish_nowait, b"b", b"x", False, 1 if "24 00" not in properties else 0
            )
            != p
        )
        d.out()
        # nor by a SUBSCRIBE, and on the connection after that, either
        d.set_next_id(p)
        d.later = [lambda d: d.link.pieces.append(wire("90| %s <> 00" % d.out()[2:4].hex()))]
        d.subscribe("f")
        d.lose()
        d.connect(False, RESUMED)
        d.set_next_id(p)
        assert d.accept(b"b", b"x") != p

    each(
        (
            ("24 00", b"x", False, 1),
            ("24 01", b"x", False, 2),
            ("24 00", b"x", False, 2),
            ("25 00", b"x", True, 1),
            ("27 00000020", b"x" * 40, False, 2),
        ),
        check,
    )


def test_not_taken_but_released():
    """A PUBREL has no QoS and no RETAIN: it goes out whatever the server takes by now."""
    d = up()
    d.accept(b"a", b"x" * 100, True, qos=2)
    d.feed(ack(0x50, 1))
    d.lose()
    d.connect(False, connack("24 00 25 00 27 00000010", 1))
    same(Connect(d.out()).more, parse(ack(0x62, 1)))
    d.feed(ack(0x70, 1))
    same(d.done, [1])


def test_told():
    """What is not taken any more is reported as failed."""
    d = up()
    d.accept(b"a", b"x", qos=2)
    d.lose()
    d.connect(False, connack("24 01", 1))
    assert d.codes == [(1, 0x9B)] or d.client.unresolved, "nobody hears of it"


# -- the link ------------------------------------------------------------------------------------


def test_cut_inside_a_packet():
    """E16v5: not a violation: OSError, no DISCONNECT, the session stays."""

    def check(packet):
        for n in range(1, len(packet)):
            for eof in (True, False):
                d = loaded()
                d.feed(packet[:n])
                d.out()
                if eof:
                    d.link.eof = True
                else:
                    d.link.error = 104
                with raises(OSError):
                    d.go()
                same((d.closed, d.out(), d.tables, d.got), (True, b"", (5, 2), []))
        d.connect(False, RESUMED)
        same(Connect(d.out()).more, parse(AGAIN))

    each(
        (
            (publish(b"x", b"9", 2, 9, properties="01 01"),),
            (wire("40| 0001 00 <1F 'why'>"),),
            (wire("E0| 8B <1F 'why'>"),),
        ),
        check,
    )


def test_two_clients():
    """MQTT5-3.1.3-2: each has its own session."""
    one, two = Driver5("one"), Driver5("two")
    one.connect(False)
    two.connect(False)
    one.accept(b"a", b"1")
    two.accept(b"b", b"2")
    for d in (one, two):
        d.lose()
        d.connect(False, RESUMED)
    same(Connect(one.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))
    same(Connect(two.out()).more, parse(publish(b"b", b"2", 1, 1, 8)))
