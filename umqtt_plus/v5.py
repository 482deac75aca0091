"""MQTT 5.0: what differs from 3.1.1. Loaded by MQTTClient(version=5), and by nobody else.

V5 stands in for methods of the client and of its table, so that a 3.1.1 user pays nothing. It
holds what a publisher and a subscriber need all the time; the rest is in rooms of its own:
connect5.py (set-up, CONNACK), properties.py (by name), verbs5.py, limits5.py, message5.py.

Properties are kept encoded, with their length in front. _KINDS says of each what it looks like
and where a server may send it, so a check is one walk without a dictionary.
"""

from micropython import const

from .acks import ack
from .codec import limit, put, scan
from .errors import MQTTException
from .inflight import Outbound
from .receive import seen, settle

# of property i: bits 0 to 2 its type (0, 1, 2: 1, 2, 4 bytes; 3: length; 4: text; 5: binary;
# 6: two texts), 3 to 7: allowed in PUBLISH, CONNACK, acks, DISCONNECT, AUTH
_KINDS = (
    b"\x00\x08\x0a\x0c\x00\x00\x00\x00\x0c\x0d\x00\x0b\x00\x00\x00\x00\x00\x12\x14\x11\x00\x94"
    b"\x95\x00\x00\x00\x14\x00\x54\x00\x00\xf4\x00\x11\x11\x09\x10\x10\xfe\x12\x10\x10\x10"
)
_PUBLISH = const(8)
_ACK = const(32)
_DISCONNECT = const(64)
_MALFORMED = const(0x81)
_PROTOCOL = const(0x82)
_NONE = b"\x00"
_found = [0]


def check(buf, p, z, where, quiet=False, want=0):
    """Walk the properties at buf[p:z]: the index behind them, or -code when they are bad.

    where: the bit of _KINDS of this packet. want: the property whose value is left in _found[0].
    Allocates nothing.
    """
    n = s = 0
    b = 128
    while b > 127:
        if p >= z or s > 21:
            return -_MALFORMED
        b = buf[p]
        p += 1
        n |= (b & 127) << s
        s += 7
    e = p + n
    if e > z or not b and s > 7:
        return -_MALFORMED
    had = 0
    while p < e:
        i = buf[p]
        k = _KINDS[i] if i < 43 else 0
        if not k & where:
            return -_MALFORMED
        p += 1
        if i == want:
            _found[0] = p
        if i != 38 and i != 11:
            n = 1 << i % 28  # no two of one packet are equal
            if had & n:
                return -_PROTOCOL
            had |= n
        if quiet and (i == 38 or i == 31):
            return -_PROTOCOL  # MQTT-3.1.2-29
        k &= 7
        if k < 3:
            n = p + (1 << k)
            if n > e:
                return -_MALFORMED
            s = 0
            while p < n:
                s |= buf[p]  # only whether it is 0
                p += 1
            if not k and s > 1:
                return -_PROTOCOL
            if not s and (i == 33 or i == 35 or i == 39):
                return -0x94 if i == 35 else -_PROTOCOL
        elif k == 3:
            n = s = 0
            b = 128
            while b > 127:
                if p >= e or s > 21:
                    return -_MALFORMED
                b = buf[p]
                p += 1
                n |= b & 127
                s += 7
            if not b and s > 7:
                return -_MALFORMED
            if not n:
                return -_PROTOCOL
        else:
            while True:
                b = p + 2
                if b > e:
                    return -_MALFORMED
                p = b + (buf[p] << 8 | buf[p + 1])
                if p > e:
                    return -_MALFORMED
                if k != 5:
                    n = scan(buf, b, p)
                    if n and (n == 2 or i == 8):
                        return -_MALFORMED if n == 2 else -_PROTOCOL
                if k != 6:
                    break
                k = 4
    return p


def value(buf, p, want):
    """The value of property want in the checked properties at buf[p:]; None: not there.

    int, or bytes (a copy).
    """
    _found[0] = 0
    check(buf, p, len(buf), 255, False, want)
    p = _found[0]
    if not p:
        return None
    k = _KINDS[want] & 7
    v = n = 0
    if k < 3:
        for n in range(1 << k):
            v = v << 8 | buf[p + n]
        return v
    if k == 3:
        while True:
            v |= (buf[p] & 127) << n
            if buf[p] < 128:
                return v
            n += 7
            p += 1
    return bytes(memoryview(buf)[p + 2 : p + 2 + (buf[p] << 8 | buf[p + 1])])


def view(c):
    from .message5 import Message5

    return Message5(c)


class V5:
    """What the client has more with 5.0. connect5.py sets it up."""

    # -- out -------------------------------------------------------------------------------------

    def _fields(self, clean):
        import umqtt_plus.connect5 as room

        return room.connect(self, clean, False)

    def _start(self, clean, now):
        import umqtt_plus.connect5 as room

        room.start(self, clean, now)

    def publish(self, topic, msg, retain=False, qos=0, timeout_ms=None, properties=None):
        """MQTTClient.publish, with properties: bytes of properties.encode(), or a dict."""
        c = self.c
        old = self.props
        was = self.topic
        if properties and properties is not self.of:
            self.x = self.encoded("PUBLISH", properties, self)
            # what can change may be another the next time
            self.of = properties if isinstance(properties, bytes) else None
        try:
            self.props = x = self.x if properties else _NONE
            self.topic = topic
            if x is not self.inside:
                c._txof = c
            if self.strict:
                import umqtt_plus.limits5 as room

                room.allow(self, topic, msg, retain, qos)
            p = self.send(c, topic, msg, retain, qos, timeout_ms)
            if qos:
                if self.failed and timeout_ms != -1:
                    self.judge(p)
            elif p and self.new:
                self.out.learn()
        finally:
            # of a handler's publish(), in the middle of one that waits
            self.props = old
            self.topic = was
            if self.expiry and not c._in:
                self.expiry.last = 0  # nobody waits any more
        return p

    def publish_nowait(self, topic, msg, retain=False, qos=0, properties=None):
        """MQTTClient.publish_nowait, with properties."""
        if not qos and self.c.sock and not self.c._flush():
            return 0
        return self.publish(topic, msg, retain, qos, -1, properties)

    def judge(self, p, old=False):
        """MQTTException when the server has refused message p; old: no matter, it is long ago."""
        for x in self.failed:
            if x[0] == p:
                self.failed.remove(x)
                if not old:
                    raise MQTTException(x[1], "server", x[2], None)

    def _prep(self, topic):
        """As Protocol._prep, with the properties behind the topic."""
        c = self.c
        if topic is not c._of:
            c._check(topic)
        top = c._top
        self.inside = x = self.props
        n = len(x)
        i = c._size - 2 - n
        if len(top) > i:
            limit("topic, properties (buffer_size)", len(top), i)
        i = put(c._tx, 5, top)
        c._at = n = i + n
        c._tx[i:n] = x
        c._fit = min(len(c._tx), 16388) - n
        c._txof = c._of

    def accept(self, c, topic, msg, retain, qos, more=0):
        """As Outbound.accept: the properties go before msg."""
        t = c._tab
        x = self.props if topic is self.topic else _NONE
        if isinstance(msg, str):
            msg = msg.encode()
        n = len(msg)
        if topic is not c._of:
            c._check(topic)
        i = len(c._top) + len(x) + n
        if i > t.size - 9:
            limit("topic, properties, msg (buffer_size)", i, t.size - 9)
        if self.full and not self.full.open():
            c._busy = 1
        p = Outbound.accept(t, c, topic, x, retain, qos, n + more)
        if p:
            i = p % t.slots
            more = i * t.size + t.length[i]
            try:
                t.slab[more : more + n] = msg
            except BaseException:
                t.state[i] = 0
                t.used -= 1
                if i == t.writing:
                    t.writing = -1
                    c._on = 0
                else:
                    t.todo -= 1
                raise
            t.length[i] += n
            if i == t.writing:
                c._on += n
            self.codes[i] = 0
            self.judge(p, True)
        return p

    # -- in --------------------------------------------------------------------------------------

    def _fail(self, code=_PROTOCOL):
        """Say why with a DISCONNECT, as far as it goes without waiting, and close (4.13)."""
        c = self.c
        try:
            if c.sock and not c._on:
                c.sock.write(bytes((0xE0, 1, code)), 0, 3)
                for _ in range(40):  # closing with bytes unread would reset the link
                    c.sock.readinto(c._bit)
        except OSError:
            pass
        c._close()
        raise MQTTException(code)

    def refuse(self, code, x):
        """The server ends it with code and properties x."""
        self.c._close()
        raise MQTTException(code, "server", value(x, 0, 31), value(x, 0, 28))

    def answer(self, h, p, code, x):
        """PUBACK, PUBREC or PUBCOMP for id p; its properties are at rx[x:], if x is not 0."""
        c = self.c
        t = c._tab
        s = 0
        if t:
            i = p % t.slots
            if t.ids[i] == p and i != t.writing:
                s = t.state[i]
        if not s or s > 8 and s != 12 and not t.slab[i * t.size] & 8:  # never sent
            c._n[3] += 1
            if h == 0x50 and code < 128:
                reply(c, 0x62, p, 0x92)
            return
        if h == 0x50 and code > 127:
            # no PUBREL (MQTT-4.3.3-4): finished, as if a PUBACK or the PUBCOMP had come
            h = 0x40
            if s & 7 == 3:
                t.state[i] = s - 1
            elif s & 7 == 4:
                h = 0x70
            else:
                c._fail()
        elif h == 0x70:  # 0x92 is no failure
            code = self.codes[i]
        self.codes[i] = code
        if h != 0x50:
            c.reason_code = code
            if code > 127:
                if len(self.failed) > 31 + t.slots:
                    self.failed.pop(0)
                self.failed.append((p, code, value(c._rx, x, 31) if x else None))
        if t.todo:
            c._busy = 1  # before on_published() raises
        if t.control(c, h, p):
            c._fail()


def reply(c, h, p, code):
    """A reply with a reason code."""
    ack(c, h, p)
    if code:
        i = c._an
        c._acks[i - 3] = 3
        c._acks[i] = code
        c._an = i + 1


def parse(c):
    """Handle the whole packets in rx; True if there was one. As receive.parse, for 5.0."""
    v = c._v
    rx = c._rx
    ring = c._ring
    bit = c._bit
    size = c._size
    ids = c._tab and c._tab.ids_in
    found = c._found
    p = start = c._p
    if c._an > 58:
        return False  # no room for an ack
    if c._rest:
        import umqtt_plus.stream as stream

        stream.go_on(c, p, c._e)
        p = c._p
        if c._an > 58:
            c._new = True
            return True
    try:
        while True:
            e = c._e  # 0 once the application has closed the connection
            if e - p < 2:
                break
            h = rx[p]
            n = rx[p + 1]
            q = p + 2
            if n > 127:
                n &= 127
                s = 7
                b = 128
                while b > 127:
                    if s > 21:
                        c._fail(_MALFORMED)
                    if q == e:
                        return p != start
                    b = rx[q]
                    q += 1
                    n |= (b & 127) << s
                    s += 7
                if not b:
                    c._fail(_MALFORMED)
            z = q + n
            if h & 0xF0 != 0x30:
                if h not in b"\x40\x50\x62\x70\x90\xb0\xd0\xe0\xf0":
                    # from the wrong side; flags
                    c._fail(_PROTOCOL if h in b"\x10\x20\x82\xa2\xc0" else _MALFORMED)
                if z - p > size:
                    c._fail(0x95)
                if z > e:
                    break
                p = z
                control(c, v, h, q, z)
                if c._an > 58:
                    c._new = True  # no room for another ack: later
                    break
                continue
            i = h >> 1 & 3
            if i == 3:
                c._fail(_MALFORMED)
            if h & 14 == 8:
                c._fail()  # DUP with QoS 0
            large = z - p > size
            if z - p > v.takes or large and (c._view is None or not c._view.handler):
                c._fail(0x95)  # MQTT-3.1.2-24
            if large:
                import umqtt_plus.stream5 as stream

                if not stream.head(c, i, p, q, e):
                    break
            elif z > e:
                break
            # the topic, n bytes up to b
            n = (rx[q] << 8 | rx[q + 1]) + 2
            b = q + n
            j = b + 2 if i else b
            if j >= z:
                c._fail(_MALFORMED)
            if n != c._k or not (
                ring.write(rx, q, n) and ring.readinto(bit, n) and bit == c._memo
            ):
                s = scan(rx, q + 2, b)
                if s:
                    c._fail(_MALFORMED if s == 2 else _PROTOCOL)
                c._k = 0
                if ring and n <= len(bit):
                    ring.write(rx, q, n)
                    ring.readinto(bit, n)
                    c._memo[:] = bit
                    c._k = n
            n -= 2
            # packet id, properties, alias
            if i:
                i = rx[b] << 8 | rx[b + 1]
                if not i:
                    c._fail()
            _found[0] = 0  # where the alias is, after this
            found[3] = s = check(rx, j, z, _PUBLISH, False, 35) if rx[j] else j + 1
            if s < 0:
                c._fail(-s)
            found[4] = j
            s = _found[0]
            if s:
                s = rx[s] << 8 | rx[s + 1]
                if s > v.aliases:
                    c._fail(0x94)  # MQTT-3.1.2-26, MQTT-3.1.2-27
                b = v.inward.topic(rx, s, q + 2, n)
                n = v.inward.known[s]
            if not n:
                c._fail()
            if i:
                if ids and ids.count - len(v.held) >= v.room and not ids.has(i):
                    c._fail(0x93)  # MQTT-3.3.4-9
                v.refused = 0
                if (h & 4 or ids and ids.count) and seen(c, h, i):
                    if i in v.held:
                        v.held.remove(i)
                    h = 0
                elif not large:
                    c._owed = i
            found[0] = h
            found[1] = b
            found[2] = z
            c._tl = n
            if large:
                c._p = p
                p = -1  # from here on stream.py says how far it is
                stream.begin(c, i, z)
                p = c._p
                if c._an > 58:
                    c._new = True
                    break
                continue
            p = z
            if h:
                take = c._take
                if take:
                    take(c._view)
                elif c.cb:
                    m = c._mv
                    c.cb(bytes(m[b - n : b]), bytes(m[found[3] : z]))
            if i:
                if not h:
                    ack(c, 0x50, i)
                elif c._owed:  # and the application has not closed the connection
                    if v.refused:
                        c._owed = 0
                        reply(c, 0x50 if h & 4 else 0x40, i, v.refused)
                    else:
                        settle(c, h, i)
                elif h & 4 and not c.state:
                    ids.add(i)  # it is dealt with; what comes over the next link is a copy
                if c._an > 58:
                    c._new = True
                    break
    finally:
        if c._e and p >= 0:
            c._p = p
    return p != start


def checked(c, p, z, where, quiet=False):
    """A copy of the properties at rx[p:z], which they fill."""
    s = check(c._rx, p, z, where, quiet)
    if s != z:
        c._fail(-s if s < 0 else _MALFORMED)
    return bytes(c._mv[p:z])


def control(c, v, h, q, z):
    """Any whole packet but PUBLISH: first byte h, body rx[q:z]."""
    rx = c._rx
    n = z - q
    if h == 0xD0:
        if n:
            c._fail(_MALFORMED)
        c._ping = 0
        c._due = c._tend  # count anew
        return
    if h == 0xF0:
        if not v.auth:
            c._fail()  # MQTT-4.12.0-6
        v.auth.step(c, q, z)
        return
    if h == 0xE0:
        v.refuse(rx[q] if n else 0, checked(c, q + 1, z, _DISCONNECT) if n > 1 else _NONE)
    if n < 2:
        c._fail(_MALFORMED)
    p = rx[q] << 8 | rx[q + 1]
    if not p:
        c._fail()
    if h & 0x90 == 0x90:
        s = check(rx, q + 2, z, _ACK, v.quiet)
        if s < 0 or s == z:
            c._fail(-s if s < 0 else _MALFORMED)
        if p not in c._asks:
            c._fail()  # nobody waits for it
        from .verbs5 import granted

        granted(c, h, p, s, z)
        return
    code = x = 0
    if n > 2:
        code = rx[q + 2]
        if n > 3:
            x = q + 3
            s = check(rx, x, z, _ACK, v.quiet)
            if s != z:
                c._fail(-s if s < 0 else _MALFORMED)
        if 0 < code < 128 and (code != 16 or h > 0x50):
            c._fail()
    if h != 0x62:
        v.answer(h, p, code, x)
        return
    t = c._tab and c._tab.ids_in
    code = 0x92
    if t and t.has(p):
        t.remove(p)
        code = 0
        if p in v.held:
            v.held.remove(p)
    reply(c, 0x70, p, code)
