"""Bytes of heap that each module takes when it is imported, and of its .mpy: NAME HEAP a line.

BENCH_MODULES: names in the order in which they need each other.
"""

import gc
import os

names = os.getenv("BENCH_MODULES").split(",")
used = [0] * len(names)
i = before = 0
name = None
gc.collect()
for i, name in enumerate(names):
    gc.collect()
    before = gc.mem_alloc()
    __import__("umqtt_plus." + name if name != "__init__" else "umqtt_plus")
    gc.collect()
    used[i] = gc.mem_alloc() - before
for i, name in enumerate(names):
    print(name, used[i])
