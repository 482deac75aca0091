"""A fake of what MicroPython's module `machine` keeps over a deep sleep, with limits and quirks.

    machine = Machine("esp32")             # or "rp2040", "rp2350", "stm32"
    sys.modules["machine"] = machine
    machine.RTC().memory(b"...")
    machine.reset()                        # or power_cut(): what a program finds afterwards

With path= the contents live in a file, so that the next process finds them. Runs on CPython and on
MicroPython.
"""

RTC_BYTES = 2048

# port: (bytes of an element, elements) of each region of mem_backup()
_REGIONS = {
    "esp32": ((1, RTC_BYTES),),
    "rp2040": ((4, 4), (4, 3)),
    "rp2350": ((4, 4), (4, 3), (4, 8)),
    "stm32": ((1, 4096), (4, 32)),
}


class Panic(Exception):
    """The board crashes here: no program can catch it there."""


class Region:
    """A memoryview of registers: only whole elements can be written."""

    def __init__(self, machine, at, itemsize, count):
        self._machine = machine
        self._at = at
        self._count = count
        self.itemsize = itemsize

    def __len__(self):
        return self._count

    def _place(self, i):
        if isinstance(i, slice):
            # ESP32, 1.29.0: writing a slice resets the chip (micropython issue 19655)
            raise Panic("slice of mem_backup()")
        if not 0 <= i < self._count:
            raise IndexError("memoryview index out of range")
        return self._at + i * self.itemsize

    def __getitem__(self, i):
        at = self._place(i)
        return int.from_bytes(self._machine.data[at : at + self.itemsize], "little")

    def __setitem__(self, i, value):
        at = self._place(i)
        assert 0 <= value < 1 << 8 * self.itemsize, value
        self._machine.data[at : at + self.itemsize] = value.to_bytes(self.itemsize, "little")
        self._machine.keep(at, self.itemsize)


class _RTC:
    def __init__(self, machine):
        self._machine = machine

    def memory(self, data=None):
        m = self._machine
        if data is None:
            return bytes(m.data[: m.length])
        data = memoryview(data)  # TypeError as there: anything with the buffer protocol
        if len(data) > RTC_BYTES:
            raise ValueError("buffer too long")
        m.data[: len(data)] = data
        m.length = len(data)
        m.keep(0, len(data))


class _NoMemory:
    """rp2 and others: there is an RTC, without memory()."""


class Machine:
    PWRON_RESET = 1
    HARD_RESET = 2
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5

    def __init__(self, port="esp32", path=None):
        self.port = port
        self.path = path
        self.writes = 0
        self.length = 0  # what RTC().memory() has; mem_backup() knows of no length
        size = sum(n * count for n, count in _REGIONS[port])
        self.data = bytearray(size)
        self.cause = self.PWRON_RESET
        self._f = None
        # attributes: older MicroPython does not import a method by `from machine import RTC`
        self.RTC = self._rtc
        self.reset_cause = self._reset_cause
        self.mem_backup = self._mem_backup
        if path:
            try:
                with open(path, "rb") as f:
                    self.length = int.from_bytes(f.read(2), "big")
                    self.data[:] = f.read(size)
                self._f = open(path, "r+b", 0)
            except OSError:  # the first time
                self._f = open(path, "wb", 0)
                self.keep(0, size)
                self.writes = 0

    def keep(self, at, n):
        self.writes += 1
        if self._f:
            self._f.seek(0)
            self._f.write(self.length.to_bytes(2, "big"))
            self._f.seek(2 + at)
            self._f.write(self.data[at : at + n])

    # -- what happens to the board ---------------------------------------------------------------

    def reset(self, cause=WDT_RESET):
        """Watchdog, reset(), waking up: everything is still there (ESP32 since 1.22)."""
        self.cause = cause

    def power_cut(self, noise=None):
        """Nothing is left, or noise: what RAM shows that nobody clears."""
        self.cause = self.PWRON_RESET
        self.length = 0
        for i in range(len(self.data)):
            self.data[i] = noise(256) if noise and self.port != "esp32" else 0
        self.keep(0, len(self.data))

    # -- what programs use -----------------------------------------------------------------------

    def _rtc(self):
        return _RTC(self) if self.port == "esp32" else _NoMemory()

    def _reset_cause(self):
        return self.cause

    def _mem_backup(self, region=0):
        """New in MicroPython 1.29. On ESP32 it is the same memory as RTC().memory()."""
        regions = []
        at = 0
        for itemsize, count in _REGIONS[self.port]:
            regions.append(Region(self, at, itemsize, count))
            at += itemsize * count
        if region == -1:
            return tuple(regions)
        if not 0 <= region < len(regions):
            raise ValueError("invalid region")
        return regions[region]
