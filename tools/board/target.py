"""MicroPython on an attached board, by mpremote's own transport; its errors in plain words."""

import ast
import base64
import contextlib
import io
import re
import struct
from dataclasses import dataclass

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from board import chips, ports
from board.problem import Problem

PIECE = 768  # bytes of a file in one command: 1 KB of base64, which a small heap can spare
TIMEOUT_S = 15  # without a sign of the board
ENTER_S = 5  # until it shows its prompt; tried twice
_LINK = (TransportError, OSError, struct.error, TypeError, LookupError)


class BoardError(Problem):
    """What a script raised on the board. text: its traceback; errno: of an OSError, else 0."""

    def __init__(self, text):
        lines = text.strip().splitlines()
        self.text = text
        self.last = lines[-1] if lines else "?"
        number = re.match(r"OSError: (?:\[Errno )?(\d+)", self.last)
        self.errno = int(number[1]) if number else 0
        super().__init__(f"the board says: {self.last}")


@dataclass
class Facts:
    """What the board says of itself."""

    version: tuple
    mpy: int  # the .mpy version it loads, 0 none
    machine: str
    platform: str
    block: int  # bytes of a block of its file system, 0 without one
    free: int  # bytes

    @property
    def release(self):
        return ".".join(map(str, self.version[:3]))


_FACTS = """\
import os, sys
i = sys.implementation
try:
    s = os.statvfs(".")
except OSError:
    s = bytes(4)
print((i.name, tuple(i.version)[:3], getattr(i, "_mpy", 0) & 255, getattr(i, "_machine", ""),
    sys.platform, s[0], s[0] * s[3]))
"""


class Target:
    """with Target(port) as target: its program is interrupted, and started again at the end.

    patience: seconds that a byte may keep it waiting.
    """

    def __init__(self, port, patience=3):
        self.port = port
        try:
            # without a timeout a silent board would be waited for without end
            self.link = SerialTransport(port, baudrate=115200, timeout=patience)
        except (TransportError, OSError, ValueError) as error:
            raise ports.complaint(port) or Problem(f"{port} cannot be opened: {error}") from None
        self.alive = True
        try:
            self.link.serial.write_timeout = TIMEOUT_S
            self._enter()
        except BaseException:
            self._close()
            raise

    def _enter(self):
        reason = None
        for _ in range(2):  # a first key may be lost on a program that is busy
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    self.link.enter_raw_repl(soft_reset=False, timeout_overall=ENTER_S)
                return
            except _LINK as error:
                reason = error
        raise Problem(
            f"what is at {self.port} does not answer as MicroPython ({reason}). Press the reset "
            "button and try again; has it MicroPython on it? If not: make flash"
        )

    def run(self, source, timeout=TIMEOUT_S, consumer=None):
        """Execute text; what it printed. timeout: seconds without output. BoardError."""
        try:
            out, raised = self.link.exec_raw(source, timeout=timeout, data_consumer=consumer)
        except _LINK as error:
            self.alive = False
            raise Problem(
                f"the link to the board broke ({error or type(error).__name__}). Plug it in "
                "again, press its reset button, and try again"
            ) from None
        if raised:
            raise BoardError(raised.decode(errors="replace"))
        return out.decode(errors="replace").replace("\r\n", "\n")

    def value(self, source):
        """The Python literal that source prints."""
        text = self.run(source)
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            raise Problem(f"the board gave a strange answer: {text.strip()[:200]!r}") from None

    def facts(self):
        name, version, mpy, machine, platform, block, free = self.value(_FACTS)
        if name != "micropython" or version < (*chips.OLDEST, 0):
            raise Problem(
                f"the board runs {name} {'.'.join(map(str, version))}; umqtt_plus wants "
                f"MicroPython {chips.OLDEST[0]}.{chips.OLDEST[1]} or newer: make flash"
            )
        return Facts(version, mpy, machine, platform, block, free)

    def write(self, path, data, advanced=None):
        """A file, in pieces; advanced(bytes) after each."""
        self.run(f"from binascii import a2b_base64 as b\nf = open({path!r}, 'wb')\nw = f.write")
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            text = base64.b64encode(piece).decode()
            # a full file system may take less than all
            self.run(f"if w(b('{text}')) != {len(piece)}: raise OSError(28)")
            if advanced:
                advanced(len(piece))
        self.run("f.close()")

    def reset(self):
        """As by its button; the link ends."""
        with contextlib.suppress(*_LINK):
            self.link.exec_raw_no_follow("import machine\nmachine.reset()")
            self.link.read_until(1, b"\x04\x04", timeout=1)
        self.alive = False

    def close(self):
        """Start its program again, by a soft reset."""
        if self.alive:
            with contextlib.suppress(*_LINK):
                self.link.exit_raw_repl()
                self.link.serial.write(b"\x04")
                self.link.read_until(1, b"soft reboot\r\n", timeout=2)
        self._close()

    def _close(self):
        self.alive = False
        with contextlib.suppress(*_LINK):
            self.link.close()
        with contextlib.suppress(*_LINK):
            self.link.serial.close()  # which it leaves out when the cable is gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
