"""MicroPython's module `asyncio` for CPython: the names umqtt_plus uses, on CPython's event loop.

core._io_queue.queue_read(sock) answers with a future, which a task that is given it by an iterator
waits for; in MicroPython the call itself puts the task to sleep and answers None.
"""

import asyncio

Event = asyncio.Event
CancelledError = asyncio.CancelledError
create_task = asyncio.create_task
get_event_loop = asyncio.get_event_loop


async def sleep_ms(ms):
    await asyncio.sleep(ms / 1000)


def awaitable(cls):
    """MicroPython awaits whatever can be iterated over."""
    cls.__await__ = cls.__iter__


class _Readable(asyncio.Future):
    """Done when the socket can be read. The watch ends before anybody can close the socket."""

    def __init__(self, sock):
        super().__init__()
        self._fd = sock.fileno()
        self._asyncio_future_blocking = True  # what `await` would set
        self.get_loop().add_reader(self._fd, self._ready)

    def _ready(self):
        self.get_loop().remove_reader(self._fd)
        if not self.done():
            self.set_result(None)

    def cancel(self, *args, **kwargs):
        self.get_loop().remove_reader(self._fd)
        return super().cancel(*args, **kwargs)


class _IOQueue:
    queue_read = staticmethod(_Readable)


class _Core:
    _io_queue = _IOQueue()

    @property
    def cur_task(self):
        try:
            return asyncio.current_task()
        except RuntimeError:
            return None


core = _Core()
