"""A raw MQTT 3.1.1 client for testing brokers: one socket, one packet at a time, no cleverness.

It encodes and decodes on its own, so that it shares no mistake with the broker under test.
Every read has a deadline. `quiet()` proves by a ping that nothing was on its way.
"""

import itertools
import socket
import struct
import time
from dataclasses import dataclass

TYPES = (
    "- CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE "
    "UNSUBACK PINGREQ PINGRESP DISCONNECT"
).split()
_serial = itertools.count(1)


def unique(stem="c"):
    """A client id or topic that no other test uses: servers are shared between tests."""
    return f"{stem}{next(_serial)}"


@dataclass
class Got:
    type: str
    flags: int
    body: bytes
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""

    @property
    def qos(self):
        return self.flags >> 1 & 3

    @property
    def dup(self):
        return bool(self.flags & 8)

    @property
    def retain(self):
        return bool(self.flags & 1)


def packet(first, body=b""):
    """A packet of at most 4 bytes of remaining length."""
    length, out = len(body), b""
    while True:
        length, low = divmod(length, 128)
        out += bytes((low + 128 * bool(length),))
        if not length:
            return bytes((first,)) + out + body


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data


def connect(
    client_id="", clean=True, keep_alive=0, will=None, user=None, password=None, flags=0,
    name="MQTT", level=4,
):  # fmt: skip
    """will = (topic, payload, qos, retain); `flags` are added to the computed ones."""
    flags |= 2 * clean
    tail = text(client_id)
    if will:
        flags |= 4 | will[2] << 3 | will[3] << 5
        tail += text(will[0]) + text(will[1])
    if user is not None:
        flags |= 0x80
        tail += text(user)
    if password is not None:
        flags |= 0x40
        tail += text(password)
    return packet(0x10, text(name) + bytes((level, flags)) + struct.pack(">H", keep_alive) + tail)


def publish(topic, payload=b"", qos=0, retain=False, packet_id=0, dup=False):
    ident = struct.pack(">H", packet_id) if qos else b""
    return packet(0x30 | dup << 3 | qos << 1 | retain, text(topic) + ident + payload)


def ack(first, packet_id):
    return packet(first, struct.pack(">H", packet_id))


def subscribe(packet_id, *filters):
    body = b"".join(text(name) + bytes((qos,)) for name, qos in filters)
    return packet(0x82, struct.pack(">H", packet_id) + body)


def unsubscribe(packet_id, *filters):
    return packet(0xA2, struct.pack(">H", packet_id) + b"".join(map(text, filters)))


PINGREQ, DISCONNECT = b"\xc0\x00", b"\xe0\x00"


class Peer:
    def __init__(self, server, timeout=5.0, receive_buffer=None):
        self.timeout = timeout
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect((server.host, server.port))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.sock.close()
            raise
        self.client_id = ""
        self.session_present = None

    @classmethod
    def online(cls, server, client_id=None, **options):
        """Connected, and CONNACK was 0."""
        peer = cls(server)
        peer.client_id = unique() if client_id is None else client_id
        peer.send(connect(peer.client_id, **options))
        answer = peer.expect("CONNACK")
        assert answer.body[1] == 0, f"refused: {answer}"
        peer.session_present = bool(answer.body[0])
        return peer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, *packets):
        self.sock.sendall(b"".join(packets))

    def _exactly(self, count, deadline):
        data = b""
        while len(data) < count:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            piece = self.sock.recv(count - len(data))
            if not piece:
                raise EOFError(f"end of stream after {data.hex(' ') or 'whole packets'}")
            data += piece
        return data

    def receive(self, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        first = self._exactly(1, deadline)[0]
        length, scale = 0, 1
        while True:
            byte = self._exactly(1, deadline)[0]
            length += (byte & 127) * scale
            scale *= 128
            if byte < 128:
                break
        body = self._exactly(length, deadline)
        got = Got(TYPES[first >> 4], first & 15, body)
        if got.type == "PUBLISH":
            end = 2 + int.from_bytes(body[:2], "big")
            got.topic = body[2:end].decode()
            if got.qos:
                got.packet_id = int.from_bytes(body[end : end + 2], "big")
                end += 2
            got.payload = body[end:]
        elif got.type not in ("CONNACK", "PINGRESP"):
            got.packet_id = int.from_bytes(body[:2], "big")
        return got

    def expect(self, type_name, timeout=None, **fields):
        got = self.receive(timeout)
        assert got.type == type_name, f"wanted {type_name}, got {got}"
        for name, value in fields.items():
            assert getattr(got, name) == value, f"wanted {name}={value!r}, got {got}"
        return got

    def quiet(self):
        """Nothing else is on its way: the answer to a ping is the next packet."""
        self.send(PINGREQ)
        self.expect("PINGRESP")

    def expect_eof(self, timeout=None):
        """The server hangs up without sending anything."""
        try:
            got = self.receive(timeout)
        except (EOFError, ConnectionError):
            return
        raise AssertionError(f"wanted the end of the connection, got {got}")

    def subscribe(self, *filters, codes=None):
        self.send(subscribe(99, *filters))
        got = self.expect("SUBACK", packet_id=99)
        wanted = bytes(qos for _, qos in filters) if codes is None else bytes(codes)
        assert got.body[2:] == wanted, f"granted {got.body[2:].hex()}, wanted {wanted.hex()}"

    def publish(self, topic, payload=b"", qos=0, retain=False, packet_id=1, dup=False):
        """One message with its whole handshake."""
        self.send(publish(topic, payload, qos, retain, packet_id, dup))
        if qos == 1:
            self.expect("PUBACK", packet_id=packet_id)
        elif qos == 2:
            self.expect("PUBREC", packet_id=packet_id)
            self.send(ack(0x62, packet_id))
            self.expect("PUBCOMP", packet_id=packet_id)
        else:
            self.quiet()

    def expect_message(self, topic, payload, qos=0, acknowledge=True, **fields):
        got = self.expect("PUBLISH", topic=topic, payload=payload, qos=qos, **fields)
        if acknowledge and qos == 1:
            self.send(ack(0x40, got.packet_id))
        elif acknowledge and qos == 2:
            self.send(ack(0x50, got.packet_id))
            self.expect("PUBREL", packet_id=got.packet_id, flags=2)
            self.send(ack(0x70, got.packet_id))
        return got

    def disconnect(self):
        self.send(DISCONNECT)
        self.expect_eof()
        self.sock.close()

    def vanish(self):
        """The link dies: a reset instead of DISCONNECT."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
