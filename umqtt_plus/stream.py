"""Messages larger than the buffers, in pieces: set_stream() and publish_stream() load this."""

from time import ticks_add, ticks_diff, ticks_ms

from .codec import header, limit
from .acks import ack
from .receive import settle
from .verbs import acked


def begin(c, head, b, end, packet_id):
    """A PUBLISH whose payload ends beyond the buffer; its topic ends at rx[b].

    head 0: a duplicate, which is passed over.
    """
    m = c._view
    start = b + 2 if packet_id else b
    c._found[0] = head
    c._found[1] = b
    m.offset = 0
    m.total = c._rest = end - start
    c._big_id = packet_id
    go_on(c, start, c._e)


def go_on(c, p, e):
    """Hand over what has come of it, rx[p:e]; c._p is then where the next packet begins."""
    m = c._view
    n = e - p
    if n > c._rest:
        n = c._rest
    if not n:
        return
    m.piece = p
    c._p = c._found[2] = p + n
    c._rest -= n
    last = not c._rest
    try:
        if m.head:
            c._owed = c._big_id
            m.handler(m)
    finally:
        m.offset += n
        c._found[1] = 0
        m.piece = -1
    if last:
        if not m.head:
            ack(c, 0x50, c._big_id)
        elif c._owed:  # and the application has not closed the connection
            settle(c, m.head, c._owed)
        elif m.head & 4 and not c.state:
            c._tab.ids_in.add(c._big_id)


def tail(c, body, n, retain, timeout_ms):
    """QoS 0 with n payload bytes that do not fit behind the topic, sent from where they are."""
    if isinstance(body, str):
        body = body.encode()
        n = len(body)
    m = c._at - 5 + limit("msg", n, 268000000)
    i = 3 if m < 128 else 2 if m < 16384 else 1 if m < 2097152 else 0
    header(c._tx, i, 0x31 if retain else 0x30, m)
    c._tail = body
    c._tn = n
    c._tat = 0
    c._out = c._tx
    c._oat = i
    c._on = c._at - i
    c._busy = 1
    if not c._flush() and timeout_ms != -1:
        c._drain(c._end(timeout_ms))
    return -1


def chunk(c):
    """The next piece of such a payload, into _out; how many bytes."""
    c._out = c._tail
    n = c._tn
    if callable(c._tail):
        c._txof = c
        c._out = c._tx
        t = c._tab
        i = t.writing if t else -1
        again = i >= 0 and t.slab[i * t.size] & 8
        try:
            n = c._tail(c._tx, c._tat)
            if not n or n < 0:
                raise ValueError("publish_stream: the source ended early")
        except Exception:
            if i >= 0:  # or it would end every connection to come
                t.state[i] = t.ids[i] = 0
                t.used -= 1
                del t.sources[i]
            c._close()
            if again:
                raise OSError(5, "publish_stream: the source failed; message dropped")
            raise
        n = min(n, len(c._tx), c._tn)
        c._tat += n
    c._tn -= n
    if not c._tn:
        c._tail = None  # let go of it
    return n


def publish_stream(c, topic, length, readinto, retain=False, qos=0, timeout_ms=None):
    """Publish length bytes that need not fit in RAM. Returns packet_id, -1 for QoS 0.

    A method of the synchronous client: client.publish_stream(topic, length, readinto).
    readinto(buf, offset) fills buf with the payload from offset on and returns how many bytes;
    with QoS 1 and 2 it may be asked again from 0 after a reconnect, until the server answers.
    timeout_ms: the longest time without progress. When the source fails or ends early the
    connection is closed, for the packet cannot be finished, and the message is dropped; when it
    was asked again the next to use the client gets OSError(5).
    """
    for p in steps(c, topic, length, readinto, retain, qos, timeout_ms):
        if not p:
            if c._in:
                c._wait(20, 4)
            else:
                c._round(ticks_add(ticks_ms(), 20))
    if qos and not c._in:
        acked(c, p, c._end(timeout_ms))
    return p


def steps(c, topic, length, readinto, retain, qos, timeout_ms):
    """publish_stream() for those who wait between the steps; the last one is the packet_id."""
    limit("length", length, 268000000, 1)
    c._drain(c._end(timeout_ms))
    p = -1
    if qos:
        limit("qos (needs inflight)", qos, 2 if c._tab else 0)
        c._busy = 1  # so that it is picked, with its readinto
        p = c._tab.accept(c, topic, b"", retain, qos, length)
        if not p:
            raise OSError(105)
        c._tab.sources[p % c._tab.slots] = (readinto, length)
    else:
        c._prep(topic)
        tail(c, readinto, length, retain, -1)
    mark = end = 0
    while not c._flush():
        left = c._tn + c._on
        if left != mark:
            mark = left
            end = c._end(timeout_ms)
        elif ticks_diff(end, ticks_ms()) <= 0:
            c._close()
            raise OSError(110)
        yield 0
    yield p
