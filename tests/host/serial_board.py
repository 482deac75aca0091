"""A board on a serial port: MicroPython's unix port behind a pseudo terminal, with a flash.

    with SerialBoard(tmp_path) as board:
        Target(board.port)            # mpremote's transport speaks to the real prompt

Its flash is a real littlefs (tests/fakes/board_start.py). A reset of either kind starts it anew,
boot.py and (main=True) main.py included. cut_after(n) pulls the cable after n more bytes to the
board; with power=True the board dies with it. plug_in() gives it a port again.
"""

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
import tty
from pathlib import Path

import pytest
from umqtt_harness.micropython import find_micropython

TESTS = Path(__file__).resolve().parents[1]
START = TESTS / "fakes" / "board_start.py"
MACHINES = {
    "rp2040": "Raspberry Pi Pico W with RP2040",
    "rp2350": "Raspberry Pi Pico 2 W with RP2350",
    "esp32": "Generic ESP32 module with ESP32",
    "esp32s3": "Generic ESP32S3 module with Octal-SPIRAM with ESP32S3",
    "esp32c3": "ESP32C3 module with ESP32C3",
}


def linux_only():
    if sys.platform != "linux":
        pytest.skip("pseudo terminals as serial ports: tried on Linux only")


def put(board, files):
    """These files onto it, by the installer itself; boot.py as it is, since it would be run."""
    from board import install
    from board.target import Target

    with Target(board.port) as target:
        install.Files(target).install(files)


class SerialBoard:
    def __init__(self, directory, chip="rp2040", blocks=212, main=False, **facts):
        linux_only()
        self.disk = Path(directory) / "flash.img"
        if not self.disk.exists():
            self.disk.write_bytes(b"\xff" * (blocks * 4096))
        self.settings = {
            "tests": str(TESTS),
            "disk": str(self.disk),
            "blocks": blocks,
            "chip": chip,
            "version": (1, 26, 1),
            "mpy": 6 | 2 << 8,
            "machine": MACHINES[chip],
            "frozen": None,
            "cut": 0,
            "starts": ("boot.py", "main.py") if main else ("boot.py",),
            **facts,
        }
        self.heard = 0  # bytes to the board
        self.typed = b""  # of them what it was not given yet
        self.awake = False
        self.said = bytearray()  # by the board, all of it
        self.untold = bytearray()  # of that, what the port was too full for
        self.starts = 0
        self.left = None  # bytes until the cable is pulled
        self.dies = False  # and the power gone
        self.damage = None  # f(bytes) -> bytes, on their way to the board
        self.master = self.spare = self.process = self.inner = None
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self.plug_in()
        self._start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # -- what a test does ------------------------------------------------------------------------

    def cut_after(self, count, power=False):
        with self._lock:
            self.left, self.dies = count, power

    def plug_in(self):
        """A cable. The board's end is kept open: leaving the port is not pulling it."""
        with self._lock:
            self.master, self.spare = pty.openpty()
            os.set_blocking(self.master, False)
            tty.setraw(self.spare)
            self.port = os.ttyname(self.spare)
            self.left = None
            self.untold.clear()

    def power_up(self, disk=None, **settings):
        """Start it anew, as after a power cut, on another cable. disk: with this content."""
        with self._lock:
            self._end()
            self._pull()
            if disk:
                self.disk.write_bytes(disk)
            self.settings.update(settings)
            self.plug_in()
            self._start()

    def power_off(self):
        """What is in its flash."""
        with self._lock:
            self._end()
            self._pull()
            return self.disk.read_bytes()

    def files(self):
        """{path: content} of its flash, read by a MicroPython of its own."""
        with self._lock:
            self._end()
            script = self._script("list.py", _LIST, starts=(), cut=0, frozen=None)
            done = subprocess.run(
                [find_micropython(), script], capture_output=True, text=True, timeout=20
            )
            self._start()
        text = done.stdout
        assert done.returncode == 0 and text[:1] + text[-2:] == "{}\n", (text, done.stderr)
        found = json.loads(text)
        return {path: bytes.fromhex(content) for path, content in found.items()}

    def wait_said(self, text, timeout=15):
        end = time.monotonic() + timeout
        while text.encode() not in self.said:
            assert time.monotonic() < end, bytes(self.said[-2000:])
            time.sleep(0.02)

    def close(self):
        self._stop.set()
        self.thread.join(10)
        self._end()
        self._pull()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- the board -------------------------------------------------------------------------------

    def _script(self, name, more="", **other):
        """board_start.py with its settings: an argument could have no more than 255 bytes."""
        given = json.dumps({**self.settings, **other})
        text = START.read_text().replace("sys.argv[1]", repr(given))
        script = Path(self.disk).parent / name
        script.write_text(text + more)
        return str(script)

    def _start(self):
        self.starts += 1
        inner, slave = pty.openpty()
        tty.setraw(slave)
        how = termios.tcgetattr(slave)
        how[3] |= termios.ISIG | termios.NOFLSH  # Ctrl-C interrupts a program
        termios.tcsetattr(slave, termios.TCSANOW, how)

        def terminal():
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [find_micropython(), "-i", self._script("start.py")],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=terminal,
        )
        os.close(slave)
        with self._lock:
            self.inner, self.process = inner, process
            self.awake, self.typed = False, b""

    def _end(self):
        with self._lock:
            process, inner = self.process, self.inner
            self.process = self.inner = None
        if process:
            process.kill()
            process.wait(10)
            os.close(inner)

    def _pull(self):
        with self._lock:
            for end in (self.master, self.spare):
                if end is not None:
                    os.close(end)
            self.master = self.spare = None

    def _run(self):
        while not self._stop.is_set():
            # all under the lock: a number that is closed here is another file's at once
            with self._lock:
                busy = self._turn()
            if not busy:
                self._stop.wait(0.002)

    def _turn(self):
        ends = [end for end in (self.master, self.inner) if end is not None]
        ready = select.select(ends, [], [], 0)[0]
        over = False  # all that it had to say was heard
        for end in ready:
            try:
                self._pass(end)
            except OSError:
                over = end == self.inner
        self._tell(b"")
        process = self.process
        if over and process:
            process.wait(10)
            self._end()
            if process.returncode >= 0:  # a reset; else the power is gone
                self._start()  # first: a fork holds the locks of this process for a moment
                self._tell(b"MPY: soft reboot\r\n")
            else:
                self._pull()
        return ready

    def _pass(self, end):
        data = os.read(end, 4096)
        if end == self.inner:
            self.awake = True
            self._tell(data)
            self._give(b"")
            return
        if self.damage:
            data = self.damage(data)
        if self.left is not None and len(data) >= self.left:
            self._give(data[: self.left])
            if self.dies:
                self._end()
            self._pull()
            return
        if self.left is not None:
            self.left -= len(data)
        self._give(data)

    def _give(self, data):
        self.heard += len(data)
        self.typed += data
        # before it has said something it would lose them, or die of Ctrl-C
        if self.inner is not None and self.awake and self.typed:
            os.write(self.inner, self.typed)
            self.typed = b""

    def _tell(self, data):
        self.said += data
        self.untold += data
        if self.master is not None and self.untold:
            try:
                sent = os.write(self.master, self.untold)
            except BlockingIOError:
                return  # nobody reads
            del self.untold[:sent]


_LIST = """
def walk(place, found):
    for entry in os.ilistdir(place):
        path = place + "/" + entry[0]
        if entry[1] & 0x4000:
            walk(path, found)
        else:
            with open(path, "rb") as file:
                found[path[1:]] = file.read().hex()
    return found
print(json.dumps(walk("", {})))
"""
