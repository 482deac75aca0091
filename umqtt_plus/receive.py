"""What a server sends to one who does more than publish QoS 0: messages, acks, SUBACK.

Loaded with the first packet that is neither CONNACK nor PINGRESP.
"""

from micropython import const

from .codec import scan

_ACKS = const(64)


def parse(c):
    """Handle the whole packets in rx; True if there was one. Allocates nothing of its own.

    One long loop: a QoS 0 message makes no call but the one to the application.
    """
    rx = c._rx
    p = start = c._p
    if c._rest:
        p = c._big.go_on(c, p, c._e)
    while c._an < _ACKS:
        e = c._e  # 0 once the application has closed the connection
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
                    c._fail()
        z = q + n
        if h < 0x30 or h > 0x3D:
            if h not in b"\x40\x50\x62\x70\x90\xb0\xd0":
                c._fail()  # reserved flags, or never from a server
            if z > e:
                if z - p > c._size:
                    c._fail(0x95)
                break
            c._p = p = z
            control(c, h, q, n)
            continue
        if z > e and (z - p <= c._size or q + 2 > e):
            break
        q += 2
        s = b = q + (rx[q - 2] << 8 | rx[q - 1])
        if h > 0x31:
            if h & 6 == 6 or h == 0x38 or h == 0x39:
                c._fail()  # QoS 3; DUP with QoS 0
            s += 2
        if s > z or b == q:
            c._fail()
        if s > e:
            if s - p > c._size:
                c._fail(0x95)
            break
        for i in range(q, b):
            i = rx[i]
            if i < 45 or i > 127:
                if scan(rx, q, b):
                    c._fail()
                break
        i = 0
        if s != b:
            i = rx[b] << 8 | rx[b + 1]
            if seen(c, h, i):
                h = 0
            else:
                c._owed = i
        if z > e:
            if not c._big:
                c._fail(0x95)  # MQTT-4.8.0-2
            p = c._big.begin(c, h, q, b, s, z, i)
            continue
        c._p = p = z
        if not h:
            ack(c, 0x50, i)
        elif c._take:
            m = c._view
            m.head = h
            m.topic_start = q
            m.topic_end = b
            m.start = s
            m.end = z
            c._take(m)
        elif c.cb:
            m = c._mv
            c.cb(bytes(m[q:b]), bytes(m[s:z]))
        if c._owed:  # and the application has not closed the connection
            settle(c, h, i)
    return p != start


def seen(c, h, packet_id):
    """Whether a QoS 2 message is a copy of one that is not released yet (MQTT-4.3.3-2)."""
    t = c._tab
    known = t and t.has(packet_id)
    if not packet_id or known and h & 2:
        c._fail()
    if h & 4:
        if known:
            c._n[4] += 1
        elif not t or t.open == t.most:
            c._fail(0x97)
    return known


def settle(c, h, packet_id):
    """The application has the message: reply."""
    c._owed = 0
    if h & 4:
        c._tab.add(packet_id)
    ack(c, 0x50 if h & 4 else 0x40, packet_id)


def ack(c, first, packet_id):
    """Queue a reply of four bytes."""
    a = c._acks
    i = c._an
    a[i] = first
    a[i + 1] = 2
    a[i + 2] = packet_id >> 8
    a[i + 3] = packet_id & 255
    c._an = i + 4
    c._busy = 1


def control(c, h, q, n):
    """Any whole packet but PUBLISH: first byte h, body rx[q:q+n]."""
    if h == 0xD0:
        if n:
            c._fail()
        c._ping = 0
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
    elif c._tab:
        if c._tab.control(c, h, p):
            c._fail()
    else:
        unknown(c, h, p)


def unknown(c, h, packet_id):
    """An ack for an id not in flight: what frees the server is answered all the same."""
    if h & 0x20 == 0 and h & 0x10 or h == 0x62:  # PUBREC, PUBREL
        ack(c, 0x62 if h == 0x50 else 0x70, packet_id)
    if h != 0x62:
        c._n[3] += 1
