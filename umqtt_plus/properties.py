"""Properties of MQTT 5.0 by name (2.2.2.2): encode(), decode()."""

from .codec import header, limit, text

# id, name, type (1, 2, 4 bytes; 0 length; t text; b binary; p pairs), packets that take it
_ALL = (
    (1, "payload_format_indicator", "1", "pw"),
    (2, "message_expiry_interval", "4", "pw"),
    (3, "content_type", "t", "pw"),
    (8, "response_topic", "t", "pw"),
    (9, "correlation_data", "b", "pw"),
    (11, "subscription_identifier", "0", "s"),
    (17, "session_expiry_interval", "4", "cd"),
    (18, "assigned_client_identifier", "t", ""),
    (19, "server_keep_alive", "2", ""),
    (21, "authentication_method", "t", "a"),
    (22, "authentication_data", "b", "a"),
    (23, "request_problem_information", "1", "c"),
    (24, "will_delay_interval", "4", "w"),
    (25, "request_response_information", "1", "c"),
    (26, "response_information", "t", ""),
    (28, "server_reference", "t", ""),
    (31, "reason_string", "t", "da"),
    (33, "receive_maximum", "2", "c"),
    (34, "topic_alias_maximum", "2", "c"),
    (35, "topic_alias", "2", ""),
    (36, "maximum_qos", "1", ""),
    (37, "retain_available", "1", ""),
    (38, "user_property", "p", "cpwsuda"),
    (39, "maximum_packet_size", "4", "c"),
    (40, "wildcard_subscription_available", "1", ""),
    (41, "subscription_identifier_available", "1", ""),
    (42, "shared_subscription_available", "1", ""),
)
_PACKETS = {
    "CONNECT": "c",
    "PUBLISH": "p",
    "WILL": "w",
    "SUBSCRIBE": "s",
    "UNSUBSCRIBE": "u",
    "DISCONNECT": "d",
    "AUTH": "a",
}


def sized(x):
    """x with its length in front, as a variable byte integer."""
    b = bytearray(5)
    return bytes(b[1 : header(b, 0, 0, len(x))]) + x


def _field(x):
    return len(x).to_bytes(2, "big") + x


def _number(name, x, kind, id):
    if kind == "1":
        return bytes((limit(name, x, 1),))
    if kind == "0":
        limit(name, x, 268435455, 1)
        b = bytearray(5)
        return bytes(b[1 : header(b, 0, 0, x)])
    n = int(kind)
    return limit(name, x, (1 << 8 * n) - 1, id in (33, 39)).to_bytes(n, "big")


def encode(packet, properties):
    """The properties {name: value} of a packet ("CONNECT", "PUBLISH", "WILL", "SUBSCRIBE",
    "UNSUBSCRIBE", "DISCONNECT", "AUTH"), with their length in front.

    Numbers are int, texts and binary data str or bytes; user_property is a list of (name, value).
    topic_alias is not here: aliases are automatic. ValueError names what is wrong. Allocates.
    """
    if packet not in _PACKETS:
        raise ValueError("packet: one of " + ", ".join(_PACKETS))
    out = b""
    left = dict(properties)
    for id, name, kind, packets in _ALL:
        if name not in left:
            continue
        x = left.pop(name)
        if _PACKETS[packet] not in packets:
            raise ValueError("%s: not in %s" % (name, packet))
        try:
            if kind == "p":
                for pair in x:
                    if len(pair) != 2:
                        raise TypeError
                    a, b = pair
                    out += bytes((id,)) + _field(text(name, a)) + _field(text(name, b))
                continue
            if kind == "t":
                x = _field(text(name, x, 1 if id == 8 else 2))
            elif kind == "b":
                x = _field(text(name, x, 3))
            else:
                x = _number(name, x, kind, id)
        except (TypeError, AttributeError):
            raise ValueError(name + ": wrong type")
        out += bytes((id,)) + x
    if left:
        raise ValueError("%s: no such property" % list(left)[0])
    return sized(out)


def encoded(packet, properties, v=None):
    """properties as encode() makes them of a dict; None, and bytes of encode() as they are.

    v: of the client that is going to publish them.
    """
    if not properties:
        return b"\x00"
    if isinstance(properties, bytes):
        n = i = 0
        while i < len(properties) and properties[i] > 127:
            n |= (properties[i] & 127) << 7 * i
            i += 1
        if i < len(properties):
            n |= properties[i] << 7 * i
        if n != len(properties) - i - 1:
            raise ValueError("properties: make them with properties.encode()")
    else:
        properties = encode(packet, properties)
    if v and v.value(properties, 0, 2) is not None:
        import umqtt_plus.expiry5 as room

        room.watch(v)
    return properties


def _length(buf, p):
    n = s = 0
    while True:
        n |= (buf[p] & 127) << s
        p += 1
        if buf[p - 1] < 128:
            return n, p
        s += 7


def decode(buf, start=0):
    """The checked properties at buf[start:] as a new dict by name. Allocates.

    Texts and binary data are bytes; user_property is a list of pairs of bytes, and
    subscription_identifier an int, or a list of them when there are several.
    """
    n, p = _length(buf, start)
    end = p + n
    out = {}
    names = {x[0]: x for x in _ALL}
    while p < end:
        _, name, kind, _ = names[buf[p]]
        p += 1
        x = []
        if kind in "tbp":
            for _ in range(1 if kind != "p" else 2):
                n = buf[p] << 8 | buf[p + 1]
                x.append(bytes(memoryview(buf)[p + 2 : p + 2 + n]))
                p += 2 + n
            x = x[0] if kind != "p" else tuple(x)
        elif kind == "0":
            x, p = _length(buf, p)
        else:
            x = int.from_bytes(bytes(memoryview(buf)[p : p + int(kind)]), "big")
            p += int(kind)
        if kind == "p":
            out.setdefault(name, []).append(x)
        elif name in out:
            old = out[name]
            out[name] = (old if isinstance(old, list) else [old]) + [x]
        else:
            out[name] = x
    return out
