from collections.abc import Iterator
from typing import Any

class WebSocket:
    url: str
    ssl: Any
    ssl_params: dict[str, Any]
    headers: dict[str, str]

    def __init__(
        self,
        url: str,
        headers: dict[str, str] = {},
        ssl: Any = True,
        ssl_params: dict[str, Any] = {},
    ) -> None: ...
    def __str__(self) -> str: ...
    def __call__(self, deadline: int, wait_ms: int) -> Iterator[Any]: ...
