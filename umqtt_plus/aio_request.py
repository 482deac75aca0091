"""Request and response over MQTT 5.0 with asyncio: as request.py, awaited."""

from time import ticks_diff, ticks_ms

from .request import Requests as _Requests
from .request import address, reply  # noqa: F401, for who answers


class Requests(_Requests):
    """As request.Requests. Any number of tasks may ask.

    A handler, or client.messages() for `async for`, must be there before.
    """

    async def request(self, topic, payload, qos=0, timeout_ms=None):
        """Ask, and return the answer, bytes; OSError(ETIMEDOUT): none by timeout_ms.

        MQTTException(0x10): the server knows nobody who could answer (QoS 1 and 2).
        """
        c = self.c
        end = c._end(timeout_ms)
        n = c._n[0]
        if self._where():
            await c.subscribe(self.topic, 1, timeout_ms)
            self._link = n
        key, x = self._begin(timeout_ms)
        try:
            left = max(0, ticks_diff(end, ticks_ms()))
            self._heard(await c.publish(topic, payload, False, qos, left, x), qos)
            while self._open[key] is None:
                await c._look(end)
            return self._open[key]
        finally:
            del self._open[key]
