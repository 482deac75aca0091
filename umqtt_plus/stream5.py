"""Received messages of MQTT 5.0 that are larger than the buffer. As stream.py."""

import umqtt_plus.stream as stream


def head(c, qos, p, q, e):
    """Whether all but the payload of the message at rx[p:e] is here, and a byte of that.

    q: where the topic's length is.
    """
    rx = c._rx
    j = q + 2
    if j <= e:
        j += rx[q] << 8 | rx[q + 1]
        if qos:
            j += 2
        n = s = 0
        b = 128
        while b > 127 and j < e and s < 22:
            b = rx[j]
            j += 1
            n |= (b & 127) << s
            s += 7
        if b < 128:
            j += n
    if j - p >= c._size:
        c._fail(0x95)
    return j < e


def begin(c, packet_id, z):
    """Hand over the first piece; what is known of the message is in c._found."""
    m = c._view
    start = c._found[3]
    m.offset = 0
    m.total = c._rest = z - start
    c._big_id = packet_id
    stream.go_on(c, start, c._e)
