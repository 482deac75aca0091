"""What a connected-to-be client holds, object by object: NAME HEAP a line. See profile_heap.py."""

import gc
import os

from umqtt_plus import MQTTClient


class Bare:
    pass


def used(make, argument):
    """Bytes that make(argument) takes; a second time, when all that it needs once is there."""
    kept = make(argument)
    gc.collect()
    before = gc.mem_alloc()
    kept = (kept, make(argument))
    gc.collect()
    return gc.mem_alloc() - before - PAIR


def table(names):
    o = Bare()
    for name in names:
        setattr(o, name, None)
    return o


def like(x):
    """Another object of that kind and size."""
    if isinstance(x, bytearray):
        return bytearray(len(x))
    if isinstance(x, list):
        return [None] * len(x)
    if isinstance(x, memoryview):
        return memoryview(buf)
    return {}


PAIR = 0
buf = bytearray(1)
PAIR = used(lambda _: None, None)
c = MQTTClient(
    b"heap", "127.0.0.1", 1883, inflight=int(os.getenv("BENCH_INFLIGHT")), buffer_size=256
)
for prefix, o in (("client", c), ("table", c._tab)):
    if o:
        fields = o.__dict__
        print(prefix + "(attributes)", used(table, list(fields)))
        seen = []
        for name in fields:
            x = fields[name]
            if isinstance(x, (bytearray, list, memoryview, dict)):
                if not any(x is y for y in seen):
                    seen.append(x)
                    print(prefix + "." + name, used(like, x))
