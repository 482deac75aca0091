"""Bytes of flash and heap that each slice takes, in a firmware for the rp2 and booted.

Each slice is built into a firmware of its own, with all it needs; so are the modules that a plain
publisher loads, which have goals. Flash is the difference to the same firmware without umqtt_plus;
it has asyncio, as every board has. Heap is what is held after a garbage collection, the code being
frozen; the goals are for importing MQTTClient. Making a client loads the rest of what it needs.
"""

from firmware import build, packaging
from firmware.emulate import Chip

SLICES = ("qos0", "qos2", "core", "aio", "link", "store", "wifi", "ws", "v5", "aio5", "all")
# What `make size` finds loaded by a publisher of QoS 0, and of QoS 2.
PUBLISHERS = {"publisher, QoS 0": ("__init__", "client", "codec", "opening", "protocol")}
PUBLISHERS["publisher, QoS 2"] = (*PUBLISHERS["publisher, QoS 0"], "acks", "inflight", "verbs")
GOALS = {"publisher, QoS 0": (8192, 1228), "publisher, QoS 2": (11264, 2048)}  # flash, import
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


def modules(name):
    return PUBLISHERS.get(name) or packaging.modules(name)


def script(name):
    """The script that measures a row; prints front, front with a client, all modules."""
    names = modules(name)
    aio = "aio" in names
    return HEAP.format(
        dot=".aio" if aio else "",
        also="import asyncio" if aio else "",
        inflight=4 if "inflight" in names else 0,
        modules=[module for module in names if module != "__init__"],
    )


def image(name):
    if name in PUBLISHERS:
        files = [f"{module}.py" for module in modules(name)]
        more = f'package("umqtt_plus", {files}, base_path="{packaging.ROOT}", opt=3)\n'
        return build.build(name.replace(", ", "-").replace(" ", ""), build.frozen(more=more))
    return build.build(name, build.frozen(name))


def measure(names=(*PUBLISHERS, *SLICES)):
    """The figures, as a dict for JSON."""
    bare = build.build("bare", build.frozen()).stat().st_size
    found = {"board": "rp2, RP2040", **build.versions(), "bare": bare, "rows": {}}
    for name in names:
        firmware = image(name)
        with Chip(firmware) as chip:
            front, client, heap = map(int, chip.execute(script(name)).split())
        found["rows"][name] = {
            "modules": list(modules(name)),
            "flash": firmware.stat().st_size - bare,
            "import": front,
            "client": client,
            "heap": heap,
        }
    return found


def verdict(used, goal):
    return "ok" if used <= goal else f"ABOVE by {used - goal}"


def above(found):
    """True when a row with a goal is above it."""
    return any(
        row["flash"] > GOALS[name][0] or row["import"] > GOALS[name][1]
        for name, row in found["rows"].items()
        if name in GOALS
    )


def lines(found):
    yield (
        f"MicroPython {found['micropython']} for the {found['board']}, gcc {found['gcc']}; "
        f"without umqtt_plus {found['bare']} bytes"
    )
    heads = ("flash", "import", "client", "heap")
    yield f"{'bytes of a slice with all it needs':<36}" + "".join(f"{head:>8}" for head in heads)
    for name, row in found["rows"].items():
        title = f"{name} ({len(row['modules'])} modules)"
        line = f"  {title:<34}" + "".join(f"{row[head]:>8}" for head in heads)
        if name in GOALS:
            flash, held = GOALS[name]
            line += f"   flash {flash}: {verdict(row['flash'], flash)}"
            line += f"; import {held}: {verdict(row['import'], held)}"
        yield line
    yield "import: after MQTTClient is imported; client: with one of buffer_size=256 made, too;"
    yield "heap: after every module of the row is imported, and no client"
