from collections.abc import Callable
from typing import Any, Literal

from .protocol import _Data, _Text

def check(
    server: str | Callable[[int, int], Any],
    port: int = 0,
    ssl: Any = None,
    ssl_params: dict[str, Any] = {},
    client_id: _Text = b"umqtt_plus_doctor",
    user: _Text | None = None,
    password: _Data | None = None,
    topic: _Text | None = None,
    version: Literal[4, 5, "auto"] = 4,
    timeout_ms: int = 10000,
    say: Callable[[str], object] = print,
) -> str | None: ...
