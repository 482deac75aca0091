from collections.abc import Callable
from typing import Any, Literal

from .message import Message
from .message5 import Message5

_Text = str | bytes | bytearray
_Data = str | bytes | bytearray | memoryview
# names of properties.py and their values, or bytes of properties.encode()
_Properties = dict[str, Any] | bytes | None
_Qos = Literal[0, 1, 2] | int
# with version=5 a Message5
_Handler = Callable[[Message], object] | Callable[[Message5], object] | None

class Protocol:
    # What both clients share; not made by itself.
    client_id: bytes
    user: bytes | None
    pswd: bytes | None
    keepalive: int
    session_present: bool
    state: int  # 0 closed, 1 connecting, 2 up
    # version=5 only
    version: int  # "auto": 4 or 5, as it turned out
    reason_code: int  # of the server's last answer
    connack: bytes  # properties of CONNACK, for properties.decode()
    unresolved: list[tuple[int, bool]]  # (packet_id, PUBREC had come) of a lost session

    def set_callback(self, f: Callable[[bytes, bytes], object] | None) -> None: ...
    def on_published(self, f: Callable[[int], object] | None) -> None: ...
    def set_message(self, f: _Handler) -> None: ...
    def set_stream(self, f: _Handler) -> None: ...
    def set_last_will(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        properties: _Properties = None,
    ) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def set_auth(
        self, method: _Text | None, f: Callable[[bytes | None], bytes | None] | None
    ) -> None: ...
