"""Drives a client by hand for unit tests: a socket of memory, a clock that stands still.

The whole synchronous client runs, so its tests see what a server would see and no private name;
those few that must be touched are touched here. Nothing waits: where the client would, the clock
jumps, or the next of `later` arrives.
"""

import sys
import time

import umqtt_plus.client as front
import umqtt_plus.opening as opening
from umqtt_plus.client import MQTTClient
from umqtt_plus.errors import MQTTException

OK = b"\x20\x02\x00\x00"  # CONNACK, no session
RESUMED = b"\x20\x02\x01\x00"  # CONNACK with a session
SIZES = (0, 1, 2, 3, 7)  # how packets are cut; 0 is whole
_rooms = [front]  # modules that read the clock
_MANY = 20000


def split(data, size=0):
    """data in pieces of size bytes; 0: in one piece."""
    size = size or len(data) or 1
    return [data[i : i + size] for i in range(0, len(data), size)]


def publish(topic, payload=b"", qos=0, packet_id=0, flags=0):
    """The bytes of a PUBLISH; flags are added to the first byte (1 retain, 8 DUP)."""
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        body += packet_id.to_bytes(2, "big")
    return packet(0x30 | qos << 1 | flags, body + payload)


def packet(first, body):
    n = len(body)
    head = bytearray((first,))
    while n > 127:
        head.append(n & 127 | 128)
        n >>= 7
    head.append(n)
    return bytes(head) + body


def ack(first, packet_id):
    """PUBACK 0x40, PUBREC 0x50, PUBREL 0x62, PUBCOMP 0x70, UNSUBACK 0xB0."""
    return bytes((first, 2, packet_id >> 8, packet_id & 255))


def parse(data):
    """Whole packets as (first byte, body). What is cut off at the end makes no packet."""
    found = []
    i = 0
    while i + 2 <= len(data):
        first = data[i]
        j = i + 1
        n = shift = 0
        while True:
            if j == len(data):
                return found
            b = data[j]
            j += 1
            n |= (b & 127) << shift
            shift += 7
            if b < 128:
                break
        if j + n > len(data):
            break
        found.append((first, bytes(data[j : j + n])))
        i = j + n
    return found


class Random:
    """The same numbers everywhere for the same seed."""

    def __init__(self, seed):
        self.state = seed * 7919 + 12345 & 0x3FFFFFF

    def below(self, n):
        self.state = self.state * 29 + 7121 & 0x3FFFFFF
        self.state ^= self.state >> 9
        return (self.state >> 5) % n


class Link:
    """One connection, as the socket that opening.open() returns."""

    def __init__(self, answer):
        self.answer = answer  # pieces that come when the client has written a packet
        self.pieces = []
        self.out = bytearray()
        self.space = -1  # bytes it takes before it would block; -1 no end
        self.most = -1  # bytes it takes at once
        self.error = 0  # errno of the next call
        self.eof = False
        self.closed = False

    def write(self, buf, off, n):
        assert not self.closed, "write after close"
        assert n > 0 and off + n <= len(buf), "write(%d, %d) of %d" % (off, n, len(buf))
        self._fail()
        if self.space >= 0:
            n = min(n, self.space)
            self.space -= n
        if self.most >= 0:
            n = min(n, self.most)
        if not n:
            return None
        self.out.extend(memoryview(buf)[off : off + n])
        if self.answer and parse(self.out):
            self.pieces.extend(self.answer)
            self.answer = []
        return n

    def readinto(self, buf, n=-1):
        assert not self.closed, "read after close"
        if n < 0:
            n = len(buf)
        n = n or len(buf)
        assert 0 < n <= len(buf), "readinto(%d) of %d" % (n, len(buf))
        if self.pieces:
            piece = self.pieces[0]
            if len(piece) > n:
                self.pieces[0] = piece[n:]
                piece = piece[:n]
            else:
                del self.pieces[0]
            buf[: len(piece)] = piece
            return len(piece)
        self._fail()
        return 0 if self.eof else None

    def _fail(self):
        if self.error:
            raise OSError(self.error)

    def close(self):
        self.closed = True


class Driver:
    """client is the MQTTClient; link the newest connection; got what the handler was given.

    handler: "message" for set_message(), "callback" for set_callback(), None for none. More
    keyword arguments go to MQTTClient. now: what the clock shows; a negative one comes before its
    wrap.
    """

    def __init__(self, client_id="c", handler="message", now=1000, **options):
        self.now = time.ticks_add(0, now)
        self.link = None
        self.links = 0
        self.waits = 0
        self.space = -1
        self.answers = []
        self.later = []  # bytes, or functions of the driver: one each time the client waits
        self.got = []  # (topic, payload, qos, retain, dup); with a callback (topic, payload)
        self.done = []  # what on_published() was given
        self.then = None  # f(driver), called inside the handler
        self.client = MQTTClient(client_id, "server", **options)
        if handler == "message":
            self.client.set_message(self._message)
        elif handler == "callback":
            self.client.set_callback(self._callback)
        self.client.on_published(self.done.append)
        find_clocks()

    # -- what the client sees of the world -----------------------------------------------------

    def _open(self, host, port, tls, params, end, wait_ms):
        self.links += 1
        self.link = Link(self.answers.pop(0))
        self.link.space = self.space
        return (None, self.link)

    def poll(self):
        return self

    def register(self, link, events):
        assert link is self.link
        self.events = events

    modify = register

    def ipoll(self, ms):
        """A wait: something happens, or the time passes."""
        assert ms >= 0
        self.waits += 1
        assert self.waits < _MANY, "the client waits for ever"
        if ms and not self._ready():
            if self.later:
                piece = self.later.pop(0)
                if callable(piece):
                    piece(self)
                else:
                    self.link.pieces.append(piece)
            else:
                self.now = time.ticks_add(self.now, ms)
        ready = self._ready()
        return ((self.link, ready),) if ready else ()

    def _ready(self):
        link = self.link
        ready = 1 if link.pieces or link.eof or link.error else 0
        if link.space:
            ready |= 4
        return ready & self.events

    def _ticks_ms(self):
        return self.now

    def note(self, m):
        """Something more that a test wants to know of a message."""

    def _message(self, m):
        self.note(m)
        self.got.append((m.topic, m.payload, m.qos, m.retain, m.dup))
        if self.then:
            self.then(self)

    def _callback(self, topic, msg):
        self.got.append((topic, msg))
        if self.then:
            self.then(self)

    def _enter(self):
        """Put this world around the client; what _leave() wants."""
        before = (opening.open, opening.select, front.ticks_ms)
        opening.open = self._open
        opening.select = self
        for room in _rooms:
            room.ticks_ms = self._ticks_ms
        return before

    def _leave(self, before):
        opening.open, opening.select = before[:2]
        for room in _rooms:
            room.ticks_ms = before[2]

    def run(self, f, *args, **options):
        """Call f with the client in this world. Nothing of it stays behind.

        Nothing between it and f: a board's stack has room for 27 calls.
        """
        before = self._enter()
        try:
            return f(*args, **options)
        finally:
            self._leave(before)

    # -- what a test does --------------------------------------------------------------------

    def connect(self, clean=True, answer=OK, size=0, **options):
        """connect(), which the server answers. More answers: more connections."""
        for one in answer if isinstance(answer, tuple) else (answer,):
            self.answers.append(split(one, size))
        return self.run(self.client.connect, clean, **options)

    def feed(self, data, size=0):
        """The server sends data, in pieces of size bytes; the client handles each when it comes.

        Raises what the client raises.
        """
        size = size or len(data) or 1
        for i in range(0, len(data), size):  # not split(): a list of single bytes takes much heap
            self.link.pieces.append(data[i : i + size])
            self.go()

    def go(self):
        """check_msg() until there is nothing to do."""
        for _ in range(_MANY):
            if not self.run(self.client.check_msg):
                return
        raise AssertionError("check_msg() finds no end")

    def tick(self, ms):
        """Time passes, then the client looks around."""
        self.now = time.ticks_add(self.now, ms)
        self.go()

    def out(self):
        """What the client has written since the last call."""
        data = bytes(self.link.out)
        self.link.out = bytearray()
        return data

    def lose(self):
        """The link breaks, and the client sees it."""
        self.link.pieces = []
        self.link.error = 104
        try:
            self.go()
        except OSError as error:
            assert error.args[0] == 104 and self.closed
            return
        raise AssertionError("the client did not see that the link is lost")

    def accept(self, topic, msg, retain=False, qos=1):
        return self.run(self.client.publish_nowait, topic, msg, retain, qos)

    def publish(self, *args, **options):
        return self.run(self.client.publish, *args, **options)

    def subscribe(self, *args, **options):
        return self.run(self.client.subscribe, *args, **options)

    def unsubscribe(self, *args, **options):
        return self.run(self.client.unsubscribe, *args, **options)

    @property
    def closed(self):
        return self.link.closed and self.client.sock is None

    @property
    def tables(self):
        """(messages in flight, QoS 2 ids that await their PUBREL)"""
        stats = self.client.stats()
        return stats["in_flight"], stats["awaiting_release"]

    def set_next_id(self, packet_id):
        self.client._tab.next_id = packet_id

    def refused(self, data, size=0):
        """Feed what breaks the protocol; the reason code. Fails unless the client just closes."""
        count = len(self.got)
        done = len(self.done)
        self.out()
        try:
            self.feed(data, size)
        except MQTTException as error:
            assert self.closed, "not closed"
            assert not self.out(), "something was written to a server that breaks the rules"
            assert len(self.got) == count, "the handler was called"
            assert len(self.done) == done, "on_published() was called"
            return error.args[0]
        raise AssertionError("accepted, and answered with %r" % self.out())


def find_clocks():
    """Let the clock of the drivers hold in every module of umqtt_plus that is loaded by now."""
    for name in list(sys.modules):
        room = sys.modules[name]
        if name.startswith("umqtt_plus.") and hasattr(room, "ticks_ms") and room not in _rooms:
            _rooms.append(room)
