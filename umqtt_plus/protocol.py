"""The protocol engine: every state, table and deadline of a connection, and no I/O.

A front end inherits Protocol, owns the socket, and does three things only:
  bytes in   buf = self._lend(); n = sock.readinto(buf, self._room)
             self._got(buf, n); self._read(self)
  bytes out  while self._on or self._busy and self._next():
                 n = sock.write(self._out, self._oat, self._on); self._sent(n, now)
  time       self._tick(now) when self._due has come
and gives _close(), which the engine calls when the rules demand it. Clock values are ticks_ms.
Here is what a QoS 0 publisher needs; receive.py, inflight.py and stream.py come when asked for.

Receive buffer: two halves of buffer_size bytes and a scratch piece. A packet is handled where it
lies. When a read ends inside a packet, the next one goes behind it: straight in when the end is at
the middle or (after one copy of the upper half down) at the top, else by way of the scratch piece,
because readinto() has no offset and a slice would allocate.

tx holds the last QoS 0 topic behind five bytes kept free for the header, so that a message to the
same topic costs one copy of its payload.
"""

from time import ticks_add

from micropython import const

from .codec import binary, connect, limit, put, text

_SCRATCH = const(64)
_ACKS = const(64)  # bytes of acks held back while a batch is handled
_FAR = const(1 << 28)  # ms; a deadline that is not there, within the range of ticks_diff
_BAD = const(0x82)  # protocol error, in the reason codes of MQTT 5.0
_PING = b"\xc0\x00"

# states of a connection
_CLOSED = const(0)
_CONNECTING = const(1)  # CONNECT goes out, CONNACK is awaited
_UP = const(2)
_FOREIGN = const(3)  # the server holds a session of which this object knows nothing


class MQTTException(Exception):
    """The server refused or broke the protocol. args[0] is the reason code, str() explains it.

    1 to 5 from CONNACK, 0x80 from SUBACK; 0x82 protocol error, 0x95 packet too large, 0x97 no
    room: those closed the connection.
    """

    def __str__(self):
        from .reasons import explain

        return explain(*self.args)


class Protocol:
    def __init__(self, client_id, user, password, keepalive, buffer_size, inflight, retry_ms):
        self.client_id = text("client_id", client_id)
        self.user = user if user is None else text("user", user)
        self.pswd = password if password is None else binary("password", password)
        self._timers = []  # f(self, now) -> ms until it wants to be called again
        self.keepalive = limit("keepalive", keepalive, 65535)
        if keepalive:
            from .keepalive import tick

            self._timers.append(tick)
        self._size = limit("buffer_size", buffer_size, 1 << 20, 64)
        self.session_present = False
        self._ours = False  # the session at the server is ours
        self.cb = self._take = self.on_pub = self._will = None
        self._view = None  # Message
        self._read = first  # handles what has come: first() or receive.parse()
        self._top = None  # last topic checked, _of the object it came from; self: none
        self._known = [None] * 8
        self._of = self._txof = self  # and the one whose topic stands in tx, payload from _at on

        self._rx = bytearray(2 * buffer_size + _SCRATCH)
        self._mv = memoryview(self._rx)
        self._up = self._mv[buffer_size : 2 * buffer_size]
        self._bit = bytearray(_SCRATCH)
        self._room = 0  # how much of the lent buffer may be filled
        self._tx = bytearray(buffer_size + 5)
        self._acks = self._out = bytearray(_ACKS)  # _out[oat:][:on] is being written
        self._due = self._tend = self._rend = self._at = 0  # end of last packet out, in
        self._asks = {}  # SUBSCRIBE and UNSUBSCRIBE: id -> how many codes, then the codes
        self._n = [0, 0, 0, 0, 0]  # for stats(): connects, pings, resent, ignored, duplicates
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
        self._tat = self._tn = 0  # how far it is, and what is left of it
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
        self._on = connect(self._rx, n, flags, self.keepalive, fields)
        self._out = self._rx
        self._cl = clean
        if self._tab and (clean or not self._ours):
            self._tab.clear()  # nothing of a clean session lives on (MQTT-3.1.2-6)
        if clean:
            self._ours = False
        self.state = _CONNECTING
        self._tend = self._rend = now
        self._due = ticks_add(now, _FAR)

    # -- out ---------------------------------------------------------------------------------

    def _next(self):
        """Choose what to write next into _out; how many bytes, 0 when nothing waits."""
        n = self._oat = 0
        if self._tn:  # a packet that has begun comes first
            import umqtt_plus.stream as stream

            n = stream.chunk(self)
        elif self._aat < self._an:
            self._out = self._acks
            self._oat = self._aat
            n = self._an - self._aat
            self._aat = self._an
        elif self._ping == 1:
            self._out = _PING
            n = 2
        elif self._req:
            self._out = self._tx
            n = self._req
            self._req = 0
        elif self.state == _UP:
            if self._tab and self._tab.todo:
                n = self._tab.pick(self)
            else:
                self._busy = 0
        self._on = n
        return n

    def _sent(self, n, now):
        """n bytes of _out went to the transport."""
        self._oat += n
        self._on -= n
        if not self._on:
            self._tend = now
            if self._out is self._acks:
                if self._aat == self._an:
                    self._aat = self._an = 0
            elif self._out is _PING:
                self._ping = 2
                self._pat = self._due = now
                self._n[1] += 1
            elif self._tab and not self._tn:
                self._tab.writing = -1

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
        n = self._size - 2
        if len(self._top) > n:
            limit("topic (buffer_size)", len(self._top), n)
        self._at = put(self._tx, 5, self._top)
        self._fit = min(len(self._tx), 16388) - self._at  # two bytes of remaining length
        self._txof = self._of

    # -- in ----------------------------------------------------------------------------------

    def _lend(self):
        """The buffer to read into; _room says how many bytes of it."""
        e = self._e
        h = self._size
        if self._p == e:
            self._p = self._e = 0
            self._room = 2 * h
            return self._rx
        if e == 2 * h:
            self._rx[0:h] = self._up
            self._p -= h
            self._e = e = h
        if e == h:
            self._room = h
            return self._up
        self._room = min((h if e < h else 2 * h) - e, _SCRATCH)
        return self._bit

    def _got(self, buf, n):
        """n bytes are in buf, which _lend gave."""
        e = self._e
        if buf is self._bit:
            self._rx[e : e + _SCRATCH] = buf
        self._e = e + n
        self._new = True

    def _fail(self, code=_BAD):
        """Close without a DISCONNECT (MQTT-4.8.0-1; the will stays armed) and say why."""
        self._close()
        raise MQTTException(code)

    # -- time --------------------------------------------------------------------------------

    def _tick(self, now):
        """Do what is due: PINGREQ, a timed retry. ms until the next of it.

        OSError(ETIMEDOUT) when the link is dead. The front has read what was there first, or an
        answer in the socket would not count.
        """
        ms = _FAR
        for f in self._timers:
            ms = min(ms, f(self, now))
        self._due = ticks_add(now, ms)
        return ms

    def __getattr__(self, name):
        # subscribe, unsubscribe, publish_stream, set_message, set_stream, set_last_will, stats: as
        # methods they would cost every publisher 400 bytes
        from .more import find

        return find(self, name)


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
            c._fail()
        if n:
            c._fail(n)  # refused
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
