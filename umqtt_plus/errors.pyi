from typing import Any

from typing_extensions import Unpack

class MQTTException(Exception):
    # the reason code; with 5.0 also "server", reason_string and server_reference, when the server
    # sent it; see also lost.SessionLost
    args: tuple[int, Unpack[tuple[Any, ...]]]
