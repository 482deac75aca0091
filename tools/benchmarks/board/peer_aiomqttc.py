"""aiomqttc, with a stand-in for machine.RTC, which the unix port does not have."""

import asyncio
import gc
import os
import sys

from timing import held, measure_async, setting


class Board:
    class RTC:
        def datetime(self):
            return (2026, 1, 1, 0, 0, 0, 0, 0)


sys.modules["machine"] = Board
gc.collect()
base = gc.mem_alloc()
from aiomqttc import MQTTClient  # noqa: E402

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
kind = mode.rstrip("012")
topic = "sensor/abc"
payload = b"x" * setting("SIZE", 16)
TASKS = 10
count = goal = 0
news = asyncio.Event()


async def message(client, topic, msg, retain):
    global count
    count += 1
    if count == goal:
        news.set()


async def publish(n):
    for _ in range(n):
        if not await c.publish(topic, payload, qos):
            raise SystemExit("not published")


async def tasks(n):
    await asyncio.gather(*(publish(n // TASKS) for _ in range(TASKS)))


async def receive(n):
    global count, goal
    count = 0
    goal = n
    news.clear()
    await c.publish("go" + str(qos), b"%d" % n, 0)
    await asyncio.wait_for(news.wait(), 40)


async def trip(n):
    global count, goal
    count = 0
    for i in range(1, n + 1):
        goal = i
        news.clear()
        await c.publish(topic, payload, 0)
        await news.wait()


async def main():
    c.on_message = message
    await c.connect()
    if setting("NODELAY", 0):
        c.protocol.stream.writer.s.setsockopt(6, 1, 1)
    if kind in ("trip", "held"):
        await c.subscribe(topic, 0)
    if kind == "held":
        await c.publish(topic, payload, 1)
        held(base)
    else:
        run = {"publish": publish, "tasks": tasks, "receive": receive, "trip": trip}
        await measure_async(run[kind], first=10 if kind == "tasks" else 3)
    await c.disconnect()


c = MQTTClient("peer", "127.0.0.1", setting("PORT", 0))
asyncio.run(main())
