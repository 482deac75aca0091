"""version="auto": what each answer to a CONNECT of 5.0 leads to, and what becomes of what waits.

The same connect() asks again with 3.1.1, on a new connection; asyncio below does the same.
"""

import asyncio

import umqtt_plus.aio as aio
from driver import OK as OLD
from driver import Link
from driver import RESUMED as OLD_RESUMED
from driver import publish as old_publish
from driver5 import OK, RESUMED, Driver5, ack, connack, parse, publish, split, wire
from umqtt_plus.errors import MQTTException
from umqtt_plus.v5 import V5
from util import each, raises, same

REFUSED_1 = b"\x20\x02\x00\x01"
REFUSED_84 = connack(code=0x84)


def driver(**options):
    d = Driver5(version="auto", **options)
    d.wires = []  # all of the connections
    real = d._open

    def _open(*args):
        steps = real(*args)
        d.wires.append(d.link)
        return steps

    d._open = _open
    return d


def closes(d):
    """The next connection is closed when CONNECT has come."""

    class Closed(list):
        """Pieces that end with EOF."""

    d.answers.append(Closed())
    real = d._open

    def _open(*args):
        steps = real(*args)
        if isinstance(d.link.answer, Closed):
            d.link.eof = True
        return steps

    d._open = _open


def put(d, *args, **options):
    return d.run(d.client.publish_nowait, *args, **options)


def levels(d):
    """The protocol level of each CONNECT."""
    return [parse(link.out)[0][1][6] for link in d.wires]


def connect(d, *answers, clean=True, **options):
    for answer in answers:
        if answer is None:
            closes(d)
        else:
            d.answers.append(split(answer))
    return d.run(d.client.connect, clean, **options)


def test_what_is_a_server_of_3_1_1():
    """E70: return code 1 and reason 0x84, in one connect(), for good.

    MQTT5-3.1.2-2
    """

    def check(answer):
        for clean in (True, False):
            for size in (0, 1):
                d = driver()
                d.answers += [split(answer, size), split(OLD, size)]
                same(d.run(d.client.connect, clean), False)
                same((levels(d), d.client.version), ([5, 4], 4))
                assert d.wires[0].closed and not d.wires[1].closed
                d.answers.append(split(OLD))
                d.run(d.client.connect, clean)
                same(levels(d), [5, 4, 4])

    each([(REFUSED_1,), (REFUSED_84,), (wire("20| 0084 <1F 'no'>"),)], check)


def test_refused_by_3_1_1_too():
    """The version is known all the same."""
    for code in (2, 5):
        d = driver()
        with raises(MQTTException, code):
            connect(d, REFUSED_84, bytes((0x20, 2, 0, code)))
        with raises(MQTTException, code):
            connect(d, bytes((0x20, 2, 0, code)))
        connect(d, OLD)
        same((levels(d), d.client.version), ([5, 4, 4, 4], 4))


def test_5_where_there_is_5():
    d = driver()
    connect(d, OK)
    same((levels(d), d.client.version), ([5], 5))
    d.lose()
    connect(d, OK)
    same(levels(d), [5, 5])


def test_no_other_refusal_leads_to_3_1_1():
    """The server knows 5.0, or breaks it."""

    def check(answer, code):
        d = driver()
        for _ in range(2):
            with raises(MQTTException, code):
                connect(d, answer)
        same((levels(d), d.client.version), ([5, 5], 5))
        connect(d, OK)

    codes = [(connack(code=c), c) for c in (0x80, 0x81, 0x82, 0x86, 0x87, 0x9C, 0x9F)]
    bad = [(wire(x), 0x81) for x in ("20 02 0000", "20 02 0005", "20 02 0084")]
    each(codes + bad + [(wire("20| 0001 <>"), 0x82), (b"\xd0\x00", 0x82)], check)


def test_closed_without_a_word():
    """Asked with 3.1.1, and that is kept when it works."""
    d = driver()
    connect(d, None, OLD)
    same((levels(d), d.client.version), ([5, 4], 4))
    d.lose()
    connect(d, OLD)
    same(levels(d), [5, 4, 4])


def test_closed_both_times():
    """It was not the version: 5.0 the next time, with all that it needs."""

    def check(second, error):
        d = driver(properties={"user_property": [("k", "v")]})
        d.client.set_last_will(b"w", b"x", properties={"will_delay_interval": 5})
        with raises(type(error), *error.args):
            connect(d, None, second)
        same(d.client.version, 5)
        connect(d, OK)
        same(levels(d), [5, 4, 5])
        same(bytes(d.wires[2].out), bytes(d.wires[0].out))
        d.out()
        put(d, b"t", b"m", qos=1, properties={"content_type": "x"})
        same(d.out(), wire("32| 't' 0001 <03 'x'> 6D"))
        d.feed(publish(b"a", b"b", properties="03 'y'") + ack(0x40, 1, 0x10))
        same((d.got[0][:2], d.client.reason_code), ((b"a", b"b"), 0x10))

    each(
        [
            (None, OSError(104)),
            (b"\x20\x02\x00\x05", MQTTException(5)),
            (b"\x20\x02\x00\x03", MQTTException(3)),
            (b"\xd0\x00", MQTTException(0x82)),
        ],
        check,
    )


def test_closed_is_no_sign():
    """Of a server that has spoken 5.0 before, behind part of an answer, or before CONNECT went."""
    d = driver()
    connect(d, OK)
    d.lose()
    with raises(OSError, 104):
        connect(d, None)
    same(levels(d), [5, 5])

    d = driver()
    closes(d)
    d.answers[-1].append(OK[:3])
    with raises(OSError, 104):
        connect(d)
    same(levels(d), [5])

    d = driver()
    d.space = 5
    with raises(OSError, 104):
        connect(d, None)
    same(d.links, 1)

    d = driver()
    d.answers.append([])
    d.later.append(lambda d: setattr(d.link, "error", 110))
    with raises(OSError, 110):
        connect(d)
    same(levels(d), [5])

    d = driver()

    def _open(*args):
        raise OSError(104)

    d._open = _open
    with raises(OSError, 104):
        connect(d)


def test_within_the_deadline():
    """The second attempt has what is left of it, and none is made without any."""
    d = driver(timeout_ms=1000)
    start = d.now
    d.answers += [[], []]
    d.later.append(lambda d: d.link.pieces.append(REFUSED_1) or later(d, 600))
    with raises(OSError, 110):
        d.run(d.client.connect, True)
    same((levels(d), d.now - start), ([5, 4], 1000))

    d = driver(timeout_ms=1000)
    d.answers += [[]]
    d.later.append(lambda d: d.link.pieces.append(REFUSED_1) or later(d, 1000))
    with raises(MQTTException, 0x84):
        d.run(d.client.connect, True)
    same(levels(d), [5])

    d = driver(timeout_ms=1000)
    d.answers += [[]]
    with raises(OSError, 110):
        d.run(d.client.connect, True)
    same(levels(d), [5])


def later(d, ms):
    d.now += ms


def test_authentication_is_not_given_up():
    d = driver(method="M")
    with raises(MQTTException, 0x84):
        connect(d, REFUSED_84)
    with raises(OSError, 104):
        connect(d, None)
    same(levels(d), [5, 5])


# -- as a client of 3.1.1 ----------------------------------------------------------------------


def fallen(**options):
    d = driver(**options)
    connect(d, REFUSED_1, OLD, clean=False)
    d.out()
    return d


def test_connect_and_will_of_3_1_1():
    d = driver(user="u", password="p", keepalive=60, properties={"receive_maximum": 5})
    d.client.set_last_will(b"w", b"x", True, 1, properties={"will_delay_interval": 5})
    connect(d, REFUSED_1, OLD)
    same(bytes(d.link.out), wire("10| 'MQTT' 04 EE 003C 'c' 'w' 'x' 'u' 'p'"))
    d.client.set_last_will(b"w", b"y", properties={"will_delay_interval": 5})
    connect(d, OLD)
    same(bytes(d.link.out), wire("10| 'MQTT' 04 C6 003C 'c' 'w' 'y' 'u' 'p'"))


def test_server_keep_alive_is_forgotten():
    d = driver(keepalive=60)
    connect(d, connack("13 0005"))
    same(d.client.keepalive, 5)
    d.lose()
    connect(d, REFUSED_84, OLD)
    same((d.client.keepalive, parse(d.out())[0][1][8:10]), (60, b"\x00\x3c"))
    d.tick(31000)
    assert not d.out()


def test_messages_out():
    """Properties are left out, and nothing else changes."""
    d = fallen()
    props = {"content_type": "x"}
    for qos, verb in enumerate(
        (d.client.publish, d.client.publish_nowait, d.client.publish_nowait)
    ):
        d.run(verb, b"t", b"m", True, qos, properties=props)
        same(d.out(), old_publish(b"t", b"m", qos, 2 * qos - 1, 1))
        d.run(verb, b"t", b"m", True, qos)
        d.out()
    same(d.tables, (4, 0))
    for p in (1, 2):
        d.feed(ack(0x40, p))
    for p in (3, 4):
        d.feed(ack(0x50, p))
        d.feed(ack(0x70, p))
    same((sorted(d.done), d.tables), ([1, 2, 3, 4], (0, 0)))
    d.later.append(ack(0x40, 5))
    same(d.publish(b"t", "str", qos=1, properties=props), 5)


def test_the_topic_in_tx():
    """What is ready for the next message to the same topic is of the other version."""
    d = driver()
    connect(d, OK)
    topic = b"topic"
    d.publish(topic, b"m")
    d.lose()
    connect(d, REFUSED_84, OLD)
    d.out()
    d.publish(topic, b"m")
    same(d.out(), old_publish(topic, b"m"))


def test_messages_in():
    """A handler that was written for 5.0 goes on."""
    d = driver()
    d.want = [3, 0x26]
    connect(d, REFUSED_84, OLD)
    d.out()
    d.then = lambda d: seen.append(d.client._view.properties) or d.client._view.refuse(0x83)
    seen = []
    d.feed(old_publish(b"a", b"1") + old_publish(b"b", b"2", 1, 7) + old_publish(b"c", b"3", 2, 8))
    same([m[:3] for m in d.got], [(b"a", b"1", 0), (b"b", b"2", 1), (b"c", b"3", 2)])
    same((d.seen, seen), ([{3: None, 0x26: None}] * 3, [{}] * 3))
    same(d.out(), ack(0x40, 7) + ack(0x50, 8))


def test_streams_go_on():
    """What set_stream() was given before connect() takes large messages of 3.1.1."""
    d = driver(buffer_size=64)
    pieces = []
    d.client.set_stream(lambda m: pieces.append((m.offset, len(m), m.total)))
    connect(d, REFUSED_84, OLD)
    d.feed(old_publish(b"big", b"x" * 200), 50)
    same((sum([n for _, n, _ in pieces]), pieces[-1][2]), (200, 200))


def test_subscriptions():
    d = fallen()
    d.later.append(b"\x90\x03\x00\x01\x01")
    same(d.subscribe(b"a", 1, retain_handling=2, properties={"subscription_identifier": 3}), 1)
    same(d.out(), wire("82| 0001 'a' 01"))
    with raises(ValueError):
        d.subscribe(b"a", no_local=True)
    for name, filters, result in ((b"a", "'a'", 0), ([b"a", b"b"], "'a' 'b'", b"\0\0")):
        d.later.append(ack(0xB0, d.client._tab.next_id))
        same(d.unsubscribe(name, properties={"user_property": [("k", "v")]}), result)
        same(d.out()[4:], wire(f"A2| {filters}")[2:])


def test_goodbye():
    d = fallen()
    d.run(d.client.disconnect, 0, {"reason_string": "x"})
    same((d.out(), d.closed), (b"\xe0\x00", True))
    d = fallen()
    d.run(d.client.disconnect, 4)
    same((d.out(), d.closed), (b"", True))  # so that the will is sent
    for verb in (d.client.set_auth, d.client.reauthenticate):
        with raises(ValueError):
            verb("M", None) if verb is d.client.set_auth else verb()


def test_nothing_of_5_is_left():
    d = fallen()
    left = [name for name in d.client.__dict__ if isinstance(d.client.__dict__[name], V5)]
    same(left, [])
    for owner in (d.client, d.client._tab):
        for name in ("_v", "_fields", "_start", "_prep", "_fail", "accept", "pick", "connect"):
            assert name not in owner.__dict__, name


# -- what waits in the table -------------------------------------------------------------------

SIZES = (0, 1, 90, 110, 113, 114, 115, 118, 119, 120, 121, 122, 150)


def test_what_waits_loses_its_properties():
    """It is sent again with 3.1.1: same ids, DUP where it may have been sent, same order."""

    def check(size):
        for text in (None, "y", "y" * 124, "y" * 125):
            d = driver(inflight=4)
            props = text and {"content_type": text}
            body = bytes([65 + i % 26 for i in range(size)])
            connect(d, connack("21 0003"), clean=False)
            put(d, b"one", body, qos=1, properties=props)
            put(d, b"two", body, True, 2, properties=props)
            put(d, b"three", body, qos=2, properties=props)
            put(d, b"four", body, qos=1, properties=props)  # not sent: Receive Maximum
            d.feed(ack(0x50, 3))
            d.lose()
            connect(d, REFUSED_84, OLD_RESUMED, clean=False)
            same(levels(d), [5, 5, 4])
            want = wire("62 02 0003") + old_publish(b"one", body, 1, 1, 8)
            want += old_publish(b"two", body, 2, 2, 9) + old_publish(b"four", body, 1, 4)
            d.go()
            out = d.out()
            same(out[out[1] + 2 :], want)
            d.feed(ack(0x70, 3) + ack(0x40, 1) + ack(0x50, 2) + ack(0x40, 4))
            d.feed(ack(0x70, 2))
            same((d.tables, sorted(d.done)), ((0, 0), [1, 2, 3, 4]))

    each([(n,) for n in SIZES], check)


def test_a_stream_that_waits():
    d = driver(buffer_size=128)
    connect(d, OK, clean=False)
    d.out()
    data = bytes(range(200))

    def fill(buf, offset):
        n = min(len(buf), 200 - offset)
        buf[:n] = data[offset : offset + n]
        return n

    d.later.append(lambda d: setattr(d.link, "error", 104))
    with raises(OSError, 104):
        d.run(d.client.publish_stream, b"t", 200, fill, qos=1)
    connect(d, REFUSED_84, OLD_RESUMED, clean=False)
    d.go()
    assert d.out().endswith(old_publish(b"t", data, 1, 1, 8))


def test_a_clean_session_drops_it():
    d = driver()
    connect(d, OK, clean=False)
    put(d, b"t", b"m", qos=1, properties={"content_type": "x"})
    d.lose()
    connect(d, REFUSED_84, OLD)
    same(d.tables, (0, 0))


# -- asyncio -----------------------------------------------------------------------------------


def alone(main, *answers):
    """Run main(client, links): one connection for each of answers; None closes."""
    links = []
    left = list(answers)

    def fake(host, port, tls, params, end, wait_ms):
        answer = left.pop(0)
        link = Link([answer] if answer else [])
        link.eof = answer is None
        links.append(link)
        yield None
        yield link

    real = aio.open
    aio.open = fake
    try:
        asyncio.new_event_loop()
        c = aio.MQTTClient("c", "server", poll_ms=1, version="auto", timeout_ms=2000)
        asyncio.run(asyncio.wait_for(main(c, links), 30))
    finally:
        aio.open = real
    same(left, [])


def of(links):
    return [parse(link.out)[0][1][6] for link in links]


async def outcome(awaitable):
    try:
        return await awaitable
    except (OSError, MQTTException, ValueError) as e:
        return e.args[0]


def test_asyncio_falls_back():
    async def main(c, links):
        same(await c.connect(False), False)
        same((of(links), c.version), ([5, 4], 4))
        link = links[1]
        link.pieces.append(b"\x90\x03\x00\x01\x01")
        link.pieces.append(old_publish(b"t", b"m"))
        same(await c.subscribe("t", 1, retain_handling=1), 1)
        assert link.out.endswith(wire("82| 0001 't' 01"))
        async for m in c:
            same((m.topic, m.payload, m.properties), (b"t", b"m", {}))
            break
        assert "no_local" in await outcome(c.subscribe("t", no_local=True))
        for qos, answer in ((0, b""), (1, ack(0x40, 2)), (2, ack(0x50, 3) + ack(0x70, 3))):
            link.pieces.append(answer) if answer else None
            await c.publish("t", "m", qos=qos, properties={"content_type": "x"})
        link.pieces.append(ack(0xB0, 4))
        same(await c.unsubscribe("t"), 0)
        await c.disconnect(4)
        assert links[1].closed and parse(link.out)[-1][0] == 0xA2
        await c.connect(False)
        await c.disconnect()
        same((of(links), bytes(links[2].out[-2:])), ([5, 4, 4], b"\xe0\x00"))

    for first in (REFUSED_1, REFUSED_84, None):
        alone(main, first, OLD, OLD)


def test_asyncio_stays_with_5():
    async def main(c, links):
        for error in (104, 0x87, 5):
            same(await outcome(c.connect()), error)
        await c.connect(False)
        same((of(links), c.version), ([5, 4, 5, 5, 4, 5], 5))
        p = c.publish_nowait("t", "m", qos=1, properties={"content_type": "x"})
        same(bytes(links[-1].out).endswith(wire("32| 't' 0001 <03 'x'> 6D")), True)
        links[-1].pieces.append(ack(0x40, p, 0x97))
        same(await outcome(c.published(p)), 0x97)
        await c.disconnect()

    alone(main, None, None, connack(code=0x87), None, b"\x20\x02\x00\x05", OK)


def test_asyncio_tasks_that_wait():
    """Messages of 5.0 are finished with 3.1.1, and those who waited for them learn it."""

    async def main(c, links):
        c._keep = True
        await c.connect(False)
        t = asyncio.create_task(
            outcome(c.publish("t", "m", qos=1, properties={"content_type": "x"}))
        )
        await aio.sleep_ms(5)
        links[0].error = 104
        while c._task:
            await aio.sleep_ms(1)
        asked = asyncio.create_task(outcome(c.subscribe("s")))
        more = asyncio.create_task(outcome(c.publish("u", "m", properties={"content_type": "x"})))
        await c.connect(False)
        same(of(links), [5, 5, 4])
        await aio.sleep_ms(70)
        link = links[2]
        link.pieces.append(ack(0x40, 1) + b"\x90\x03\x00\x02\x00")
        same([await t, await asked, await more], [1, 0, -1])
        out = parse(link.out)
        assert (0x3A, b"\x00\x01t\x00\x01m") in out and (0x30, b"\x00\x01um") in out
        assert (0x82, wire("82| 0002 's' 00")[2:]) in out
        c._keep = False
        await c.disconnect()

    alone(main, RESUMED[:2] + b"\0" + RESUMED[3:], REFUSED_84, OLD_RESUMED)


def test_asyncio_disconnect_while_it_connects():
    """connect() ends; that nothing came is no sign."""

    async def main(c, links):
        t = asyncio.create_task(outcome(c.connect()))
        while not links or not links[0].out:
            await aio.sleep_ms(1)
        await c.disconnect()
        same((await t, of(links), c.version), (107, [5], 5))

    alone(main, b"")


def test_asyncio_two_connect():
    """The second one is refused, and does not disturb the first."""

    async def main(c, links):
        t = asyncio.create_task(outcome(c.connect()))
        while not links or not links[0].out:
            await aio.sleep_ms(1)
        same(await outcome(c.connect()), 114)
        links[0].pieces.append(OK)
        same((await t, of(links), c.version), (False, [5], 5))
        await c.disconnect()

    alone(main, b"")
