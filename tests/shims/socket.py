"""MicroPython's module `socket` for CPython: stream methods that answer None for would-block.

As on the unix port, read, readinto and write go on until the whole count is done, the socket
would block, or the stream ends. There is no recv_into and no readinto with an offset. Errors are
CPython's own: read their number as error.args[0], which is right on both.
"""

import socket as _socket

AF_INET = _socket.AF_INET
AF_INET6 = _socket.AF_INET6
SOCK_STREAM = _socket.SOCK_STREAM
SOCK_DGRAM = _socket.SOCK_DGRAM
SOL_SOCKET = _socket.SOL_SOCKET
SO_REUSEADDR = _socket.SO_REUSEADDR
SO_SNDBUF = _socket.SO_SNDBUF
SO_RCVBUF = _socket.SO_RCVBUF


class _Address:
    """An opaque address: on the unix port it is bytes, and only connect() understands it."""

    def __init__(self, value):
        self.value = value


def getaddrinfo(host, port, family=0, kind=0, proto=0, flags=0):
    """Failures are OSError with a negative number, as on boards (the unix port gives a text)."""
    try:
        found = _socket.getaddrinfo(host, port, family, kind, proto, flags)
    except _socket.gaierror as error:
        raise OSError(error.args[0]) from None
    return [(*item[:3], item[3], _Address(item[4])) for item in found]


class socket:
    def __init__(self, family=AF_INET, kind=SOCK_STREAM, proto=0, *, real=None):
        self._real = real or _socket.socket(family, kind, proto)
        self._blocking = True

    def __repr__(self):
        return f"<socket {self.fileno()}>"

    def connect(self, address):
        if not isinstance(address, _Address):
            raise TypeError("connect() takes an address from getaddrinfo()")
        self._real.connect(address.value)

    def setblocking(self, flag):
        self._blocking = bool(flag)
        self._real.setblocking(bool(flag))

    def settimeout(self, seconds):
        self._blocking = seconds != 0
        self._real.settimeout(seconds)

    def setsockopt(self, level, option, value):
        self._real.setsockopt(level, option, value)

    def fileno(self):
        return self._real.fileno()

    def close(self):
        self._real.close()

    def readinto(self, buffer, size=None, /):
        view = memoryview(buffer)
        size = len(view) if size is None else min(size, len(view))
        done = 0
        while done < size:
            try:
                count = self._real.recv_into(view[done:size])
            except (BlockingIOError, TimeoutError) as error:
                return done or self._blocked(error)
            if count == 0:
                break
            done += count
        return done

    def read(self, size=-1, /):
        """With no size: all there is until the end of the stream, or until it would block."""
        data = bytearray()
        while size < 0 or len(data) < size:
            piece = bytearray(4096 if size < 0 else size - len(data))
            count = self.readinto(piece)
            if not count:
                return bytes(data) if data or count == 0 else None
            data += piece[:count]
        return bytes(data)

    def write(self, buffer, offset=None, size=None, /):
        """write(buffer), write(buffer, size) or write(buffer, offset, size)."""
        view = memoryview(buffer).cast("B")
        if size is not None:
            view = view[offset : offset + size]
        elif offset is not None:
            view = view[:offset]
        done = 0
        while done < len(view):
            try:
                done += self._real.send(view[done:])
            except (BlockingIOError, TimeoutError) as error:
                return done or self._blocked(error)
        return done

    def recv(self, size):
        return self._real.recv(size)

    def send(self, data):
        return self._real.send(data)

    def _blocked(self, error):
        if self._blocking:
            # A timeout raises ETIMEDOUT there; CPython's TimeoutError carries no number.
            raise OSError(110) from None
        return None
