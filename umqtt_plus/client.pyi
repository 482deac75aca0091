from collections.abc import Callable
from typing import Any, Literal, overload

from .protocol import Protocol, _Data, _Properties, _Qos, _Text

_Server = str | Callable[[int, int], Any]  # a name, an address; ws.WebSocket or the like
_Filters = list[Any] | tuple[Any, ...]  # topic filters and (filter, qos) pairs

class MQTTClient(Protocol):
    sock: Any  # None: not connected
    server: _Server
    port: int
    ssl: Any
    ssl_params: dict[str, Any]
    timeout_ms: int

    def __init__(
        self,
        client_id: _Text,
        server: _Server,
        port: int = 0,
        user: _Text | None = None,
        password: _Data | None = None,
        keepalive: int = 0,
        ssl: Any = None,
        ssl_params: dict[str, Any] = {},
        *,
        version: Literal[4, 5, "auto"] = 4,
        buffer_size: int = 512,
        inflight: int = 4,
        retry_ms: int = 0,
        timeout_ms: int = 10000,
        properties: _Properties = None,
    ) -> None: ...
    def connect(
        self, clean_session: bool = True, timeout: float | None = None, *, adopt: bool = False
    ) -> bool: ...
    def disconnect(self, reason_code: int = 0, properties: _Properties = None) -> None: ...
    def wait_msg(self, timeout_ms: int | None = None) -> bool: ...
    def check_msg(self) -> bool: ...
    def next_deadline(self) -> int: ...
    def publish(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        properties: _Properties = None,
    ) -> int: ...
    def publish_nowait(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        properties: _Properties = None,
    ) -> int: ...
    def publish_stream(
        self,
        topic: _Text,
        length: int,
        readinto: Callable[[bytearray, int], int],
        retain: bool = False,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
    ) -> int: ...
    def ping(self) -> None: ...
    # None: in a message handler, where nobody waits for the answer
    @overload
    def subscribe(
        self,
        topic: _Text,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        properties: _Properties = None,
    ) -> int | None: ...
    @overload
    def subscribe(
        self,
        topic: _Filters,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        properties: _Properties = None,
    ) -> bytes | None: ...
    def unsubscribe(
        self,
        topic: _Text | _Filters,
        timeout_ms: int | None = None,
        properties: _Properties = None,
    ) -> int | bytes | None: ...
    def reauthenticate(self, timeout_ms: int | None = None) -> None: ...
