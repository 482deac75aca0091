"""MQTT 5.0 where two of its rooms meet: each test is a fault that was there."""

import umqtt_plus.expiry5  # noqa: F401, before the clocks are looked for
import umqtt_plus.outbox  # noqa: F401, it has a clock, too
from driver import parse
from driver5 import RESUMED, Connect, Driver5, ack, connack, publish, wire
from flash5 import Board5
from umqtt_plus.errors import MQTTException
from umqtt_plus.outbox5 import Outbox5
from umqtt_plus.properties import decode, encode
from umqtt_plus.request import Requests
from util import BOARD, Skip, each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
WINDOW = connack("21 0001")  # one message at once
CHALLENGE = wire("F0| 18 <15 'M' 16 'c'>")
ANSWER = wire("F0| 18 <15 'M' 16 ''>")
SUBACK = wire("90| 0001 <> 01")


def up(answer=b"", **options):
    d = Driver5(**options)
    d.connect(False, answer or connack())
    d.out()
    return d


def behind_connect(d):
    return Connect(d.out()).more


# -- authentication ------------------------------------------------------------------------------


def half(**options):
    """An exchange is open, and the socket takes four bytes more."""
    d = up(connack("15 'M'"), method="M", **options)
    d.run(d.client._v.auth.again, d.client)
    d.go()
    same(parse(d.out())[0][0], 0xF0)
    d.link.space = 4
    return d


def open_up(d):
    d.link.space = -1


def test_auth_behind_a_publish():
    """A challenge comes while a PUBLISH is half written: that one first, whole."""
    for n in (10, 40, 300, 900):  # the last one leaves in two parts
        d = half(buffer_size=512)
        d.accept(b"topic", b"m" * n, qos=0)
        d.feed(CHALLENGE)
        d.feed(publish(b"t", b"x"))
        same(len(d.out()), 4)
        open_up(d)
        d.go()
        d.accept(b"topic", b"next", qos=0)
        rest = d.out()
        want = publish(b"topic", b"m" * n)[4:] + ANSWER + publish(b"topic", b"next")
        same(rest, want)


def test_auth_behind_a_subscribe():
    d = half()
    d.later = [CHALLENGE, open_up, SUBACK]
    same(d.subscribe(b"filter", 1), 1)
    same(d.out(), wire("82| 0001 <> 'filter' 01") + ANSWER)


def test_auth_that_cannot_begin():
    """reauthenticate(): the application has nothing to say: no exchange, the next goes."""
    answers = [b"", b"", KeyError("no")]

    def f(data):
        x = answers.pop(0) if answers else b""
        if isinstance(x, Exception):
            raise x
        return x

    d = up(connack("15 'M'"), method="M", answer_auth=f)
    with raises(KeyError):
        d.run(d.client.reauthenticate)
    same((d.out(), d.client._v.auth.open), (b"", False))
    d.later = [wire("F0| 00 <15 'M'>")]
    d.run(d.client.reauthenticate)
    same(d.out(), wire("F0| 19 <15 'M' 16 ''>"))
    same(d.violated(CHALLENGE), 0x82)


# -- what on_published() may do ------------------------------------------------------------------


def parked(f, qos=1):
    """Two messages are in flight; the next server does not take the first; f(client) is told."""
    d = up()
    d.accept(b"a", b"1", True, qos)
    d.accept(b"b", b"2", False, qos)
    d.lose()

    def told(p):
        d._published(p)
        f(d.client)

    d.client.on_published(told)
    return d


def test_parked_and_published_anew():
    """It is resent what is older, then the new one goes once, without DUP."""
    for qos in (1, 2):
        d = parked(lambda c: c.publish_nowait(b"n", b"3", False, 1), qos)
        d.connect(False, connack("25 00", 1))
        d.go()
        want = publish(b"b", b"2", qos, 2, 8) + publish(b"n", b"3", 1, 3)
        same((behind_connect(d), d.codes), (parse(want), [(1, 0x9A)]))
        same(d.tables, (2, 0))


def test_parked_and_its_id():
    """The server may hold the id of a parked QoS 2 message: what is published anew has another."""
    d = up()
    d.accept(b"a", b"1", True, 2)
    d.lose()
    d.set_next_id(1)
    d.client.on_published(lambda p: d.done.append(d.client.publish_nowait(b"n", b"3", False, 1)))
    d.connect(False, connack("25 00", 1))
    d.go()
    same((behind_connect(d), d.done), (parse(publish(b"n", b"3", 1, 2)), [2]))


def test_parked_and_waited_for():
    """publish() as in a handler: it does not wait."""
    d = parked(lambda c: c.publish(b"n", b"3", False, 1))
    d.connect(False, connack("25 00", 1))
    d.go()
    same(behind_connect(d), parse(publish(b"b", b"2", 1, 2, 8) + publish(b"n", b"3", 1, 3)))


def test_parked_and_closed():
    """disconnect() while connect() runs: that says so, and makes no other session."""
    d = parked(lambda c: c.disconnect())
    with raises(OSError, 107):
        d.connect(False, connack("25 00", 1))
    same((d.links, d.tables, d.codes, d.closed), (2, (1, 0), [(1, 0x9A)], True))
    d.connect(False, RESUMED)
    same(behind_connect(d), parse(publish(b"b", b"2", 1, 2, 8)))


def test_expired_and_published_anew():
    """on_published() of an expired message publishes with QoS 1, which does not wait."""
    d = up(WINDOW)
    d.accept(b"t", b"first")
    d.run(d.client.publish_nowait, b"t", b"x", False, 1, {"message_expiry_interval": 5})
    d.out()
    said = []

    def told(p):
        d._published(p)
        if not said:
            said.append(d.client.publish(b"n", b"y", False, 1))

    d.client.on_published(told)
    before = d.now
    d.tick(6000)
    same((said, d.codes, d.now - before), ([3], [(2, 0xFE)], 6000))
    d.feed(ack(PUBACK, 1))
    same(d.out(), publish(b"n", b"y", 1, 3))


def test_expired_long_after():
    """What publish_nowait() accepted does not fail the publish() that waits for a place."""
    d = up(WINDOW, inflight=2)
    topic = b"t"
    d.accept(topic, b"first")
    d.run(d.client.publish_nowait, topic, b"x", False, 1, {"message_expiry_interval": 5})
    d.later = [lambda d: setattr(d, "now", d.now + 6000), ack(PUBACK, 1), ack(PUBACK, 3)]
    same(d.publish(topic, b"y", False, 1), 3)
    assert (2, 0xFE) in d.codes, d.codes


def test_window_goes_on():
    """Receive Maximum 1, and on_published() raises: what waits goes out all the same."""
    d = up(WINDOW)
    d.accept(b"t", b"1")
    d.accept(b"t", b"2")
    d.out()

    def told(p):
        raise KeyError(p)

    d.client.on_published(told)
    with raises(KeyError, 1):
        d.feed(ack(PUBACK, 1))
    d.go()
    same(d.out(), publish(b"t", b"2", 1, 2))


def test_streamed_and_too_large():
    """The next server takes only smaller packets: what is not in the table counts, too."""

    def readinto(buf, offset):
        buf[:] = bytes(len(buf))
        return len(buf)

    for n, codes in ((90, []), (91, [(1, 0x95)]), (300, [(1, 0x95)])):
        d = up()
        with raises(OSError, 110):
            d.run(d.client.publish_stream, b"big", n, readinto, False, 1, timeout_ms=100)
        d.lose()
        d.connect(False, connack("27 00000064", 1))
        d.go()
        same((d.codes, d.tables[0]), (codes, 0 if codes else 1))
        same(len(behind_connect(d)), 0 if codes else 1)


# -- requests ------------------------------------------------------------------------------------


def answer(name, key, payload):
    data = "".join(["%02X" % b for b in key])
    return publish(name, payload, properties="09 %04X %s" % (len(key), data))


def asks(d, asking, name):
    """Ask, and get the answer."""
    d.later = [wire("90| %04X <> 01" % (d.client._tab.next_id)), ack(PUBACK, 2)]
    key = d.run(asking.ask, b"oven", b"?")
    d.later = [answer(name, key, b"!" + name)]
    same(d.run(asking.answer, key), b"!" + name)


def test_requests_with_a_store():
    """In every order: other messages come to the handler once, of each QoS."""

    def check(first):
        b = Board5(handler=first)
        asking = b.run(Requests, b.client, "answers")
        if not first:
            b.handle()
        b.up()
        asks(b, asking, b"answers")
        for qos in (0, 1, 2):
            b.feed(publish(b"t", b"%d" % qos, qos, 9 if qos else 0))
            if qos == 2:
                b.feed(ack(PUBREL, 9))
        same([x[1] for x in b.got], [b"0", b"1", b"2"])
        asks(b, asking, b"answers")
        same(len(b.got), 3)

    each(((True,), (False,)), check)


def test_requests_before_a_store():
    d = Driver5(handler=None)
    Requests(d.client, "answers")
    from umqtt_plus.store import Store

    with raises(ValueError):
        Store(d.client, "s")


def test_two_requests():
    """Each gets its answers, the handler all the rest, once, whenever it was set."""

    def check(when):
        d = Driver5(handler=None)
        two = []
        for i in range(3):
            if i == when:
                d.client.set_message(d._message)
            if i < 2:
                two.append(Requests(d.client, "answers%d" % i))
        d.connect(False)
        for _ in range(2):
            for i in (0, 1):
                asks(d, two[i], b"answers%d" % i)
        d.feed(publish(b"t", b"x"))
        same([x[0] for x in d.got], [b"t"])
        d.client.set_message(None)
        d.feed(publish(b"t", b"y"))
        same(len(d.got), 1)

    each(((0,), (1,), (2,)), check)


def test_ask_is_judged_by_its_own_answer():
    """0x10 of another message is no failure; its own is one, whatever comes behind it."""
    for mine, other in ((0, 16), (16, 0)):
        d = up()
        asking = Requests(d.client, "answers")
        d.later = [SUBACK]
        d.run(asking.ask, b"oven", b"?")
        d.accept(b"t", b"x")
        d.later = [ack(PUBACK, 3, mine) + ack(PUBACK, 2, other)]
        if mine:
            with raises(MQTTException, 16):
                d.run(asking.ask, b"oven", b"?", 1)
        else:
            d.run(asking.ask, b"oven", b"?", 1)
        same((d.tables, len(asking._open)), ((0, 0), 1 if mine else 2))


# -- properties ----------------------------------------------------------------------------------


def test_interval_and_life_in_the_outbox():
    """A shorter life in the box does not shorten what the server is told."""

    def check(s, life, ms, left):
        d = Driver5()
        box = d.run(Outbox5)
        d.run(box.put, b"t", b"m", expire_ms=life, properties={"message_expiry_interval": s})
        d.now += ms
        d.run(box.first)
        got = decode(box.properties)["message_expiry_interval"]
        assert left - 1 <= got <= left, got

    each(
        (
            (3600, 10000, 2000, 3598),
            (3600, 10000, 0, 3600),
            (3600, None, 2000, 3598),
            (3600, 0, 100000, 3500),
            (20, 90000, 5000, 15),
        ),
        check,
    )


def test_interval_at_its_end_in_the_outbox():
    """The last second is 1, never more; one of 0 does not wait for ever."""
    for ms in range(18000, 23000, 250):
        d = Driver5()
        box = d.run(Outbox5)
        d.run(box.put, b"t", b"m", properties={"message_expiry_interval": 20})
        d.now += ms
        if d.run(box.first):
            got = decode(box.properties)["message_expiry_interval"]
            assert 1 <= got <= max(1, 20 - ms // 1000), (ms, got)
    d = Driver5()
    box = d.run(Outbox5)
    d.run(box.put, b"t", b"m", properties={"message_expiry_interval": 0})
    d.now += 10000
    same(d.run(box.first), None)


def test_alias_and_the_largest_packet():
    """No alias where it would make the packet larger than the server takes."""

    def check(most):
        d = up(connack("22 0001 27 %08X" % most))
        for n in range(116, 125):  # the lengths of the packet and of its properties grow
            x = encode("PUBLISH", {"content_type": "p" * n})
            d.connect(False, connack("22 0001 27 %08X" % most))
            d.out()
            try:
                for _ in range(2):
                    d.publish(b"t", b"", properties=x)
            except ValueError:
                continue
            data = d.out()
            sizes = [len(body) + (2 if len(body) < 128 else 3) for _, body in parse(data)]
            same((len(sizes), sum(sizes)), (2, len(data)))
            assert max(sizes) <= most, (n, sizes)

    each([(most,) for most in range(122, 142)], check)


def test_alias_at_the_end_of_the_buffer():
    """A topic with properties that just fits, or does not: ValueError, or a whole PUBLISH."""

    def check(n):
        properties = wire("<03 '%s'>" % ("p" * (n - 3)))
        fits = 0
        for size in range(1, 140):
            d = up(connack("22 0001"), buffer_size=256)
            topic = b"t" * size
            try:
                for _ in range(2):
                    d.publish(topic, b"m", properties=properties)
            except ValueError:
                continue
            assert fits == size - 1, "%d fits, %d does not" % (size, size - 1)
            fits = size
            found = parse(d.out())
            same(len(found), 2)
            for top, (first, body) in zip((topic, b""), found):
                i = 2 + len(top)
                same((first, body[2:i], body[-1:]), (0x30, top, b"m"))
                same(decode(body[:-1], i), {"content_type": b"p" * (n - 3), "topic_alias": 1})
        assert fits > 100, fits

    each([(n,) for n in range(122, 131)], check)


def test_alias_with_long_properties():
    """Over 16383 bytes of them: their length takes three bytes."""
    if BOARD:
        raise Skip("needs much heap")
    for n in (16370, 16378, 16379, 16380, 16381, 16382, 17000):
        d = up(connack("22 0001"), buffer_size=20000, inflight=0)
        x = encode("PUBLISH", {"content_type": "p" * n})
        for _ in range(2):
            d.publish(b"topic", b"m", properties=x)
        found = parse(d.out())
        same(len(found), 2)
        for topic, (first, body) in zip((b"topic", b""), found):
            i = 2 + len(topic)
            same((first, body[2:i], body[-1:]), (0x30, topic, b"m"))
            same(decode(body[:-1], i), {"content_type": b"p" * n, "topic_alias": 1})


def test_properties_of_a_piece():
    """The first piece of a message has them; where the others are, they lie no more."""
    d = Driver5(buffer_size=64)
    seen = []
    d.client.set_stream(lambda m: seen.append((m.offset > 0, m.properties, m.property(2))))
    d.connect(False)
    d.feed(publish(b"big", b"\x02" * 300, properties="02 00000005"), 50)
    d.rest()
    same(seen[0], (False, {"message_expiry_interval": 5}, 5))
    assert len(seen) > 3
    same([x for x in seen[1:] if x != (True, {}, None)], [])


def test_subscribe_and_a_handler_that_raises():
    """The late answer is taken for what it is, and its id is free again."""

    def check(verb, first):
        d = up()

        def fail(d):
            d.then = None
            raise KeyError("handler")

        d.then = fail
        d.later = [publish(b"t", b"x")]
        with raises(KeyError):
            d.run(getattr(d.client, verb), b"filter")
        d.feed(wire("%02X| 0001 <> 00" % first))
        same((d.client._asks, d.closed), ({}, False))

    each((("subscribe", 0x90), ("unsubscribe", 0xB0)), check)
