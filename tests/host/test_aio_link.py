"""A live link that dies, without Link: every wait of the asyncio client ends in time."""

import pytest
from umqtt_harness.broker import Fault


def inbound(broker, **fields):
    return [e.type for e in broker.packets(direction="in", **fields)]


WAITING = """
    from aio_world import *

    @start
    async def main():
        async def loop():
            async for m in c:
                pass

        c = client({options})
        c.messages()
        await c.connect(False)
        p = [c.publish_nowait("t", str(i), qos=1 + i % 2) for i in range(4)]
        await sleep_ms(20)
        names = ["subscribe", "unsubscribe", "room", "published", "for", "run"]
        verbs = [c.subscribe("t"), c.unsubscribe("t"), c.publish("t", "no", qos=1)]
        verbs += [c.published(p[0]), loop(), c.run()]
        tasks = [create_task(took({least}, 5000, v)) for v in verbs]
        await turns(3)
        print("waiting")
        for i, t in enumerate(tasks):
            print(names[i], await t)
        print(c.stats()["in_flight"])
        await go()
        print(await c.connect(False), len(c._asks))
        await until(lambda: not c.stats()["in_flight"])
        await c.publish("t", "end", qos=1)
        await c.disconnect()
"""


def what_came(error):
    """publish() that had no room yet says that nothing was accepted."""
    names = ["subscribe", "unsubscribe", "room", "published", "for", "run"]
    return [f"{name} {'OSError 107' if name == 'room' else error}" for name in names]


@pytest.mark.parametrize("how", ["rst", "fin", "stop"])
def test_the_server_dies_while_tasks_wait(broker, program, how):
    """Each gets the error at once; what was accepted goes out again (MQTT-4.4.0-1)."""
    broker.hold_acks("c")
    script = WAITING.format(options="", least=0)
    child = program(broker, script)
    child.expect("^waiting\n")
    broker.wait_for(type="UNSUBSCRIBE")
    broker.stop() if how == "stop" else broker.kill("c", how)
    child.expect("^4\n")
    broker.clear_faults()
    broker.release()
    broker.start()
    child.send_line("")
    lines = child.wait().stdout.splitlines()
    assert lines[1:7] == what_came("OSError 104")
    assert lines[8] == "True 0"
    # on the new link first what was open, in order, then the next
    sent = broker.packets(direction="in", type="PUBLISH", connection=2)
    assert [(e.payload, e.dup) for e in sent] == [
        *((b"%d" % i, True) for i in range(4)),
        (b"end", False),
    ]


def test_a_silent_server_is_noticed_by_keepalive(broker, program):
    """X311-3.1.2.10-a: within 1.5 x keep alive, though TCP stays open. All tasks hear of it."""
    broker.fault(Fault("silence", type="PUBLISH", direction="in"))
    child = program(broker, WAITING.format(options="keepalive=1", least=300))
    child.expect("^(4|0)\n")
    child.send_line("")
    lines = child.wait().stdout.splitlines()
    assert lines[1:7] == what_came("OSError 110")


def test_a_silent_server_without_keepalive(broker, program):
    """Each call ends at its deadline and the link stays: a late answer does no harm."""
    broker.hold_acks("c")
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected(timeout_ms=200)
            verbs = [c.subscribe("t"), c.unsubscribe("t"), c.publish("t", "1", qos=1)]
            verbs += [c.publish("t", "2", qos=2, timeout_ms=400)]
            verbs += [c.publish_stream("t", 1000, lambda buf, offset: len(buf), qos=1)]
            tasks = [create_task(took(200, 5000, v)) for v in verbs]
            for t in tasks:
                print(await t)
            print(c.sock is not None, c.stats()["in_flight"])
            await go()
            await until(lambda: not c.stats()["in_flight"])
            print(await c.subscribe("t", 1), await c.publish("t", "n", qos=1) > 0, len(c._asks))
            await c.disconnect()
        """,
    )
    child.expect("^True 3\n")
    broker.release()
    child.send_line("")
    lines = child.wait().stdout.splitlines()
    assert lines == ["OSError 110"] * 5 + ["True 3", "1 True 0"]
    assert len(inbound(broker, type="CONNECT")) == 1


def test_a_missing_pingresp(broker, run):
    """MQTT-3.12.4-1: an idle link that is dead is noticed, too."""
    broker.drop("PINGRESP", count=None)
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            a = await connected("a", keepalive=1)
            b = await connected("b", keepalive=1, poll_ms=20)
            for t in [create_task(took(300, 5000, c.run())) for c in (a, b)]:
                print(await t)
            print(a.sock, b.sock)
        """,
    )
    assert lines == ["OSError 110", "OSError 110", "None None"]


def test_pings(broker, run):
    """MQTT-3.1.2-23: idle, by polling, only publishing, only receiving and not looking."""
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            a = await connected("a", keepalive=1)
            b = await connected("b", keepalive=1, poll_ms=30)
            c = await connected("c", keepalive=1)
            d = await connected("d", keepalive=1)
            box = d.messages(1)
            await d.subscribe("t", 1)
            n = 0
            while n < 30 or min(x.stats()["pings"] for x in (a, b, d)) < 2:
                await c.publish("t", "m", qos=1)
                await c.publish("t", "m")
                await sleep_ms(20)
                n += 1
            print(len(box.items) >= 20, box.dropped > 9)
            for x in (a, b, c, d):
                await x.disconnect()
        """,
    )
    assert lines == ["True True"]


def test_a_server_that_reads_nothing(broker_factory, program):
    """A packet that has begun and cannot go on ends the link at its deadline."""
    broker = broker_factory(receive_buffer=2048)
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            for verb in (
                lambda: c.publish("t", bytes(20000)),
                lambda: c.publish("t", bytes(20000), timeout_ms=200),
                lambda: c.publish_stream("t", 20000, lambda buf, offset: len(buf)),
                lambda: c.publish_stream("t", 20000, lambda buf, offset: len(buf), qos=2),
            ):
                c = await connected(timeout_ms=200)
                c.sock.setsockopt(1, 7, 1)
                print("up")
                await go()
                print(await took(200, 5000, verb()), c.sock, await error(c.run()))
        """,
    )
    for _ in range(4):
        child.expect("^up\n")
        broker.pause_reading("c")
        child.send_line("")
    lines = [line for line in child.wait().stdout.splitlines() if line != "up"]
    assert lines == ["OSError 110 None OSError 110"] * 4
    assert not inbound(broker, type="DISCONNECT")


def test_a_stream_that_is_cut_off(broker, program):
    """The link dies within the packet: an error, never a success."""
    child = program(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            for verb in (
                lambda: c.publish("t", bytes(200000)),
                lambda: c.publish_stream("t", 10000000, lambda buf, offset: len(buf)),
                lambda: c.publish_stream("t", 10000000, lambda buf, offset: len(buf), qos=1),
            ):
                c = await connected()
                c.sock.setsockopt(1, 7, 1)
                print("up")
                await go()
                t = create_task(error(verb()))
                await turns(4)
                print("begun")
                print((await t)[:7])
        """,
    )
    for _ in range(3):
        child.expect("^up\n")
        broker.pause_reading("c")
        child.send_line("")
        child.expect("^begun\n")
        broker.kill("c")
    lines = child.wait().stdout.splitlines()
    assert lines[2::3] == ["OSError"] * 3


def test_retry_ms(broker, run):
    """X311-4.4-a: what was not answered goes out again on the live link, and not too soon."""
    broker.drop("PUBACK", count=2)
    broker.drop("PUBCOMP")
    lines = run(
        broker,
        """
        from aio_world import *

        @start
        async def main():
            c = await connected(retry_ms=400)
            print(await took(800, 5000, c.publish("t", "1", qos=1)))
            print(await took(400, 5000, c.publish("t", "2", qos=2)))
            print(await took(0, 5000, c.publish("t", "3", qos=1)), c.stats()["resent"] >= 3)
            await c.disconnect()
        """,
    )
    assert lines == ["none: 1", "none: 2", "none: 3 True"]
    sent = broker.packets(direction="in", type=("PUBLISH", "PUBREL"))
    sent = [(e.type, e.packet_id, e.dup) for e in sent]
    assert sent.count(("PUBLISH", 1, True)) >= 2 and sent.count(("PUBREL", 2, False)) >= 2
    # an answer that is late has one more of the same sent
    assert [x for x in dict.fromkeys(sent) if x[1] == 1 or not x[2]] == [
        ("PUBLISH", 1, False),
        ("PUBLISH", 1, True),
        ("PUBLISH", 2, False),
        ("PUBREL", 2, False),
        ("PUBLISH", 3, False),
    ]
