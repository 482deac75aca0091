"""mqtt_as, with stand-ins for the Wi-Fi and the board, which the unix port does not have."""

import asyncio
import gc
import os
import sys

from timing import held, measure_async, setting


class WLAN:
    def __init__(self, _):
        pass

    def isconnected(self):
        return True

    def active(self, *_):
        return True

    connect = config = disconnect = active


class Board:
    STA_IF = 0
    WLAN = WLAN

    @staticmethod
    def unique_id():
        return b"bench"


sys.modules["network"] = sys.modules["machine"] = Board
gc.collect()
base = gc.mem_alloc()
from mqtt_as import MQTTClient, config  # noqa: E402

mode = os.getenv("BENCH_MODE")
qos = int(mode[-1]) if mode[-1] in "012" else 0
kind = mode.rstrip("012")
topic = b"sensor/abc"
payload = b"x" * setting("SIZE", 16)
TASKS = 10
count = goal = 0
news = asyncio.Event()


def message(topic, msg, retained):
    global count
    count += 1
    if count == goal:
        news.set()


async def publish(n):
    for _ in range(n):
        await c.publish(topic, payload, False, qos)


async def tasks(n):
    await asyncio.gather(*(publish(n // TASKS) for _ in range(TASKS)))


async def receive(n):
    global count, goal
    count = 0
    goal = n
    news.clear()
    await c.publish(b"go%d" % qos, b"%d" % n, False, 0)
    await asyncio.wait_for(news.wait(), 40)


async def trip(n):
    global count, goal
    count = 0
    for i in range(1, n + 1):
        goal = i
        news.clear()
        await c.publish(topic, payload, False, 0)
        await news.wait()


async def main():
    await c.connect(quick=True)
    if setting("NODELAY", 0):
        c._sock.setsockopt(6, 1, 1)
    if kind in ("trip", "held"):
        await c.subscribe(topic, 0)
    if kind == "held":
        await c.publish(topic, payload, False, 1)
        held(base)
    else:
        run = {"publish": publish, "tasks": tasks, "receive": receive, "trip": trip}
        await measure_async(run[kind], first=10 if kind == "tasks" else 3)
    await c.disconnect()


config.update(server="127.0.0.1", port=setting("PORT", 0), subs_cb=message)
c = MQTTClient(config)
asyncio.run(main())
