"""A WebSocket server for tests, between a client and a plain MQTT port. It frames what the broker
sends in every way that is allowed, and checks that the client's frames follow the rules.
"""

import base64
import contextlib
import hashlib
import random
import socket
import struct
import threading

import pytest

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(first, payload=b"", long=0):
    n = len(payload)
    if n < 126 and not long:
        return bytes((first, n)) + payload
    if n < 65536 and long < 8:
        return struct.pack(">BBH", first, 126, n) + payload
    return struct.pack(">BBQ", first, 127, n) + payload


class Bridge:
    """port: where clients connect. rules: what a client did against them (empty, one hopes).

    style: "plain", one frame for what comes; "wild": random fragments, lengths, pings, bytes one
    by one. first: bytes that are sent right behind the handshake. hold: close a connection with
    this frame when the client has sent a packet.
    """

    host = "127.0.0.1"

    def __init__(self, target, style="plain", first=b"", answer=None):
        self.target = target
        self.style = style
        self.first = first
        self.answer = answer
        self.rules = []
        self.pings = self.pongs = 0
        self.closes = []  # the codes that clients said goodbye with
        self.requests = []
        self.ended = threading.Event()
        self._random = random.Random(style)
        self._stop = False
        self._listener = socket.socket()
        self._listener.bind((self.host, 0))
        self._listener.listen(8)
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        self._stop = True
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self):
        while not self._stop:
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            if self._handshake(client):
                client.sendall(self.first)
                with socket.create_connection((self.host, self.target)) as server:
                    down = threading.Thread(target=self._down, args=(server, client), daemon=True)
                    down.start()
                    try:
                        self._up(client, server)
                    finally:
                        server.shutdown(socket.SHUT_RDWR)
                        down.join(5)
        self.ended.set()

    def _handshake(self, client):
        client.settimeout(5)
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            data = client.recv(1000)
            if not data:
                return False
            request += data
        self.requests.append(request)
        fields = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        key = fields[b"Sec-WebSocket-Key"]
        if len(base64.b64decode(key)) != 16:
            self.rules.append("key")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        answer = self.answer or (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n" % accept
        )
        client.sendall(answer)
        return not self.answer

    def _take(self, client, count):
        data = b""
        while len(data) < count:
            if self._stop:
                raise OSError
            with contextlib.suppress(TimeoutError):
                piece = client.recv(count - len(data))
                if not piece:
                    raise OSError
                data += piece
        return data

    def _up(self, client, server):
        client.settimeout(0.1)
        while True:
            first, n = self._take(client, 2)
            if not n & 128:
                self.rules.append("not masked")
            n &= 127
            if n == 126:
                (n,) = struct.unpack(">H", self._take(client, 2))
                if n < 126:
                    self.rules.append("length")
            elif n == 127:
                (n,) = struct.unpack(">Q", self._take(client, 8))
            key = self._take(client, 4)
            data = bytes(x ^ key[i & 3] for i, x in enumerate(self._take(client, n)))
            if first == 0x82:
                server.sendall(data)
            elif first == 0x8A:
                self.pongs += 1
                if not data.startswith(b"ping "):
                    self.rules.append("pong")
            elif first == 0x88:
                self.closes.append(int.from_bytes(data[:2], "big"))
                break
            else:
                self.rules.append(f"opcode {first:02x}")

    def _down(self, server, client):
        server.settimeout(0.1)
        with contextlib.suppress(OSError):
            while not self._stop:
                with contextlib.suppress(TimeoutError):
                    data = server.recv(4096)
                    if not data:
                        client.sendall(frame(0x88, b"\x03\xe8"))
                        break
                    self._send(client, data)

    def _send(self, client, data):
        if self.style == "plain":
            client.sendall(frame(0x82, data))
            return
        out, first = b"", 2
        while data:
            n = self._random.choice((0, 1, 2, 5, 30, 126, 300, 5000))
            piece, data = data[:n], data[n:]
            last = not data or self._random.random() < 0.3
            out += frame(first | 0x80 * last, piece, self._random.choice((0, 0, 2, 8)))
            first = 2 if last else 0
            if self._random.random() < 0.3:
                self.pings += 1
                out += frame(0x89, b"ping " + bytes(self._random.randrange(120)))
        for i in range(0, len(out), 7):
            client.sendall(out[i : i + 7])


@pytest.fixture
def bridge():
    """bridge(port, ...): a Bridge, ended with the test, whose client kept the rules."""
    with contextlib.ExitStack() as stack:
        made = []

        def make(*args, **options):
            made.append(Bridge(*args, **options))
            stack.callback(made[-1].close)
            return made[-1]

        yield make
    assert [one.rules for one in made] == [[]] * len(made)
