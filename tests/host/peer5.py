"""A raw MQTT 5.0 client for testing brokers: peer.Peer with properties and reason codes.

It encodes and decodes on its own, so that it shares no mistake with the broker under test:
properties are lists of (id, value) in the order of the wire.
"""

import struct
import time
from dataclasses import dataclass, field

from peer import TYPES, Peer, packet, text, unique

# id: how its value is written; "S" string, "B" binary, "P" pair, "V" variable byte integer
_KINDS = {
    0x01: ">B", 0x02: ">I", 0x03: "S", 0x08: "S", 0x09: "B", 0x0B: "V", 0x11: ">I", 0x12: "S",
    0x13: ">H", 0x15: "S", 0x16: "B", 0x17: ">B", 0x18: ">I", 0x19: ">B", 0x1A: "S", 0x1C: "S",
    0x1F: "S", 0x21: ">H", 0x22: ">H", 0x23: ">H", 0x24: ">B", 0x25: ">B", 0x26: "P", 0x27: ">I",
    0x28: ">B", 0x29: ">B", 0x2A: ">B",
}  # fmt: skip

FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
IDENTIFIER, SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE = 0x0B, 0x11, 0x12, 0x13
AUTH_METHOD, AUTH_DATA, PROBLEM_INFO, WILL_DELAY, RESPONSE_INFO = 0x15, 0x16, 0x17, 0x18, 0x19
RESPONSE_INFORMATION, SERVER_REFERENCE, REASON, RECEIVE_MAXIMUM = 0x1A, 0x1C, 0x1F, 0x21
ALIAS_MAXIMUM, ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER = 0x22, 0x23, 0x24, 0x25, 0x26
MAXIMUM_PACKET, WILDCARD, IDENTIFIERS, SHARED = 0x27, 0x28, 0x29, 0x2A

NEVER = 0xFFFFFFFF


def vbi(value):
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes((low + 128 * bool(value),))
        if not value:
            return out


def props(*pairs):
    """The properties with their length in front; a value of bytes for a number goes as it is."""
    body = b""
    for number, value in pairs:
        kind = _KINDS[number]
        body += bytes((number,))
        if kind in ("S", "B"):
            body += text(value)
        elif kind == "P":
            body += text(value[0]) + text(value[1])
        elif isinstance(value, bytes):
            body += value
        else:
            body += vbi(value) if kind == "V" else struct.pack(kind, value)
    return vbi(len(body)) + body


def read_vbi(body, at):
    value, scale = 0, 1
    while True:
        byte = body[at]
        at += 1
        value += (byte & 127) * scale
        scale *= 128
        if byte < 128:
            return value, at


def read_props(body, at):
    """([(id, value), ...], what follows)"""
    length, at = read_vbi(body, at)
    end, out = at + length, []

    def piece():
        nonlocal at
        size = int.from_bytes(body[at : at + 2], "big")
        at += 2 + size
        return body[at - size : at]

    while at < end:
        number, at = body[at], at + 1
        kind = _KINDS[number]
        if kind == "S":
            value = piece().decode()
        elif kind == "B":
            value = piece()
        elif kind == "P":
            value = (piece().decode(), piece().decode())
        elif kind == "V":
            value, at = read_vbi(body, at)
        else:
            size = struct.calcsize(kind)
            (value,) = struct.unpack(kind, body[at : at + size])
            at += size
        out.append((number, value))
    assert at == end, "the properties do not end where their length says"
    return out, end


def connect(
    client_id="", clean=True, keep_alive=0, *pairs, will=None, will_props=(), user=None,
    password=None, flags=0, raw_props=None,
):  # fmt: skip
    """will = (topic, payload, qos, retain); `raw_props` instead of encoded properties."""
    flags |= 2 * clean
    tail = text(client_id)
    if will:
        flags |= 4 | will[2] << 3 | will[3] << 5
        tail += props(*will_props) + text(will[0]) + text(will[1])
    if user is not None:
        flags |= 0x80
        tail += text(user)
    if password is not None:
        flags |= 0x40
        tail += text(password)
    head = text("MQTT") + bytes((5, flags)) + struct.pack(">H", keep_alive)
    return packet(0x10, head + (props(*pairs) if raw_props is None else raw_props) + tail)


def publish(topic, payload=b"", qos=0, retain=False, packet_id=0, dup=False, *pairs):
    ident = struct.pack(">H", packet_id) if qos else b""
    first = 0x30 | dup << 3 | qos << 1 | retain
    return packet(first, text(topic) + ident + props(*pairs) + payload)


def subscribe(packet_id, *filters, properties=()):
    body = b"".join(text(name) + bytes((options,)) for name, options in filters)
    return packet(0x82, struct.pack(">H", packet_id) + props(*properties) + body)


def unsubscribe(packet_id, *filters, properties=()):
    tail = b"".join(map(text, filters))
    return packet(0xA2, struct.pack(">H", packet_id) + props(*properties) + tail)


def ack(first, packet_id, code=0, *pairs):
    tail = bytes((code,)) if code or pairs else b""
    return packet(first, struct.pack(">H", packet_id) + tail + (props(*pairs) if pairs else b""))


def disconnect(code=0, *pairs):
    if not code and not pairs:
        return b"\xe0\x00"
    return packet(0xE0, bytes((code,)) + (props(*pairs) if pairs else b""))


def auth(code, *pairs):
    return packet(0xF0, bytes((code,)) + props(*pairs))


@dataclass
class Got5:
    type: str
    flags: int
    body: bytes
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""
    code: int = 0
    codes: tuple = ()
    props: list = field(default_factory=list)
    session_present: bool = False

    qos = property(lambda self: self.flags >> 1 & 3)
    dup = property(lambda self: bool(self.flags & 8))
    retain = property(lambda self: bool(self.flags & 1))

    def prop(self, number, default=None):
        return dict(self.props).get(number, default)

    def all(self, number):
        return [value for one, value in self.props if one == number]


class Peer5(Peer):
    @classmethod
    def online(cls, server, client_id=None, clean=True, keep_alive=0, *pairs, **options):
        peer = cls(server)
        peer.client_id = unique() if client_id is None else client_id
        peer.send(connect(peer.client_id, clean, keep_alive, *pairs, **options))
        peer.connack = peer.expect("CONNACK")
        assert peer.connack.code == 0, f"refused: {peer.connack}"
        peer.session_present = peer.connack.session_present
        peer.client_id = peer.connack.prop(ASSIGNED_ID, peer.client_id)
        return peer

    def receive(self, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        first, byte = self._exactly(2, deadline)
        length = b""
        while byte >= 128:
            length += bytes((byte,))
            byte = self._exactly(1, deadline)[0]
        body = self._exactly(read_vbi(length + bytes((byte,)), 0)[0], deadline)
        return self._decoded(Got5((*TYPES, "AUTH")[first >> 4], first & 15, body))

    @staticmethod
    def _decoded(new):
        body, at = new.body, 2
        if new.type == "CONNACK":
            new.session_present, new.code = bool(body[0]), body[1]
            # A refusal in the shape of 3.1.1 has no properties.
            new.props = read_props(body, 2)[0] if len(body) > 2 else []
        elif new.type == "PUBLISH":
            at = 2 + int.from_bytes(body[:2], "big")
            new.topic = body[2:at].decode()
            if new.qos:
                new.packet_id = int.from_bytes(body[at : at + 2], "big")
                at += 2
            new.props, at = read_props(body, at)
            new.payload = body[at:]
        elif new.type in ("SUBACK", "UNSUBACK"):
            new.packet_id = int.from_bytes(body[:2], "big")
            new.props, at = read_props(body, 2)
            new.codes = tuple(body[at:])
        elif new.type != "PINGRESP":
            if new.type not in ("DISCONNECT", "AUTH"):
                new.packet_id = int.from_bytes(body[:2], "big")
                body = body[2:]
            new.code = body[0] if body else 0
            new.props = read_props(body, 1)[0] if len(body) > 1 else []
        return new

    def expect_disconnect(self, code, timeout=None):
        """DISCONNECT with this reason code, then the end of the connection."""
        got = self.expect("DISCONNECT", timeout)
        assert got.code == code, f"wanted DISCONNECT {code:02x}, got {got.code:02x}: {got}"
        self.expect_eof(timeout)
        return got

    def subscribe(self, *filters, codes=None, properties=()):
        self.send(subscribe(99, *filters, properties=properties))
        got = self.expect("SUBACK", packet_id=99)
        wanted = tuple(o & 3 for _, o in filters) if codes is None else tuple(codes)
        assert got.codes == wanted, f"granted {got.codes}, wanted {wanted}"

    def publish(self, topic, payload=b"", qos=0, retain=False, packet_id=1, *pairs, code=None):
        """One message with its whole handshake; `code` None: 0 or 0x10."""
        self.send(publish(topic, payload, qos, retain, packet_id, False, *pairs))
        if not qos:
            self.quiet()
            return None
        got = self.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=packet_id)
        assert got.code in ((0, 0x10) if code is None else (code,)), got
        if qos == 2 and got.code < 0x80:
            self.send(ack(0x62, packet_id))
            self.expect("PUBCOMP", packet_id=packet_id, code=0)
        return got
