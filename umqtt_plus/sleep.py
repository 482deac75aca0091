"""The session over a deep sleep: the rules of store.py, written down once, before sleeping.

    client = MQTTClient("id", "server", inflight=4)
    store = SleepStore(client, RTCMemory())     # or Backup(), NVS(), File("session")
    client.set_message(f)
    client.connect(clean_session=False)
    ...
    client.disconnect()
    store.save(b"what the application wants to know when it wakes")
    machine.deepsleep(300000)

While the board is awake nothing is written, and the medium is empty: who is reset then, or loses
power, begins a new session, and so does who sleeps without save(). store.Store survives that, too.

A medium has size (bytes), load() -> bytes or None, and save(data), which empties it with b"". What
is in it: a CRC-32 of all the rest, the length of the records (2), the records, the notes.
"""

from binascii import crc32
from io import BytesIO

from micropython import const

from .store import Store

_HEAD = const(6)


class SleepStore(Store):
    """Keeps the session of client in medium while the board sleeps. Make it before set_message().

    notes: what save() was given before the sleep, b"" when that is lost or there was none; it goes
    with the session, so an effect of a message that is noted in it is there exactly once.
    recovered, discard, inbox_qos, outbox, ValueError: see Store. OSError: the medium fails.
    """

    def __init__(self, client, medium, discard=False, inbox_qos=2, outbox=None):
        self.medium = medium
        Store.__init__(self, client, "the snapshot", 1 << 24, discard, inbox_qos, outbox)
        self._go = client._start
        client._start = self._start

    def save(self, notes=b""):
        """Write session and notes (bytes) down: the last thing before deepsleep(). Allocates.

        OSError(EALREADY): disconnect() first, and leave the message handler. OSError(ENOSPC): too
        much for the medium, args[1] says how much; the medium is empty then, and save() with less
        may follow. Whatever the client does afterwards makes it empty again.
        """
        box = self._parts.get(1)
        if self.c.state or box and box._hot:  # what that handler does counts when it returns
            raise OSError(114, "disconnect() first, and not in a message handler")
        self.compact()
        self._crc = 0xFFFF
        f = self._f = BytesIO()
        try:
            f.write(bytes(_HEAD))
            self.snapshot()
            n = f.tell() - _HEAD
            f.write(notes)
        finally:
            self._f = None
        data = bytearray(f.getvalue())
        m = self.medium
        if len(data) > m.size:
            raise OSError(28, "%d bytes, there are %d" % (len(data), m.size))
        data[4] = n >> 8
        data[5] = n & 255
        data[:4] = crc32(data[4:]).to_bytes(4, "big")
        self._full = True
        m.save(data)
        self.flushes += 1

    def load(self):
        data = self.medium.load()
        self.max_bytes = 0  # recover.py is not to open the file
        self.notes = b""
        self._full = bool(data)
        good = data and crc32(data[4:]) == int.from_bytes(data[:4], "big") and len(data) >= _HEAD
        n = 0
        if good:
            n = _HEAD + (data[4] << 8 | data[5])
            self.notes = bytes(data[n:])
        import umqtt_plus.recover as room

        found = room.recover(self, BytesIO(data[_HEAD:n] if n else b""))
        return found if good or not data else "lost"

    def compact(self):
        """What is in the medium counts no more."""
        if self._full:
            self.medium.save(b"")
            self._full = False
            self.flushes += 1

    def write(self, kind, head, p, buf=b"", i=0, n=0):
        if self._f:
            Store.write(self, kind, head, p, buf, i, n)
        else:
            self.compact()

    def sync(self):
        """What is written down is whole or not there."""

    def _start(self, clean, now):
        self.compact()
        self._go(clean, now)


class RTCMemory:
    """ESP32's machine.RTC().memory(), all of it. Survives sleep and reset, not a power cut."""

    size = 2048

    def load(self):
        from machine import RTC

        return RTC().memory()

    def save(self, data):
        from machine import RTC

        RTC().memory(data)
