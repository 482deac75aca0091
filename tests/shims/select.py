"""MicroPython's module `select` for CPython: a poller with ipoll()."""

import select as _select

POLLIN = _select.POLLIN
POLLOUT = _select.POLLOUT
POLLERR = _select.POLLERR
POLLHUP = _select.POLLHUP

_ENOENT = 2


class poll:
    def __init__(self):
        self._poll = _select.poll()
        self._objects = {}

    def register(self, obj, eventmask=POLLIN | POLLOUT):
        self._objects[obj.fileno()] = obj
        self._poll.register(obj.fileno(), eventmask)

    def modify(self, obj, eventmask):
        if obj.fileno() not in self._objects:
            raise OSError(_ENOENT)
        self._poll.modify(obj.fileno(), eventmask)

    def unregister(self, obj):
        """An object that is not registered, or closed by now, is no error, as there."""
        for fileno, known in list(self._objects.items()):
            if known is obj:
                del self._objects[fileno]
                try:
                    self._poll.unregister(fileno)
                except (KeyError, OSError):
                    pass

    def poll(self, timeout_ms=-1):
        return list(self.ipoll(timeout_ms))

    def ipoll(self, timeout_ms=-1, flags=0):
        """Waits at the call, as there; then yields (object, events)."""
        events = self._poll.poll(None if timeout_ms < 0 else timeout_ms)
        return ((self._objects[fileno], event) for fileno, event in events)
