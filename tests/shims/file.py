"""open() as MicroPython has it, for binary files: nothing is buffered, and write() takes (buf, n)
or (buf, offset, n)."""

import os

_FLAGS = {
    "rb": os.O_RDONLY,
    "wb": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


class File:
    _fd = None

    def __init__(self, name, mode):
        self._fd = os.open(name, _FLAGS[mode] | getattr(os, "O_BINARY", 0), 0o666)

    def write(self, buf, *args):
        i, n = args if len(args) == 2 else (0, *args) if args else (0, len(buf))
        return os.write(self._file(), memoryview(buf)[i : i + n])

    def readinto(self, buf, n=-1):
        data = os.read(self._file(), len(buf) if n < 0 else min(n, len(buf)))
        memoryview(buf)[: len(data)] = data
        return len(data)

    def seek(self, offset, whence=0):
        return os.lseek(self._file(), offset, whence)

    def flush(self):
        os.fsync(self._file())

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self):
        self.close()

    def _file(self):
        if self._fd is None:
            raise OSError(22, "closed")
        return self._fd


def open(name, mode):
    return File(name, mode)
