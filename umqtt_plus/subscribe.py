"""SUBSCRIBE and UNSUBSCRIBE: topic filters, the packets, their answers. Loaded on first use."""

from .codec import header, limit, put, text


def topic_filter(x):
    """x as checked bytes; ValueError says what is wrong (MQTT-4.7.1-2, -3, MQTT-4.7.3-1 to -3)."""
    x = bytes(text("topic_filter", x, 2, 1))
    levels = x.split(b"/")
    for level in levels:
        if len(level) > 1 and (b"+" in level or b"#" in level):
            raise ValueError("topic_filter: + and # fill a whole level")
    if b"#" in levels[:-1]:
        raise ValueError("topic_filter: # is the last level")
    return x


def matches(topic_filter, topic):
    """Whether a topic (bytes) fits a valid filter (bytes). Allocates nothing."""
    i = j = 0
    n = len(topic_filter)
    m = len(topic)
    if m and topic[0] == 36 and topic_filter[0] != 36:
        return False  # wildcards in front do not see $ topics (MQTT-4.7.2-1)
    while i < n:
        c = topic_filter[i]
        if c == 35:
            return True
        if c == 43:
            while j < m and topic[j] != 47:
                j += 1
            i += 1
        elif j < m and topic[j] == c:
            i += 1
            j += 1
        else:
            # "a/#" fits "a" itself, the parent level
            return j == m and c == 47 and i + 2 == n and topic_filter[i + 1] == 35
    return j == m


def request(c, first, topics, qos):
    """Put a SUBSCRIBE (0x82) or UNSUBSCRIBE (0xA2) into tx, which is idle; its packet id."""
    fields = []
    n = 2
    for f in topics if isinstance(topics, (list, tuple)) else (topics,):
        q = qos
        if isinstance(f, tuple):
            f, q = f
        f = topic_filter(f)
        fields.append((f, limit("qos", q, 2 if c._table else 1)))
        n += len(f) + (3 if first == 0x82 else 2)
    limit("topic filters", len(fields), 10000, 1)
    limit("topic filter bytes in all (see buffer_size)", n + 5, len(c._tx))
    p = 1
    if c._table:
        p = c._table.packet_id(c._requests)
    while p in c._requests:
        p += 1
    c._tx_of = c
    i = header(c._tx, 0, first, n)
    c._tx[i] = p >> 8
    c._tx[i + 1] = p & 255
    i += 2
    for f, q in fields:
        i = put(c._tx, i, f)
        if first == 0x82:
            c._tx[i] = q
            i += 1
    c._tx_n = i
    c._busy = 1
    c._requests[p] = len(fields) if first == 0x82 else 0
    return p


def granted(c, h, p, q, n):
    """SUBACK or UNSUBACK for id p of which somebody may think; its codes are rx[q:q+n]."""
    want = c._requests[p]
    if isinstance(want, bytes):
        c._fail(0x82)  # answered already
    gone = want < 0  # the caller no longer waits
    if gone:
        want = ~want
    # a SUBACK needs one code a filter, an UNSUBACK none (MQTT-3.8.4-5)
    bad = n != want or (h == 0x90) != (want > 0)
    for i in range(q, q + n):
        if c._rx[i] not in b"\x00\x01\x02\x80":
            bad = True  # MQTT-3.9.3-2
    if bad:
        c._fail(0x82)
    if gone:
        del c._requests[p]
    else:
        c._requests[p] = bytes(c._mv[q : q + n])


def ask(c, first, topics, qos, end):
    """Send the request and wait (synchronous client); the codes, None inside a handler."""
    c._flush_all(end)
    p = request(c, first, topics, qos)
    want = c._requests[p]
    if c._inside:
        c._requests[p] = ~want
        c._flush()
        return None
    while c._requests.get(p) is want:
        if not c._round(end):
            c._requests[p] = ~want  # the id stays taken until the answer comes
            raise OSError(110)
    return c._requests.pop(p)
