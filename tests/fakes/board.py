"""A board for programs of boards/: machine, network and esp32 as they find them, in real time.

    from fakes.board import Board
    Board("rp2")           # or "esp32", "esp32s3", ...: imports of the program see it from now on
    import main

The radio is that of fakes.network, with its clock set by ticks_ms(). Runs on MicroPython.
"""

import sys
import time

from fakes.machine import Machine
from fakes.network import FLAVOURS, AccessPoint, Air, Clock, Network


class System:
    """The module sys, of another platform."""

    def __init__(self, platform):
        self.platform = platform

    def __getattr__(self, name):
        return getattr(sys, name)


class Pin:
    OUT = 1
    pins = {}  # name or number: its level

    def __init__(self, name, mode, value=0):
        self.name = name
        self.value(value)

    def value(self, level):
        self.pins[self.name] = level
        print("pin", self.name, int(level))


class ADC:
    CORE_TEMP = 4

    def __init__(self, channel):
        assert channel == self.CORE_TEMP

    def read_u16(self):
        return 14068  # 0.7084 V: 25.6 degrees


class WDT:
    def __init__(self, timeout):
        self.timeout = timeout
        self.at = time.ticks_ms()
        self.longest = 0
        print("watchdog", timeout)

    def feed(self):
        self.longest = max(self.longest, time.ticks_diff(time.ticks_ms(), self.at))
        self.at = time.ticks_ms()
        assert self.longest < self.timeout


class Timer:
    def __init__(self, number, period, callback):
        callback(self)
        print("timer", number, period)


class Chip(Machine):
    Pin = Pin
    ADC = ADC
    WDT = WDT
    Timer = Timer

    def unique_id(self):
        return b"\x01\x02\xfe\xff"

    def reset(self, cause=Machine.HARD_RESET):
        print("reset")
        sys.exit(0)


class Esp32:
    """The module: the first ESP32 has another thermometer than all later ones."""

    def __init__(self, chip):
        if chip == "esp32":
            self.raw_temperature = lambda: 120
        else:
            self.mcu_temperature = lambda: 33


class Board:
    def __init__(self, chip, ssid="my network", password="its own password"):
        port = "rp2" if chip.startswith("rp2") else "esp32"
        self.clock = Clock(time.ticks_ms())
        self.air = Air(self.clock, AccessPoint(ssid, password))
        self.radio = FLAVOURS[port](self.air)
        for name in ("isconnected", "status"):
            self._on_time(name)
        sys.modules["network"] = Network(self.radio)
        sys.modules["machine"] = self.machine = Chip("rp2040" if port == "rp2" else "esp32")
        sys.modules["sys"] = System(port)
        if port == "esp32":
            sys.modules["esp32"] = Esp32(chip)

    def _on_time(self, name):
        """What the program asks of the radio brings the clock up to date first."""
        ask = getattr(self.radio, name)

        def asked(*args):
            late = time.ticks_diff(time.ticks_ms(), self.clock.now)
            if late > 0:
                self.clock.spend(late)
            return ask(*args)

        setattr(self.radio, name, asked)
