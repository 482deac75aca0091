from collections.abc import Callable
from typing import Any

def unix_time() -> int: ...
def hmac_sha256(key: bytes, msg: bytes) -> bytes: ...
def quote(x: str) -> str: ...

class SAS:
    life_s: int

    def __init__(
        self, resource: str, key: str | bytes, life_s: int = 3600, policy: str | None = None
    ) -> None: ...
    def __call__(self) -> tuple[str, int]: ...

class JWT:
    claims: dict[str, Any]
    life_s: int

    def __init__(
        self, claims: dict[str, Any], key: str | bytes, life_s: int = 3600, alg: str = "HS256"
    ) -> None: ...
    def __call__(self) -> tuple[bytes, int]: ...

class Timed:
    f: Callable[[], str | bytes]
    most_s: int

    def __init__(self, f: Callable[[], str | bytes], most_s: int = 0) -> None: ...
    def __call__(self) -> tuple[str | bytes, int]: ...
