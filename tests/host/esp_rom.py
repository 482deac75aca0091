"""The boot loader of an ESP32 on a serial port, as far as esptool needs it to write flash.

    with EspRom(chip_id=9) as rom:        # an ESP32-S3; None: an ESP32, which tells no number
        esptool --port rom.port ...
        rom.flash                         # what is in it now

It understands the commands of the ROM and of the stub that esptool loads into RAM: the stub's
code is not run, only its commands are known from then on. cut_after(n): the cable is pulled when
n bytes of compressed data have come.
"""

import hashlib
import os
import pty
import select
import struct
import threading
import tty
import zlib

from serial_board import linux_only

SYNC, WRITE_REG, READ_REG, SECURITY = 0x08, 0x09, 0x0A, 0x14
MEM_END = 0x06
DEFL_BEGIN, DEFL_DATA, MD5, ERASE = 0x10, 0x11, 0x13, 0xD0
MAGIC_ADDRESS, MAGIC_ESP32 = 0x40001000, 0x00F01D83
SIZE = 4 << 20


def slip(data):
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class EspRom:
    def __init__(self, chip_id=None):
        linux_only()
        self.chip_id = chip_id
        self.flash = bytearray(b"\xff" * SIZE)
        self.stub = False
        self.commands = []
        self.left = None
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.port = os.ttyname(self.slave)
        self._part = b""
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def cut_after(self, count):
        self.left = count

    def close(self):
        self._stop.set()
        self.thread.join(10)
        self._pull()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _pull(self):
        self._stop.set()
        for end in (self.master, self.slave):
            if end is not None:
                os.close(end)
        self.master = self.slave = None

    def _run(self):
        while not self._stop.is_set():
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            self._part += os.read(self.master, 65536)
            *frames, self._part = self._part.split(b"\xc0")
            for frame in frames:
                frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                if len(frame) >= 8 and frame[0] == 0 and self.master is not None:
                    self._obey(frame[1], frame[8:])

    def _answer(self, op, value=0, data=b"", error=0):
        data += bytes((bool(error), error)) + (b"" if self.stub else bytes(2))
        os.write(self.master, slip(struct.pack("<BBHI", 1, op, len(data), value) + data))

    def _obey(self, op, data):
        self.commands.append(op)
        if op == SYNC:
            for _ in range(8):
                self._answer(op, 0 if self.stub else 0x20120707)
        elif op == READ_REG:
            address = struct.unpack("<I", data[:4])[0]
            known = {MAGIC_ADDRESS: MAGIC_ESP32 if self.chip_id is None else 0}
            self._answer(op, known.get(address, 0))
        elif op == SECURITY and self.chip_id is None:
            self._answer(op, error=5)
        elif op == SECURITY:
            self._answer(op, data=struct.pack("<IB7xII", 0, 0, self.chip_id, 0))
        elif op == MEM_END:
            self._answer(op)
            self.stub = True
            os.write(self.master, slip(b"OHAI"))
        elif op == DEFL_BEGIN:
            self._at = struct.unpack("<4I", data[:16])[3]
            self._inflate = zlib.decompressobj()
            self._answer(op)
        elif op == DEFL_DATA:
            if self.left is not None:
                self.left -= len(data)
                if self.left < 0:
                    self._pull()
                    return
            piece = self._inflate.decompress(data[16:])
            self.flash[self._at : self._at + len(piece)] = piece
            self._at += len(piece)
            self._answer(op)
        elif op == MD5:
            at, size = struct.unpack("<2I", data[:8])
            self._answer(op, data=hashlib.md5(self.flash[at : at + size]).digest())
        elif op == ERASE:
            self.flash[:] = b"\xff" * SIZE
            self._answer(op)
        else:
            self._answer(op)
