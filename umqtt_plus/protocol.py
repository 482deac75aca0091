"""The protocol engine: every state, table and deadline of a connection, and no I/O.

A front end inherits Protocol, owns the socket, and does three things only:
  bytes in   n = sock.readinto(self._lend(), self._room); self._received(n); self._parse()
  bytes out  while self._out_n or self._busy and self._next():
                 n = sock.write(self._out, self._out_at, self._out_n); self._sent(n, now)
  time       self._tick(now) when ticks_diff(now, self._due) >= 0
and gives _close(), which the engine calls when the rules demand it. Clock values are ticks_ms.

Receive buffer: two halves of buffer_size bytes and a scratch piece. A packet is handled where it
lies. When a read ends inside a packet, the next one goes behind it: straight in when the end is at
the middle or (after one copy of the upper half down) at the top, else by way of the scratch piece,
because readinto() has no offset and a slice would allocate.

tx holds the last QoS 0 topic behind five bytes kept free for the header, so that a message to the
same topic costs one copy of its payload.
"""

from time import ticks_add, ticks_diff

from micropython import const

from .codec import binary, connect, header, limit, put, scan, text, width

_SCRATCH = const(64)
_ACKS = const(64)  # bytes of acks held back while a batch is handled
_FAR = const(1 << 28)  # ms; a deadline that is not there, within the range of ticks_diff

# reason codes, those of MQTT 5.0 for what 3.1.1 leaves nameless
_MALFORMED = const(0x81)
_VIOLATION = const(0x82)
_TOO_LARGE = const(0x95)
_QUOTA = const(0x97)

_PING = b"\xc0\x00"
_ENOTCONN = const(107)
_ETIMEDOUT = const(110)

# states of a connection
_CLOSED = const(0)
_CONNECTING = const(1)  # CONNECT goes out, CONNACK is awaited
_UP = const(2)
_FOREIGN = const(3)  # the server holds a session of which this object knows nothing


class MQTTException(Exception):
    """The server refused or broke the protocol. args[0] is the reason code, str() explains it.

    1 to 5 from CONNACK, 0x80 from SUBACK; 0x81 malformed, 0x82 protocol error, 0x95 packet too
    large, 0x97 no room: those closed the connection.
    """

    def __str__(self):
        from .reasons import explain

        return explain(self.args[0])


class Protocol:
    def __init__(self, client_id, user, password, keepalive, buffer_size, inflight, retry_ms):
        self.client_id = text("client_id", client_id)
        self.user = user if user is None else text("user", user)
        if password is not None:
            if user is None:
                raise ValueError("password: needs a user, b'' will do")
            password = binary("password", password)
        self.pswd = password
        self.keepalive = limit("keepalive", keepalive, 65535)
        self._size = limit("buffer_size", buffer_size, 1 << 20, 64)
        self.state = _CLOSED
        self.session_present = self._known = False  # known: the server's session is ours
        self.cb = self._on = self.on_pub = self._will = None
        self._view = self._stream = None  # the reused Message; module stream, when asked for
        self._topic = self._tx_topic = None  # last topic checked, and the one that stands in tx
        self._topic_of = self._tx_of = self  # the objects they came from; self: none

        self._rx = bytearray(2 * buffer_size + _SCRATCH)
        self._mv = memoryview(self._rx)
        self._upper = self._mv[buffer_size : 2 * buffer_size]
        self._scratch = bytearray(_SCRATCH)
        self._tx = bytearray(buffer_size + 5)
        self._acks = self._out = bytearray(_ACKS)  # _out: what is being written
        self._body = None  # payload behind a head: a buffer, or a source that fills tx
        self._due = self._tx_end = self._rx_last = self._ping_at = 0
        self._room = 0  # how much of the lent buffer may be filled
        self._requests = {}  # SUBSCRIBE and UNSUBSCRIBE: id -> how many codes, then the codes
        self._n = [0, 0, 0, 0, 0]  # for stats(): connects, pings, resent, ignored, duplicates
        self._table = None
        if limit("inflight", inflight, 1000):
            from .inflight import Tables

            self._table = Tables(inflight, buffer_size, retry_ms)
        self._reset()

    def _reset(self):
        """Forget the connection, not the session."""
        self.state = _CLOSED
        self._p = self._e = 0  # what is received and not handled: rx[p:e]
        self._left = 0  # payload bytes still to come of a message that is streamed in
        self._owed = 0  # id of the message being handed over, until its reply is queued
        self._ack_at = self._ack_n = 0  # acks[at:n] wait to be written
        self._out_at = self._out_n = 0
        self._body_at = self._body_n = 0
        self._ping = 0  # 1 wanted, 2 sent and not answered
        self._tx_n = 0  # a request of so many bytes waits in tx
        self._busy = 1  # 0: up and nothing waits to be written
        self._requests.clear()
        if self._table:
            self._table.writing = -1

    def _start(self, clean, now):
        """Begin a connection: CONNECT waits in rx, which is idle until the answer."""
        limit(
            "client_id bytes without clean_session", len(self.client_id), 65535, 0 if clean else 1
        )
        self._out_n = connect(
            self._rx, self.client_id, clean, self.keepalive, self._will, self.user, self.pswd
        )
        self._out = self._rx
        self._clean = clean
        if clean:
            self._known = False
            if self._table:
                self._table.clear()  # MQTT-3.1.2-6
        self.state = _CONNECTING
        self._tx_end = self._rx_last = now
        self._due = ticks_add(now, _FAR)

    # -- out ---------------------------------------------------------------------------------

    def _next(self):
        """Choose what to write next into _out; how many bytes, 0 when nothing waits."""
        n = at = 0
        t = self._table
        if self._body_n:  # a packet that has begun comes first
            n = self._chunk()
        elif self._ack_at < self._ack_n:
            self._out = self._acks
            at = self._ack_at
            n = self._ack_n - at
            self._ack_at = self._ack_n
        elif self._ping == 1:
            self._out = _PING
            n = 2
        elif self._tx_n:
            self._out = self._tx
            n = self._tx_n
            self._tx_n = 0
        elif self.state == _UP:
            if t and t.todo:
                n = t.pick(self)
                at = self._out_at
            else:
                self._busy = 0
        self._out_at = at
        self._out_n = n
        return n

    def _chunk(self):
        """The next piece of a payload that does not fit behind its head."""
        self._out = self._body
        n = self._body_n
        if callable(self._body):
            self._tx_of = self
            self._out = self._tx
            n = self._body(self._tx, self._body_at)
            if not n or n < 0:
                self._close()
                raise ValueError("publish_stream: the source ended early")
            n = min(n, len(self._tx), self._body_n)
            self._body_at += n
        self._body_n -= n
        return n

    def _sent(self, n, now):
        """n bytes of _out went to the transport."""
        self._out_at += n
        self._out_n -= n
        if not self._out_n:
            self._tx_end = now
            if self._ack_at == self._ack_n:
                self._ack_at = self._ack_n = 0
            if self._out is _PING:
                self._ping = 2
                self._ping_at = self._due = now
                self._n[1] += 1
            if not self._body_n and self._table:
                self._table.written(self, now)

    def _check(self, topic):
        """Remember topic as checked. Only an immutable one is known again, by identity."""
        self._topic = text("topic", topic, 1, 1)
        self._topic_of = topic if isinstance(topic, bytes) or isinstance(topic, str) else self

    def _put(self, topic, msg, retain, qos, more):
        """Accept a QoS 1 or 2 message: its packet_id, 0 when the table is full.

        ValueError before anything changes. more: length of the payload that msg, a source, gives.
        """
        t = self._table
        limit("qos (above 0 needs inflight)", qos, 2 if t else 0, 1)
        if self.state != _UP:
            raise OSError(_ENOTCONN)
        if topic is not self._topic_of:
            self._check(topic)
        qos = 0x31 | qos << 1 if retain else 0x30 | qos << 1
        if more:
            p = t.put(self, self._topic, b"", qos, more)
            if p:
                t.sources[p % t.slots] = (msg, more)
            return p
        try:
            return t.put(self, self._topic, msg, qos, 0)
        except (TypeError, NotImplementedError):
            return t.put(self, self._topic, msg.encode(), qos, 0)  # a str

    def _prepare(self, topic):
        """Put the topic of a QoS 0 message into tx, which is idle."""
        if topic is not self._topic_of:
            self._check(topic)
        limit("topic bytes (see buffer_size)", len(self._topic), self._size - 2)
        self._at = put(self._tx, 5, self._topic)  # where the payload begins
        self._tx_of = self._topic_of

    def _frame(self, first, n):
        """Header of a QoS 0 message of n bytes, in front of its topic; where it starts."""
        n += self._at - 5
        i = 4 - width(n)
        header(self._tx, i, first, n)
        return i

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
            self._rx[0:h] = self._upper
            self._p -= h
            self._e = e = h
        if e == h:
            self._room = h
            return self._upper
        e = (h if e < h else 2 * h) - e
        self._room = e if e < _SCRATCH else _SCRATCH
        return self._scratch

    def _received(self, n):
        """n bytes are in the buffer that _lend gave."""
        e = self._e
        if e and e != self._size:
            self._rx[e : e + _SCRATCH] = self._scratch
        self._e = e + n

    def _fail(self, code):
        """Close without a DISCONNECT (MQTT-4.8.0-1; the will stays armed) and say why."""
        self._close()
        raise MQTTException(code)

    def _parse(self):
        """Handle the whole packets in rx; True if there was one. Allocates nothing of its own.

        One long loop: the path of a PUBLISH makes no call but those to the application and _ack.
        """
        if self.state != _UP:
            return self._connack()
        rx = self._rx
        p = start = self._p
        while self._ack_n < _ACKS:
            e = self._e  # 0 once the application has closed the connection
            if self._left and p < e:
                p = self._stream.go_on(self, p, e)
                continue
            if e - p < 2:
                break
            h = rx[p]
            q = p + 2
            n = rx[p + 1]
            if n > 127:
                n &= 127
                s = 7
                while s:
                    if q == e:
                        return p != start
                    b = rx[q]
                    q += 1
                    n |= (b & 127) << s
                    s += 7
                    if b < 128:
                        s = 0
                    elif s > 21:
                        self._fail(_MALFORMED)
            z = q + n
            if h < 0x30 or h > 0x3D:
                if h not in b"\x40\x50\x62\x70\x90\xb0\xd0":
                    self._fail(_VIOLATION if h == 0x20 else _MALFORMED)
                if z > e:
                    if z - p > self._size:
                        self._fail(_TOO_LARGE)
                    break
                self._p = p = z
                self._control(h, q, n)
                continue
            if z > e and (z - p <= self._size or q + 2 > e):
                break
            c = b = q + 2 + (rx[q] << 8 | rx[q + 1])
            if h > 0x31:
                if h & 6 == 6 or h == 0x38 or h == 0x39:
                    self._fail(_MALFORMED)  # QoS 3; DUP with QoS 0
                c = b + 2
            if c > z or b == q + 2:
                self._fail(_MALFORMED if c > z else _VIOLATION)
            if c > e:
                if c - p > self._size:
                    self._fail(_TOO_LARGE)
                break
            for i in range(q + 2, b):
                i = rx[i]
                if i < 45 or i > 127:
                    i = scan(rx, q + 2, b)
                    if i:
                        self._fail(_MALFORMED if i > 1 else _VIOLATION)
                    break
            s = 0
            if c != b:
                s = rx[b] << 8 | rx[b + 1]
                if self._seen(h, s):
                    if z > e:
                        p = self._stream.begin(self, 0, q + 2, b, c, z, s)
                    else:
                        self._p = p = z
                        self._ack(0x50, s)
                    continue
                self._owed = s
            if z > e:
                if not self._stream:
                    self._fail(_TOO_LARGE)  # MQTT-4.8.0-2
                p = self._stream.begin(self, h, q + 2, b, c, z, s)
                continue
            self._p = p = z
            if self._on:
                m = self._view
                m.head = h
                m.topic_start = q + 2
                m.topic_end = b
                m.start = c
                m.end = z
                self._on(m)
            elif self.cb:
                m = self._mv
                self.cb(bytes(m[q + 2 : b]), bytes(m[c:z]))
            if s:
                self._settle(h, s)
        return p != start

    def _seen(self, h, packet_id):
        """Whether a QoS 2 message is a copy of one that is not released yet (MQTT-4.3.3-2)."""
        t = self._table
        known = t and t.has(packet_id)
        if not packet_id or known and h & 2:
            self._fail(_VIOLATION)
        if h & 4:
            if known:
                self._n[4] += 1
            elif not t or t.open == t.most:
                self._fail(_QUOTA)
        return known

    def _settle(self, h, packet_id):
        """The application has the message: reply."""
        if self._owed:  # else it closed the connection
            self._owed = 0
            if h & 4:
                self._table.add(packet_id)
            self._ack(0x50 if h & 4 else 0x40, packet_id)

    def _ack(self, first, packet_id):
        a = self._acks
        i = self._ack_n
        a[i] = first
        a[i + 1] = 2
        a[i + 2] = packet_id >> 8
        a[i + 3] = packet_id & 255
        self._ack_n = i + 4
        self._busy = 1

    def _control(self, h, q, n):
        """Any whole packet but PUBLISH: first byte h, body rx[q:q+n]."""
        if h == 0xD0:
            if n:
                self._fail(_MALFORMED)
            self._ping = 0
            return
        if n != 2 and (h != 0x90 or n < 3):
            self._fail(_MALFORMED)
        p = self._rx[q] << 8 | self._rx[q + 1]
        if not p:
            self._fail(_VIOLATION)
        if h & 0x90 == 0x90:  # SUBACK, UNSUBACK
            if p not in self._requests:
                self._fail(_VIOLATION)  # nobody waits for it
            from .subscribe import granted

            granted(self, h, p, q + 2, n - 2)
        elif self._table:
            if self._table.control(self, h, p):
                self._fail(_VIOLATION)
        else:
            self._unknown(h, p)

    def _unknown(self, h, packet_id):
        """An ack for an id not in flight: what frees the server is answered all the same."""
        if h == 0x50 or h == 0x62:
            self._ack(h + 0x12 if h == 0x50 else 0x70, packet_id)
        self._n[3] += 1

    def _connack(self):
        """The first packet must be a CONNACK (MQTT-3.2.0-1). True when it came."""
        rx = self._rx
        e = self._e
        if e and rx[0] != 0x20 or self.state != _CONNECTING:
            self._fail(_VIOLATION)
        if e > 1 and rx[1] != 2:
            self._fail(_MALFORMED)
        if e < 4:
            return False
        present = rx[2]
        code = rx[3]
        if present > 1 or code > 5 or present and self._clean and not code:
            self._fail(_MALFORMED if present > 1 else _VIOLATION)
        if code:
            self._fail(code)
        self._p = 4
        self._n[0] += 1
        self.session_present = bool(present)
        self.state = _UP
        if present and not self._known:
            self.state = _FOREIGN
        else:
            self._known = not self._clean
            if self._table:
                self._table.resume(present)
        return True

    # -- time --------------------------------------------------------------------------------

    def _tick(self, now):
        """Do what is due: PINGREQ, a timed retry. ms until the next of it.

        OSError(ETIMEDOUT) when the link is dead. The front has read what was there first, or an
        answer in the socket would not count.
        """
        ms = _FAR
        if self.state == _UP:
            k = self.keepalive * 1000
            if k:
                idle = ticks_diff(now, self._tx_end)
                ms = k + (k >> 1) - idle  # then the server has given us up (MQTT-3.1.2-24)
                heard = ticks_diff(now, self._rx_last)
                if self._ping == 2:
                    # any packet since the PINGREQ shows life
                    heard = min(heard, ticks_diff(now, self._ping_at))
                    k = min(30000, k >> 1 if k > 10000 else min(5000, k * 3 >> 2))
                    ms = min(ms, k - heard)
                if ms <= 0:
                    self._close()
                    raise OSError(_ETIMEDOUT)
                if not self._ping:
                    # early enough that a stalled loop still keeps the promise; and when only
                    # sending, to see that somebody listens
                    idle += k >> 1 if k < 4000 else max(1000, k >> 2)
                    k -= max(idle, heard)
                    if k <= 0:
                        self._ping = self._busy = 1
                    else:
                        ms = min(ms, k)
            if self._table:
                ms = min(ms, self._table.retry(self, now))
        self._due = ticks_add(now, ms)
        return ms

    # -- what the application says and asks ---------------------------------------------------

    def set_callback(self, f):
        """f(topic, msg) for each message, as two bytes objects: both are allocated each time."""
        self.cb = f

    def set_message(self, f):
        """f(m) for each message, with one reused view (message.Message): allocates nothing.

        m is valid inside f only. It comes before a set_callback function; None ends it.
        """
        from .message import view

        view(self)
        self._on = f

    def set_stream(self, f):
        """f(m) for each piece of a message larger than buffer_size, in constant RAM.

        m.offset, m.total and m.payload_into() tell which piece; m.topic is there in the first
        one (offset 0) only. A transfer cut off by a lost link starts again at offset 0. Without it
        such a message closes the connection with MQTTException(0x95). Set it before connect().
        """
        from .message import view

        import umqtt_plus.stream as stream

        view(self).handler = f
        self._stream = stream if f else None

    def on_published(self, f):
        """f(packet_id) when the server has taken a QoS 1 or 2 message; it may publish again."""
        self.on_pub = f

    def set_last_will(self, topic, msg, retain=False, qos=0):
        """What the server publishes when this client vanishes. Counts from the next connect()."""
        self._will = (
            text("topic", topic, 1, 1),
            binary("msg", msg),
            4 | limit("qos", qos, 2) << 3 | (32 if retain else 0),
        )

    def stats(self):
        """A new dict of counters since construction, and of what the tables hold now."""
        from .message import stats

        return stats(self)
