from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, overload

from .client import _Filters, _Server
from .mailbox import Mailbox, Received
from .errors import MQTTException as MQTTException
from .protocol import Protocol, _Data, _Properties, _Qos, _Text

# It inherits from client.MQTTClient, which a type checker must not know: the verbs are awaited
# here, so the one cannot stand for the other.
class MQTTClient(Protocol):
    sock: Any  # None: not connected
    server: _Server
    port: int
    ssl: Any
    ssl_params: dict[str, Any]
    timeout_ms: int
    wait_msg: None
    check_msg: None

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
        poll_ms: int = 0,
    ) -> None: ...
    async def connect(
        self, clean_session: bool = True, timeout: float | None = None, *, adopt: bool = False
    ) -> bool: ...
    async def disconnect(self, reason_code: int = 0, properties: _Properties = None) -> None: ...
    async def run(self) -> None: ...
    async def __aenter__(self) -> MQTTClient: ...
    async def __aexit__(self, *_: object) -> None: ...
    def __aiter__(self) -> AsyncIterator[Received]: ...
    def next_deadline(self) -> int: ...
    def publish_nowait(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        properties: _Properties = None,
    ) -> int: ...
    async def publish(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        properties: _Properties = None,
    ) -> int: ...
    async def published(self, packet_id: int, end: int | None = None) -> None: ...
    async def publish_stream(
        self,
        topic: _Text,
        length: int,
        readinto: Callable[[bytearray, int], int],
        retain: bool = False,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
    ) -> int: ...
    def ping(self) -> None: ...
    def messages(self, most: int = 20) -> Mailbox: ...
    @overload
    async def subscribe(
        self,
        topic: _Text,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        properties: _Properties = None,
    ) -> int: ...
    @overload
    async def subscribe(
        self,
        topic: _Filters,
        qos: _Qos = 0,
        timeout_ms: int | None = None,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        properties: _Properties = None,
    ) -> bytes: ...
    async def unsubscribe(
        self,
        topic: _Text | _Filters,
        timeout_ms: int | None = None,
        properties: _Properties = None,
    ) -> int | bytes | None: ...
    async def reauthenticate(self, timeout_ms: int | None = None) -> None: ...
