"""Verbs of the synchronous client with MQTT 5.0, loaded on first use."""

from .codec import limit
from .errors import MQTTException
from .options import set_last_will as _will
from .properties import encoded, sized
from .subscribe import packet_id, topic_filter
from .v5 import value


def set_last_will(client, topic, msg, retain=False, qos=0, properties=None):
    """As the client's, with properties of the will (will_delay_interval in seconds ...)."""
    x = encoded("WILL", properties)
    _will(client, topic, msg, retain, qos)
    client._v.will = x


def allowed(c, topic, length, retain, qos):
    """ValueError when the server does not take a message of so many bytes."""
    if c._v.strict:
        from .limits5 import allow

        allow(c._v, topic, range(length), retain, qos)  # only its len() is asked for


def publish_stream(client, topic, length, readinto, retain=False, qos=0, timeout_ms=None):
    """As the client's; without properties."""
    import umqtt_plus.stream as stream

    allowed(client, topic, length, retain, qos)
    v = client._v
    old = v.props
    v.props = b"\x00"  # not those of a publish() that waits while a handler calls this
    try:
        return stream.publish_stream(client, topic, length, readinto, retain, qos, timeout_ms)
    finally:
        v.props = old


def set_auth(client, method, f):
    """Enhanced authentication (4.12), see auth.py. Before connect(); None ends it."""
    from .auth import Auth

    client._v.auth = Auth(client, method, f) if method else None


def request(c, first, topics, qos, options, properties):
    """Put a SUBSCRIBE (0x82) or UNSUBSCRIBE (0xA2) into tx, which is idle; its packet id."""
    fields = b""
    k = 0
    x = c.connack
    for f in topics if isinstance(topics, (list, tuple)) else (topics,):
        q = qos
        if isinstance(f, tuple):
            f, q = f
        f = topic_filter(f)
        shared = f[:7] == b"$share/" or f == b"$share"
        if shared:
            name = f[7:].split(b"/", 1)
            if len(name) < 2 or not name[0] or not name[1] or b"+" in name[0] or b"#" in name[0]:
                raise ValueError("topic_filter: $share/NAME/FILTER")  # MQTT-4.8.2-1, -2
            if options & 4:
                raise ValueError("no_local: not for a shared subscription")  # MQTT-3.8.3-4
        if first == 0x82:
            if shared and value(x, 0, 42) == 0:
                raise ValueError("topic_filter: the server has no shared subscriptions", 0x9E)
            if (b"+" in f or b"#" in f) and value(x, 0, 40) == 0:
                raise ValueError("topic_filter: the server takes no wildcards", 0xA2)
        fields += len(f).to_bytes(2, "big") + f
        q = limit("qos (2 needs inflight)", q, 2 if c._tab else 1)
        if first == 0x82:
            fields += bytes((q | options,))
        k += 1
    limit("topic filters", k, 9999, 1)
    y = encoded("SUBSCRIBE" if first == 0x82 else "UNSUBSCRIBE", properties)
    if value(y, 0, 11) and value(x, 0, 41) == 0:
        raise ValueError("subscription_identifier: the server has none", 0xA1)
    p = packet_id(c._tab, c._asks)
    y = sized(p.to_bytes(2, "big") + y + fields)
    limit("topic filters (see buffer_size)", len(y) + 1, len(c._tx))
    limit("topic filters (the server's maximum)", len(y) + 1, c._v.most)
    c._txof = c
    c._tx[0] = first
    c._req = i = len(y) + 1
    c._tx[1:i] = y
    c._busy = 1
    c._asks[p] = k if first == 0x82 else -k
    return p


def granted(c, h, p, q, z):
    """SUBACK or UNSUBACK for the request p; its codes are rx[q:z]."""
    want = c._asks[p]
    if isinstance(want, bytes):
        c._fail()  # answered already
    gone = isinstance(want, tuple)  # the caller no longer waits
    if gone:
        want = want[0]
    bad = z - q != abs(want) or (h == 0x90) != (want > 0)
    codes = bytes(c._mv[q:z])
    for code in codes:
        if code < 128 and (code > 2 if h == 0x90 else code and code != 17):
            bad = True  # MQTT-3.9.3-2, MQTT-3.11.3-2
    if bad:
        c._fail()
    c._asks[p] = codes
    if gone:
        del c._asks[p]


def options(no_local, retain_as_published, retain_handling):
    return limit("retain_handling", retain_handling, 2) << 4 | (
        (8 if retain_as_published else 0) | (4 if no_local else 0)
    )


def subscribe(
    client,
    topic,
    qos=0,
    timeout_ms=None,
    *,
    no_local=False,
    retain_as_published=False,
    retain_handling=0,
    properties=None,
):
    """As the client's, with the options of 5.0 (3.8.3.1), for all filters of the call.

    A refused single filter raises MQTTException with the server's code.
    """
    o = options(no_local, retain_as_published, retain_handling)
    codes = ask(client, 0x82, topic, qos, o, properties, timeout_ms)
    return judged(codes, topic)


def judged(codes, topic):
    if codes is None or isinstance(topic, (list, tuple)):
        return codes
    if codes[0] > 127:
        raise MQTTException(codes[0], "server", None, None)
    return codes[0]


def unsubscribe(client, topic, timeout_ms=None, properties=None):
    """As the client's. Returns the code (0x11: there was no such subscription) or codes."""
    return judged(ask(client, 0xA2, topic, 0, 0, properties, timeout_ms), topic)


def ask(c, first, topics, qos, options, properties, timeout_ms):
    """Send a request and wait for its codes; None inside a handler."""
    end = c._end(timeout_ms)
    c._drain(end)
    p = request(c, first, topics, qos, options, properties)
    want = c._asks[p]
    if c._in:
        c._asks[p] = (want,)
        c._flush()
        return None
    try:
        while c._asks.get(p) is want:
            if not c._round(end):
                raise OSError(110)
    finally:
        if c._asks.get(p) is want:
            c._asks[p] = (want,)  # the id stays taken until the answer comes
    codes = c._asks.pop(p, None)
    if codes is None:
        raise OSError(107)  # a handler closed the connection
    return codes


def farewell(c, reason_code, properties):
    """DISCONNECT with a reason_code and properties."""
    if reason_code not in (0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93) and not (
        0x94 <= reason_code <= 0x99
    ):
        raise ValueError("reason_code: not for a DISCONNECT of a client")  # MQTT-3.14.2-1
    x = encoded("DISCONNECT", properties)
    lasting = c._v.named.get("session_expiry_interval", not c._cl)
    if value(x, 0, 17) and not (lasting and value(c.connack, 0, 17) != 0):
        raise ValueError("session_expiry_interval: the session ends here")  # MQTT-3.14.2-2
    x = b"\xe0" + sized(bytes((reason_code,)) + x)
    limit("packet (the server's maximum)", len(x), c._v.most)
    return x


def leave(c, reason_code, properties):
    """Say goodbye with a reason, and close."""
    x = farewell(c, reason_code, properties)
    if c.state < 2:
        return
    try:
        end = c._end(None)
        c._drain(end)
        c._out = x
        c._oat = 0
        c._on = len(x)
        c._drain(end)
        for _ in range(40):
            c.sock.readinto(c._bit)
    except OSError:
        pass
    c._close()


def reauthenticate(client, timeout_ms=None):
    """Authenticate again on the live connection (4.12.1). MQTTException: the server refuses."""
    a = client._v.auth
    if not a:
        raise ValueError("reauthenticate: set_auth() first")
    end = client._end(timeout_ms)
    client._drain(end)
    a.again(client)
    while a.open:
        if not client._round(end):
            raise OSError(110)
