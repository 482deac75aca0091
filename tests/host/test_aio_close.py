"""Link.run(): refusals that waiting does not mend, and how it ends."""

import pytest

pytest_plugins = ["scripts.aio_place"]


def inbound(broker):
    return [e.type for e in broker.packets(direction="in")]


@pytest.mark.parametrize("code", [1, 2, 4, 5])
def test_a_fatal_refusal(broker, run, code):
    """slow_ms=0: run() raises it, and everybody who waits gets it or an error."""
    broker.refuse(code, 9)
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            async def loop():
                async for m in c:
                    pass

            async def inside():
                async with link(c, slow_ms=0) as l:
                    await l.wait_up()

            c = client()
            c.messages()
            l = link(c, slow_ms=0)
            verbs = [l.run(), loop(), l.wait_up(), c.publish("t", "m", qos=1), c.subscribe("t")]
            tasks = [create_task(took(0, 5000, v)) for v in verbs]
            for t in tasks:
                print(await t)
            print(await took(0, 5000, l.wait_up()), await took(0, 5000, l.close()))
            print(await took(0, 5000, inside()))
        """,
    )
    wanted = f"MQTTException {code}"
    assert lines[:3] == [wanted] * 3
    assert all(line in (wanted, "OSError 107") for line in lines[3:5])
    assert lines[5:] == [f"{wanted} none: None", wanted]
    assert inbound(broker) == ["CONNECT"] * 2


def test_a_refusal_that_lasts(broker, run):
    """slow_ms: tried again, but not soon."""
    broker.refuse(5, 2)
    lines = run(
        broker,
        """
        from aio_world import *
        import umqtt_plus.reconnect

        class Longest:
            randrange = staticmethod(lambda n: n - 1)

        @start
        async def main():
            waits = []
            umqtt_plus.reconnect.random = Longest
            c = client()
            async with link(c, slow_ms=100000, on_down=lambda e: waits.append(l.next_try())) as l:
                await until(lambda: waits)
                print(l.up, waits[0] > 200)
            waits.clear()
            async with link(c, slow_ms=300, on_down=lambda e: waits.append(1)) as l:
                print(await took(0, 5000, l.wait_up()), len(waits))
        """,
    )
    assert lines == ["False True", "none: None 1"]


# close()

CLOSE = """
    from aio_world import *

    @start
    async def main():
        c = client()
        l = link(c, [("s", 1)], first_ms={first_ms}, cap_ms={first_ms})
        t = create_task(error(l.run()))
        p = create_task(c.publish("t", "m", qos=1))
        await sleep_ms(0)
        print("up")
        await {wait}
        print("ready")
        await go()
        print(await took(0, 5000, l.close()), await t, c.sock, l.up, c.state)
        print(await took(0, 5000, p))
        c.set_message(None)
        await sleep_ms(60)
        print(c.sock, c._opening, c._task)
"""


@pytest.mark.parametrize("stage", ["backoff", "connecting", "CONNACK", "SUBACK", "up"])
def test_close_at_each_stage(broker, silent, program, stage):
    """It returns soon, run() ends, and nothing goes on connecting."""
    if stage == "CONNACK":
        broker.stall_connack()
    elif stage == "SUBACK":
        broker.drop("SUBACK")
    elif stage == "backoff":
        broker.stop()
    server = silent if stage == "connecting" else broker
    wait = "until(p.done)" if stage == "up" else "sleep_ms(0)"
    child = program(server, CLOSE.format(first_ms=30_000 if stage == "backoff" else 50, wait=wait))
    child.expect("^ready\n")
    if stage == "CONNACK":
        broker.wait_for(type="CONNECT")
    elif stage == "SUBACK":
        broker.wait_for(type="SUBSCRIBE")
    child.send_line("")
    lines = child.wait().stdout.splitlines()
    assert lines[2] == "none: None none: None None False 0"
    assert lines[3] == ("none: 2" if stage == "up" else "OSError 107") or stage == "SUBACK"
    assert lines[4] == "None False None"
    types = inbound(broker)
    if stage in ("SUBACK", "up"):
        assert types[0] == "CONNECT" and types[-1] == "DISCONNECT"
    assert types.count("CONNECT") == (stage in ("CONNACK", "SUBACK", "up"))


def test_close_and_run_again(broker, run):
    """The same Link, and another one for the same client."""
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            l = link(c)
            for _ in range(3):
                async with l:
                    await l.wait_up()
                    await c.publish("t", "m", qos=1)
                print(l.up, await error(c.publish("t", "no", qos=1, timeout_ms=100)))
            t = create_task(l.run())
            await l.wait_up()
            t.cancel()
            print(await error(t), c.sock)
            async with link(c) as other:
                await other.wait_up()
                print(other.up, await c.publish("t", "m", qos=2))
        """,
    )
    assert lines == ["False OSError 107"] * 3 + ["CancelledError None", "True 4"]


def test_two_links(broker_factory, program):
    """Each looks after its own client."""
    one, two = broker_factory(), broker_factory()
    child = program(
        one,
        """
        from aio_world import *
        import os

        @start
        async def main():
            a, b = client("a"), client("b")
            b.port = int(os.getenv("SECOND"))
            async with link(a) as la, link(b) as lb:
                await la.wait_up()
                await lb.wait_up()
                print("up")
                for i in range(100):
                    await a.publish("t", str(i), qos=2)
                    await b.publish("t", str(i), qos=2)
                    if i == 50:
                        print("half")
                        await go()
                print(a.stats()["connects"], b.stats()["connects"])
        """,
        env={"SECOND": two.port},
    )
    child.expect("^half\n")
    one.kill("a")
    child.send_line("")
    assert child.wait().stdout.splitlines()[-1] == "2 1"
    for server in (one, two):
        assert [int(m.payload) for m in server.messages("t")] == list(range(100))
    assert two.violations == []
