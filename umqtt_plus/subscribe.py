"""SUBSCRIBE and UNSUBSCRIBE: topic filters, the packets, their answers. Loaded on first use.

subscribe and unsubscribe are methods of the synchronous client: client.subscribe(topic).
"""

from .codec import header, limit, put, text
from .receive import load


def topic_filter(x):
    """x as checked bytes; ValueError says what is wrong (MQTT-4.7.1-2, -3, MQTT-4.7.3-1 to -3)."""
    x = bytes(text("topic_filter", x))
    levels = x.split(b"/")
    bad = not x or b"#" in levels[:-1]
    for level in levels:
        if len(level) > 1 and (b"+" in level or b"#" in level):
            bad = True
    if bad:
        raise ValueError("topic_filter: empty, or + or # do not fill a level, or # not the last")
    return x


def packet_id(t, taken):
    """An id that nothing in flight uses (MQTT-2.3.1-2)."""
    p = t.next_id if t else 1
    while p in taken or t and t.state[p % t.slots] and t.ids[p % t.slots] == p:
        p = p % 65535 + 1
    if t:
        t.next_id = p % 65535 + 1
    return p


def request(c, first, topics, qos):
    """Put a SUBSCRIBE (0x82) or UNSUBSCRIBE (0xA2) into tx, which is idle; its packet id."""
    fields = []
    n = 2
    for f in topics if isinstance(topics, (list, tuple)) else (topics,):
        q = qos
        if isinstance(f, tuple):
            f, q = f
        f = topic_filter(f)
        fields.append((f, limit("qos (2 needs inflight)", q, 2 if c._tab else 1)))
        n += len(f) + (3 if first == 0x82 else 2)
    limit("topic filters", len(fields), 9999, 1)
    limit("topic filters (see buffer_size)", n + 5, len(c._tx))
    p = packet_id(c._tab, c._asks)
    tx = c._tx
    c._txof = c
    i = header(tx, 0, first, n)
    tx[i] = p >> 8
    tx[i + 1] = p & 255
    i += 2
    for f, q in fields:
        i = put(tx, i, f)
        if first == 0x82:
            tx[i] = q
            i += 1
    c._req = i
    c._busy = 1
    c._asks[p] = len(fields) if first == 0x82 else 0
    return p


def granted(c, h, p, q, n):
    """SUBACK or UNSUBACK for the request p; its codes are rx[q:q+n]."""
    want = c._asks[p]
    if isinstance(want, bytes):
        c._fail()  # answered already
    gone = want < 0  # the caller no longer waits
    if gone:
        want = ~want
    # a SUBACK needs one code a filter, an UNSUBACK none (MQTT-3.8.4-5)
    bad = n != want or (h == 0x90) != (want > 0)
    codes = bytes(c._mv[q : q + n])
    for code in codes:
        if code > 2 and code != 0x80:
            bad = True  # MQTT-3.9.3-2
    if bad:
        c._fail()
    c._asks[p] = codes
    if gone:
        del c._asks[p]


def subscribe(client, topic, qos=0, timeout_ms=None):
    """Subscribe to a topic filter, or to a list of filters and (filter, qos) pairs. Allocates.

    Returns the QoS granted, or a bytes of them with 0x80 for a refused one. A single refused
    filter raises MQTTException(0x80); the connection stays. OSError(ETIMEDOUT): no answer by
    timeout_ms.
    Inside a message handler it returns None and does not wait.
    """
    codes = ask(client, 0x82, topic, qos, timeout_ms)
    if codes is None or isinstance(topic, (list, tuple)):
        return codes
    if codes[0] == 0x80:
        from .errors import MQTTException

        raise MQTTException(0x80)
    return codes[0]


def unsubscribe(client, topic, timeout_ms=None):
    """Unsubscribe from a topic filter or a list of them. Allocates."""
    ask(client, 0xA2, topic, 0, timeout_ms)


def ask(c, first, topics, qos, timeout_ms):
    """Send a request and wait for its codes; None inside a handler."""
    load(c)
    end = c._end(timeout_ms)
    c._drain(end)
    p = request(c, first, topics, qos)
    want = c._asks[p]
    if c._in:
        c._asks[p] = ~want
        c._flush()
        return None
    try:
        while c._asks.get(p) is want:
            if not c._round(end):
                raise OSError(110)
    finally:
        if c._asks.get(p) is want:
            c._asks[p] = ~want  # the id stays taken until the answer comes
    codes = c._asks.pop(p, None)
    if codes is None:
        raise OSError(107)  # a handler closed the connection
    return codes
