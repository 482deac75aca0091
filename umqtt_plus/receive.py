"""What a server sends to one who does more than publish QoS 0: messages, acks, SUBACK.

Loaded with a handler for messages, or with the first packet that opening.first() leaves.
"""

from .acks import ack, unknown
from .codec import scan
from .opening import first


def load(c):
    """Make a client a receiver."""
    if c._read is not first:
        return
    c._read = parse
    try:
        from micropython import RingIO

        # the only way to copy from the middle of a buffer that allocates nothing
        c._ring = RingIO(len(c._bit) + 1)
    except ImportError:
        c._ring = None
    c._memo = bytearray(len(c._bit))
    c._k = 0
    c._found = [0, 0, 0]  # of the message in hand: first byte, end of topic, end of payload
    if c._tab:
        c._tab.ids_in = Inbound()


class Inbound:
    """QoS 2 ids received and not released: id at its last bits, or anywhere when that is taken.

    Grows from 32 places to 256, then the connection is closed: brokers keep 10 to 32 messages in
    flight, but some send the next ones before they release the last (Mosquitto: 66 seen).
    """

    def __init__(self):
        self.ids = [0] * 32
        self.count = self.astray = 0  # how many; how many of them not at their last bits

    def clear(self):
        for i in range(len(self.ids)):
            self.ids[i] = 0
        self.count = self.astray = 0

    def room(self):
        """Make sure that another one fits; False when it cannot. Allocates when it grows."""
        old = self.ids
        if self.count == len(old):
            if self.count == 256:
                return False
            try:
                self.ids = [0] * (2 * len(old))
            except MemoryError:
                return False
            self.count = self.astray = 0
            for p in old:
                self.add(p)
        return True

    def has(self, p):
        ids = self.ids
        return ids[p & len(ids) - 1] == p or self.astray and p in ids

    def add(self, p):
        ids = self.ids
        i = p & len(ids) - 1
        if ids[i]:
            i = ids.index(0)
            self.astray += 1
        ids[i] = p
        self.count += 1

    def remove(self, p):
        ids = self.ids
        i = p & len(ids) - 1
        if ids[i] != p:
            i = ids.index(p)
            self.astray -= 1
        ids[i] = 0
        self.count -= 1


def parse(c):
    """Handle the whole packets in rx; True if there was one. Allocates nothing of its own.

    One long loop: a QoS 0 message makes no call but the one to the application. A topic equal to
    the last one, length included, is not checked byte by byte again: 2 against 8 thousand
    instructions for 10 bytes.
    """
    if c.state != 2:
        return first(c)
    rx = c._rx
    ring = c._ring
    bit = c._bit
    memo = c._memo
    k = c._k
    size = c._size
    small = min(127, size - 2)
    ids = c._tab and c._tab.ids_in
    acks = c._acks
    found = c._found
    p = start = c._p
    if c._an > 60:
        return False  # no room for an ack
    if c._rest:
        import umqtt_plus.stream as stream

        stream.go_on(c, p, c._e)
        p = c._p
        if c._an > 60:
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
            if n > small:
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
                            c._fail()
                if q + n - p > size:
                    if h & 0xF0 != 0x30:
                        c._fail(0x95)
                    c._p = p
                    p = -1  # from here on stream.py says how far it is
                    i = large(c, h, c._p, q, q + n, e)
                    p = c._p
                    k = c._k
                    if i and c._an <= 60:
                        continue
                    c._new = i
                    break
            z = q + n
            i = 0
            if h & 0xFE != 0x30:
                i = 2
                if h < 0x32 or h > 0x3D:
                    if h not in b"\x40\x50\x62\x70\x90\xb0\xd0":
                        c._fail()  # reserved flags, or never from a server
                    if z > e:
                        break
                    p = z
                    control(c, h, q, n)
                    if c._an > 60:
                        c._new = True  # no room for another ack: later
                        break
                    continue
            if z > e:
                break
            b = q + k
            if not (
                b <= z and k and ring.write(rx, q, k) and ring.readinto(bit, k) and bit == memo
            ):
                b = topic(c, q, z)
                k = c._k
            if i:
                # flat for QoS 1, a third faster than by calls
                i = rx[b] << 8 | rx[b + 1]
                if not h & 6 or h & 6 == 6 or b + 2 > z or not i:
                    c._fail()  # DUP with QoS 0; QoS 3; cut short; no id
                if (h & 4 or ids and ids.count) and seen(c, h, i):
                    p = z
                    ack(c, 0x50, i)
                    if c._an > 60:
                        c._new = True
                        break
                    continue
                c._owed = i
            p = z
            take = c._take
            if take:
                # not attributes of the view: a class with properties makes each store slow, and
                # three of them a quarter of the work for a QoS 0 message
                found[0] = h
                found[1] = b
                found[2] = z
                take(c._view)
            elif c.cb:
                m = c._mv
                c.cb(bytes(m[b - c._tl : b]), bytes(m[b + 2 if i else b : z]))
            if i:
                if c._owed:  # and the application has not closed the connection
                    if h & 4:
                        settle(c, h, i)
                    else:
                        c._owed = 0
                        n = c._an
                        acks[n] = 0x40
                        acks[n + 1] = 2
                        acks[n + 2] = i >> 8
                        acks[n + 3] = i & 255
                        c._an = n + 4
                        c._busy = 1
                elif h & 4 and not c.state:
                    ids.add(i)  # it is dealt with; what comes over the next link is a copy
                if c._an > 60:
                    c._new = True
                    break
    finally:
        if c._e and p >= 0:
            c._p = p
    return p != start


def topic(c, q, z):
    """End of the topic whose length is at rx[q:], checked, in a packet that ends at z."""
    rx = c._rx
    k = 2 + (rx[q] << 8 | rx[q + 1])
    b = q + k
    if b > z or k == 2 or scan(rx, q + 2, b):
        c._fail()
    c._tl = k - 2
    c._k = 0
    if c._ring and k <= len(c._bit):
        c._ring.write(rx, q, k)
        c._ring.readinto(c._bit, k)
        c._memo[:] = c._bit
        c._k = k
    return b


def packet_id(c, h, b, z):
    """The id at rx[b:]."""
    p = c._rx[b] << 8 | c._rx[b + 1]
    if h & 6 == 6 or h & 14 == 8 or b + 2 > z or not p:
        c._fail()  # QoS 3; DUP with QoS 0; cut short; no id
    return p


def large(c, h, p, q, z, e):
    """A message larger than buffer_size: hand over what came; False when more must come first."""
    if q + 2 > e:
        return False
    b = q + 2 + (c._rx[q] << 8 | c._rx[q + 1])
    if b <= z and (b + 2 - p >= c._size or c._view is None or not c._view.handler):
        c._fail(0x95)  # MQTT-4.8.0-2; set_stream takes it in pieces
    if z >= b and b + 2 >= e:
        return False  # the first piece is not to be empty
    b = topic(c, q, z)
    i = 0
    if h > 0x31:
        i = packet_id(c, h, b, z)
        if seen(c, h, i):
            h = 0
    import umqtt_plus.stream as stream  # as set_stream() did

    stream.begin(c, h, b, z, i)
    return True


def seen(c, h, packet_id):
    """Whether a QoS 2 message is a copy of one that is not released yet (MQTT-4.3.3-2)."""
    t = c._tab and c._tab.ids_in
    known = t and t.has(packet_id)
    if known and h & 2:
        c._fail()  # a QoS 1 message under an id that is open
    if h & 4:
        if known:
            c._n[4] += 1
        elif not t or not t.room():
            c._fail(0x97)
    return known


def settle(c, h, packet_id):
    """The application has the message: reply."""
    c._owed = 0
    if h & 4:
        c._tab.ids_in.add(packet_id)
    ack(c, 0x50 if h & 4 else 0x40, packet_id)


def control(c, h, q, n):
    """Any whole packet but PUBLISH: first byte h, body rx[q:q+n]."""
    if h == 0xD0:
        if n:
            c._fail()
        c._ping = 0
        c._due = c._tend  # count anew
        return
    if n != 2 and (h != 0x90 or n < 3):
        c._fail()
    p = c._rx[q] << 8 | c._rx[q + 1]
    if not p:
        c._fail()
    if h & 0x90 == 0x90:  # SUBACK, UNSUBACK
        if p not in c._asks:
            c._fail()  # nobody waits for it
        from .subscribe import granted

        granted(c, h, p, q + 2, n - 2)
    elif h == 0x62:  # PUBREL; one for an unknown id is answered too (MQTT-4.3.3-2)
        t = c._tab and c._tab.ids_in
        if t and t.has(p):
            t.remove(p)
        ack(c, 0x70, p)
    elif not c._tab:
        unknown(c, h, p)
    elif c._tab.control(c, h, p):
        c._fail()
