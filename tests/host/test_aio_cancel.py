"""A cancelled or timed-out await leaves no half packet on the wire, and tables that are sound.

The server takes few bytes at a time. Each verb is cancelled after k turns of the loop, within its
packet, or by wait_for; then the client goes on being used. The broker is the witness: the fixture
`program` wants its list of violations empty at the end of each test.
"""

import pytest

VERBS = {
    "publish 0": "c.publish('t', b'x' * SIZE)",
    "publish 1": "c.publish('t', b'x' * 400, qos=1)",
    "publish 2": "c.publish('t', b'x' * 400, qos=2)",
    "stream 0": "c.publish_stream('t', SIZE, fill)",
    "stream 2": "c.publish_stream('t', SIZE, fill, qos=2)",
    "subscribe": "c.subscribe(['s' * 100, ('s/#', 2)], 1)",
    "unsubscribe": "c.unsubscribe(['s' * 100, 's/#'])",
    "disconnect": "c.disconnect()",
    "connect": "c.connect(False)",
}
LARGE = 20_000  # more than the system's buffers take


def script(size, body):
    return f"""
from aio_world import *

SIZE = {size}

def fill(buf, offset):
    n = min(len(buf), SIZE - offset)
    buf[0:n] = b"x" * n
    return n

async def ready(c):
    if not c.sock:
        await c.connect(False)
        c.sock.setsockopt(1, 7, 1)  # SO_SNDBUF: writes become partial

@start
async def main():
{body}"""


def check(broker, count, size):
    """Every packet was whole, and the messages `end` came once each and in order."""
    assert [int(m.payload) for m in broker.messages("end")] == list(range(count))
    assert {m.payload for m in broker.messages("t")} <= {b"x" * size}
    assert not broker.packets(type="MALFORMED")


@pytest.mark.parametrize("name", VERBS)
def test_cancelled_after_so_many_turns(broker_factory, run, name):
    broker = broker_factory(receive_buffer=2048)
    broker.split(1, pause_ms=0)  # answers come byte by byte
    size = 400 if name.startswith("publish") and name[-1] != "0" else 8000
    lines = run(
        broker,
        script(
            size,
            f"""
    c = client(inflight=3)
    for i, k in enumerate(list(range(8)) + [10, 16, 24, 40]):
        if {name != "connect"}:
            await ready(c)
        t = create_task(error({VERBS[name]}))
        await turns(k)
        if k > 8:
            await sleep_ms(k - 8)
        t.cancel()
        await error(t)
        await ready(c)
        await c.publish("end", str(i), qos=1 + i % 2)
    await until(lambda: not c.stats()["in_flight"])
    await c.disconnect()
    print(c._asks, c._tab.todo, c._tab.sources, c._tab.used, c._tn, c._on)
""",
        ),
    )
    assert lines == ["{} 0 {} 0 0 0"]
    check(broker, 12, size)


@pytest.mark.parametrize("name", ["publish 0", "stream 0", "stream 2"])
def test_cancelled_within_the_packet(broker_factory, program, name):
    """While the rest of it waits, and others publish: it goes out all the same, and first."""
    broker = broker_factory(receive_buffer=2048)
    child = program(
        broker,
        script(
            LARGE,
            f"""
    c = client(inflight=6)
    await ready(c)
    for i in range(2):
        print("next")
        await go()
        t = create_task(error({VERBS[name]}))
        await turns(5)
        others = [create_task(c.publish("end", str(4 * i + k), qos=1)) for k in range(4)]
        more = create_task(error(c.subscribe("s", 1)))
        await turns(1 + 2 * i)
        t.cancel()
        more.cancel()
        print(await t + await more, c._tn + c._on > 10000)
        for t in others:
            await t
    await until(lambda: not c.stats()["in_flight"])
    await c.disconnect()
""",
        ),
    )
    for _ in range(2):
        child.expect("^next\n")
        broker.pause_reading("c")
        child.send_line("")
        child.expect("^CancelledErrorCancelledError True\n")
        broker.resume_reading("c")
    child.wait()
    check(broker, 8, LARGE)
    topics = [e.topic for e in broker.packets(direction="in", type="PUBLISH")]
    assert topics == (["t"] + 4 * ["end"]) * 2
    assert not broker.packets(type="SUBSCRIBE")


@pytest.mark.parametrize("name", VERBS)
def test_wait_for(broker_factory, program, name):
    """asyncio.wait_for ends each verb in time while the server neither reads nor answers."""
    broker = broker_factory(receive_buffer=2048)
    if name == "connect":
        broker.stall_connack()
    child = program(
        broker,
        script(
            LARGE,
            f"""
    c = client(inflight=4)
    c.messages()
    if {name != "connect"}:
        await ready(c)
        await c.publish("up", "", qos=1)
        print("up")
        await go()
        if {name == "disconnect"}:  # it waits for what was accepted
            create_task(error(c.publish("t", b"x" * SIZE)))
            await turns(5)
    for _ in range(2):
        print(await took(100, 5000, wait_for({VERBS[name]}, 0.1)))
    print("tried")
    await go()
    await ready(c)
    await c.publish("end", "0", qos=2)
    await c.subscribe("u", 1)
    await c.publish("u", "mine", qos=1)
    async for m in c:
        print(m.topic)
        break
    await until(lambda: not c.stats()["in_flight"])
    await c.disconnect()
""",
        ),
    )
    if name != "connect":
        child.expect("^up\n")
        broker.pause_reading("c")
        child.send_line("")
    child.expect("^tried\n", 15)
    if name == "connect":
        broker.clear_faults()
    else:
        broker.resume_reading("c")
    child.send_line("")
    lines = [line for line in child.wait().stdout.splitlines() if line != "up"]
    assert lines == ["TimeoutError"] * 2 + ["tried", "b'u'"]
    check(broker, 1, 400 if name in ("publish 1", "publish 2") else LARGE)
