"""Bytes of heap held after import, construction and connect, on one line.

BENCH_FRONT=aio: the asyncio client; asyncio itself, which is part of the firmware, is not counted.
"""

import gc
import os

port = int(os.getenv("BENCH_PORT"))
inflight = int(os.getenv("BENCH_INFLIGHT"))
front = os.getenv("BENCH_FRONT")


def held():
    gc.collect()
    return gc.mem_alloc() - base


base = 0
a = b = c = d = cls = asyncio = main = None  # the names exist before anything is counted
if front == "aio":
    import asyncio


def load():
    if front == "aio":
        from umqtt_plus.aio import MQTTClient
    else:
        from umqtt_plus import MQTTClient
    return MQTTClient


async def connected():
    global d
    async with c:
        d = held()


base = held()
cls = load()
a = held()
c = cls(b"heap", "127.0.0.1", port, inflight=inflight, buffer_size=256)
b = held()
if front == "aio":
    asyncio.run(connected())
else:
    c.connect()
    d = held()
    c.disconnect()
print(a, b, d)
