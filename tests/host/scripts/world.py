"""What the scripts of the tests share: the server's address, a client, and errors as text."""

import gc
import os
import sys
from time import ticks_add, ticks_diff, ticks_ms  # noqa: F401

from umqtt_plus import MQTTClient, MQTTException  # noqa: F401

HOST = os.getenv("MQTT_HOST")
PORT = int(os.getenv("MQTT_PORT"))
gc.collect()  # what importing left would stand in the way of the buffers on a small heap


def client(client_id="c", **options):
    return MQTTClient(client_id, HOST, PORT, **options)


def connected(client_id="c", clean=True, **options):
    c = client(client_id, **options)
    c.connect(clean)
    return c


def error(f, *args, **options):
    """The exception of a call, as text; "none: result" when there is none."""
    try:
        return f"none: {f(*args, **options)!r}"
    except Exception as e:
        return f"{type(e).__name__} {e.args[0] if e.args else e}"


def until(c, condition, ms=8000):
    """Receive until condition() is true; fail at the deadline."""
    end = ticks_add(ticks_ms(), ms)
    while not condition():
        if ticks_diff(end, ticks_ms()) <= 0:
            raise SystemExit(f"timeout: not in {ms} ms")
        c.wait_msg(100)


def go():
    """Wait for the test to send a line; the line."""
    return sys.stdin.readline().strip()
