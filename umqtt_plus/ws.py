"""MQTT over WebSocket (RFC 6455), for networks where only web ports are open.

from umqtt_plus.ws import WebSocket
client = MQTTClient("id", WebSocket("wss://broker.example/mqtt", ssl_params={"cadata": "ca.der"}))
"""

import select
from time import ticks_diff, ticks_ms

from .opening import open
from .ws_frames import Stream


class WebSocket:
    """What MQTTClient takes as its server: ws://host:port/path or wss://...

    headers: a dict of more lines of the request. ssl, ssl_params: as in MQTTClient, for wss.
    """

    def __init__(self, url, headers={}, ssl=True, ssl_params={}):
        scheme, _, x = url.partition("://")
        self.ssl = scheme == "wss" and ssl
        self.url = url
        self.at, _, self.path = x.partition("/")
        self.headers = headers
        self.ssl_params = ssl_params
        if scheme not in ("ws", "wss") or not self.at or "@" in self.at or "?" in self.at:
            raise ValueError("url: ws://host:port/path or wss://...")  # and no secret of it

    def __str__(self):
        return self.url  # a store remembers whose session it has

    def __call__(self, deadline, wait_ms):
        """The steps of opening.open(), and of the opening handshake; the last is a Stream."""
        from binascii import b2a_base64
        from hashlib import sha1
        from os import urandom

        host, _, port = self.at.partition(":")
        key = b2a_base64(urandom(16))[:-1]
        out = (
            "GET /%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
            "Sec-WebSocket-Key: %s\r\n" % (self.path, self.at, str(key, "ascii"))
        )
        for x in self.headers:
            out += "%s: %s\r\n" % (x, self.headers[x])
        out = (out + "\r\n").encode()
        s = None
        steps = open(
            host,
            int(port or (443 if self.ssl else 80)),
            self.ssl,
            self.ssl_params,
            deadline,
            wait_ms,
        )
        try:
            for s in steps:
                yield
            poll = select.poll()
            poll.register(s, 5)
            head = bytearray()
            x = bytearray(1)
            i = 0
            while head[-4:] != b"\r\n\r\n":
                if i < len(out):
                    n = s.write(out, i, len(out) - i)
                    i += n or 0
                else:
                    n = s.readinto(x, 1)  # no more: a frame may follow
                    if n:
                        head += x
                    if n == 0 or len(head) > 2000:
                        raise OSError(104, "WebSocket: no whole answer: %s" % bytes(head[:60]))
                if n is None:
                    ms = ticks_diff(deadline, ticks_ms())
                    if ms <= 0:
                        raise OSError(110)
                    yield
                    poll.modify(s, 5 if i < len(out) else 1)
                    for _ in poll.ipoll(min(ms, wait_ms)):
                        pass
            head = bytes(head).split(b"\r\n")
            got = {}
            for x in head:
                x, _, n = x.partition(b":")
                got[x.lower()] = n.strip()
            x = sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            for x, n in (
                (b"sec-websocket-accept", b2a_base64(x)[:-1]),
                (b"sec-websocket-protocol", b"mqtt"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-extensions", b""),
            ):
                _ = got.get(x, b"")
                if head[0][9:12] != b"101" or n not in (_, _.lower()):
                    _ = "WebSocket: the server answers %s, %s: %s" % (head[0][:60], x, _)
                    raise OSError(71, _)
            yield Stream(s)
        except BaseException:
            steps.close()
            if s:
                s.close()
            raise
