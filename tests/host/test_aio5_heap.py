"""With poll_ms the asyncio client of MQTT 5.0 allocates nothing in steady state: publish_nowait()
with prebuilt properties that change, the answers, set_message() and m.property(); the same where
version="auto" has found 3.1.1. Under micropython.heap_lock(); the program awaits sleep_ms only.
"""

import pytest

COUNT = 300

SCRIPT = """
    from umqtt_plus.aio import MQTTClient
    from umqtt_plus.properties import encode
    from asyncio import run, sleep_ms
    from micropython import heap_lock, heap_unlock
    c = MQTTClient("c", HOST, PORT, keepalive=60, inflight=20, poll_ms=10, version={version})
    blocks = [encode("PUBLISH", dict(message_expiry_interval=n)) for n in (5, 6, 7)] + [None]
    topics = [b"a", b"b"]
    done = came = wrong = expiry = 0

    def published(packet_id):
        global done
        done += 1

    def message(m):
        global came, wrong
        if m.property(2) != expiry or not m.payload_is(b"payload"):
            wrong += 1
        came += 1

    async def main():
        global done, came, expiry
        c.on_published(published)
        c.set_message(message)
        await c.connect()
        await c.subscribe("b", 2)
        expiry = 6 if c.version == 5 else None
        for qos in (0, 1, 2):
            for count in (20, {count}):  # the first time buffers and modules are made
                done = came = n = turns = 0
                locked = count != 20
                if locked:
                    heap_lock()
                try:
                    while n < count or qos and done < count or came < count // 2:
                        last = n
                        x = blocks[1 if n & 1 else n & 3]
                        if n < count and c.publish_nowait(topics[n & 1], b"payload", 0, qos, x):
                            n += 1
                        {extra}
                        if n == count or n % 20 == 0 or n == last:
                            await sleep_ms(1)
                            turns += 1
                            if turns > 9000:
                                break
                finally:
                    if locked:
                        heap_unlock()
                print(qos, n, done, came, wrong)
        await c.disconnect()

    run(main())
"""


@pytest.mark.parametrize("quirk", ["none", "refuse_5_with_1"])
def test_nothing_is_allocated(broker_factory, program, quirk):
    broker = broker_factory(quirks=[] if quirk == "none" else [quirk])
    script = SCRIPT.format(version="'auto'", extra="", count=COUNT)
    lines = program(broker, script, mpy=True, heapsize="160k").wait(30).stdout.splitlines()
    assert lines == [
        f"{qos} {n} {n if qos else 0} {n // 2} 0" for qos in (0, 1, 2) for n in (20, COUNT)
    ]


def test_an_allocation_is_noticed(broker, program):
    """The proof above can fail."""
    script = SCRIPT.format(version="'auto'", extra="[n]", count=40)
    child = program(broker, script, mpy=True, heapsize="160k")
    assert "MemoryError" in child.wait(check=False).stdout
