from collections.abc import Callable
from typing import Literal

from .protocol import _Data, _Qos, _Text

_Bytes = bytes  # which is also a property below

# why: "oldest", "newest", "replaced", "expired"; "refused" from Link
_Dropped = Callable[[bytes, bytes, str], object]

class Outbox:
    keep: Callable[..., object] | None
    max_bytes: int
    max_count: int
    policy: str
    latest: bool
    dropped: _Dropped | None

    def __init__(
        self,
        max_bytes: int = 4096,
        max_count: int = 64,
        policy: Literal["oldest", "newest", "refuse"] = "oldest",
        latest: bool = False,
        expire_ms: int = 0,
        dropped: _Dropped | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    def stats(self) -> dict[str, int]: ...
    def put(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        expire_ms: int | None = None,
        latest: bool | None = None,
    ) -> bool: ...
    def first(self) -> tuple[int, _Bytes, _Bytes, bool, int] | None: ...
    def done(self, number: int) -> None: ...
    def back(self) -> None: ...
    def tick(self, now: int | None = None) -> None: ...
    def clear(self) -> None: ...
