"""Bytes of heap held after import, construction and connect, on one line.

BENCH_FRONT=aio: the asyncio client; asyncio itself, which is part of the firmware, is not counted.
BENCH_FRONT=store: with a store in the folder BENCH_PLACE.
"""

import gc
import os

port = int(os.getenv("BENCH_PORT"))
inflight = int(os.getenv("BENCH_INFLIGHT"))
front = os.getenv("BENCH_FRONT")


def held():
    gc.collect()
    return gc.mem_alloc() - base


# the names exist before anything is counted
base = 0
a = b = c = d = cls = asyncio = main = store = umqtt_plus = None
if front == "aio":
    import asyncio


def load():
    global umqtt_plus
    if front == "aio":
        from umqtt_plus.aio import MQTTClient
    else:
        from umqtt_plus import MQTTClient
    if front == "store":
        import umqtt_plus.store
    return MQTTClient


async def connected():
    global d
    async with c:
        d = held()


base = held()
cls = load()
a = held()
c = cls(b"heap", "127.0.0.1", port, inflight=inflight, buffer_size=256)
if front == "store":
    store = umqtt_plus.store.Store(c, os.getenv("BENCH_PLACE") + "/heap.log")
b = held()
if front == "aio":
    asyncio.run(connected())
else:
    c.connect(front != "store")
    d = held()
    c.disconnect()
print(a, b, d)
