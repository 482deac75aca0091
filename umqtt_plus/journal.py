"""An append-only file of records that survives a power cut. Knows nothing of MQTT.

A record: type, epoch, flags, id (2), length of the body (2), CRC-16; and, when there is a body,
the body and CRC-16. The CRC goes on from record to record, so that each is valid only behind the
one it was written behind. A record that is cut off at the end of the file was not finished: nobody
has acted upon it, and recover.py forgets it. Any other damage means that nothing of the file can
be believed.
"""

import os

from micropython import const

_HEAD = const(9)
_CRC = const(2)


def crc16(crc, buf, i, end):
    """CRC-16/CCITT of buf[i:end], going on from crc. binascii.crc32 would allocate."""
    while i < end:
        x = crc >> 8 ^ buf[i]
        x ^= x >> 4
        crc = (crc << 8 ^ x << 12 ^ x << 5 ^ x) & 0xFFFF
        i += 1
    return crc


class Journal:
    """The file at path. Who inherits it gives snapshot(), which calls write() for what counts now.

    flushes and written (bytes) tell what the flash has to bear.
    """

    def __init__(self, path, max_bytes):
        self.path = path
        self.max_bytes = max_bytes
        self.epoch = self.flushes = self.written = 0
        self._at = max_bytes  # where the file ends; max_bytes: it must be written anew
        self._crc = 0xFFFF
        self._h = bytearray(_HEAD)
        self._f = None

    def room(self, n):
        """Make sure that n bytes more go into the file."""
        if self._at + n > self.max_bytes:
            self.compact()

    def put(self, kind, head=0, p=0, buf=b"", i=0, n=0):
        """Append a record, durably: one flush. OSError: it does not count."""
        self.room(n + _HEAD + _CRC)
        self.write(kind, head, p, buf, i, n)
        self.sync()

    def lazy(self, kind, p=0, head=0):
        """Append a record that waits for the flush of the next one, and may get lost."""
        try:
            self.room(_HEAD)
            self.write(kind, head, p)
        except (OSError, MemoryError):
            pass  # the next put() writes the file anew, without what it was about

    def write(self, kind, head, p, buf=b"", i=0, n=0):
        """Append a record to what waits for sync()."""
        h = self._h
        h[0] = kind
        h[1] = self.epoch
        h[2] = head
        h[3] = p >> 8
        h[4] = p & 255
        h[5] = n >> 8
        h[6] = n & 255
        crc = crc16(self._crc, h, 0, 7)
        h[7] = crc >> 8
        h[8] = crc & 255
        f = self._f
        at = self._at
        self._at = self.max_bytes  # if it fails, what is there is torn
        size = _HEAD
        done = f.write(h)
        if n:
            size += n + _CRC
            crc = crc16(crc, buf, i, i + n)
            h[0] = crc >> 8
            h[1] = crc & 255
            if done == _HEAD:  # nothing goes behind what was written in part: it would be damage
                done += f.write(buf, i, n)
            if done == n + _HEAD:
                done += f.write(h, 0, _CRC)
        if done != size:
            raise OSError(28)  # ENOSPC
        self._crc = crc
        self._at = at + size
        self.written += size

    def sync(self):
        """Make what was written durable."""
        at = self._at
        self._at = self.max_bytes
        self._f.flush()
        self._at = at
        self.flushes += 1

    def compact(self):
        """Write the file anew, with what counts now. Allocates. OSError: the old one is kept."""
        old = self._f
        new = self.path + ".new"
        self._at = self.max_bytes
        f = open(new, "wb")
        self._f = f
        self._at = 0
        self._crc = 0xFFFF
        try:
            self.snapshot()
            self.sync()
        finally:
            at = self._at
            self._at = self.max_bytes
            self._f = old
            f.close()
        if old:
            self._f = None
            old.close()  # first: FAT would write its size into the entry of the new one
        os.rename(new, self.path)
        self._f = open(self.path, "ab")
        self._at = at
