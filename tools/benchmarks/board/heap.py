"""Bytes of heap held after import, construction and connect: one line each, all told."""

import gc
import os

port = int(os.getenv("BENCH_PORT"))
inflight = int(os.getenv("BENCH_INFLIGHT"))


def held():
    gc.collect()
    return gc.mem_alloc() - base


base = 0
a = b = c = d = cls = None  # the names exist before anything is counted
base = held()
import umqtt_plus  # noqa: E402

cls = umqtt_plus.MQTTClient  # loads the rooms of the client

a = held()
c = cls(b"heap", "127.0.0.1", port, inflight=inflight, buffer_size=256)
b = held()
c.connect()
d = held()
print(a, b, d)
c.disconnect()
