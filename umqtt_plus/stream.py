"""Messages larger than the buffers, in pieces: set_stream() and publish_stream() load this."""

from time import ticks_add, ticks_diff, ticks_ms

from .codec import limit


def begin(c, head, a, b, start, end, packet_id):
    """A PUBLISH whose payload ends beyond the buffer. head 0: a duplicate, passed over."""
    m = c._view
    m.head = head
    m.topic_start = a
    m.topic_end = b
    m.offset = 0
    m.total = c._left = end - start
    c._left_id = packet_id
    return go_on(c, start, c._e)


def go_on(c, p, e):
    """Hand over what has come of it, rx[p:e]; returns where the next packet begins."""
    m = c._view
    n = e - p
    if n > c._left:
        n = c._left
    m.start = p
    p += n
    m.end = c._p = p
    c._left -= n
    s = c._left_id
    if m.head:
        c._owed = s
        m.handler(m)
    m.offset += n
    m.topic_start = m.topic_end = 0
    if s and c._e and not c._left:  # all of it, and the application did not close
        if m.head:
            c._settle(m.head, s)
        else:
            c._ack(0x50, s)
    return p


def publish(c, topic, length, source, retain, qos, timeout_ms):
    """publish_stream() of the synchronous client."""
    limit("length", length, 268435455, 1)
    c._flush_all(c._end(timeout_ms))
    if qos:
        p = c._put(topic, source, retain, qos, length)
        if not p:
            raise OSError(105)
    else:
        p = -1
        c._prepare(topic)
        c._send_tail(0x31 if retain else 0x30, source, length)
    mark = end = 0
    while not c._flush():
        now = ticks_ms()
        left = c._body_n + c._out_n
        if left != mark:
            mark = left
            end = c._end(timeout_ms)
        elif ticks_diff(end, now) <= 0:
            c._close()
            raise OSError(110)
        if c._inside:
            c._wait(20, 4)
        else:
            c._round(ticks_add(now, 20))
    return p if p < 0 or c._inside else c._acked(p, c._end(timeout_ms))
