from .aio import MQTTClient
from .protocol import _Data, _Qos, _Text
from .request import address as address
from .request import reply as reply

# It inherits from request.Requests, which a type checker must not know: see aio.pyi.
class Requests:
    topic: bytes
    def __init__(self, client: MQTTClient, topic: _Text) -> None: ...
    async def request(
        self, topic: _Text, payload: _Data, qos: _Qos = 0, timeout_ms: int | None = None
    ) -> bytes: ...
