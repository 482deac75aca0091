"""Firmware with umqtt_plus frozen: MicroPython's own build, with a manifest of boards/."""

import os
import shlex
import subprocess
from pathlib import Path

from board.chips import BOARDS
from board.problem import Problem


def run(board, directory, dry=False):
    port = Path(directory) / "ports" / board.port
    if not (port / "boards").is_dir():
        raise Problem(f"{directory} has no ports/{board.port}: are those MicroPython's sources?")
    words = command(board, port)
    if dry:
        print("would run: " + shlex.join(words))
        return
    try:
        status = subprocess.run(words).returncode
    except FileNotFoundError:
        raise Problem("there is no make here") from None
    if status:
        hint = "ESP-IDF's export.sh, run before" if board.port == "esp32" else "arm-none-eabi-gcc"
        raise Problem(f"the build ended with {status}, see above. It takes {hint}, and submodules")
    kind = "bin" if board.port == "esp32" else "uf2"
    print(f"built: {port.resolve()}/build-{board.name}/firmware.{kind}")


def command(board, port):
    manifest = BOARDS / board.name / "manifest.py"
    return [
        "make",
        "-C",
        str(port),
        f"-j{os.cpu_count()}",
        f"BOARD={board.name}",
        f"FROZEN_MANIFEST={manifest}",
    ]
