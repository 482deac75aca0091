"""The asyncio client: publishing with each QoS, handlers, large payloads, on both brokers.

The fixture `place` runs a script on CPython, too, through the shims.
"""

import pytest
from peer import Peer

pytest_plugins = ["scripts.aio_place"]


# Every QoS


@pytest.mark.parametrize("options", ["", "poll_ms=10"])
def test_every_qos_both_ways(place, options):
    """Granted x published, by `async for`: as the synchronous client."""
    lines = place.run(
        f"""
        from aio_world import *

        @start
        async def main():
            a = client("a", {options})
            async with a, client("b", {options}) as b:
                for granted in (0, 1, 2):
                    print(await a.subscribe("t/%d" % granted, granted))
                    for qos in (0, 1, 2):
                        p = await b.publish("t/%d" % granted, "m%d" % qos, qos=qos)
                        if (p > 0) != (qos > 0):
                            print("packet_id", p)
                got = []
                async for m in a:
                    got.append((m.topic, m.payload, m.qos, m.retain))
                    if len(got) == 9:
                        break
                got.sort()
                for m in got:
                    print(m)
                await a.unsubscribe(["t/0", "t/1"])
                await b.publish("t/1", "no", qos=1)
                await b.publish("t/2", "yes", True, 2)
                async for m in a:
                    print(m.topic, m.payload)
                    break
                await until(lambda: not b.stats()["in_flight"])
            print(a.sock, await error(a.publish("t", "m")))
        """,
    )
    assert lines[:3] == ["0", "1", "2"]
    assert lines[3:12] == [
        str((f"t/{granted}".encode(), f"m{qos}".encode(), min(granted, qos), False))
        for granted in (0, 1, 2)
        for qos in (0, 1, 2)
    ]
    assert lines[12:] == ["b't/2' b'yes'", "None OSError 107"]


@pytest.mark.parametrize("options", ["", "poll_ms=5"])
def test_many_tasks_publish(place, options):
    """Ten tasks, 30 messages each, a window of 4: none lost, none twice, each task's in order."""
    lines = place.run(
        f"""
        from aio_world import *

        @start
        async def main():
            got = [[] for _ in range(10)]
            a = await connected("a", {options})
            b = await connected("b", {options})
            most = 0
            a.set_callback(lambda topic, msg: got[topic[-1] - 48].append(int(msg)))
            await a.subscribe("n/+", 2)

            async def many(number):
                nonlocal most
                for i in range(30):
                    await b.publish("n/%d" % number, str(i), qos=number % 3)
                    most = max(most, b.stats()["in_flight"])

            tasks = [create_task(many(number)) for number in range(10)]
            for t in tasks:
                await t
            print(b.stats()["in_flight"], 2 <= most <= 4)
            await until(lambda: sum(len(x) for x in got) == 300)
            print([x == list(range(30)) for x in got].count(True))
            await a.disconnect()
            await b.disconnect()
        """,
    )
    assert lines == ["0 True", "10"]


def test_a_full_table_refuses(broker, program):
    """publish_nowait() answers 0, publish() waits and gives up; nothing is overwritten."""
    broker.hold_acks("c")
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected()
            done = []
            c.on_published(done.append)
            for i in range(6):
                print(c.publish_nowait("t", str(i), qos=1 + i % 2), end=" ")
            print(await took(200, 5000, c.publish("t", "x", qos=1, timeout_ms=200)))
            print(await took(200, 5000, c.published(1, ticks_add(ticks_ms(), 200))), done)
            waiting = create_task(error(c.publish("t", "y", qos=2)))
            print("ready")
            await go()
            print(await error(c.published(3)), await waiting)
            await until(lambda: len(done) == 5)
            done.sort()
            print(done, c.stats()["in_flight"])
        """,
    )
    child.expect("^ready\n")
    broker.release()
    child.send_line("")
    assert child.wait().stdout.splitlines() == [
        "1 2 3 4 0 0 OSError 105",
        "OSError 110 []",
        "ready",
        "none: None none: 5",
        "[1, 2, 3, 4, 5] 0",
    ]
    sent = broker.packets(direction="in", type="PUBLISH")
    assert [(e.payload, e.dup) for e in sent] == [
        (x, False) for x in (b"0", b"1", b"2", b"3", b"y")
    ]


def test_a_full_socket_refuses_qos_0(broker_factory, program):
    """publish_nowait() answers 0 while the server does not read; what was taken arrives whole."""
    broker = broker_factory(receive_buffer=2048)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected()
            c.sock.setsockopt(1, 7, 1)  # SO_SNDBUF
            print("up")
            await go()
            data = bytes(400)
            n = refused = 0
            while n < 1000 and refused < 30:  # the system moves some on for a while
                if c.publish_nowait("t", data):
                    n += 1
                    refused = 0
                else:
                    refused += 1
                    await sleep_ms(10)
            print(0 < n < 1000, c.publish_nowait("t", data), c.publish_nowait("t", data, qos=1))
            print(await took(150, 5000, c.publish("t", "lost", timeout_ms=150)), n)
            await go()
            await c.publish("t", "end", qos=2)
            await c.disconnect()
        """,
    )
    child.expect("^up\n")
    broker.pause_reading("c")
    child.send_line("")
    count = int(child.expect(r"^True 0 1\nOSError 105 (\d+)\n")[1])
    broker.resume_reading("c")
    child.send_line("")
    child.wait()
    assert [m.payload for m in broker.messages("t")] == [bytes(400)] * (count + 1) + [b"end"]


# Handlers


def test_handlers(place):
    """set_callback, set_message, and publishing inside them and inside on_published()."""
    lines = place.run(
        """
        from aio_world import *

        @start
        async def main():
            got = []
            more = [b"3", b"4", b"5"]
            a = await connected("a")
            b = await connected("b", inflight=8)

            def echo(m):
                p = b.publish_nowait("back", m.payload, False, m.qos)
                if not p:
                    print("no room")

            def published(packet_id):
                if more:
                    b.publish_nowait("back", more.pop(0), False, 1 + len(more) % 2)

            a.set_callback(lambda topic, msg: got.append((topic, msg)))
            b.set_message(echo)
            b.on_published(published)
            await a.subscribe("back", 2)
            await b.subscribe("out", 2)
            for qos in (0, 1, 2):
                print(await a.publish("out", str(qos), qos=qos))
            await until(lambda: len(got) == 6)
            await until(lambda: not b.stats()["in_flight"])
            got.sort()
            print(got)
            await a.disconnect()
            await b.disconnect()
        """,
    )
    assert lines == ["-1", "2", "3", str([(b"back", b"%d" % i) for i in range(6)])]


def test_what_a_handler_raises(broker, run):
    """It is reported and ends nothing; a message of QoS 1 closes the link and comes again."""
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            def odd(m):
                print(m.payload, m.dup)
                if m.payload in bad:
                    bad.remove(m.payload)
                    raise ValueError("odd")

            bad = [b"0", b"1"]
            asyncio.get_event_loop().set_exception_handler(
                lambda loop, context: print("told", repr(context["exception"]))
            )
            c = client()
            c.set_message(odd)
            await c.connect(False)
            await c.subscribe("t", 1)
            d = await connected("d")
            for payload in "01":
                await d.publish("t", payload, qos=int(payload))
                await until(lambda: payload.encode() not in bad)
                print(c.sock is None, await error(d.publish("t", "fine")))
            print(await error(c.run()), await c.connect(False))
            await until(lambda: not c.stats()["awaiting_release"])
            await sleep_ms(100)
            await c.disconnect()
        """,
    )
    told = "told ValueError('odd',)"
    assert lines == [
        *["b'0' False", told, "False none: -1", "b'fine' False"],
        *["b'1' False", told, "True none: -1", "OSError 103 True", "b'1' True"],
    ]


# Large payloads


@pytest.mark.parametrize("size", [16380, 300_000])
def test_large_qos_0_payload(place, size):
    """Out whole, from where it is; publish() returns when the buffer may be used again."""
    with Peer.online(place.server, "peer") as peer:
        peer.subscribe(("big", 0))
        lines = place.run(
            f"""
            from aio_world import *

            @start
            async def main():
                data = bytearray(bytes(range(256)) * {size // 256 + 1})
                c = await connected()
                c.sock.setsockopt(1, 7, 1)
                print(await c.publish("big", memoryview(data)[:{size}]))
                await c.publish("big", "x" * {size})
                await c.publish("big", data)
                for i in range(0, len(data), 256):
                    data[i] = 99
                await c.publish("big", "end", qos=1)
                await c.disconnect()
            """,
        )
        data = bytes(range(256)) * (size // 256 + 1)
        peer.expect_message("big", data[:size])
        peer.expect_message("big", b"x" * size)
        peer.expect_message("big", data)
        peer.expect_message("big", b"end")
    assert lines == ["-1"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_streams(place, qos):
    """publish_stream() to set_stream(), in constant RAM, while another task publishes."""
    lines = place.run(
        f"""
        from aio_world import *

        @start
        async def main():
            def fill(buf, offset):
                n = min(len(buf), 20000 - offset)
                for i in range(n):
                    buf[i] = (offset + i) % 251
                return n

            def piece(m):
                nonlocal right
                p = m.payload
                for i in range(len(p)):
                    right += p[i] == (m.offset + i) % 251

            right = 0
            small = []
            a = client("a")
            a.set_stream(piece)
            a.set_callback(lambda topic, msg: small.append(int(msg)))
            await a.connect()
            await a.subscribe("s", 2)
            b = await connected("b")

            async def others():
                for i in range(20):
                    await b.publish("s", str(i), qos=i % 3)

            t = create_task(others())
            await turns(3)
            print((await b.publish_stream("s", 20000, fill, qos={qos})) > 0)
            await t
            await until(lambda: len(small) == 20 and right == 20000)
            await until(lambda: not b.stats()["in_flight"])
            print(small == sorted(small) or small)
            await a.disconnect()
            await b.disconnect()
        """,
    )
    assert lines[0] == str(qos > 0) and len(lines) == 2
