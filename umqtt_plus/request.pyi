from typing import Any

from .client import MQTTClient
from .message5 import Message5
from .protocol import _Data, _Qos, _Text

class Requests:
    topic: bytes
    def __init__(self, client: MQTTClient, topic: _Text) -> None: ...
    def ask(
        self, topic: _Text, payload: _Data, qos: _Qos = 0, timeout_ms: int | None = None
    ) -> bytes: ...
    def answer(self, key: bytes, timeout_ms: int | None = None) -> bytes: ...
    def request(
        self, topic: _Text, payload: _Data, qos: _Qos = 0, timeout_ms: int | None = None
    ) -> bytes: ...

def address(m: Message5) -> tuple[bytes, bytes] | None: ...

# client: either front
def reply(client: Any, m: Message5, payload: _Data, qos: _Qos = 0) -> int | None: ...
