"""The clock arithmetic that umqtt_plus relies on: MicroPython and the shims agree about it."""

import time

from util import Skip, each, raises, same

# Made at run time: frozen as a constant within a tuple, mpy-tool makes a long int of it, which
# ticks_diff() of a 32-bit board misreads.
PERIOD = int("40000000", 16)

DIFFERENCES = (
    # end, start, difference
    (0, 0, 0),
    (100, 40, 60),
    (40, 100, -60),
    (5, PERIOD - 5, 10),
    (PERIOD - 5, 5, -10),
    (PERIOD // 2 - 1, 0, PERIOD // 2 - 1),
    (PERIOD // 2, 0, -PERIOD // 2),
)


def period():
    """2**30 on boards and here; a 64-bit unix port wraps later, whatever its build says."""
    return time.ticks_add(0, -1) + 1


def test_ticks_diff():
    if period() != PERIOD:
        raise Skip("ticks wrap at %d here" % period())

    def check(end, start, wanted):
        same(time.ticks_diff(end, start), wanted)

    each(DIFFERENCES, check)


def test_ticks_add_wraps():
    last = period() - 1
    assert time.ticks_add(last, 1) == 0
    assert time.ticks_add(0, -1) == last
    assert time.ticks_diff(time.ticks_add(last, 500), last) == 500
    with raises(OverflowError):
        time.ticks_add(0, period() // 2)


def test_ticks_advance():
    start = time.ticks_ms()
    time.sleep_ms(2)
    assert 1 <= time.ticks_diff(time.ticks_ms(), start) < 2000
