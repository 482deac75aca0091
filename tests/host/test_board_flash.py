"""`flash`: what it takes and refuses, esptool's command line, and the drive of a Pico.

The images here are made by hand; esptool's own reader is asked whether they are any.
"""

import errno
import fcntl
import hashlib
import os
import pty
import struct
import subprocess
import sys

import pytest

esptool = pytest.importorskip("esptool", reason="no esptool here: pip install esptool")

from board import chips, flash, images  # noqa: E402
from board.__main__ import main  # noqa: E402
from board.problem import Problem  # noqa: E402
from esp_rom import EspRom  # noqa: E402
from serial_board import linux_only  # noqa: E402

ESP = [name for name, board in chips.ALL.items() if board.port == "esp32"]
RP2 = [name for name, board in chips.ALL.items() if board.port == "rp2"]


def program(chip, *segments, digest=True):
    """An image of a boot loader or a program."""
    data = struct.pack("<BBBBIBBBBHBHHxxxxB", 0xE9, len(segments), 2, 0x20, 0x40080000,
                       0xEE, 0, 0, 0, chip, 0, 0, 99, digest)  # fmt: skip
    total = 0xEF
    for number, segment in enumerate(segments):
        data += struct.pack("<II", 0x40080000 + number * 0x1000, len(segment)) + segment
        for byte in segment:
            total ^= byte
    data += bytes(15 - len(data) % 16) + bytes((total,))
    return data + hashlib.sha256(data).digest() if digest else data


def partition(kind, subtype, offset, size, name):
    return struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name, 0)


def firmware(board, two=False, digest=True):
    """As MicroPython's makeimg makes one: boot loader, table, program."""
    board = chips.ALL[board]
    loader = program(board.image_chip, b"boot" * 300, bytes(64), digest=digest)
    table = partition(1, 2, 0x9000, 0x6000, b"nvs")
    table += partition(0, 0x10 if two else 0, 0x10000, 0x100000, b"app")
    if two:
        table += partition(0, 0x11, 0x110000, 0x100000, b"other")
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()
    data = loader.ljust(0x8000 - board.offset, b"\xff") + table
    data = data.ljust(0x10000 - board.offset, b"\xff")
    return data + program(board.image_chip, os.urandom(5000), b"more" * 999, digest=digest)


def uf2(*families, blocks=20, absolute=False, at=0x10000000):
    out = b""
    if absolute:
        out += block(0, 2, chips.ABSOLUTE, 0x10FFFF00)
    for family in families:
        out += b"".join(block(n, blocks, family, at + n * 256) for n in range(blocks))
    return out


def block(number, blocks, family, address, flags=0x2000):
    head = struct.pack("<8I", *images.UF2_MAGIC[:2], flags, address, 256, number, blocks, family)
    return head + os.urandom(476) + struct.pack("<I", images.UF2_MAGIC[2])


@pytest.fixture
def file(tmp_path):
    def make(data, name="firmware"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return make


def refused(file, data, board, *words):
    with pytest.raises(Problem) as caught:
        images.check(file(data), chips.ALL[board])
    for word in words:
        assert word in str(caught.value), str(caught.value)


# -- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("board", ESP)
def test_esptool_takes_these_images_for_real_ones(board, file):
    board = chips.ALL[board]
    command = [sys.executable, "-m", "esptool", "--chip", board.chip, "image-info"]
    path = file(program(board.image_chip, b"boot" * 300))
    done = subprocess.run([*command, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(valid)" in done.stdout and "invalid" not in done.stdout


@pytest.mark.parametrize("two", [False, True], ids=["one", "with_updates"])
@pytest.mark.parametrize("digest", [False, True], ids=["checksum", "digest"])
@pytest.mark.parametrize("board", ESP)
def test_a_whole_bin_is_taken(board, digest, two, file):
    assert "whole" in images.check(file(firmware(board, two, digest)), chips.ALL[board])


@pytest.mark.parametrize("board", ESP)
@pytest.mark.parametrize("other", ESP)
def test_a_bin_for_another_chip_is_refused(board, other, file):
    if board != other:
        name = images.IMAGE_CHIPS[chips.ALL[other].image_chip]
        refused(file, firmware(other), board, f"it is for {name}; {board} is ESP32")


@pytest.mark.parametrize("board", ESP)
def test_a_bin_cut_anywhere_is_refused(board, file):
    data = firmware(board)
    size = len(data)
    ends = {0, 1, 4, 23, 24, 30, 500, 1300, 0x6FFF, 0x7000, 0x8000, 0xFFFF, size - 1, size - 33}
    for end in sorted(ends) + list(range(100, size, 4999)):
        with pytest.raises(Problem, match="truncated|is empty"):
            images.check(file(data[:end]), chips.ALL[board])


def test_a_damaged_bin_is_refused(file):
    data = bytearray(firmware("ESP32_GENERIC"))
    data[-3000] ^= 1
    data[-2900] ^= 1  # the check sum stays, the digest does not
    refused(file, data, "ESP32_GENERIC", "the program in it is damaged", "download it again")
    data = bytearray(firmware("ESP32_GENERIC", digest=False))
    data[100] ^= 0x40
    refused(file, data, "ESP32_GENERIC", "the boot loader in it is damaged")


def test_the_program_alone_is_refused(file):
    """The .app-bin for updates over the air: written to 0x1000 it would not start."""
    data = program(0, os.urandom(60000)) + bytes(10)
    refused(file, data, "ESP32_GENERIC", "no partition table", "Take the .bin")


def test_a_program_for_another_chip_behind_the_right_boot_loader(file):
    data = firmware("ESP32_GENERIC_S3")[:0x10000] + program(5, bytes(100))
    refused(file, data, "ESP32_GENERIC_S3", "it is for ESP32-C3")


@pytest.mark.parametrize(
    "board, families, absolute",
    [
        ("RPI_PICO_W", [0xE48BFF56], False),
        ("RPI_PICO2_W", [0xE48BFF59], True),
        ("RPI_PICO2_W", [0xE48BFF5A], False),
    ],
)
def test_a_whole_uf2_is_taken(board, families, absolute, file):
    text = images.check(file(uf2(*families, absolute=absolute)), chips.ALL[board])
    assert text.startswith("20 blocks for RP2") and text.endswith("whole")


def test_a_uf2_for_another_chip_is_refused(file):
    refused(file, uf2(0xE48BFF59), "RPI_PICO_W", "it is for RP2350 (ARM); RPI_PICO_W is RP2040")
    refused(file, uf2(0xE48BFF56), "RPI_PICO2_W", "it is for RP2040; RPI_PICO2_W is RP2350")
    refused(file, uf2(0x1C5F21B0), "RPI_PICO_W", "it is for family 0x1c5f21b0")
    refused(file, uf2(0xE48BFF56, 0xE48BFF59), "RPI_PICO_W", "it is for RP2350")
    refused(file, uf2(absolute=True), "RPI_PICO2_W", "it holds no program")


def test_a_uf2_cut_anywhere_is_refused(file):
    data = uf2(0xE48BFF56)
    for end in (512, 513, 1024, 5000, len(data) - 512, len(data) - 511, len(data) - 1):
        refused(file, data[:end], "RPI_PICO_W", "truncated", "download it again")
    refused(file, data[:100], "RPI_PICO_W", "it holds no program")
    refused(file, b"", "RPI_PICO_W", "is empty")


def test_a_uf2_with_a_hole_is_refused(file):
    data = uf2(0xE48BFF56)
    refused(file, data[:1024] + data[1536:], "RPI_PICO_W", "block 2 of 20 is missing")
    refused(file, data[:1536] + data[1024:1536] + data[1536:], "RPI_PICO_W", "block 3 of 20")
    refused(file, data[:1024] + bytes(512) + data[1536:], "RPI_PICO_W", "block 2 is damaged")
    refused(file, data[512:], "RPI_PICO_W", "block 0 of 20 is missing")
    refused(file, block(0, 1, 0, 0, flags=0), "RPI_PICO_W", "does not say for which chip")


def test_the_wrong_kind_of_file_is_refused(file):
    refused(file, uf2(0xE48BFF56), "ESP32_GENERIC", "this is a .uf2; ESP32_GENERIC takes the .bin")
    refused(file, firmware("ESP32_GENERIC"), "RPI_PICO_W", "this is no .uf2")
    refused(file, b"<!DOCTYPE html>" * 9, "ESP32_GENERIC", "no image for an ESP32")
    with pytest.raises(Problem, match="which firmware[?] FIRMWARE="):
        flash.run(chips.ALL["RPI_PICO_W"], "")
    with pytest.raises(Problem, match="nowhere.bin: No such file"):
        images.check("nowhere.bin", chips.ALL["RPI_PICO_W"])


# -- esptool --------------------------------------------------------------------------------------


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("board", ESP)
def test_esptools_own_parser_takes_the_command(board, erase, file, monkeypatch):
    """Parsed as far as to the values of its options, without running it."""
    monkeypatch.setattr(esptool.cli, "_esp", None, raising=False)  # main() sets it
    path = file(firmware(board))
    words = flash.esptool_arguments(chips.ALL[board], "/dev/ttyUSB7", path, erase)
    outer = esptool.cli.make_context("esptool", list(words))
    assert outer.params["chip"] == chips.ALL[board].chip
    assert outer.params["port"] == "/dev/ttyUSB7" and outer.params["baud"] == 460800
    rest = [*getattr(outer, "_protected_args", ()), *outer.args]
    name, command, rest = esptool.cli.resolve_command(outer, rest)
    assert name == "write-flash"
    inner = command.make_context(name, rest, parent=outer)
    assert inner.params["erase_all"] is erase
    ((address, opened),) = inner.params["addr_filename"]
    assert address == (0x1000 if board == "ESP32_GENERIC" else 0)
    inner.close()
    outer.close()


def test_a_dry_run_says_the_command(file, capsys):
    path = file(firmware("ESP32_GENERIC_C3"))
    words = ["flash", "--board", "ESP32_GENERIC_C3", "--port", "/dev/ttyACM3", "--dry-run"]
    assert main([*words, str(path)]) == 0
    would = "would run: esptool --chip esp32c3 --port /dev/ttyACM3 --baud 460800 write-flash 0x0"
    assert f"{would} {path}\n" in capsys.readouterr().out


def test_a_wrong_file_is_refused_before_anything_else(file, capsys):
    path = file(firmware("ESP32_GENERIC_S3"), "s3.bin")
    assert main(["flash", "--board", "ESP32_GENERIC", "--port", "/dev/null", str(path)]) == 1
    err = capsys.readouterr().err
    assert err == "flash: s3.bin: it is for ESP32-S3; ESP32_GENERIC is ESP32\n"


def test_esptool_runs_and_its_failure_is_told(file, capfd, monkeypatch):
    """Really: it finds nobody behind this terminal."""
    linux_only()
    words = flash.esptool_arguments
    once = ["--connect-attempts", "1"]
    monkeypatch.setattr(flash, "esptool_arguments", lambda *a: [*once, *words(*a)])
    master, slave = pty.openpty()
    try:
        path = file(firmware("ESP32_GENERIC"))
        port = os.ttyname(slave)
        assert main(["flash", "--board", "ESP32_GENERIC", "--port", port, str(path)]) == 1
    finally:
        os.close(master)
        os.close(slave)
    out, err = capfd.readouterr()
    assert "Connecting" in out and "hold BOOT" in err and "esptool ended with" in err


@pytest.fixture(autouse=True)
def patient(tmp_path, monkeypatch):
    """esptool waits 0.2 s for one of the answers, and a busy machine may not give it so soon."""
    file = tmp_path / "esptool.cfg"
    file.write_text("[esptool]\nmem_end_rom_timeout = 5\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(file))


@pytest.mark.parametrize("board", ESP)
def test_esptool_writes_it_to_where_the_chip_starts(board, file, capfd):
    """The real esptool, against a boot loader that speaks its protocol (esp_rom.py)."""
    data = firmware(board)
    path = file(data)
    with EspRom(chip_id(board)) as rom:
        assert main(["flash", "--board", board, "--port", rom.port, str(path)]) == 0
        at = chips.ALL[board].offset
        # esptool may set the flash size in the header, and then the digest behind it
        assert rom.flash[at + 0x7000 : at + len(data)] == data[0x7000:]
        assert rom.flash[at] == 0xE9 and rom.flash[at + len(data)] == 0xFF
    out, err = capfd.readouterr()
    assert "100.0%" in out and "Hash of data verified" in out and out.endswith("board starts\n")


def chip_id(board):
    return None if board == "ESP32_GENERIC" else chips.ALL[board].image_chip


@pytest.mark.parametrize("board", ESP)
def test_esptool_refuses_another_chip(board, file, capfd):
    """The file fits the board that was named, and another one is attached."""
    path = file(firmware(board))
    for other in ESP:
        if other == board:
            continue
        with EspRom(chip_id(other)) as rom:
            assert main(["flash", "--board", board, "--port", rom.port, str(path)]) == 1
            assert set(rom.flash) == {0xFF}
        out, err = capfd.readouterr()
        name = images.IMAGE_CHIPS[chips.ALL[other].image_chip]
        assert f"This chip is {name}, not " in out + err
        assert f"is this board an {chips.ALL[board].mcu}?" in err


def test_a_cable_pulled_while_flashing(file, capfd):
    path = file(firmware("ESP32_GENERIC"))
    with EspRom() as rom:
        rom.cut_after(3000)
        assert main(["flash", "--board", "ESP32_GENERIC", "--port", rom.port, str(path)]) == 1
    err = capfd.readouterr().err
    assert "esptool ended with" in err and "it can always be tried again" in err


def test_erasing_first(file):
    path = file(firmware("ESP32_GENERIC"))
    with EspRom() as rom:
        rom.flash[0x300000] = 7
        words = ["flash", "--board", "ESP32_GENERIC", "--port", rom.port, str(path)]
        assert main(words) == 0 and rom.flash[0x300000] == 7
        assert main([*words, "--erase"]) == 0 and rom.flash[0x300000] == 0xFF


def test_a_port_that_is_not_there_or_in_use(file, capsys):
    path = file(firmware("ESP32_GENERIC"))
    words = ["flash", "--board", "ESP32_GENERIC", "--port"]
    assert main([*words, "/dev/ttyUSB77", str(path)]) == 1
    assert "there is no /dev/ttyUSB77" in capsys.readouterr().err
    with EspRom() as rom:
        fcntl.flock(rom.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert main([*words, rom.port, str(path)]) == 1
    assert "is in use by another program" in capsys.readouterr().err


# -- the drive of a Pico --------------------------------------------------------------------------

INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {}\r\n"


@pytest.fixture
def drive(tmp_path):
    def make(name, directory="drive"):
        place = tmp_path / directory
        place.mkdir()
        (place / flash.INFO).write_text(INFO.format(name))
        return place

    return make


@pytest.mark.parametrize("board", RP2)
def test_a_uf2_goes_to_the_drive(board, drive, file, capsys):
    place = drive(chips.ALL[board].drive)
    path = file(uf2(chips.ALL[board].families[0], blocks=900), "mp.uf2")
    words = ["flash", "--board", board, "--drive", str(place), str(path)]
    assert main([*words, "--dry-run"]) == 0 and not (place / "mp.uf2").exists()
    assert main(words) == 0
    assert (place / "mp.uf2").read_bytes() == path.read_bytes()
    assert "100 %" in capsys.readouterr().out


def test_the_drive_of_another_chip_is_refused(drive, file, capsys):
    place = drive("RP2350")
    path = file(uf2(0xE48BFF56))
    assert main(["flash", "--board", "RPI_PICO_W", "--drive", str(place), str(path)]) == 1
    assert "is RP2350; RPI_PICO_W would be RPI-RP2. Nothing was written" in capsys.readouterr().err
    assert [file.name for file in place.iterdir()] == [flash.INFO]


def test_no_drive_and_several(drive, file, monkeypatch, capsys):
    path = file(uf2(0xE48BFF56))
    monkeypatch.setattr(flash, "drives", dict)
    assert main(["flash", "--board", "RPI_PICO_W", str(path)]) == 1
    assert "hold BOOTSEL while you plug it in" in capsys.readouterr().err
    both = {drive("RPI-RP2", d): "RPI-RP2" for d in ("a", "b")}
    monkeypatch.setattr(flash, "drives", lambda: both)
    assert main(["flash", "--board", "RPI_PICO_W", str(path)]) == 1
    err = capsys.readouterr().err
    assert "2 boards show a drive" in err and all(f"--drive {place}" in err for place in both)
    assert main(["flash", "--board", "RPI_PICO_W", "--drive", str(path.parent), str(path)]) == 1
    assert "is no boot loader's drive" in capsys.readouterr().err


class Pulled:
    """A file on a drive that goes away after some bytes."""

    def __init__(self, left, number):
        self.left = left
        self.number = number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def fileno(self):
        return os.open(os.devnull, os.O_WRONLY)

    def write(self, data):
        if len(data) > self.left:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= len(data)
        return len(data)


@pytest.mark.parametrize(
    "left, number, words",
    [
        (200_000, errno.EIO, ("the drive went away", "42 %", "BOOTSEL", "cannot be harmed")),
        (200_000, errno.ENOSPC, ("the drive is full",)),
        (459_000, errno.EIO, ()),  # with the last block the board starts, and its drive is gone
    ],
)
def test_a_drive_that_goes_away(left, number, words, drive, file, monkeypatch, capsys):
    place = drive("RPI-RP2")
    path = file(uf2(0xE48BFF56, blocks=900))
    monkeypatch.setattr("builtins.open", lambda *a, **k: Pulled(left, number), raising=True)
    monkeypatch.setattr(os, "fsync", os.close)
    status = main(["flash", "--board", "RPI_PICO_W", "--drive", str(place), str(path)])
    monkeypatch.undo()
    err = capsys.readouterr().err
    assert status == bool(words)
    for word in words:
        assert word in err, err
