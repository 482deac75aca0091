"""The asyncio client: `async for message in client`."""

import pytest

pytest_plugins = ["scripts.aio_place"]


def test_the_loop_ends_at_disconnect(broker, run):
    """Also with messages left, which come first; and again after the next connect()."""
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            async def loop():
                async for m in c:
                    print(m.payload, end=" ")
                print("end")

            c = client()
            print(await error(loop()))
            await c.connect()
            await c.subscribe("t", 1)
            t = create_task(loop())
            await c.publish("t", "0", qos=1)
            await turns(20)
            await sleep_ms(60)
            await c.disconnect()
            await t
            await c.connect()
            await c.subscribe("t")
            for x in "123":
                await c.publish("t", x)
            await until(lambda: len(c._mail.items) == 3)
            await c.disconnect()
            await loop()
        """,
    )
    assert lines == ["OSError 107", "b'0' end", "b'1' b'2' b'3' end"]


def test_the_loop_raises_when_the_link_is_lost(any_broker, program):
    """With what ended the link; what was received comes first."""
    child = program(
        any_broker,
        """
        from aio_world import *

        @start
        async def main():
            async def loop():
                async for m in c:
                    print(m.payload)

            c = await connected()
            await c.subscribe("t", 1)
            for x in "12":
                await c.publish("t", x, qos=1)
            await until(lambda: len(c._mail.items) == 2)
            print("up")
            await until(lambda: not c.sock)
            print(await error(loop()), await error(loop()), await error(c.run()))
        """,
    )
    child.expect("^up\n")
    any_broker.stop()
    assert child.wait().stdout.splitlines()[1:] == [
        "b'1'",
        "b'2'",
        "OSError 104 OSError 104 OSError 104",
    ]


def test_the_mailbox_is_full_of_qos_0(place):
    """most=3: the newest are dropped, and counted."""
    lines = place.run(
        """
        from aio_world import *

        @start
        async def main():
            c = await connected()
            box = c.messages(3)
            await c.subscribe("t")
            for i in range(10):
                await c.publish("t", str(i))
            await until(lambda: box.dropped == 7)
            async for m in c:
                print(m.payload, end=" ")
                if not box.items:
                    break
            await c.publish("t", "next")
            async for m in c:
                print(m.payload, box.dropped)
                break
            await c.disconnect()
        """,
    )
    assert lines == ["b'0' b'1' b'2' b'next' 7"]


@pytest.mark.parametrize("most", [1, 20])
@pytest.mark.parametrize("qos", [1, 2])
def test_the_mailbox_is_full(any_broker, run, most, qos):
    """Nothing is lost, whatever is larger: the mailbox, or what the server has open."""
    lines = run(
        any_broker,
        f"""
        from aio_world import *

        @start
        async def main():
            c = await connected()
            d = await connected("d")
            box = c.messages({most})
            await c.subscribe("t", 2)
            for i in range(80):
                await d.publish("t", str(i), qos={qos})
            await sleep_ms(60)
            got = []
            async for m in c:
                got.append(int(m.payload))
                if len(got) == 80:
                    break
                if len(got) % 9 == 0:
                    await sleep_ms(5)
            print(got == list(range(80)), box.dropped)
            await c.disconnect()
            await d.disconnect()
        """,
    )
    assert lines == ["True 0"]


def test_a_message_is_acknowledged_when_the_next_is_asked_for(broker, program):
    """What the loop has not finished with comes again, QoS 2 once (MQTT-4.3.3-2)."""
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = client()
            c.messages()
            await c.connect(False)
            await c.subscribe("t", 2)
            for i in range(4):
                await c.publish("t", str(i), qos=1 + i % 2)
            it = c.__aiter__()
            for _ in range(2):
                print((await it.__anext__()).payload)
            await sleep_ms(100)
            print("up")
            await until(lambda: not c.sock)
            print(await c.connect(False))
            for _ in range(3):
                print((await it.__anext__()).payload)
            await c.publish("t", "end")
            print((await it.__anext__()).payload)
            await until(lambda: not c.stats()["awaiting_release"])
            await c.disconnect()
        """,
    )
    child.expect("^up\n")
    acked = [e.type for e in broker.packets(client_id="c", direction="in", connection=1)]
    assert acked.count("PUBREL") == 2 and acked.count("PUBACK") == 1 and "PUBREC" not in acked
    broker.kill("c")
    # 0 was acknowledged. 1 (QoS 2), with the loop, and 3 (QoS 2), waiting, do not come twice; 2
    # (QoS 1) waits and comes again, which QoS 1 may.
    assert child.wait().stdout.splitlines()[3:] == [
        "True",
        "b'2'",
        "b'3'",
        "b'2'",
        "b'end'",
    ]


@pytest.mark.parametrize("most", [1, 20])
def test_echo(place, most):
    """The natural program: `async for`, and publish() with an answer inside it."""
    lines = place.run(
        f"""
        from aio_world import *

        @start
        async def main():
            c = await connected(timeout_ms=3000)
            d = await connected("d")
            c.messages({most})
            await c.subscribe("t", 2)
            for i in range(60):
                await d.publish("t", str(i), qos=1 + i % 2)

            async def echo():
                n = 0
                async for m in c:
                    await c.publish("back", m.payload, qos=2 - n % 2)
                    n += 1
                    if n == 60:
                        return n

            print(await error(echo()))
            await c.disconnect()
            await d.disconnect()
        """,
    )
    assert lines == ["none: 60"]
