"""A fake of MicroPython's module `machine` with a watchdog that says when it is fed.

    sys.modules["machine"] = Machine(WDT_RESET)    # why the board started

It does not bite: a test that hears nothing for too long ends the program instead.
"""

import time

PWRON_RESET = 1
WDT_RESET = 3


class WDT:
    def __init__(self, timeout):
        self.timeout = timeout
        self.at = time.ticks_ms()

    def feed(self):
        now = time.ticks_ms()
        assert time.ticks_diff(now, self.at) < self.timeout, "it would have bitten"
        self.at = now
        print("fed", now)


class Machine:
    WDT = WDT
    WDT_RESET = WDT_RESET

    def __init__(self, cause):
        self.cause = cause

    def reset_cause(self):
        return self.cause
