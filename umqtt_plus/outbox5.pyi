from .outbox import Outbox
from .protocol import _Data, _Properties, _Qos, _Text

class Outbox5(Outbox):
    properties: bytes  # of the message that first() gave
    def put(
        self,
        topic: _Text,
        msg: _Data,
        retain: bool = False,
        qos: _Qos = 0,
        expire_ms: int | None = None,
        latest: bool | None = None,
        properties: _Properties = None,
    ) -> bool: ...
