"""A firmware for the Pico W that is given, on an emulated one whose Wi-Fi reaches this machine.

rp2040py plays the board: its radio, its flash and its USB serial port, which here is a socket. No
registry has that firmware; what is frozen into it is what is tested, else the modules of here. It
is slower than rp2040js: name a few unit files.
"""

import os
import sys
import tempfile
from pathlib import Path

from board import images, unit
from board.chips import find
from board.problem import Problem
from board.target import BoardError, Target
from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import Child, MicroPythonError

from firmware import fetch, session
from firmware.emulate import Emulator

BOOT_TIMEOUT = 120
ANSWER_S = 600  # of the script, without a line from it
PATIENCE_S = 60  # for a byte
LISTENS = r"listening on 127\.0\.0\.1:(\d+)"
BY_WIFI = """\
import network, time
line = network.WLAN(network.WLAN.IF_STA)
line.active(True)
line.connect("RP2040PY-GUEST", "any will do")
""" + session.UP.format("Wi-Fi")


class PicoW(Emulator):
    """A booted one; port is what mpremote takes for its serial port. close() ends it."""

    def __init__(self, firmware, model="pico_w"):
        words = [sys.executable, "-m", "rp2040py", "micropython", "--board", model]
        words += ["--image", str(firmware), "--tcp-port", "0"]
        env = {**os.environ, "PYTHONPATH": str(fetch.wifi()), "PYTHONUNBUFFERED": "1"}
        self.child = Child(Path(firmware).name, words, env, None)
        try:
            number = self.child.expect(LISTENS, BOOT_TIMEOUT, "stderr")[1]
        except MicroPythonError:
            self.close()
            raise
        self.port = f"socket://127.0.0.1:{number}"


def by_wifi(port):
    """All QoS both ways between the board and the bundled broker; 1 when something is missing."""
    with tempfile.TemporaryDirectory() as directory, Target(port, PATIENCE_S) as target:
        unit.prepare(Path(directory), with_package=not unit.version(target))
        unit.mount(target, directory)
        with BrokerThread() as broker:
            text = BY_WIFI + session.KINDS["3.1.1"].text(session.HOST, broker.port)
            return session.show(target.run(text, ANSWER_S), broker.violations)


def run(firmware, names=()):
    """1 when the exchange or a unit file failed, else 0."""
    try:
        images.check(firmware, find("RPI_PICO_W"))
        with PicoW(firmware) as board:
            failed = by_wifi(board.port)
            return unit.run(names, board.port, patience=PATIENCE_S) or failed
    except BoardError as error:
        print(f"FAIL: {error.text}")
    except (Problem, MicroPythonError) as error:
        print(f"FAIL: {error}")
    return 1
