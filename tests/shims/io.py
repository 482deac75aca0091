"""MicroPython's io.BytesIO, which takes counts and offsets as its files do."""

import io as _io


class IOBase:
    """CPython's own closes itself when it is forgotten; MicroPython's does not."""


class BytesIO(_io.BytesIO):
    def write(self, buf, *args):
        i, n = args if len(args) == 2 else (0, *args) if args else (0, len(buf))
        return super().write(memoryview(buf)[i : i + n])

    def readinto(self, buf, n=-1):
        return super().readinto(memoryview(buf)[: len(buf) if n < 0 else n])
