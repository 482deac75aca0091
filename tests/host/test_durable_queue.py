"""The outbox in the journal, in a real file: processes that are killed, and a real broker.

The unit tests cut the power at each step. Here it is SIGKILL, at a moment of its own choice.
"""

import random
import time

import pytest

PROGRAM = """
    from umqtt_plus.outbox import Outbox
    from umqtt_plus.reconnect import Link
    from umqtt_plus.store import Store

    def owed():
        "How many messages of QoS 1 or 2 wait."
        q = box._q
        i = n = 0
        while i < len(q):
            n += q[i + 7] & 6 > 0
            i += q[i + 2] << 8 | q[i + 3]
        return n

    LIFE = os.getenv("LIFE")
    c = client("queue", buffer_size=128, timeout_ms=2000)
    box = Outbox(3000, 90, "refuse")
    store = Store(c, "log", max_bytes=13000, outbox=box)
    link = Link(c, outbox=box, first_ms=20, cap_ms=20)
    print("begins", store.recovered, store.accepted, len(box))
    i = 0
    while LIFE:
        link.poll()
        n = store.accepted + owed() + 1
        try:
            if i % 5 == 0:
                link.publish(b"q/0", b"%s.%d" % (LIFE.encode(), i))
            link.publish(b"q/%d" % (1 + n % 2), b"%d" % n + b"." * (n % 50), qos=1 + n % 2)
        except OSError as e:
            if e.args[0] != 105:
                raise
        i += 1
        if i % 20 == 0:
            print("at", i)
    while len(box) or c.stats()["in_flight"]:
        link.poll(100)
    print("ends", store.accepted)
"""


@pytest.fixture
def live(broker, program, tmp_path):
    """live(life): one more start in the same directory; "" is the last one."""

    def start(life=""):
        return program(broker, PROGRAM, cwd=tmp_path, env={"LIFE": life})

    return start


def numbers(broker, qos):
    return [int(m.payload.rstrip(b".")) for m in broker.messages(f"q/{qos}")]


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(broker, live, seed):
    """Exactly once with QoS 2, at least once with QoS 1, at most once with QoS 0; in
    order, for each QoS: the broker passes QoS 2 on when it is released."""
    dice = random.Random(seed)
    for life in range(1, 15):
        offline = life == 1 or dice.random() < 0.4
        mark = broker.mark()
        if offline:
            broker.refuse_tcp("close")
        child = live(str(life))
        child.expect("begins (new|session)")
        for _ in range(dice.randrange(6)):
            child.expect("at ")
        if not offline:
            broker.wait_for(direction="in", type="PUBLISH", since=mark, count=25, timeout=20)
        time.sleep(dice.random() / 50)  # the moment is to be any
        child.kill()
        broker.accept_tcp()
    last = int(live().expect(r"^ends (\d+)", timeout=20).group(1))
    assert last > 100
    exact, again = (numbers(broker, qos) for qos in (2, 1))
    assert exact == list(range(1, last + 1, 2))
    assert list(dict.fromkeys(again)) == list(range(2, last + 1, 2))
    loose = [m.payload for m in broker.messages("q/0")]
    assert len(loose) == len(set(loose)) > 20
    order = [tuple(map(int, x.split(b"."))) for x in loose]
    assert order == sorted(order)


def test_a_day_offline(broker, live):
    """Filled to the brim in one life, killed, and sent in the next."""
    broker.refuse_tcp("close")
    child = live("1")
    child.expect("at 200")
    child.kill()
    broker.accept_tcp()
    waiting, ends = live().wait().stdout.splitlines()
    assert waiting.startswith("begins new 0 ") and int(waiting.split()[-1]) > 50
    assert numbers(broker, 2) == list(range(1, int(ends.split()[1]) + 1, 2))


ASYNCIO = """
    import asyncio
    from umqtt_plus.aio import MQTTClient
    from umqtt_plus.outbox import Outbox
    from umqtt_plus.reconnect import Link
    from umqtt_plus.store import Store

    async def main():
        c = MQTTClient("queue", HOST, PORT, buffer_size=128, inflight=3)
        box = Outbox(3000, 90, "refuse")
        store = Store(c, "log", max_bytes=13000, outbox=box)
        link = Link(c, outbox=box, first_ms=20, cap_ms=20)
        print("begins", len(box))
        if os.getenv("LIFE"):
            for n in range(30):
                link.publish(b"q/2", str(n + 1), qos=2)
                link.publish(b"q/0", str(n + 1))
        print("left", len(box))
        task = asyncio.create_task(link.run())
        while len(box) or c.stats()["in_flight"]:
            await asyncio.sleep_ms(1)
            print("left", len(box))
        await link.close()
        await task

    asyncio.run(main())
"""


def test_asyncio(broker, program, tmp_path):
    """Killed while the queue is half empty, many times: 30 of each QoS, none of QoS 2 twice."""
    env = {"LIFE": "1"}
    for left in (45, 30, 15):
        child = program(broker, ASYNCIO, cwd=tmp_path, env=env)
        child.expect("^begins")
        while int(child.expect(r"^left (\d+)").group(1)) > left:
            pass
        child.kill()
        env = {}
    program(broker, ASYNCIO, cwd=tmp_path).wait()
    assert numbers(broker, 2) == list(range(1, 31))
    loose = numbers(broker, 0)
    assert len(loose) > 20 and loose == sorted(set(loose))
