"""The driver of driver.py for MQTT 5.0: packets with properties, states, DISCONNECT with a code.

Packets are built by wire(): hex, 'a' a string, <..> properties, | the remaining length.
"""

from driver import SIZES, Driver, parse, split
from tests.vectors.violations5 import wire
from umqtt_plus.errors import MQTTException
from umqtt_plus.properties import decode

__all__ = (
    "SIZES",
    "Connect",
    "Driver5",
    "ack",
    "connack",
    "parse",
    "publish",
    "split",
    "state",
    "wire",
)


def connack(properties="", session_present=0, code=0):
    return wire(f"20| {session_present:02X}{code:02X} <{properties}>")


def ack(first, packet_id, code=None):
    """PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70; the short form without a code."""
    tail = b"" if code is None else bytes((code,))
    return bytes((first, 2 + len(tail), packet_id >> 8, packet_id & 255)) + tail


def publish(topic, payload=b"", qos=0, packet_id=0, flags=0, properties=""):
    """The bytes of a PUBLISH; flags are added to the first byte (1 retain, 8 DUP)."""
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        body += packet_id.to_bytes(2, "big")
    body += wire(f"<{properties}>") + payload
    return wire(f"{0x30 | qos << 1 | flags:02X}|" + "".join([f"{b:02X}" for b in body]))


OK = connack()
RESUMED = connack(session_present=1)
MORE = publish(b"more", b"x") + publish(b"more", b"x", 1, 30) + ack(0x40, 1)


class Driver5(Driver):
    """A client of MQTT 5.0. method: the name of an Authentication Method; answer_auth its f."""

    def __init__(self, *args, method=None, answer_auth=None, **options):
        options.setdefault("version", 5)
        Driver.__init__(self, *args, **options)
        self.asked = []  # what the function of set_auth() was given
        self.codes = []  # (packet_id, reason code) in on_published()
        self.seen = []  # properties of each message: by id those in `want`, or by name
        self.want = None
        self.names = False
        self.client.on_published(self._published)
        if method:
            self.client.set_auth(method, answer_auth or self._answer)

    def _answer(self, data):
        self.asked.append(data)
        return b""

    def _published(self, packet_id):
        self.done.append(packet_id)
        self.codes.append((packet_id, self.client.reason_code))

    def note(self, m):
        if self.names:
            self.seen.append(m.properties)
        elif self.want is not None:
            self.seen.append({i: m.property(i) for i in self.want})

    def connect(self, clean=True, answer=OK, size=0, **options):
        return Driver.connect(self, clean, answer, size, **options)

    def rest(self):
        """Handle all that the server has sent by now, in the pieces in which it comes."""
        self.link.pieces.extend(self.later)
        self.later = []
        self.go()
        while self.link.pieces:
            self.go()

    def goodbye(self):
        """Reason code of the DISCONNECT that the client wrote last; None for nothing.

        Before it, only a CONNECT may have been written.
        """
        data = self.out()
        found = parse(data)
        if found and found[0][0] == 0x10:
            del found[0]
        if not found:
            return None
        assert len(found) == 1, f"more than a DISCONNECT: {found}"
        first, body = found[0]
        assert first == 0xE0 and data[-len(body) - 2 :][:1] == b"\xe0", f"no DISCONNECT: {data}"
        assert body, "the reason code 0 after a violation"
        assert len(body) == 1 or body[1] == len(body) - 2, f"a bad DISCONNECT: {data}"
        return body[0]

    def violated(self, data, size=0, run=None):
        """Feed what breaks the protocol; the code of the client's DISCONNECT, None without one.

        Fails unless the client closes, raises that code, and gives nothing to the application.
        run: f(pieces) that feeds them in another way.
        """
        count = len(self.got)
        done = len(self.done)
        tables = self.tables
        if self.link:
            self.out()
        try:
            if run:
                run(split(data, size))
            else:
                self.feed(data, size)
        except MQTTException as error:
            assert self.closed, "not closed"
            assert len(self.got) == count, "the handler was called"
            assert len(self.done) == done, "on_published() was called"
            code = self.goodbye()
            assert code is None or error.args[0] == code, f"raised {error.args}, sent {code}"
            assert self.tables == tables, "the session is another one"
            return code
        raise AssertionError(f"accepted, and answered with {self.out()}")


class Connect:
    """A CONNECT taken apart; whoever made it wrong is told so."""

    def __init__(self, data):
        (first, body), *more = parse(data)
        assert first == 0x10 and body[:7] == b"\x00\x04MQTT\x05", data
        self.more = more  # packets behind it
        self.flags = body[7]
        self.keep_alive = body[8] << 8 | body[9]
        self._body = body
        self._at = 10
        assert not self.flags & 1 and self.flags & 0x18 != 0x18, hex(self.flags)
        self.properties = self._properties()
        self.client_id = self._field()
        self.will = self.user = self.password = None
        if self.flags & 4:
            self.will = (self._properties(), self._field(), self._field())
        else:
            assert not self.flags & 0x38, "will flags without a will"
        if self.flags & 0x80:
            self.user = self._field()
        if self.flags & 0x40:
            self.password = self._field()
        assert self._at == len(body), "left over: %r" % body[self._at :]

    def _field(self):
        i = self._at
        n = self._body[i] << 8 | self._body[i + 1]
        self._at = i + 2 + n
        assert self._at <= len(self._body), "a field is cut off"
        return self._body[i + 2 : i + 2 + n]

    def _properties(self):
        i = self._at
        n = self._body[i] & 127
        if self._body[i] > 127:
            i += 1
            n |= self._body[i] << 7
        self._at = i + 1 + n
        return decode(self._body[: self._at], i - 1 if n > 127 else i)


def state(name, **options):
    """A Driver5 in one of the states that tests/vectors/violations5.py describes, not connected in
    those that await a CONNACK."""
    properties = {}
    if name == "quiet":
        properties["request_problem_information"] = 0
    if name == "alias":
        properties["topic_alias_maximum"] = 2
    if name == "window":
        properties["receive_maximum"] = 2
    if properties:
        options["properties"] = properties
    d = Driver5(method="M" if name in ("auth", "method") else None, **options)
    if name in ("connect", "method"):
        return d
    d.connect(False, connack("15 'M'") if name == "auth" else OK)
    assert d.accept(b"a", b"1", qos=1) == 1
    assert d.accept(b"b", b"2", qos=2) == 2
    assert d.accept(b"c", b"3", qos=2) == 3
    d.feed(ack(0x50, 3))
    d.feed(publish(b"d", b"4", 2, 7))
    if name == "alias":
        d.feed(publish(b"t", b"", properties="23 0001"))
    if name == "window":
        d.feed(publish(b"e", b"5", 2, 8))
    assert d.tables == (3, 2 if name == "window" else 1), d.tables
    d.out()
    d.got.clear()
    d.seen.clear()
    return d


def ask(d, name, pieces):
    """The request that `state` names, answered with pieces: what the call returns."""
    d.later.extend(pieces)
    verb = d.subscribe if name == "subscribe" else d.unsubscribe
    return verb([b"x", b"y"])
