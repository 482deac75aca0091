"""connect() of the asyncio client, and that a client leaves time for the other tasks."""

import pytest
from umqtt_harness.scripted import accept, expect_type, send, wait_eof

pytest_plugins = ["scripts.aio_place"]


def inbound(broker, **fields):
    return [e.type for e in broker.packets(direction="in", **fields)]


def test_connect_does_not_block_the_loop(silent, run):
    """Another task goes on at its pace, and the deadline holds; also with cancel."""
    lines = run(
        silent,
        """
        from aio_world import *

        @start
        async def main():
            async def tick():
                nonlocal worst, ticks
                last = ticks_ms()
                while True:
                    await sleep_ms(1)
                    now = ticks_ms()
                    worst = max(worst, ticks_diff(now, last))
                    last = now
                    ticks += 1

            worst = ticks = 0
            t = create_task(tick())
            c = client(timeout_ms=600)
            print(await took(600, 5000, c.connect()), c.sock)
            print(await took(250, 5000, c.connect(timeout=0.25)))
            print(await took(100, 5000, wait_for(c.connect(), 0.1)), c.sock, c.state)
            t.cancel()
            print(worst < 500 or worst, ticks > 100 or ticks)
        """,
    )
    assert lines == ["OSError 110 None", "OSError 110", "TimeoutError None 0", "True True"]


def test_nobody_listens(broker, run):
    broker.stop()
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            print(await error(c.connect()), c.sock)
            print(await error(c.run()), await error(c.publish("t", "m")))
            c.server = "x" * 64  # refused without asking anybody
            print((await error(c.connect()))[:7], c.state, c._opening)
        """,
    )
    assert lines == ["OSError 111 None", "OSError 111 OSError 107", "OSError 0 False"]


def test_no_connack(broker, run):
    """X311-3.2-a, E61: closed at the deadline, of connect() or of the client."""
    broker.stall_connack()
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client(timeout_ms=300)
            print(await took(300, 5000, c.connect()))
            print(await took(200, 5000, c.connect(True, 0.2)), c.sock)
        """,
    )
    assert lines == ["OSError 110", "OSError 110 None"]
    assert inbound(broker) == ["CONNECT", "CONNECT"]


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_hung_up_before_connack(broker, run, mode):
    broker.refuse_tcp(mode, count=1)
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            print((await error(c.connect()))[:7], c.sock)
            print(await error(c.connect()))
            await c.disconnect()
        """,
    )
    assert lines == ["OSError None", "none: False"]


def test_disconnect_while_another_task_connects(broker, program):
    """connect() ends; it does not go on to clean the session away."""
    broker.stall_connack()
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            t = create_task(error(c.connect(False)))
            print("up")
            await go()
            await c.disconnect()
            print(await t, c.sock, await error(c.run()))
        """,
    )
    broker.wait_for(type="CONNECT")
    child.send_line("")
    assert child.wait().stdout.splitlines()[1:] == ["OSError 107 None none: None"]
    assert inbound(broker) == ["CONNECT"]


def test_what_the_server_must_not_send(scripted, run):
    """A protocol error closes; every task hears of it (MQTT-4.8.0-1)."""
    server = scripted(
        [
            expect_type("CONNECT"),
            send(b"\x20\x02\x00\x00"),
            expect_type("SUBSCRIBE"),
            expect_type("PUBLISH"),
            send(b"\xf0\x00"),
            wait_eof(),
            accept(),
        ]
    )
    lines = run(
        server,
        """
        from aio_world import *
        import socket

        @start
        async def main():
            async def loop():
                async for m in c:
                    pass

            c = await connected()
            verbs = [c.subscribe("t"), loop(), c.run(), c.publish("t", "m", qos=1)]
            tasks = [create_task(error(v)) for v in verbs]
            for t in tasks:
                print(await t)
            print(c.sock)
            socket.socket().connect(socket.getaddrinfo(HOST, PORT)[0][-1])
        """,
    )
    assert lines == ["MQTTException 130"] * 4 + ["None"]


def test_two_clients(broker_factory, program):
    """In one program, with a server each; one dies, the other does not notice."""
    one, two = broker_factory(), broker_factory()
    child = program(
        one,
        """
        from aio_world import *
        import os

        @start
        async def main():
            got = []
            a = await connected("a")
            b = client("b")
            b.port = int(os.getenv("SECOND"))
            b.set_callback(lambda topic, msg: got.append(int(msg)))
            await b.connect()
            await b.subscribe("t", 2)
            t = create_task(error(a.run()))
            print("up")
            for i in range(300):
                await b.publish("t", str(i), qos=i % 3)
                if i == 100:
                    await go()
                    print(await t)
            await until(lambda: len(got) == 300)
            got.sort()
            print(got == list(range(300)), a.sock)
            await b.disconnect()
        """,
        env={"SECOND": two.port},
    )
    child.expect("^up\n")
    one.kill("a")
    child.send_line("")
    assert child.wait().stdout.splitlines()[1:] == ["OSError 104", "True None"]
    assert two.violations == []


def test_a_flood_does_not_starve_other_tasks(broker, program):
    """The client gives way after each batch, in both directions."""
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            def count(m):
                nonlocal n
                n += 1

            ticks = n = 0
            c = client()
            c.set_message(count)
            await c.connect()
            await c.subscribe("t", 1)
            print("up")
            while n < 5000:
                await sleep_ms(1)
                ticks += 0 < n < 5000
            print(ticks > 10 or ticks)
            await c.disconnect()
        """,
    )
    child.expect("^up\n")
    for i in range(5000):
        broker.publish("t", "x" * 30, i % 2)
    assert child.wait().stdout.splitlines() == ["up", "True"]
