"""What stands before a broker in the cloud: ends TLS and WebSocket, and passes MQTT on.

    with Gateway(broker.port, websocket=True, context=None) as gateway:
        gateway.port

context: an ssl.SSLContext of the server's side, or None. One thread a connection, on loopback;
`paths` keeps what WebSocket clients asked for, `errors` why connections ended otherwise than well.
Runs on CPython.
"""

import base64
import contextlib
import hashlib
import select
import socket
import ssl
import threading
import time

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Gateway:
    host = "127.0.0.1"

    def __init__(self, port, websocket=False, context=None):
        self.target = port
        self.websocket = websocket
        self.context = context
        self.paths = []
        self.errors = []
        self._open = []
        self._threads = []
        self._listener = socket.create_server((self.host, 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._run(self._accept)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            shut(end)
        for thread in self._threads:
            thread.join(10)
        for end in self._open:
            end.close()

    def _run(self, f, *args):
        thread = threading.Thread(target=f, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.settimeout(30)
                self._open.append(client)
                self._run(self._serve, client)

    def _serve(self, client):
        try:
            if self.context:
                client = _Locked(self.context.wrap_socket(client, server_side=True))
                self._open.append(client)
            if self.websocket:
                self._shake(client)
            server = socket.create_connection((self.host, self.target), 30)
            self._open.append(server)
        except (OSError, ValueError) as error:
            self.errors.append(error)
            shut(client)
            return
        take, give = (unframed, framed) if self.websocket else (plain, bytes)
        # the server may hang up while the client still says goodbye; TLS cannot close one way
        how = socket.SHUT_RDWR if self.context else socket.SHUT_WR
        self._run(self._pass, plain(server), client, give, how)
        self._pass(take(client), server, bytes)

    def _pass(self, source, target, give, how=socket.SHUT_RDWR):
        try:
            for data in source:
                target.sendall(give(data))
        except (OSError, ValueError) as error:
            self.errors.append(error)
            how = socket.SHUT_RDWR
        shut(target, how)

    def _shake(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte or len(head) > 4000:
                raise ValueError("no request")
            head += byte
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:] if line)
        verb, path, version = lines[0].split(b" ")
        if (verb, version, fields[b"upgrade"]) != (b"GET", b"HTTP/1.1", b"websocket"):
            raise ValueError(lines[0])
        if fields[b"sec-websocket-protocol"] != b"mqtt":
            raise ValueError("not mqtt")
        self.paths.append(path.decode())
        (key,) = (x.split(b": ")[1] for x in lines if x.lower().startswith(b"sec-websocket-key:"))
        answer = base64.b64encode(hashlib.sha1(key + GUID).digest())
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + answer + b"\r\n\r\n"
        )


class _Locked:
    """A socket of TLS that two threads may use: SSLSocket has no lock of its own."""

    def __init__(self, client):
        self.client = client
        self.lock = threading.Lock()
        client.setblocking(False)

    def _do(self, f, *args):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with self.lock:
                try:
                    return f(*args)
                except ssl.SSLWantReadError:
                    wanted = [self.client], []
                except ssl.SSLWantWriteError:
                    wanted = [], [self.client]
                if self.client.fileno() < 0:
                    raise OSError("closed")
            select.select(*wanted, [], 0.05)
        raise TimeoutError("30 s")

    def recv(self, n):
        return self._do(self.client.recv, n)

    def sendall(self, data):
        while data:
            data = data[self._do(self.client.send, data) :]

    def shutdown(self, how):
        with self.lock:
            self.client.shutdown(how)

    def close(self):
        with self.lock:
            self.client.close()


def shut(end, how=socket.SHUT_RDWR):
    with contextlib.suppress(OSError):
        end.shutdown(how)


def plain(end):
    while data := end.recv(65536):
        yield data


def exactly(end, n):
    data = b""
    while len(data) < n:
        more = end.recv(n - len(data))
        if not more:
            raise ValueError("cut off in a frame")
        data += more
    return data


def unframed(end):
    """The payloads of a client's frames; ends at its close frame."""
    while True:
        first, length = exactly(end, 2)
        if first not in (0x82, 0x88, 0x89, 0x8A) or length < 128:
            raise ValueError(f"frame {first:02x} {length:02x}: not binary, or not masked")
        length &= 127
        if length > 125:
            length = int.from_bytes(exactly(end, 2 if length == 126 else 8), "big")
        key = exactly(end, 4)
        data = exactly(end, length)
        if first == 0x88:
            return
        if first == 0x82:
            yield bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def framed(data):
    n = len(data)
    return (b"\x82" + (bytes((n,)) if n < 126 else b"\x7f" + n.to_bytes(8, "big"))) + data


def server_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
