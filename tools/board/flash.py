"""Put MicroPython on a board: esptool for an ESP32, the boot loader's drive for a Pico."""

import contextlib
import errno
import os
import string
import subprocess
import sys
import time
from pathlib import Path

from arguments import path

from board import images, ports
from board.problem import Bar, Problem

BAUD = 460800
INFO = "INFO_UF2.TXT"
_GONE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOENT}
_PIECE = 64 << 10


def run(board, firmware, port=None, drive=None, erase=False, dry=False):
    if not firmware:
        raise Problem("which firmware? FIRMWARE=file.bin or file.uf2 (boards/README.md)")
    firmware = path(firmware)
    print(f"{firmware.name}: {images.check(firmware, board)}")
    if board.port == "rp2":
        to_drive(board, firmware, drive, dry)
    else:
        with_esptool(board, str(firmware), port, erase, dry)


# -- ESP32 ----------------------------------------------------------------------------------------


def esptool_arguments(board, port, firmware, erase=False):
    words = ["--chip", board.chip, "--port", port, "--baud", str(BAUD), "write-flash"]
    if erase:
        words.append("--erase-all")
    return [*words, f"{board.offset:#x}", str(firmware)]


def with_esptool(board, firmware, port=None, erase=False, dry=False):
    try:
        port = ports.find(port, board)
    except Problem:
        if not dry:
            raise
        port = "PORT"
    words = esptool_arguments(board, port, firmware, erase)
    if dry:
        print("would run: esptool " + " ".join(words))
        return
    ports.check(port)
    print("esptool " + " ".join(words), flush=True)
    # its own progress bar, and it refuses another chip than --chip
    status = subprocess.run([sys.executable, "-m", "esptool", *words]).returncode
    if status:
        raise Problem(
            f"esptool ended with {status}, see above. The usual ways out: hold BOOT while it says "
            f"Connecting; another cable; and is this board an {board.mcu}? Until it has succeeded "
            "the board may not start; its boot loader is in ROM, so it can always be tried again"
        )
    print("flashed; the board starts")


# -- rp2 ------------------------------------------------------------------------------------------


def drives():
    """Mounted drives of boot loaders: {path: Board-ID}."""
    places = []
    if sys.platform == "win32":
        places = [Path(f"{letter}:/") for letter in string.ascii_uppercase]
    else:
        for pattern in ("media/*/*", "media/*", "run/media/*/*", "mnt/*", "Volumes/*"):
            places += sorted(Path("/").glob(pattern))
    found = {}
    for place in places:
        with contextlib.suppress(OSError):
            found[place] = board_id(place)
    return found


def board_id(place):
    for line in (Path(place) / INFO).read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "board-id":
            return value.strip()
    return "?"


def find_drive(board, named=None):
    if named:
        try:
            found = {Path(named): board_id(named)}
        except OSError:
            raise Problem(
                f"{named} is no boot loader's drive: there is no {INFO} in it. Hold BOOTSEL while "
                "you plug the board in"
            ) from None
    else:
        found = drives()
    fitting = [place for place, name in found.items() if name == board.drive]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = "".join(f"\n    --drive {place}" for place in fitting)
        raise Problem(f"{len(fitting)} boards show a drive; name one of them:{names}")
    if found:
        place, name = next(iter(found.items()))
        raise Problem(
            f"the board behind {place} is {name}; {board.name} would be {board.drive}. "
            "Nothing was written"
        )
    raise Problem(
        f"no board shows its drive {board.drive}: hold BOOTSEL while you plug it in (with "
        "MicroPython on it, mpremote bootloader does the same). Where drives are not mounted by "
        'themselves, mount it and name it: ARGS="--drive DIRECTORY"'
    )


def to_drive(board, firmware, drive=None, dry=False):
    try:
        place = find_drive(board, drive)
    except Problem:
        if not dry or drive:
            raise
        place = board.drive
    if dry:
        print(f"would copy {firmware.name} to {place}")
        return
    data = firmware.read_bytes()
    bar = Bar(f"{firmware.name} to {place}", len(data))
    sent = 0
    try:
        with open(place / firmware.name, "wb", buffering=0) as out:
            while sent < len(data):
                count = out.write(data[sent : sent + _PIECE])
                os.fsync(out.fileno())  # so that the bar tells of the board, not of a cache
                sent += count
                bar.add(count)
    except OSError as error:
        # with the last block the board starts anew, and the drive is gone
        if sent + _PIECE < len(data) or error.errno not in _GONE:
            bar.close()
            if error.errno == errno.ENOSPC:
                why = "the drive is full: is it that of the board?"
            else:
                why = f"the drive went away ({error.strerror})"
            raise Problem(
                f"{why} after {sent * 100 // len(data)} %. Hold BOOTSEL while you plug the board "
                "in, and flash again: its boot loader is in ROM, and cannot be harmed"
            ) from None
        bar.add(len(data) - sent)
    bar.close()
    end = time.monotonic() + 15
    while (place / INFO).exists() and not drive:
        if time.monotonic() > end:
            raise Problem(f"the board did not take it: {place} is still there. Flash again")
        time.sleep(0.2)
    print("flashed; the board starts")
