from collections.abc import Callable
from typing import Any

_Network = tuple[str | bytes, str | bytes | None]

class WiFi:
    up: bool
    clock_ok: bool  # NTP has set the clock

    def __init__(
        self,
        networks: _Network | list[tuple[str, str]] | list[_Network] | tuple[_Network, ...],
        *,
        hostname: str | None = None,
        country: str | None = None,
        pm: int | None = None,
        static: tuple[str, str, str, str] | None = None,
        ntp: str | bool | None = None,
        feed: Callable[[], object] | None = None,
        attempt_ms: int = 15000,
        scan: bool = False,
        wlan: Any = None,
    ) -> None: ...
    def on_change(self, f: Callable[[bool], object] | None) -> None: ...
    def start(self) -> None: ...
    def poll(self, now: int | None = None) -> int: ...
    def status(self) -> str: ...
    def disconnect(self) -> None: ...
    def connect(self, timeout: float | None = None) -> bool: ...
    async def run(self) -> None: ...
    async def wait_up(self) -> None: ...
