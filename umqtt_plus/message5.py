"""The view of a received message of MQTT 5.0: with properties, and an answer that refuses."""

from .message import Message
from .v5 import value


class Message5(Message):
    """As Message. Properties are read where they lie."""

    @property
    def start(self):
        return self.piece if self.piece >= 0 else self._found[3]

    @property
    def properties(self):
        """All of them by name: a new dict; user_property is a list of pairs. Allocates."""
        from .properties import decode

        return decode(self.buf, self._found[4]) if self.topic_end else {}

    def property(self, id):
        """The value of property id (0x02: expiry ...): int, bytes (a copy), or None.

        An int allocates nothing. Of a subscription identifier (0x0B) the last one.
        """
        return value(self.buf, self._found[4], id) if self.topic_end else None

    def refuse(self, reason_code):
        """Answer a QoS 1 or 2 message with reason_code: the server gives it up.

        0x80, 0x83, 0x87, 0x90, 0x97 or 0x99, see reasons5.py. Not for pieces of set_stream().
        """
        if reason_code not in (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99):
            raise ValueError("reason_code: not for PUBACK or PUBREC")
        self._c._v.refused = reason_code
