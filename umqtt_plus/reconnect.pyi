from collections.abc import Callable
from typing import Any

from .aio import MQTTClient as _Aio
from .client import MQTTClient as _Sync
from .outbox import Outbox
from .protocol import _Data, _Qos, _Text

class Link:
    client: _Sync | _Aio
    topics: list[Any] | tuple[Any, ...]
    clean_session: bool
    adopt: bool
    always: bool
    outbox: Outbox | None
    on_up: Callable[[bool], object] | None
    on_down: Callable[[Exception], object] | None
    first_ms: int
    cap_ms: int
    steady_ms: int
    slow_ms: int
    subscribe: dict[str, Any]
    why: Exception | None
    granted: Any  # what the last subscribe() returned
    up: bool

    def __init__(
        self,
        client: _Sync | _Aio,
        topics: _Text | list[Any] | tuple[Any, ...] = (),
        *,
        clean_session: bool = False,
        adopt: bool = False,
        always: bool = False,
        outbox: Outbox | None = None,
        on_up: Callable[[bool], object] | None = None,
        on_down: Callable[[Exception], object] | None = None,
        first_ms: int = 8000,
        cap_ms: int = 60000,
        steady_ms: int = 30000,
        slow_ms: int = 600000,
        subscribe: dict[str, Any] = {},  # options of subscribe()
        on_moved: Callable[[Exception, list[tuple[str, int]]], tuple[str, int] | None]
        | None = None,
    ) -> None: ...
    def next_try(self) -> int: ...
    # how: expire_ms and latest, for the outbox; properties
    def publish(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        **how: Any,
    ) -> int: ...
    def pump(self) -> int: ...
    # of the synchronous client
    def poll(self, timeout_ms: int = 0) -> bool: ...
    # of the asyncio client
    async def run(self) -> None: ...
    async def close(self) -> None: ...
    async def wait_up(self) -> None: ...
    async def __aenter__(self) -> Link: ...
    async def __aexit__(self, *_: object) -> None: ...
