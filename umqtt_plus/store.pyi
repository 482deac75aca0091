from collections.abc import Callable
from typing import Literal

from .aio import MQTTClient as _Aio
from .client import MQTTClient as _Sync
from .outbox import Outbox
from .protocol import _Handler

_Client = _Sync | _Aio

class Store:
    inbox_qos: int
    outbox: Outbox | None
    accepted: int  # QoS 1 and 2 messages that publish() took, ever
    number: int  # m.number of the last message
    recovered: Literal["new", "lost", "session"]
    flushes: int
    written: int  # bytes
    max_bytes: int
    path: str

    def __init__(
        self,
        client: _Client,
        path: str,
        max_bytes: int = 16384,
        discard: bool = False,
        inbox_qos: int = 2,
        outbox: Outbox | None = None,
    ) -> None: ...
    def set_message(self, f: _Handler) -> None: ...
    def set_callback(self, f: Callable[[bytes, bytes], object] | None) -> None: ...
    def close(self) -> None: ...
