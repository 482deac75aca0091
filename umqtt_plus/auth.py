"""Enhanced authentication of MQTT 5.0 (4.12), for any method. Loaded by set_auth().

    client.set_auth("SCRAM-SHA-256", f)

f(data) answers what the server said, as bytes: f(None) begins, at connect() and at
reauthenticate(); then each challenge (b"" when it had no data); at last what came with the
server's consent. There f returns None or b"": who still has something to say is not convinced.
That, and a ValueError from f at any time, refuses the server.
"""

from .codec import limit, text
from .properties import sized
from .v5 import checked, value


class Auth:
    def __init__(self, client, method, f):
        self.method = text("method", method)
        self.f = f
        self.open = False  # whether an exchange is under way
        self.c = client
        client._next = self._next
        self.out = None  # an AUTH that waits; in tx may lie what has begun

    def begin(self):
        """The properties for CONNECT and AUTH."""
        x = self._with(self.f(None))
        self.out = None
        self.open = True
        return x

    def _with(self, data):
        x = b"\x15" + len(self.method).to_bytes(2, "big") + self.method
        if data is not None:
            x += b"\x16" + len(data).to_bytes(2, "big") + data
        return x

    def _send(self, c, code, properties):
        x = b"\xf0" + sized(bytes((code,)) + sized(properties))
        n = len(x)
        limit("auth (buffer_size, or the server's maximum)", n, min(len(c._tx), c._v.most))
        self.out = x
        c._busy = 1

    def _next(self):
        c = self.c
        x = self.out
        if not x or c._tn or c._v.auth is not self:
            return type(c)._next(c)
        self.out = None
        c._out = x
        c._oat = 0
        c._on = n = len(x)
        return n

    def again(self, c):
        """Begin anew on a live connection (MQTT-4.12.1-1)."""
        x = self.begin()
        self.open = False  # until it goes
        self._send(c, 0x19, x)
        self.open = True

    def step(self, c, q, z):
        """AUTH from the server, its body at rx[q:z]."""
        code = c._rx[q] if z > q else 0
        x = checked(c, q + 1, z, 128) if z - q > 1 else b"\x00"
        # 0x18 goes on; 0 ends it, but before CONNACK, which does so itself
        if not self.open or code != 0x18 and (code or c.state != 2):
            c._fail()
        if value(x, 0, 21) != self.method:
            c._fail()  # MQTT-4.12.0-5
        try:
            data = self.f(value(x, 0, 22) or b"")
            if code:
                self._send(c, 0x18, self._with(data))
            elif data:
                raise ValueError
            else:
                self.open = False
        except ValueError:
            self.open = False
            c._fail(0x83)  # MQTT-4.12.1-2

    def end(self, c, method, data):
        """CONNACK let us in."""
        self.open = False
        if method != self.method:
            c._fail()
        try:
            if self.f(data or b""):
                raise ValueError
        except ValueError:
            c._fail(0x83)
