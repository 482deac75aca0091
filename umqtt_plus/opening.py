"""Making a client, and how a connection begins: TCP, CONNECT, CONNACK, the topic of a message.

It loads with the first client and not with the class, which keeps an import below 1.2 KB of heap.
The functions with self are methods of Protocol, added at the end. open() knows nothing of MQTT.
"""

import gc
import select
import socket
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from .codec import header, limit, put, text
from .protocol import Protocol

_SCRATCH = const(64)
_ACKS = const(64)  # bytes of acks held back while a batch is handled
_FAR = const(1 << 28)
_PROTOCOL_ERROR = const(0x82)  # in the reason codes of MQTT 5.0
# states of a connection
_CLOSED = const(0)
_CONNECTING = const(1)  # CONNECT goes out, CONNACK is awaited
_UP = const(2)
_FOREIGN = const(3)  # the server holds a session of which this object knows nothing


def begin(self, client_id, user, password, keepalive, buffer_size, inflight, retry_ms):
    """Protocol's part of a new client. ValueError names a wrong argument."""
    self.client_id = text("client_id", client_id)
    self.user = user if user is None else text("user", user)
    self.pswd = password if password is None else text("password", password, 3)
    self._timers = []  # f(self, now) -> ms until it wants to be called again
    self.keepalive = limit("keepalive", keepalive, 65535)
    if keepalive:
        from .keepalive import tick

        self._timers.append(tick)
    self._size = limit("buffer_size", buffer_size, 1 << 20, 64)
    if gc.mem_free() < buffer_size << 8:
        # what importing has left would lie between the buffers. Not in a large heap: there
        # MicroPython then sought the place of each call frame for longer (publish() took 15 k
        # instructions instead of 7)
        gc.collect()
    self.session_present = False
    self._ours = False  # the session at the server is ours
    self.cb = self._take = self.on_pub = self._will = self._top = None
    self._view = None  # Message
    self._read = first  # handles what has come: first() or receive.parse()
    self._known = [None] * 8
    # what the last topic checked (_top) came from, and the one in tx (payload from _at on)
    self._of = self._txof = self  # self: none

    self._rx = bytearray(2 * buffer_size + _SCRATCH)
    self._mv = memoryview(self._rx)
    self._up = self._mv[buffer_size : 2 * buffer_size]
    self._bit = bytearray(_SCRATCH)
    self._tx = bytearray(buffer_size + 5)
    self._acks = self._out = bytearray(_ACKS)  # _out[oat:][:on] is being written
    self._due = self._at = self._fit = 0  # now, or the first publish() would make room for them
    self._asks = {}  # SUBSCRIBE and UNSUBSCRIBE: id -> how many codes, then the codes
    self._n = [0] * 5  # for stats(): connects, pings, resent, ignored, duplicates
    self._tab = None
    if limit("inflight", inflight, 1000):
        from .inflight import Outbound

        self._tab = Outbound(self, inflight, buffer_size, retry_ms)
    self._reset()


def _reset(self):
    """Forget the connection, not the session."""
    self.state = _CLOSED
    self._p = self._e = 0  # what is received and not handled: rx[p:e]
    self._new = False  # nobody has looked at it yet
    self._rest = 0  # payload bytes still to come of a message that is streamed in
    self._owed = 0  # id of the message being handed over, until its reply is queued
    self._aat = self._an = 0  # acks[aat:an] wait to be written
    self._oat = self._on = 0
    self._tail = None  # payload behind a head: a buffer, or a source that fills tx
    self._tn = 0  # what is left of it; _tat: how far it is
    self._ping = 0  # 1 wanted, 2 sent and not answered
    self._req = 0  # a request of so many bytes waits in tx
    self._busy = 1  # 0: up, and nothing waits to be written
    self._asks.clear()
    if self._tab:
        self._tab.writing = -1


def _fields(self, clean):
    """Flags and strings of CONNECT; ValueError when they do not go."""
    if not clean:
        limit("client_id", len(self.client_id), 65535, 1)  # MQTT-3.1.3-7
    flags = 2 if clean else 0
    fields = [self.client_id]
    if self._will:
        fields += self._will[:2]
        flags |= self._will[2]
    for x, bit in ((self.user, 0x80), (self.pswd, 0x40)):
        if x is not None:
            fields.append(x)
            flags |= bit
    if flags & 0xC0 == 0x40:
        raise ValueError("password: no user")  # MQTT-3.1.2-22; 5.0 allows it
    n = 10
    for x in fields:
        n += 2 + len(x)
    limit("CONNECT (buffer_size)", n + 5, len(self._rx))
    return flags, fields, n


def _start(self, clean, now):
    """Begin a connection: CONNECT waits in rx, which is idle until the answer."""
    flags, fields, n = self._fields(clean)
    self._out = buf = self._rx
    i = put(buf, header(buf, 0, 0x10, n), b"MQTT")
    n = self.keepalive
    for x in (4, flags, n >> 8, n & 255):
        buf[i] = x
        i += 1
    for x in fields:
        i = put(buf, i, x)
    self._on = i
    self._cl = clean
    if self._tab and (clean or not self._ours):
        self._tab.clear()  # nothing of a clean session lives on (MQTT-3.1.2-6)
    if clean:
        self._ours = False
    self.state = _CONNECTING
    self._tend = self._rend = now  # end of the last packet out, in
    self._due = ticks_add(now, _FAR)


def open(host, port, tls, opts, end, ms):
    """Steps towards a non-blocking connected socket, each of ms at most: for s in open(..).

    The last s is the socket, those before are None. Its TLS handshake runs with the first write.
    Tries each address of host in turn, sharing the time left. OSError of the last one; ETIMEDOUT
    at the deadline end (ticks_ms). host may be a function that does all that in its own way:
    host(end, ms) gives the steps, or a tuple of one open stream. Allocates.
    getaddrinfo has no deadline of its own on boards.
    """
    if callable(host):
        yield from host(end, ms)
        return
    found = socket.getaddrinfo(host, port, 0, 1)  # SOCK_STREAM
    left = len(found)
    for a in found:
        s = socket.socket(a[0])
        try:
            s.setblocking(False)
            try:
                s.connect(a[-1])
            except OSError as e:
                # "in progress" has another number on each port; -110 is rp2's (reported)
                if e.args[0] not in (115, 36, 114, 118, 119, -110):
                    raise
            by = ticks_add(ticks_ms(), ticks_diff(end, ticks_ms()) // left)
            poller = select.poll()
            poller.register(s, 4)
            got = 0
            while got != 4:  # POLLOUT alone
                if got & 24:  # POLLERR, POLLHUP
                    s.read(1)  # raises what went wrong
                    raise OSError(111)  # ECONNREFUSED
                left_ms = ticks_diff(by, ticks_ms())
                if left_ms <= 0:
                    raise OSError(110)  # ETIMEDOUT
                yield
                for _, got in poller.ipoll(min(left_ms, ms)):
                    pass
            try:
                s.setsockopt(6, 1, 1)  # TCP_NODELAY, which some ports do not name
            except OSError:
                pass
            if tls:
                from .tls import TLS

                s = TLS(s, host, tls, opts)
            yield s
            return
        except BaseException as e:
            s.close()
            left -= 1
            if not left or not isinstance(e, OSError):
                raise


def _check(self, topic):
    """Remember topic as checked. Only an immutable one is known again, by identity.

    A look costs 1140 instructions a byte, so one of the last eight gets none.
    """
    k = self._known
    s = isinstance(topic, str)  # MicroPython warns where bytes are compared with a str
    new = s or topic not in k
    self._top = x = text("topic", topic, 1) if new else topic
    self._of = self
    if s or isinstance(topic, bytes):
        self._of = topic
        if new:
            k.pop(0)
            k.append(x)


def _prep(self, topic):
    """Put the topic of a QoS 0 message into tx, which is idle."""
    if topic is not self._of:
        self._check(topic)
    limit("topic (buffer_size)", len(self._top), self._size - 2)
    self._at = put(self._tx, 5, self._top)
    self._fit = min(len(self._tx), 16388) - self._at  # two bytes of remaining length
    self._txof = self._of


def _fail(self, code=_PROTOCOL_ERROR):
    """Close without a DISCONNECT (MQTT-4.8.0-1; the will stays armed) and say why."""
    self._close()
    from .errors import MQTTException  # behind it: there may be no room for that

    raise MQTTException(code)


def first(c):
    """Handle what comes to one who only publishes: CONNACK, PINGRESP, acks. True if it came."""
    rx = c._rx
    p = start = c._p
    if c.state != _UP:
        n = c._e - p
        if rx[p] != 0x20 or n > 1 and rx[p + 1] != 2 or c._on:
            c._fail()  # the first packet is a CONNACK, and it answers a CONNECT (MQTT-3.2.0-1)
        if n < 4:
            return False
        c._p = p + 4
        q = n > 4
        h = rx[p + 2]
        n = rx[p + 3]
        if h > 1 or n > 5 or h and c._cl and not n:
            n = _PROTOCOL_ERROR
        if n:
            c._fail(n)  # or refused
        c._n[0] += 1
        c.session_present = h > 0
        c.state = _FOREIGN
        if c._ours or not h:
            c.state = _UP
            c._new = q
            c._due = c._tend
            c._ours = not c._cl
            if c._tab:
                c._tab.resume(h)
        return True
    t = c._tab
    while c._e - p > 1:
        h = rx[p]
        n = rx[p + 1]
        if h == 0xD0 and not n:
            c._ping = 0
            c._due = c._tend  # count anew
            c._p = p = p + 2
        elif n == 2 and t and h in b"\x40\x50\x70":
            if c._an > 60:
                c._new = True  # no room for another ack: later
                break
            if c._e - p < 4:
                break
            n = rx[p + 2] << 8 | rx[p + 3]
            c._p = p = p + 4
            if not n or t.control(c, h, n):
                c._fail()
        else:
            from .receive import load

            load(c)
            return c._read(c)
    return p != start


Protocol._reset = _reset
Protocol._fields = _fields
Protocol._start = _start
Protocol._check = _check
Protocol._prep = _prep
Protocol._fail = _fail
