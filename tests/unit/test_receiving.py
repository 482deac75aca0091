"""Messages from the server: replies, order, QoS 2 once only, handlers that fail or publish."""

import gc

from driver import OK, RESUMED, SIZES, Driver, ack, parse, publish
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def client(**options):
    d = Driver(**options)
    d.connect(False)
    d.out()
    return d


def test_reply_by_qos():
    """Nothing, PUBACK, PUBREC: MQTT-3.3.4-1, MQTT-2.3.1-6. What the handler sees is what came."""

    def check(qos, flags, first):
        for size in SIZES:
            for handler in ("message", "callback", None):
                d = client(handler=handler)
                d.feed(publish(b"to/pic", b"pay\0load", qos, 0xABCD, flags), size)
                same(d.out(), ack(first, 0xABCD) if first else b"")
                message = (b"to/pic", b"pay\0load", qos, bool(flags & 1), bool(flags & 8))
                wanted = {"message": [message], "callback": [message[:2]], None: []}
                same(d.got, wanted[handler])

    each(
        (
            (0, 0, 0),
            (0, 1, 0),
            (1, 0, PUBACK),
            (1, 1, PUBACK),
            (1, 9, PUBACK),
            (2, 0, PUBREC),
            (2, 9, PUBREC),
        ),
        check,
    )


def test_acked_without_a_handler():
    """MQTT-4.5.0-2, E28: also without tables, for QoS 1."""
    d = client(handler=None, inflight=0)
    d.feed(publish(b"t", b"x", 1, 7))
    same(d.out(), ack(PUBACK, 7))
    # QoS 2 cannot be kept apart without a table: closed, not dropped
    same(d.refused(publish(b"t", b"x", 2, 7)), 0x97)


def test_qos1_again_is_new():
    """MQTT-4.3.2-2, E52"""
    d = client()
    d.feed(publish(b"t", b"x", 1, 5) + publish(b"t", b"x", 1, 5, 8))
    same((len(d.got), d.out()), (2, ack(PUBACK, 5) * 2))


def test_qos2_once():
    """PUBREC for each copy, one delivery, at PUBLISH; PUBREL frees the id: MQTT-4.3.3-2,
    X311-4.3.3-a, E50, E44."""
    d = client()
    copy = publish(b"t", b"x", 2, 7, 8)
    d.feed(publish(b"t", b"x", 2, 7))
    same(len(d.got), 1)
    d.feed(copy + copy)
    same((len(d.got), d.out(), d.tables), (1, ack(PUBREC, 7) * 3, (0, 1)))
    d.lose()
    d.connect(False, RESUMED)
    d.out()
    d.feed(copy, 1)
    same((len(d.got), d.out()), (1, ack(PUBREC, 7)))
    d.feed(ack(PUBREL, 7) + ack(PUBREL, 7))
    same((d.out(), d.tables), (ack(PUBCOMP, 7) * 2, (0, 0)))
    d.feed(publish(b"t", b"new", 2, 7, 8))  # DUP says nothing about an id that is free
    same((d.got[1:], d.out()), ([(b"t", b"new", 2, False, True)], ack(PUBREC, 7)))
    same(d.client.stats()["duplicates_dropped"], 3)


def test_lost_session_frees_the_ids():
    """Ids of a session that the server lost do not swallow new messages (E66)."""
    for clean, answer in ((False, OK), (True, OK)):
        d = client()
        d.feed(publish(b"t", b"old", 2, 7))
        d.lose()
        d.connect(clean, answer)
        d.feed(publish(b"t", b"new", 2, 7))
        same(len(d.got), 2)


def test_order_of_replies():
    """As the messages came: MQTT-4.6.0-2, MQTT-4.6.0-3."""
    ids = (5, 2, 9, 65535, 1)
    for qos, first in ((1, PUBACK), (2, PUBREC)):
        d = client()
        data = b"".join([publish(b"t", b"x", qos, p) for p in ids])
        for size in (0, 5):
            d.feed(data, size)
            same(d.out(), b"".join([ack(first, p) for p in ids]))


def test_many_qos2():
    """Ids that would share a place, all open at once and released in another order:
    MQTT-4.1.0-2."""
    ids = [1 + 32 * i for i in range(20)] + [2, 3, 34, 35, 65535, 65504, 40, 72, 104, 136, 168, 31]
    same(len(set(ids)), 32)
    d = client()
    for p in ids:
        d.feed(publish(b"t", b"x", 2, p))
    same((len(d.got), d.tables), (32, (0, 32)))
    for p in ids:
        d.feed(publish(b"t", b"x", 2, p, 8))
    same((len(d.got), d.out()), (32, b"".join([ack(PUBREC, p) for p in ids]) * 2))
    d.lose()
    d.connect(False, RESUMED)
    same(d.tables, (0, 32))
    d.out()
    half = ids[::2]
    for p in half:
        d.feed(ack(PUBREL, p))
    same((d.out(), d.tables), (b"".join([ack(PUBCOMP, p) for p in half]), (0, 16)))
    for p in ids[1::2]:
        d.feed(publish(b"t", b"x", 2, p, 8))
    same(len(d.got), 32)
    for p in half:
        d.feed(publish(b"t", b"x", 2, p))
    same((len(d.got), d.tables), (48, (0, 32)))


def test_as_many_as_acks_fit():
    """wait_msg() returns as soon as all that came is handled, also when it fills the acks."""
    for n in (1, 15, 16, 17, 32, 33):
        for qos in (1, 2):
            d = client(buffer_size=512)
            d.link.pieces.append(b"".join([publish(b"t", b"x", qos, p + 1) for p in range(n)]))
            now = d.now
            same((d.run(d.client.wait_msg, 1000), len(d.got), d.now), (True, n, now), n)
            same(len(d.out()), 4 * n)


def test_too_many_qos2():
    """There is room for 256 open ids and no more: closed, and those known stay known:
    MQTT-4.8.0-2, MQTT-4.1.0-2."""
    d = client()
    came = 0
    for p in range(1, 257):
        d.feed(publish(b"t", b"x", 2, 3 * p))
        d.out()
        came += len(d.got)
        del d.got[:]
        if not p % 16:
            gc.collect()
    same((came, d.tables), (256, (0, 256)))
    same(d.refused(publish(b"t", b"x", 2, 1)), 0x97)
    d.connect(False, RESUMED)
    d.feed(publish(b"t", b"x", 2, 3 * 200, 8))
    same((d.got, d.tables), ([], (0, 256)))


def test_handler_fails():
    """An acknowledged message is not lost: closed without ack, so that it comes again
    (MQTT-4.8.0-2). A QoS 0 message is gone, and the link stays."""

    def check(qos, first):
        for handler in ("message", "callback"):
            d = client(handler=handler)

            def fail(d):
                raise KeyError("no")

            d.then = fail
            with raises(KeyError):
                d.feed(publish(b"t", b"x", qos, 7) + publish(b"t", b"y"))
            d.then = None
            if not qos:
                d.go()
                same((d.closed, len(d.got)), (False, 2))
                continue
            same((d.closed, d.out(), d.tables), (True, b"", (0, 0)))
            d.connect(False, RESUMED)
            d.out()
            d.feed(publish(b"t", b"x", qos, 7, 8))
            same((len(d.got), d.out()), (2, ack(first, 7)))

    each(((0, 0), (1, PUBACK), (2, PUBREC)), check)


def test_disconnect_in_the_handler():
    """Nothing is acknowledged after it: MQTT-3.14.4-2. What comes again at QoS 2 is a copy."""
    for qos in (0, 1, 2):
        d = client()
        d.then = lambda d: d.run(d.client.disconnect)
        with raises(OSError, 107):
            d.feed(publish(b"t", b"x", qos, 7) + publish(b"t", b"y", qos, 8))
        same((d.closed, len(d.got), d.out()), (True, 1, b"\xe0\x00"))
        d.then = None
        d.connect(False, RESUMED)
        d.out()
        if qos < 2:
            d.feed(publish(b"t", b"x", 1, 7, 8))
            same((len(d.got), d.out()), (2, ack(PUBACK, 7)))
            continue
        d.feed(publish(b"t", b"x", 2, 7, 8) + publish(b"t", b"y", 2, 8, 8) + ack(PUBREL, 7))
        same([m[1] for m in d.got], [b"x", b"y"])
        same(d.out(), ack(PUBREC, 7) + ack(PUBREC, 8) + ack(PUBCOMP, 7))


def test_link_lost_in_the_handler():
    """A QoS 2 message that a handler has dealt with is not handed over again: MQTT-4.3.3-2."""

    def reply(d):
        d.link.error = 104
        d.publish(b"out", b"x")

    def swallow(d):
        try:
            reply(d)
        except OSError:
            pass

    for then, again in ((swallow, 0), (reply, 1)):
        d = client()
        d.then = then
        with raises(OSError):
            d.feed(publish(b"t", b"x", 2, 7))
        d.then = None
        d.connect(False, RESUMED)
        d.out()
        d.feed(publish(b"t", b"x", 2, 7, 8))
        same((len(d.got), d.out()), (1 + again, ack(PUBREC, 7)))


def test_disconnect_while_a_call_waits():
    """The call that waits ends with OSError."""
    for call in (
        lambda d: d.subscribe(b"t"),
        lambda d: d.unsubscribe(b"t"),
        lambda d: d.publish(b"t", b"x", False, 1),
        lambda d: d.publish(b"t", b"x", False, 2),
    ):
        d = client()
        d.then = lambda d: d.run(d.client.disconnect)
        d.later = [publish(b"t", b"x")]
        with raises(OSError, 107):
            call(d)
        assert d.closed


def test_publish_in_the_handler():
    """Of every QoS, queued behind what goes; DUP does not come over: MQTT-3.3.1-3."""
    d = client()

    def forward(d):
        qos = d.got[-1][2]
        d.publish(b"out", b"%d" % qos, False, qos)

    d.then = forward
    d.feed(publish(b"t", b"x", 1, 7, 8) + publish(b"t", b"x", 2, 8, 8) + publish(b"t", b"x"), 0)
    found = parse(d.out())
    sent = [body for first, body in found if first in (0x30, 0x32, 0x34)]
    same(sent, [b"\0\3out\0\0011", b"\0\3out\0\0022", b"\0\3out0"])
    same([f for f in found if f[0] in (PUBACK, PUBREC)], [(PUBACK, b"\0\7"), (PUBREC, b"\0\x08")])
    same(d.tables, (2, 1))


def test_waiting_in_the_handler():
    """It cannot, and says so: no reply is lost by it."""
    d = client()
    seen = []

    def wait(d):
        for verb in (d.client.wait_msg, d.client.check_msg):
            try:
                d.run(verb)
            except OSError as error:
                seen.append(error.args[0])

    d.then = wait
    d.feed(publish(b"t", b"x", 1, 7))
    same((seen, d.out(), d.closed), ([114, 114], ack(PUBACK, 7), False))


def test_more_copies_than_acks():
    """Replies have room for 16: what comes behind them in the same read waits, copies as well."""
    d = client()
    ids = list(range(1, 41))
    first = b"".join([publish(b"t", b"x", 2, p) for p in ids])
    d.feed(first)
    same((len(d.got), d.out()), (40, b"".join([ack(PUBREC, p) for p in ids])))
    d.lose()
    d.connect(False, RESUMED)
    d.out()
    d.feed(b"".join([publish(b"t", b"x", 2, p, 8) for p in ids]))
    same((len(d.got), d.out()), (40, b"".join([ack(PUBREC, p) for p in ids])))
