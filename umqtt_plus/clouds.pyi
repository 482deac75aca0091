from collections.abc import Callable
from typing import Any, TypeVar

from .protocol import _Data, _Text

_Front = TypeVar("_Front")  # of umqtt_plus or of umqtt_plus.aio
_Token = _Data | tuple[_Data, float]  # and for how many seconds it holds
_Password = _Data | Callable[[], _Token] | None
_Headers = dict[str, str] | Callable[[], dict[str, str]] | None

class Profile:
    name: str
    options: dict[str, Any]
    qos: int
    retain: bool
    payload: int
    topic: int
    slashes: int
    filters: int
    publish: tuple[bytes, ...]
    subscribe: tuple[bytes, ...]
    per_minute: int
    keepalive_least: int
    keepalive_most: int
    versions: tuple[int, ...]
    headers: Callable[[], dict[str, str]] | None

    def __init__(
        self,
        name: str,
        client_id: _Text,
        server: Any,
        ca: _Text | None,
        user: _Password = None,
        password: _Password = None,
        **tls: Any,
    ) -> None: ...

def client(front: type[_Front], profile: Profile, **more: Any) -> _Front: ...
def aws(endpoint: str, client_id: _Text, ca: _Text, cert: _Text, key: _Text) -> Profile: ...
def aws_authorizer(
    endpoint: str,
    client_id: _Text,
    ca: _Text,
    name: str,
    headers: _Headers = None,
    user: _Password = None,
    password: _Password = None,
) -> Profile: ...
def azure(
    hub: str,
    device_id: str,
    key: _Text,
    ca: _Text,
    module_id: str | None = None,
    policy: str | None = None,
    life_s: int = 3600,
) -> Profile: ...
def hivemq(
    host: str, client_id: _Text, user: _Text, password: _Password, ca: _Text
) -> Profile: ...
def emqx(host: str, client_id: _Text, user: _Text, password: _Password, ca: _Text) -> Profile: ...
def thingsboard(host: str, token: _Text, client_id: _Text, ca: _Text | None = None) -> Profile: ...
def adafruit(
    user: str, key: _Text, client_id: _Text, ca: _Text, per_minute: int = 30
) -> Profile: ...
def clearblade(
    region: str,
    project: str,
    registry: str,
    device_id: str,
    token: Callable[[], str | bytes],
    ca: _Text,
) -> Profile: ...
def discovery(
    component: str, node_id: str, object_id: str, prefix: str = "homeassistant", **keys: Any
) -> tuple[str, bytes]: ...
