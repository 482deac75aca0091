"""Packets of MQTT 3.1.1 into caller-owned bytearrays, and the checks that both directions share.

Pure functions on ints and buffers: no sockets, no clock, no state of the session. What arrives is
framed in receive.py, in one loop, because a call costs more than the work it does.
"""


def limit(name, n, most, least=0):
    """n, or ValueError that names the argument and its limits."""
    if not least <= n <= most:
        raise ValueError("%s: %d, limits %d to %d" % (name, n, least, most))
    return n


def text(name, x, wild=2):
    """x (str or bytes) as checked UTF-8 bytes, 65535 at most; a str is copied.

    ValueError names the argument (MQTT-1.5.3-1, -2). wild: the scan() result that is too much: 1
    for a topic, which must not be empty either; 2 where + and # may stand; 3 for any bytes.
    """
    if isinstance(x, str):
        x = x.encode()
    limit(name, len(x), 65535, wild < 2)
    if wild < 3 and scan(x, 0, len(x)) >= wild:
        raise ValueError(name + ": bad UTF-8, NUL, wildcard")
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
            if not c:
                return 2
            continue
        n = i + (1 if c < 0xE0 else 2 if c < 0xF0 else 3)
        if c < 0xC2 or c > 0xF4 or n > end:
            return 2
        # overlong forms, surrogates and what lies beyond U+10FFFF show in the first two bytes
        c = c << 8 | b[i]
        if 0xE000 <= c < 0xE0A0 or 0xEDA0 <= c < 0xEE00 or 0xF000 <= c < 0xF090 or c >= 0xF490:
            return 2
        while i < n:
            if b[i] & 0xC0 != 0x80:
                return 2
            i += 1
    return wild


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
