"""The offline queue for messages with properties of MQTT 5.0. Loaded by who uses it."""

from .codec import limit
from .outbox import Outbox, _raw, _word
from .properties import decode, encode, encoded

_NONE = b"\x00"
_LIFE = 0x0FFFFFFF  # seconds, 8 years


class Outbox5(Outbox):
    """As Outbox; put() takes properties, too: a dict, or bytes of properties.encode().

    message_expiry_interval limits the life in the box, too, and the server gets what is left of
    it. A file of a store with such a box cannot be read with an Outbox, or the other way round.
    """

    properties = _NONE  # of the message that first() gave

    def __init__(self, *args, **options):
        Outbox.__init__(self, *args, **options)
        f = self.dropped
        if f:
            # all the others have come through _copy()
            self.dropped = lambda topic, msg, why: f(
                topic, split(msg)[1] if why == "newest" else msg, why
            )

    def put(self, topic, msg, retain=False, qos=0, expire_ms=None, latest=None, properties=None):
        x = encoded("PUBLISH", properties)
        d = decode(x)
        s = d.get("message_expiry_interval")
        if s is not None:
            s = s or 1
            ms = self._life * 1000 if expire_ms is None else expire_ms
            limit("expire_ms", ms, 1 << 38)
            n = min(s, _LIFE) * 1000
            expire_ms = min(ms or n, n)
            # in the box: what is left of it when the life in the box is over
            d["message_expiry_interval"] = s - (expire_ms + 999) // 1000
            x = encode("PUBLISH", d)
        return Outbox.put(self, topic, x + _raw(msg), retain, qos, expire_ms, latest)

    def _copy(self, i):
        topic, msg = Outbox._copy(self, i)
        x, msg = split(msg)
        if not i:
            d = len(x) > 1 and decode(x)
            if d and "message_expiry_interval" in d:
                left = (_word(self._q, 8) - self._s - 1) & 0x3FFFFFFF
                if left > _LIFE:
                    left = 0
                d["message_expiry_interval"] = max(1, d["message_expiry_interval"] + left)
                x = encode("PUBLISH", d)
            self.properties = x
        return topic, msg


def split(msg):
    """Properties with their length in front, and the payload behind them."""
    n = i = s = 0
    while True:
        n |= (msg[i] & 127) << s
        s += 7
        i += 1
        if msg[i - 1] < 128:
            n += i
            return bytes(msg[:n]), bytes(msg[n:])
