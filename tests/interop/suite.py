"""The interop suite: one program for every server. Runs on MicroPython; see world.py.

Prints a JSON line for each row: its name, "ok" or what was seen, milliseconds. ROWS in the
environment names the rows to run ("qos_1 will"), all otherwise.
"""

import gc
import json
import os
import sys

sys.path.append(__file__.rpartition("/")[0] or ".")

import rows
import rows_session
import world


def facts():
    """What the server says of itself in CONNACK, and whether it lets us in at all."""
    c = world.up("facts")
    if world.VERSION != 5:
        return {}
    from umqtt_plus.properties import decode

    world.facts.update(decode(c.connack))
    return {k: v if isinstance(v, int) else str(v) for k, v in world.facts.items()}


def run(f):
    name = f.__name__[4:]
    world.begin(name)
    start = world.ticks_ms()
    try:
        said = f() or "ok"
    except world.Fail as e:
        said = e.args[0]
    except Exception as e:
        said = type(e).__name__ + " " + " ".join(str(x) for x in e.args)
        if os.getenv("TRACE"):
            sys.print_exception(e)
    said = ", ".join([said] + world.notes[:1])
    world.end()
    gc.collect()
    ms = world.ticks_diff(world.ticks_ms(), start)
    print(json.dumps({"row": name, "said": said, "ms": ms}))


every = rows.ROWS + rows_session.ROWS
if world.VERSION == 5:
    import rows5

    every += rows5.ROWS
only = (os.getenv("ROWS") or "").split()
try:
    print(json.dumps({"row": "", "facts": facts()}))
finally:
    world.end()
for f in every:
    if not only or f.__name__[4:] in only:
        run(f)
