"""A fake of MicroPython's module `esp32`: NVS, with its limits and its numbers of errors.

flash = Flash()
sys.modules["esp32"] = flash
flash.power_cut()                      # what was not committed is gone
"""

_BYTES = 12000  # what the partition of 24 KB takes in blobs, about


def _error(number, name):
    return OSError(-number, "ESP_ERR_NVS_" + name)


class Flash:
    def __init__(self):
        self.kept = {}  # (namespace, key) -> bytes
        self.open = {}  # the same with what is not committed yet
        self.commits = 0
        self.broken = 0  # so many commits from now on fail

    def power_cut(self):
        self.open = dict(self.kept)

    def NVS(self, namespace):
        if not 0 < len(namespace) <= 15:
            raise _error(0x1106, "INVALID_NAME")
        return _NVS(self, namespace)


class _NVS:
    def __init__(self, flash, namespace):
        self._flash = flash
        self._name = namespace

    def _key(self, key):
        if not 0 < len(key) <= 15:
            raise _error(0x1109, "KEY_TOO_LONG")
        return self._name, key

    def set_blob(self, key, value):
        key = self._key(key)
        value = bytes(memoryview(value))
        others = sum(len(x) for k, x in self._flash.open.items() if k != key)
        if others + len(value) > _BYTES:
            raise _error(0x1105, "NOT_ENOUGH_SPACE")
        self._flash.open[key] = value

    def get_blob(self, key, buf):
        """The length; buf has to be large enough."""
        value = self._flash.open.get(self._key(key))
        if value is None:
            raise _error(0x1102, "NOT_FOUND")
        if len(value) > len(buf):
            raise _error(0x110C, "INVALID_LENGTH")
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        if self._key(key) not in self._flash.open:
            raise _error(0x1102, "NOT_FOUND")
        del self._flash.open[self._key(key)]

    def commit(self):
        if self._flash.broken:
            self._flash.broken -= 1
            raise OSError(-0x105, "ESP_ERR_NOT_FOUND")
        self._flash.commits += 1
        self._flash.kept = dict(self._flash.open)
