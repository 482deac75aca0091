"""Packets of MQTT 3.1.1 into caller-owned bytearrays, and the checks that both directions share.

Pure functions on ints and buffers: no sockets, no clock, no state of the session. Framing of what
arrives is in protocol.py, in one loop, because a call costs more than the work it does.
"""


def limit(name, n, most, least=0):
    """n, or ValueError that names the argument and its limits."""
    if not least <= n <= most:
        raise ValueError("%s: %d, must be %d to %d" % (name, n, least, most))
    return n


def binary(name, x):
    """x (str or bytes) as bytes of at most 65535. A str is copied."""
    if isinstance(x, str):
        x = x.encode()
    limit(name + " bytes", len(x), 65535)
    return x


def text(name, x, wild=2, least=0):
    """x as checked UTF-8 bytes; ValueError names the argument (MQTT-1.5.3-1, -2).

    wild: the scan() result that is too much, 1 for a topic name, 2 where + and # may stand.
    """
    x = binary(name, x)
    if len(x) < least:
        raise ValueError(name + ": empty")
    if scan(x, 0, len(x)) >= wild:
        raise ValueError(name + ": bad UTF-8, U+0000 or wildcard")
    return x


def scan(b, i, end):
    """Look through the string b[i:end]: 0 clean, 1 holds + or #, 2 ill-formed UTF-8 or U+0000.

    Allocates nothing.
    """
    wild = 0
    while i < end:
        c = b[i]
        i += 1
        if c < 128:
            if c == 43 or c == 35:
                wild = 1
            elif not c:
                return 2
            continue
        n = 1 if c < 0xE0 else 2 if c < 0xF0 else 3
        if c < 0xC2 or c > 0xF4 or i + n > end:
            return 2
        # overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte
        d = b[i]
        if c == 0xE0 and d < 0xA0 or c == 0xED and d > 0x9F:
            return 2
        if c == 0xF0 and d < 0x90 or c == 0xF4 and d > 0x8F:
            return 2
        while n:
            if b[i] & 0xC0 != 0x80:
                return 2
            i += 1
            n -= 1
    return wild


def width(n):
    """How many bytes the remaining length n takes; ValueError when no packet can be so long."""
    limit("packet bytes", n, 268435455)
    return 1 if n < 128 else 2 if n < 16384 else 3 if n < 2097152 else 4


def header(buf, i, first, n):
    """First byte and remaining length n at buf[i:]; returns the index behind them."""
    buf[i] = first
    i += 1
    while n > 127:
        buf[i] = n & 127 | 128
        n >>= 7
        i += 1
    buf[i] = n
    return i + 1


def put(buf, i, x):
    """Two-byte length and x at buf[i:]; returns the index behind them."""
    n = len(x)
    buf[i] = n >> 8
    buf[i + 1] = n & 255
    i += 2
    buf[i : i + n] = x
    return i + n


def connect(buf, client_id, clean, keep_alive, will, user, password):
    """CONNECT at the start of buf; returns its length. will is (topic, msg, flags) or None."""
    flags = 2 if clean else 0
    fields = [client_id]
    if will:
        fields += will[:2]
        flags |= will[2]
    if user is not None:
        fields.append(user)
        flags |= 0x80
    if password is not None:
        fields.append(password)
        flags |= 0x40
    n = 10
    for x in fields:
        n += 2 + len(x)
    limit("CONNECT bytes (see buffer_size)", n + 5, len(buf))
    i = put(buf, header(buf, 0, 0x10, n), b"MQTT")
    buf[i] = 4
    buf[i + 1] = flags
    buf[i + 2] = keep_alive >> 8
    buf[i + 3] = keep_alive & 255
    i += 4
    for x in fields:
        i = put(buf, i, x)
    return i


def publish(buf, i, first, topic, packet_id, msg, more):
    """PUBLISH of QoS 1 or 2 at buf[i:], which has room; returns the index behind it.

    more counts payload bytes that follow from elsewhere. Allocates nothing.
    """
    t = len(topic)
    m = len(msg)
    n = t + m + more + 4
    if n < 128:
        buf[i] = first
        buf[i + 1] = n
        i += 2
    else:
        i = header(buf, i, first, n)
    buf[i] = t >> 8
    buf[i + 1] = t & 255
    i += 2
    buf[i : i + t] = topic
    i += t
    buf[i] = packet_id >> 8
    buf[i + 1] = packet_id & 255
    i += 2
    buf[i : i + m] = msg
    return i + m
