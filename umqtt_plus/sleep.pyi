from typing import Protocol

from .outbox import Outbox
from .store import Store, _Client

class _Medium(Protocol):
    @property
    def size(self) -> int: ...
    def load(self) -> bytes | bytearray | None: ...
    def save(self, data: bytes | bytearray) -> None: ...

class SleepStore(Store):
    medium: _Medium
    notes: bytes  # what save() was given before the sleep

    def __init__(
        self,
        client: _Client,
        medium: _Medium,
        discard: bool = False,
        inbox_qos: int = 2,
        outbox: Outbox | None = None,
    ) -> None: ...
    def save(self, notes: bytes = b"") -> None: ...

class RTCMemory:
    size: int
    def load(self) -> bytes | bytearray: ...
    def save(self, data: bytes | bytearray) -> None: ...
