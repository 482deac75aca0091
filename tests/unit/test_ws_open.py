"""The opening handshake of WebSocket: what is asked, and which answers are taken."""

import umqtt_plus.ws as ws
import umqtt_plus.ws_frames as frames
from binascii import b2a_base64
from hashlib import sha1
from os import urandom
from time import ticks_add, ticks_diff, ticks_ms
from umqtt_plus.ws import WebSocket
from util import raises, same

RIGHT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)


class Server:
    """The socket: answers the request with `answer`, in pieces of `size` bytes."""

    def __init__(self, answer, size=0, most=1000):
        self.answer = answer
        self.size = size
        self.most = most
        self.request = bytearray()
        self.rest = b""
        self.at = 0
        self.eof = False
        self.closed = 0
        self.calls = 0

    def write(self, buf, i, n):
        self.calls += 1
        if self.most < 1000 and self.calls % 2:
            return None
        n = min(n, self.most)
        self.request.extend(memoryview(buf)[i : i + n])
        if self.request[-4:] == b"\r\n\r\n":
            key = lines(self.request)[b"sec-websocket-key"]
            accept = sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            accept = b2a_base64(accept).strip()
            data = self.answer % accept if b"%s" in self.answer else self.answer
            self.rest = data
        return n

    def readinto(self, buf, n=-1):
        self.calls += 1
        if self.at == len(self.rest):
            return 0 if self.eof else None
        if self.size and self.calls % 3 == 0:
            return None
        x = self.rest[self.at : self.at + min(n, self.size or n)]
        self.at += len(x)
        buf[: len(x)] = x
        return len(x)

    def close(self):
        self.closed += 1


class Select:
    class poll:
        def register(self, s, ev):
            pass

        modify = register

        def ipoll(self, ms):
            return ()


def lines(request):
    found = {}
    for line in bytes(request).split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        found[name.strip().lower()] = value.strip()
    return found


opened = []


def run(server, url="ws://host:8080/mqtt", ms=1000, **options):
    """Open it; the Stream. opened[-1] is what opening.open() was asked."""

    def open(*args):
        opened.append(args)
        yield
        yield
        yield server

    ws.open = open
    ws.select = frames.select = Select
    s = None
    for s in WebSocket(url, **options)(ticks_add(ticks_ms(), ms), 0):
        pass
    return s


def fails(answer, *error, **how):
    """The error of an answer; the socket must be closed then, once."""
    eof = how.pop("eof", False)
    server = Server(answer, **how)
    server.eof = eof
    with raises(OSError, *error) as caught:
        run(server, ms=40 if error == (110,) else 9000)
    same(server.closed, 1)
    return caught.error


def test_request():
    server = Server(RIGHT)
    stream = run(server, headers={"Authorization": "Bearer x", "X-Name": "y"})
    same(server.request.split(b"\r\n")[0], b"GET /mqtt HTTP/1.1")
    got = lines(server.request)
    key = got.pop(b"sec-websocket-key")
    same(len(key), 24)
    got.pop(b"", None)
    same(
        got,
        {
            b"host": b"host:8080",
            b"upgrade": b"websocket",
            b"connection": b"Upgrade",
            b"sec-websocket-version": b"13",
            b"sec-websocket-protocol": b"mqtt",
            b"authorization": b"Bearer x",
            b"x-name": b"y",
        },
    )
    same((stream.sock is server, server.closed), (True, 0))
    run(Server(RIGHT))
    second = Server(RIGHT)
    run(second)
    if urandom(8) != urandom(8):  # an emulated chip always has the same
        assert lines(second.request)[b"sec-websocket-key"] != key


def test_urls():
    """Host, port and path; what TLS gets; the request's first line and Host."""
    for url, host, port, tls, first, name in (
        ("ws://a", "a", 80, False, b"GET / HTTP/1.1", b"a"),
        ("ws://a.b:81/", "a.b", 81, False, b"GET / HTTP/1.1", b"a.b:81"),
        ("wss://a/x/y?z=1", "a", 443, True, b"GET /x/y?z=1 HTTP/1.1", b"a"),
        ("wss://1.2.3.4:9/m", "1.2.3.4", 9, True, b"GET /m HTTP/1.1", b"1.2.3.4:9"),
    ):
        server = Server(RIGHT)
        run(server, url, ssl_params={"cadata": b"0"})
        same(opened[-1][:4], (host, port, tls, {"cadata": b"0"}))
        same(bytes(server.request.split(b"\r\n")[0]), first)
        same(lines(server.request)[b"host"], name)
        same(str(WebSocket(url)), url)
    context = object()
    run(Server(RIGHT), "wss://a", ssl=context)
    assert opened[-1][2] is context
    for url in ("http://a", "a", "", "ws://", "wss:///x", "mqtt://a:1883", "wsss://a", "wsx://a"):
        with raises(ValueError):
            WebSocket(url)
    for url in ("ws://u:SECRET@a/x", "ws://a:1?token=SECRET"):
        with raises(ValueError) as caught:
            WebSocket(url)
        assert "SECRET" not in str(caught.error)


def test_answers_that_do():
    """Any spelling of the header names, more headers, cut anywhere; slow on both sides."""
    other = RIGHT.replace(b"Sec-WebSocket-Accept", b"SEC-WEBSOCKET-ACCEPT").replace(
        b"Upgrade: websocket", b"upgrade:   WebSocket\r\nServer: x:y"
    )
    for answer in (RIGHT, other):
        for size in (0, 1, 3):
            for most in (1000, 7):
                assert run(Server(answer, size, most))


def test_a_frame_behind_the_answer():
    """What follows the handshake is left for the frames."""
    stream = run(Server(RIGHT + b"\x82\x02ok"))
    buf = bytearray(9)
    same((stream.readinto(buf), bytes(buf[:2])), (2, b"ok"))


def test_sub_protocol():
    """None or another one in the 101: no connection (E131, MQTT-6.0.0-4)."""
    line = b"Sec-WebSocket-Protocol: mqtt\r\n"
    for other in (
        b"",
        line.replace(b"mqtt", b"mqttv3.1"),
        line.replace(b"mqtt", b""),
        line.replace(b"mqtt", b"mqtt, chat"),
    ):
        fails(RIGHT.replace(line, other), 71)


def test_answers_that_do_not():
    """Each is OSError(71) and says what came; the socket is closed."""
    e = fails(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 71)
    assert "HTTP/1.1 404 Not Found" in e.args[1]
    for answer in (
        RIGHT.replace(b"101", b"200"),
        RIGHT.replace(b"101", b"302"),
        RIGHT.replace(b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1"),
        RIGHT.replace(b"%s", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        RIGHT.replace(b"Sec-WebSocket-Accept: %s\r\n", b""),
        RIGHT.replace(b"Upgrade: websocket\r\n", b""),
        RIGHT.replace(b"websocket", b"h2c"),
        # nothing was offered: its frames would be compressed
        RIGHT.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        b"\r\n\r\n",
        b" \x00\xff:\r\n\r\n",
    ):
        fails(answer, 71)


def test_no_answer():
    """Silence, half an answer, one without end, the end of the stream."""
    for size in (0, 1):
        fails(b"", 110, size=size)
        fails(RIGHT[:-2], 110, size=size)
        fails(b"HTTP/1.1 101 " + b"x" * 2100, 104, size=size)
        fails(RIGHT[:-1], 104, size=size, eof=True)
    fails(b"", 104, eof=True)


def test_a_long_refusal():
    """A proxy that wants a login, with more header than is kept: how it begins is shown."""
    e = fails(b"HTTP/1.1 401 Unauthorized\r\nSet-Cookie: " + b"x" * 2100 + b"\r\n\r\n", 104)
    assert "HTTP/1.1 401 Unauthorized" in e.args[1]


def test_deadline():
    """The handshake ends at the deadline, also when the request cannot go."""
    server = Server(RIGHT, most=0)
    server.write = lambda buf, i, n: None
    t = ticks_ms()
    with raises(OSError, 110):
        run(server, ms=50)
    assert 45 <= ticks_diff(ticks_ms(), t) < 5000
    same(server.closed, 1)


def test_given_up_half_way():
    """Who stops in the middle leaves no socket open, in each of its steps."""
    for steps in range(1, 8):
        server = Server(RIGHT, 1, 1)
        closed = []

        def open(*args):
            try:
                yield
                yield
                yield server
            except BaseException:
                closed.append(True)  # as opening.open() does
                raise

        ws.open = open
        ws.select = frames.select = Select
        it = WebSocket("ws://a")(ticks_add(ticks_ms(), 1000), 0)
        for _ in range(steps):
            next(it)
        it.close()
        assert server.closed or closed, steps
