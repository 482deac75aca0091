"""The client of MQTT 5.0 over WebSocket: frames that know nothing of packets, and bad ones."""

import test_ws_open as handshake
import umqtt_plus.ws_frames as frames
from driver5 import OK, RESUMED, Connect, Driver5, ack, parse, publish, wire
from test_ws_frames import frame, sent
from util import each, raises, same
from umqtt_plus.errors import MQTTException


class Web(Driver5):
    """connect() wraps what it answers; cuts: a function of bytes -> the payloads of frames."""

    cuts = None

    def _open(self, *args):
        Driver5._open(self, *args)
        self.later[:0] = self.link.answer  # it comes when the client waits
        self.link.answer = []
        self.stream = frames.Stream(self.link)
        return (None, self.stream)

    def register(self, link, events):
        self.events = events

    modify = register

    def ipoll(self, ms):
        return [(self.stream, ready) for _, ready in Driver5.ipoll(self, ms)]

    def wrap(self, data):
        return b"".join([frame(0x82, x) for x in (self.cuts(data) if self.cuts else [data])])

    def connect(self, clean=True, answer=OK, size=0, **options):
        found = Driver5.connect(self, clean, self.wrap(answer), size, **options)
        self.rest()
        return found

    def out(self):
        """The bytes of MQTT within the frames, all of them binary: MQTT5-6.0.0-1."""
        data = b""
        for first, payload, _ in sent(Driver5.out(self)):
            if first & 15 < 8:
                same(first, 0x82)
                data += payload
        return data


def web(**options):
    # the driver's poller stands for that of the frames, too
    frames.select = handshake.Select
    return Web(**options)


def pairs(data):
    return [data[i : i + 2] for i in range(0, len(data), 2)]


def single(data):
    return [b""] + [data[i : i + 1] for i in range(len(data))] + [b""]


CUTS = ((None,), (single,), (pairs,))


def test_frames_know_no_packets():
    """E132, MQTT-6.0.0-2, MQTT5-6.0.0-2: several packets in a frame, a packet over many, empty
    frames; what the client sends is binary and masked (MQTT-6.0.0-1, MQTT5-6.0.0-1)."""

    def check(cuts):
        for size in (0, 1, 3):
            d = web()
            d.cuts = cuts
            d.connect(False, OK, size)
            same(Connect(d.out()).more, [])
            d.accept(b"a", b"1")
            d.publish(b"b", b"2")
            same(d.out(), publish(b"a", b"1", 1, 1) + publish(b"b", b"2"))
            data = publish(b"x", b"1", 1, 5, properties="01 01") + ack(0x40, 1)
            d.feed(d.wrap(data + publish(b"x", b"2", 2, 6)), size)
            d.rest()
            same(d.out(), ack(0x40, 5) + ack(0x50, 6))
            same(([m[1] for m in d.got], d.done), ([b"1", b"2"], [1]))
            d.feed(b"\x89\x02hi" + d.wrap(b"\xd0\x00"))
            d.rest()
            assert not d.closed

    each(CUTS, check)


def test_continuations():
    """E132, MQTT-6.0.0-2, MQTT5-6.0.0-2: fragments of a message, a ping between them."""
    data = publish(b"topic", b"payload", 1, 9, properties="26 'n' 'v'")
    for n in range(1, len(data)):
        d = web()
        d.connect()
        d.out()
        d.feed(frame(0x02, data[:n]) + b"\x89\x00" + frame(0x00) + frame(0x80, data[n:]))
        d.rest()
        same((d.out(), len(d.got)), (ack(0x40, 9), 1))


def test_no_binary_frame():
    """E130, MQTT-6.0.0-1, MQTT5-6.0.0-1: a text frame ends the connection; the session stays."""
    for first in (0x81, 0x01, 0x80, 0x83):
        d = web()
        d.connect(False)
        d.accept(b"a", b"1")
        d.out()
        with raises(OSError):
            d.feed(frame(first, publish(b"x", b"1", 1, 5)))
        same((d.closed, d.got, d.tables), (True, [], (1, 0)))
        d.connect(False, RESUMED)
        same(Connect(d.out()).more, parse(publish(b"a", b"1", 1, 1, 8)))


def test_violation():
    """X5-4.13.1-a: the DISCONNECT with the reason goes out in a frame of its own."""
    for packet, code in (("30| 0002 C080 <>", 0x81), ("C000", 0x82), ("30| 'a' <23 0001>", 0x94)):
        d = web()
        d.connect()
        d.out()
        with raises(MQTTException, code):
            d.feed(frame(0x82, wire(packet)))
        same((d.closed, d.out()), (True, bytes((0xE0, 1, code))))


def test_goodbye():
    """E134: DISCONNECT of the server, and a close frame without one."""
    d = web()
    d.connect()
    d.out()
    with raises(MQTTException, 0x8B, "server"):
        d.feed(frame(0x82, wire("E0| 8B")) + frame(0x88))
    assert d.closed
    d = web()
    d.connect()
    with raises(OSError):
        d.feed(frame(0x88, b"\x03\xe8"))
    assert d.closed


def test_sub_protocol():
    """MQTT-6.0.0-3, MQTT5-6.0.0-3: mqtt is offered; MQTT-6.0.0-4, MQTT5-6.0.0-4, E131: and has to
    be what the server chose."""
    server = handshake.Server(handshake.RIGHT)
    assert handshake.run(server)
    same(handshake.lines(server.request)[b"sec-websocket-protocol"], b"mqtt")
    for other in (b"", b"Sec-WebSocket-Protocol: mqttv3.1\r\n"):
        answer = handshake.RIGHT.replace(b"Sec-WebSocket-Protocol: mqtt\r\n", other)
        handshake.fails(answer, 71)
