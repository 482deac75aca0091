"""Is this file whole, and is it for this chip? Asked before anything is written to a board.

An ESP32's .bin: boot loader, partition table and the program itself, each with a check sum. A
UF2: blocks of 512 bytes, numbered, each naming its chip.
"""

import hashlib
import struct
from pathlib import Path

from board.chips import ABSOLUTE, FAMILIES, IMAGE_CHIPS
from board.problem import Problem

UF2_BLOCK = 512
UF2_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_NOT_FLASH, _HAS_FAMILY = 0x1, 0x2000
ESP_MAGIC = 0xE9
ESP_TABLE = 0x8000  # where the partition table is in flash
_AGAIN = "download it again"


def check(path, board):
    """A line that says what the file is; Problem when it is not for this board, or not whole."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problem(f"{path}: {error.strerror or error}") from None
    if not data:
        raise Problem(f"{path} is empty: {_AGAIN}")
    try:
        return _uf2(data, board) if board.port == "rp2" else _esp(data, board)
    except Problem as problem:
        raise Problem(f"{path.name}: {problem}") from None


# -- ESP32 ----------------------------------------------------------------------------------------


def _esp(data, board):
    if data[:4] == struct.pack("<I", UF2_MAGIC[0]):
        raise Problem(f"this is a .uf2; {board.name} takes the .bin")
    _chip(data, board)
    end = _image(data, 0, "the boot loader")
    table = ESP_TABLE - board.offset
    if end <= table and len(data) < table + 32:
        raise Problem(f"it is truncated: there is a boot loader and no more; {_AGAIN}")
    if data[table : table + 2] != b"\xaa\x50":
        raise Problem(
            "there is no partition table in it. Is it one of the .app-bin files, for updates over "
            f"the air, or for another offset than {board.offset:#x}? Take the .bin"
        )
    programs = 0
    for kind, _subtype, offset, size in _partitions(data, table):
        start = offset - board.offset
        # of several (with updates over the air) only the first is filled
        if kind == 0 and (start < len(data) or not programs):
            programs += 1
            _chip(data[start:], board)
            if _image(data, start, "the program") - start > size:
                raise Problem(f"its program is larger than its partition; {_AGAIN}")
    if not programs:
        raise Problem(f"its partition table names no program; {_AGAIN}")
    return f"{len(data)} bytes for {IMAGE_CHIPS[board.image_chip]}, whole"


def _chip(data, board):
    if len(data) < 24:
        raise Problem(f"it is truncated; {_AGAIN}")
    if data[0] != ESP_MAGIC:
        raise Problem(f"this is no image for an ESP32 (it begins with {data[0]:#04x})")
    (chip,) = struct.unpack_from("<H", data, 12)
    if chip != board.image_chip:
        name = IMAGE_CHIPS.get(chip, f"chip number {chip}")
        raise Problem(f"it is for {name}; {board.name} is {IMAGE_CHIPS[board.image_chip]}")


def _image(data, start, what):
    """Where an image ends; its check sum and digest hold."""
    short = Problem(f"it is truncated within {what}; {_AGAIN}")
    at = start + 24
    total = 0xEF
    for _ in range(data[start + 1]):
        if at + 8 > len(data):
            raise short
        (size,) = struct.unpack_from("<I", data, at + 4)
        at += 8
        if at + size > len(data):
            raise short
        for byte in data[at : at + size]:
            total ^= byte
        at += size
    at += 15 - (at - start) % 16
    digest = 32 * data[start + 23]
    if at + 1 + digest > len(data):
        raise short
    sound = data[at] == total
    at += 1
    if digest:
        sound = sound and hashlib.sha256(data[start:at]).digest() == data[at : at + 32]
    if not sound:
        raise Problem(f"{what} in it is damaged; {_AGAIN}")
    return at + digest


def _partitions(data, at):
    """(type, subtype, offset, size) of each."""
    while data[at : at + 2] == b"\xaa\x50" and at + 32 <= len(data):
        yield struct.unpack_from("<BBII", data, at + 2)
        at += 32


# -- UF2 ------------------------------------------------------------------------------------------


def _uf2(data, board):
    if data[:4] != struct.pack("<I", UF2_MAGIC[0]):
        raise Problem("this is no .uf2; take the file that ends so")
    found = {}  # family: (blocks, how many there should be)
    for at in range(0, len(data) // UF2_BLOCK * UF2_BLOCK, UF2_BLOCK):
        words = struct.unpack_from("<8I", data, at)
        last = struct.unpack_from("<I", data, at + UF2_BLOCK - 4)
        if (*words[:2], *last) != UF2_MAGIC:
            raise Problem(f"block {at // UF2_BLOCK} is damaged; {_AGAIN}")
        _, _, flags, _, size, number, blocks, family = words
        if flags & _NOT_FLASH:
            continue
        if not flags & _HAS_FAMILY:
            raise Problem("it does not say for which chip it is")
        if family == ABSOLUTE:
            continue  # numbered for itself
        expected, told = found.get(family, (0, blocks))
        if number != expected or blocks != told or not 0 < size <= 476:
            raise Problem(f"block {expected} of {told} is missing; {_AGAIN}")
        found[family] = expected + 1, told
    if not found:
        raise Problem("it holds no program")
    for family in found:
        if family not in board.families:
            name = FAMILIES.get(family, f"family {family:#x}")
            raise Problem(f"it is for {name}; {board.name} is {board.mcu}")
    for here, told in found.values():
        if here != told or len(data) % UF2_BLOCK:
            raise Problem(f"it is truncated: {here} blocks of {told}; {_AGAIN}")
    names = ", ".join(FAMILIES[family] for family in found)
    return f"{sum(here for here, _ in found.values())} blocks for {names}, whole"
