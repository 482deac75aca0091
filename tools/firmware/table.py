"""Bytes of flash and heap that each slice takes, in a firmware for the rp2 and booted.

Each slice is built into a firmware of its own, with all it needs. Flash is the difference to the
same firmware without umqtt_plus; it has asyncio, as every board has. Heap is what is held after
a garbage collection, the code being frozen.
"""

from firmware import build, packaging
from firmware.emulate import Chip

SLICES = ("qos0", "qos2", "core", "aio", "link", "store", "wifi", "all")
GOALS = {"qos0": (8192, 1228), "qos2": (11264, 2048)}  # flash, heap
HEAP = """\
import gc
MODULES = {modules!r}
{also}
before = held = client = cls = name = None
def used():
    gc.collect()
    return gc.mem_alloc() - before
before = 0
before = used()
from umqtt_plus{dot} import MQTTClient as cls
held = used()
client = cls(b"table", "127.0.0.1", inflight={inflight}, buffer_size=256)
print(held, used())
del client
for name in MODULES:
    __import__("umqtt_plus." + name)
print(used())
"""


def script(name):
    """The script that measures a slice; prints front, front with a client, all modules."""
    aio = "aio" in packaging.modules(name)
    return HEAP.format(
        dot=".aio" if aio else "",
        also="import asyncio" if aio else "",
        inflight=0 if name == "qos0" else 4,
        modules=[module for module in packaging.modules(name) if module != "__init__"],
    )


def measure(names=SLICES, heap=True):
    """The figures, as a dict for JSON."""
    bare = build.build("bare", build.frozen()).stat().st_size
    found = {"board": "rp2, RP2040", **build.versions(), "bare": bare, "slices": {}}
    for name in names:
        image = build.build(name, build.frozen(name))
        row = {"modules": packaging.modules(name), "flash": image.stat().st_size - bare}
        if heap:
            with Chip(image) as chip:
                front, client, modules = map(int, chip.execute(script(name)).split())
            row.update(front=front, client=client, heap=modules)
        found["slices"][name] = row
    return found


def verdict(used, goal):
    return "ok" if used <= goal else f"ABOVE by {used - goal}"


def above(found):
    """True when a slice with a goal is above it."""
    return any(
        row["flash"] > GOALS[name][0] or row.get("heap", 0) > GOALS[name][1]
        for name, row in found["slices"].items()
        if name in GOALS
    )


def lines(found):
    yield (
        f"MicroPython {found['micropython']} for the {found['board']}, gcc {found['gcc']}; "
        f"without umqtt_plus {found['bare']} bytes"
    )
    heads = ("flash", "import", "client", "heap")
    yield f"{'bytes of slice, with all it needs':<34}" + "".join(f"{head:>8}" for head in heads)
    for name, row in found["slices"].items():
        title = f"{name} ({len(row['modules'])} modules)"
        cells = [row.get(key, "-") for key in ("flash", "front", "client", "heap")]
        line = f"  {title:<32}" + "".join(f"{cell:>8}" for cell in cells)
        if name in GOALS:
            flash, heap = GOALS[name]
            line += f"   flash {flash}: {verdict(row['flash'], flash)}"
            if "heap" in row:
                line += f"; heap {heap}: {verdict(row['heap'], heap)}"
        yield line
    yield "import: after MQTTClient is imported; client: with one of buffer_size=256 made, too;"
    yield "heap: after every module of the slice is imported, and no client"
