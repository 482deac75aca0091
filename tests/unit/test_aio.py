"""The asyncio client on a socket of memory: what was cut where, and who waits until when."""

import asyncio
from time import ticks_diff, ticks_ms

import umqtt_plus.aio as aio
from driver import Link as Socket
from driver import OK, RESUMED, ack, parse, publish
from flash import Flash
from umqtt_plus.aio import MQTTClient, sleep_ms
from umqtt_plus.lost import SessionLost
from umqtt_plus.errors import MQTTException
from umqtt_plus.reconnect import Link
from umqtt_plus.store import Store
from util import few, raises, same


def alone(main):
    """Run main(links, answers) with sockets of memory, within 30 s; links gets each one."""
    links = []

    def fake(host, port, tls, params, end, wait_ms):
        link = Socket([answers.pop(0) if answers else OK])
        links.append(link)
        try:
            yield None
            yield link
        except BaseException:
            link.close()
            raise

    answers = []
    links_open = aio.open
    aio.open = fake
    try:
        asyncio.new_event_loop()
        asyncio.run(asyncio.wait_for(main(links, answers), 30))
    finally:
        aio.open = links_open


async def connected(**options):
    c = MQTTClient("c", "server", poll_ms=1, **options)
    await c.connect(False)
    return c


async def turns(n):
    for _ in range(n):
        await sleep_ms(1)


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await sleep_ms(1)
    raise AssertionError("it does not come to pass")


async def outcome(awaitable):
    try:
        return await awaitable
    except (OSError, MQTTException) as e:
        return e.args[0]


def fill(buf, offset):
    n = min(len(buf), 300 - offset)
    buf[0:n] = b"x" * n
    return n


VERBS = (
    (lambda c: c.publish(b"t", b"x" * 300), 0x30, b""),
    (lambda c: c.publish(b"t", b"x" * 40, qos=1), 0x32, ack(0x40, 1)),
    (lambda c: c.publish(b"t", b"x" * 40, qos=2), 0x34, ack(0x50, 1) + ack(0x70, 1)),
    (lambda c: c.publish_stream(b"t", 300, fill), 0x30, b""),
    (lambda c: c.publish_stream(b"t", 300, fill, qos=1), 0x32, ack(0x40, 1)),
    (lambda c: c.subscribe(b"filter", 1), 0x82, b"\x90\x03\x00\x01\x01"),
    (lambda c: c.unsubscribe(b"filter"), 0xA2, ack(0xB0, 1)),
)


def test_cancelled_at_every_byte():
    """The socket takes n bytes, the call is cancelled, the socket takes the rest: for every n.

    The packet is whole, what comes behind it, too, and the late answer does no harm.
    """

    async def main(links, answers):
        for verb, verb_first, answer in VERBS:
            for room in few(list(range(0, 24)) + [49, 50, 51, 130, 131, 299, 300, 301, 307, 308]):
                c = await connected(buffer_size=128, timeout_ms=9000)
                link = links.pop()
                link.space = room
                t = asyncio.create_task(verb(c))
                await turns(2)
                t.cancel()
                try:
                    await t
                except asyncio.CancelledError:
                    pass
                link.space = -1
                link.most = 7
                await c.publish(b"end", b"e" * 20)
                if answer:
                    link.pieces.append(answer)
                await until(lambda: not (link.pieces or c._asks or c._tab.used))
                await c.disconnect()
                out = parse(link.out)
                same(
                    sum(len(body) + (2 if len(body) < 128 else 3) for _, body in out),
                    len(link.out),
                )
                assert link.closed and out[-1] == (0xE0, b"")
                out = [(first, body) for first, body in out if first != 0x62]
                same([first for first, _ in out], [0x10, verb_first, 0x30, 0xE0])
                same(out[2][1], b"\x00\x03end" + b"e" * 20)

    alone(main)


def test_deadlines():
    """Each of those who wait ends at its own time, whoever began first; news end nobody."""

    async def main(links, answers):
        async def waits(ms):
            t = ticks_ms()
            assert await outcome(c.publish(b"t", b"x", qos=1, timeout_ms=ms)) == 110
            late = ticks_diff(ticks_ms(), t) - ms
            assert 0 <= late < 150, "%d ms late at %d" % (late, ms)
            ended.append(ms)

        ended = []
        c = await connected(inflight=8)
        link = links[0]
        tasks = [asyncio.create_task(waits(ms)) for ms in (400, 100, 300, 200)]
        rest = asyncio.create_task(c.publish(b"t", b"y", qos=1))
        for i in range(8):
            await turns(20)
            link.pieces.append(ack(0x40, 99))  # unknown: news, but nobody's
        for t in tasks:
            await t
        same(ended, [100, 200, 300, 400])
        link.pieces.append(ack(0x40, 5))
        same(await rest, 5)
        await c.disconnect()

    for left in (2, 1, 0):
        try:
            return alone(main)
        except AssertionError:
            if not left:  # a busy machine may stall once
                raise


def test_mailbox():
    """Answers when the next is asked for; drops QoS 0; forgets the ids of another link."""

    async def main(links, answers):
        c = MQTTClient("c", "server", poll_ms=1)
        box = c.messages(2)
        await c.connect(False)
        link = links[0]
        for i in (1, 2, 3):
            link.pieces.append(publish(b"t", b"%d" % i, i % 2 + 1, i))
        for i in (4, 5):
            link.pieces.append(publish(b"t", b"%d" % i))
        await until(lambda: box.dropped == 2)
        link.out = bytearray()
        same((await box.__anext__()).payload, b"1")
        await turns(5)
        same(parse(link.out), [])
        same((await box.__anext__()).payload, b"2")
        await until(lambda: link.out)
        same(parse(link.out), [(0x50, b"\x00\x01")])
        # a new link: no answer under an id of the old one
        answers.append(RESUMED)
        await c.connect(False)
        link = links[1]
        same((await box.__anext__()).payload, b"3")
        link.pieces.append(publish(b"t", b"3", 2, 3, 8))  # DUP: known, answered, not handed over
        link.pieces.append(publish(b"t", b"2", 1, 2, 8))
        await until(lambda: len(parse(link.out)) == 2)
        same(parse(link.out)[1], (0x50, b"\x00\x03"))
        same((await box.__anext__()).payload, b"2")
        await c.disconnect()
        same(box.items, [])
        with raises(StopAsyncIteration):
            await box.__anext__()

    alone(main)


def test_inside_a_handler():
    """Publishing goes, the rest says no; the answer is behind the message's own."""

    async def main(links, answers):
        async def reconnect():
            said.append(await outcome(c.connect()))

        def handler(m):
            c.publish_nowait(b"a", b"0")
            c.publish_nowait(b"b", b"1", False, 1)
            said.append(c._in)
            coro = c.connect()
            try:
                coro.send(None)
            except OSError as e:
                said.append(e.args[0])

        said = []
        c = await connected()
        c.set_message(handler)
        link = links[0]
        link.out = bytearray()
        link.pieces.append(publish(b"t", b"m", 1, 9))
        await until(lambda: len(parse(link.out)) == 3)
        same([first for first, _ in parse(link.out)], [0x30, 0x32, 0x40])
        same(said, [True, 114])
        link.pieces.append(ack(0x40, 1))
        await until(lambda: not c._tab.used)
        await c.disconnect()

    alone(main)


def test_the_link_dies_at_every_call():
    """An error of the socket at any time: everybody hears of it, and nobody waits on."""

    async def main(links, answers):
        for verb, _, _ in few(VERBS):
            for turn in range(4):
                c = await connected(buffer_size=128)
                link = links.pop()
                if turn % 2:
                    link.space = 9
                t = asyncio.create_task(outcome(verb(c)))
                run = asyncio.create_task(outcome(c.run()))
                await turns(turn)
                link.error = 104
                link.space = -1
                result = await t
                assert result == 104 or not turn % 2 and result == -1, result
                same(await run, 104)
                assert link.closed and c.sock is None

    alone(main)


def test_a_second_link_while_the_first_ends():
    """disconnect() at each turn of another task's connect(): it ends, or it is up."""

    async def main(links, answers):
        for turn in range(1, 8):
            c = MQTTClient("c", "server", poll_ms=1)
            t = asyncio.create_task(outcome(c.connect(False)))
            for _ in range(turn):
                await sleep_ms(2)
            await c.disconnect()
            assert await t in (False, 107)
            same(c.sock, None)
            for link in links:
                assert link.closed
                assert len([1 for first, _ in parse(link.out) if first == 0x10]) <= 1
            links.clear()

    alone(main)


def test_messages_twice():
    """The second call changes most; the mailbox is the same, with what waits in it."""

    async def main(links, answers):
        c = await connected()
        box = c.messages(5)
        links[0].pieces.append(publish(b"t", b"1", 1, 1))
        await until(lambda: box.items)
        c.set_message(None)
        assert c.messages(1) is box and box.most == 1
        for i in (2, 3):
            links[0].pieces.append(publish(b"t", b"%d" % i))
        links[0].pieces.append(publish(b"t", b"4", 1, 4))
        await until(lambda: box.dropped == 2 and len(box.items) == 2)
        for payload in (b"1", b"4"):
            same((await box.__anext__()).payload, payload)
        await c.disconnect()

    alone(main)


def test_disconnect_of_a_stuck_link():
    """The goodbye does not get out in time, and those who wait for the end see no error."""

    async def loop(c):
        async for _ in c:
            pass

    async def main(links, answers):
        c = await connected(timeout_ms=60)
        c.messages()
        tasks = [asyncio.create_task(outcome(f)) for f in (c.run(), loop(c))]
        await turns(2)
        links[0].space = 3
        c.publish_nowait(b"t", b"x")
        await c.disconnect()
        for t in tasks:
            same(await t, None)
        assert links[0].closed

    alone(main)


def test_a_link_left_before_it_began():
    """async with Link(c), and an exception before anything was awaited: it passes, at once."""

    async def body(c):
        async with Link(c):
            raise ValueError("mine")

    async def main(links, answers):
        c = MQTTClient("c", "server", poll_ms=1)
        with raises(ValueError, "mine"):
            await asyncio.wait_for(body(c), 3)
        await turns(20)
        assert c.sock is None and all([link.closed for link in links])

    alone(main)


def test_dropped_with_the_session():
    """A store with discard=True: who waits for a message hears that it may not have arrived."""

    async def main(links, answers):
        c = MQTTClient("c", "server", poll_ms=1, inflight=4)
        store = Store(c, "s", discard=True)
        async with Link(c, first_ms=10, slow_ms=10, on_down=lambda e: errors.append(e)) as up:
            await up.wait_up()
            answers.append(OK)
            tasks = [asyncio.create_task(outcome(c.publish(b"t", b"x", qos=q))) for q in (1, 2)]
            await until(lambda: c._tab.used == 2)
            links[0].error = 104
            for t in tasks:
                same(await t, 103)
            assert isinstance(errors[1], SessionLost)
            await until(lambda: up.up)
        same(store.recovered, "new")

    errors = []
    flash = Flash()
    flash.enter()
    try:
        alone(main)
    finally:
        flash.leave()


OK5 = b"\x20\x03\x00\x00\x00"
ONE5 = b"\x20\x06%c\x00\x03\x21\x00\x01"  # CONNACK: one message at once


def test_v5_expired_and_published_anew():
    """on_published() of what expired without a link is told behind connect(), and publishes."""

    async def main(links, answers):
        def told(p):
            codes.append((p, c.reason_code))
            if len(codes) == 1:
                codes.append(c.publish_nowait(b"n", b"y", False, 1))

        codes = []
        answers.append(ONE5 % 0)
        c = await connected(version=5)
        c.on_published(told)
        c.publish_nowait(b"t", b"first", False, 1)
        c.publish_nowait(b"t", b"x", False, 1, {"message_expiry_interval": 1})
        await turns(2)
        links[0].error = 104
        await until(lambda: not c.sock)
        await sleep_ms(1100)
        answers.append(ONE5 % 1)
        await c.connect(False)
        await until(lambda: codes)
        same(codes, [(2, 0xFE), 3])
        links[1].pieces.append(ack(0x40, 1))
        await until(lambda: not c._on and len(codes) > 2)
        await turns(3)
        found = parse(links[1].out)
        same([first for first, _ in found], [0x10, 0x3A, 0x32])
        same(found[2][1], b"\0\1n\0\3\0y")
        await c.disconnect()

    alone(main)


def test_v5_auth_that_cannot_begin():
    """reauthenticate(): the application has nothing to say; the next one is not refused."""

    async def main(links, answers):
        def f(data):
            if data is None and failing:
                raise KeyError(failing.pop())
            return b""

        failing = []
        method = b"\x15\0\1M"
        c = MQTTClient("c", "server", poll_ms=1, version=5)
        c.set_auth("M", f)
        answers.append(b"\x20\x07\0\0\4" + method)
        await c.connect(False)
        failing.append("no")
        with raises(KeyError, "no"):
            await c.reauthenticate()
        links[0].out = bytearray()
        t = asyncio.create_task(outcome(c.reauthenticate(500)))
        await until(lambda: links[0].out)
        same(bytes(links[0].out), b"\xf0\x09\x19\x07" + method + b"\x16\0\0")
        links[0].pieces.append(b"\xf0\x06\0\4" + method)
        same(await t, None)
        await c.disconnect()

    alone(main)


def test_v5_messages_once_more():
    """messages() again: what waits is still there."""

    async def main(links, answers):
        answers.append(OK5)
        c = await connected(version=5)
        box = c.messages()
        links[0].pieces.append(b"\x30\5\0\1t\0m")
        await until(lambda: box.items)
        assert c.messages(5) is box
        async for m in c.messages():
            same(m.payload, b"m")
            break
        await c.disconnect()

    alone(main)
