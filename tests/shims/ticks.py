"""MicroPython's millisecond clock for CPython: it wraps at 2**30, and tests may set it.

with ticks_at(PERIOD - 500):      # half a second before the wrap
    ...
"""

import contextlib
import time

PERIOD = 1 << 30
NAMES = ("ticks_ms", "ticks_us", "ticks_add", "ticks_diff", "sleep_ms", "sleep_us")

_offset_ms = 0


def ticks_ms():
    return (time.monotonic_ns() // 1_000_000 + _offset_ms) % PERIOD


def ticks_us():
    return (time.monotonic_ns() // 1_000 + _offset_ms * 1000) % PERIOD


def ticks_add(ticks, delta):
    # MicroPython's own limit; a larger step would be read back with the wrong sign.
    if not -PERIOD // 2 < delta < PERIOD // 2:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) % PERIOD


def ticks_diff(end, start):
    return (end - start + PERIOD // 2) % PERIOD - PERIOD // 2


def sleep_ms(duration_ms):
    time.sleep(max(0, duration_ms) / 1000)


def sleep_us(duration_us):
    time.sleep(max(0, duration_us) / 1_000_000)


def set_ticks(now):
    """Let ticks_ms() go on from `now`."""
    global _offset_ms
    _offset_ms = 0
    _offset_ms = (now - ticks_ms()) % PERIOD


@contextlib.contextmanager
def ticks_at(now):
    """Let ticks_ms() go on from `now`, and put it back to what it was afterwards."""
    global _offset_ms
    before = _offset_ms
    set_ticks(now)
    try:
        yield
    finally:
        _offset_ms = before
