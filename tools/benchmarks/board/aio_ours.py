"""The asyncio client of umqtt_plus, used as its docstrings say. BENCH_POLL_MS is its poll_ms."""

import asyncio
import gc
import os

from timing import held, measure_async, setting

gc.collect()
base = gc.mem_alloc()
from umqtt_plus.aio import MQTTClient  # noqa: E402

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
kind = mode.rstrip("012")
topic = b"sensor/abc"
payload = b"x" * setting("SIZE", 16)
go = b"go%d" % qos
TASKS = 10
count = goal = 0
news = asyncio.Event()


def message(m):
    global count
    count += 1
    if count == goal:
        news.set()


def published(packet_id):
    global count
    count += 1
    news.set()


async def publish(n):
    for _ in range(n):
        await c.publish(topic, payload, False, qos)


async def window(n):
    """As many as find room, then wait for an answer."""
    global count
    count = 0
    for _ in range(n):
        while not c.publish_nowait(topic, payload, False, qos):
            news.clear()
            await news.wait()
    while count < n:
        news.clear()
        await news.wait()


async def tasks(n):
    await asyncio.gather(*(publish(n // TASKS) for _ in range(TASKS)))


async def receive(n):
    global count, goal
    count = 0
    goal = n
    news.clear()
    await c.publish(go, b"%d" % n)
    await asyncio.wait_for(news.wait(), 20)


async def trip(n):
    global count, goal
    count = 0
    for i in range(1, n + 1):
        goal = i
        news.clear()
        await c.publish(topic, payload)
        await news.wait()


async def main():
    if kind in ("window", "burst"):
        c.on_published(published)
    if kind in ("receive", "trip", "held"):
        c.set_message(message)
    async with c:
        if kind in ("trip", "held"):
            await c.subscribe(topic)
        if kind == "held":
            await c.publish(topic, payload, False, 1)
            held(base)
            return
        run = {"window": window, "burst": window, "tasks": tasks, "receive": receive, "trip": trip}
        await measure_async(run.get(kind, publish))


options = {
    "buffer_size": 1024,
    "inflight": TASKS if kind in ("window", "tasks") else 4,
    "poll_ms": setting("POLL_MS", 0),
}
server = "127.0.0.1", setting("PORT", 0)
c = MQTTClient(b"ours", *server, **({} if kind == "held" else options))
asyncio.run(main())
