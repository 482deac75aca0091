"""Run MicroPython code on an emulated RP2040 (rp2040js): the real firmware, an emulated chip.

It has no Wi-Fi and keeps nothing in flash, and its time is its own: take no speed from it.
"""

import shutil
from pathlib import Path

from umqtt_harness.micropython import Child, MicroPythonError

from firmware import fetch

PROGRAM = Path(__file__).resolve().parent / "emulator.mjs"
BOOT_TIMEOUT = 120


class Emulator:
    """A board in the process `child`; close() ends it."""

    def close(self):
        self.child.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Chip(Emulator):
    """A booted chip, to execute text on; close() ends it."""

    def __init__(self, image, line=None):
        """line: a port on loopback that gets the chip's UART 0, as of gateway.Gateway."""
        place = fetch.emulator()
        command = [shutil.which("node"), PROGRAM, place, place / "bootrom.bin", image]
        if line:
            command.append(line)
        self.child = Child(Path(image).name, [str(word) for word in command], None, None)
        try:
            self.child.expect(r">>> ", BOOT_TIMEOUT)
            self._type(b"\r\x01")
            self.child.expect(r"raw REPL; CTRL-B to exit\r\n>", BOOT_TIMEOUT)
        except MicroPythonError:
            self.close()
            raise

    def execute(self, source, timeout=120):
        """Run it; what it printed. MicroPythonError when it raised or did not end in time."""
        self._type(source.encode() + b"\x04")
        try:
            match = self.child.expect(r"OK([^\x04]*)\x04([^\x04]*)\x04>", timeout)
        except MicroPythonError:
            why = f"not done after {timeout:g} s" if self.child.running else "the emulator ended"
            raise MicroPythonError(f"{why}: {self.child.result()!r}") from None
        printed, raised = (text.replace("\r\n", "\n") for text in match.groups())
        if raised:
            raise MicroPythonError(printed + raised)
        return printed

    def _type(self, data):
        self.child.process.stdin.write(data)
        self.child.process.stdin.flush()
