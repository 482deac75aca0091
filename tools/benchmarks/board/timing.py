"""Time run(n): "rate COUNT MICROSECONDS" on stdout. Runs on MicroPython and on CPython.

BENCH_COUNT fixes n for instruction counts, between two calls of gc.isenabled(). Otherwise n grows
until run(n) takes BENCH_MS, so a slow client costs no more time than a fast one; the last run
counts: all before it was warm-up.
"""

import gc
import os
import time

try:
    from time import ticks_diff, ticks_us
except ImportError:

    def ticks_us():
        return time.perf_counter_ns() // 1000

    def ticks_diff(a, b):
        return a - b


def setting(name, default):
    return int(os.getenv("BENCH_" + name, str(default)))


def rounds(first=20, most=200000):
    """Yield each n to run, time what the caller does with it, print the last at the end."""
    fixed = setting("COUNT", 0)
    if fixed:
        yield 20
        gc.collect()
        gc.isenabled()
        yield fixed
        gc.isenabled()
        return
    goal = setting("MS", 200) * 1000
    n = first
    for _ in range(12):
        start = ticks_us()
        yield n
        us = max(1, ticks_diff(ticks_us(), start))
        if us >= goal * 3 // 4 or n == most:
            break
        n = min(most, max(n + 1, n * 8 if us * 8 < goal else n * goal // us))
    print("rate", n, us)


def measure(run, first=20, most=200000):
    for n in rounds(first, most):
        run(n)


async def measure_async(run, first=20, most=200000):
    for n in rounds(first, most):
        await run(n)


def held(base):
    """Print what the heap holds beyond base, and the files that were imported for it."""
    import sys

    files = [m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]
    gc.collect()
    print("held", gc.mem_alloc() - base, *files)
