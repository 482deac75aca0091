"""The 27 properties of MQTT 5.0: their types, where each may be, and what their values may be.

A packet's properties are a dict by the standard's names in snake_case. `user_property` is a
list of (name, value) pairs; `subscription_identifier` of a PUBLISH is a list of numbers.
"""

from .packets import MALFORMED, PROTOCOL_ERROR, Malformed, remaining_length

ALIAS_INVALID = 0x94
_ACKS = "PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK"
_MESSAGE = "PUBLISH WILL"

# id, name, type, the packets it may be in; a type ending in 1 must not be zero
_TABLE = (
    (0x01, "payload_format_indicator", "bit", _MESSAGE),
    (0x02, "message_expiry_interval", "u32", _MESSAGE),
    (0x03, "content_type", "string", _MESSAGE),
    (0x08, "response_topic", "string", _MESSAGE),
    (0x09, "correlation_data", "binary", _MESSAGE),
    (0x0B, "subscription_identifier", "vbi1", "PUBLISH SUBSCRIBE"),
    (0x11, "session_expiry_interval", "u32", "CONNECT CONNACK DISCONNECT"),
    (0x12, "assigned_client_identifier", "string", "CONNACK"),
    (0x13, "server_keep_alive", "u16", "CONNACK"),
    (0x15, "authentication_method", "string", "CONNECT CONNACK AUTH"),
    (0x16, "authentication_data", "binary", "CONNECT CONNACK AUTH"),
    (0x17, "request_problem_information", "bit", "CONNECT"),
    (0x18, "will_delay_interval", "u32", "WILL"),
    (0x19, "request_response_information", "bit", "CONNECT"),
    (0x1A, "response_information", "string", "CONNACK"),
    (0x1C, "server_reference", "string", "CONNACK DISCONNECT"),
    (0x1F, "reason_string", "string", f"CONNACK DISCONNECT AUTH {_ACKS}"),
    (0x21, "receive_maximum", "u161", "CONNECT CONNACK"),
    (0x22, "topic_alias_maximum", "u16", "CONNECT CONNACK"),
    (0x23, "topic_alias", "u161", "PUBLISH"),
    (0x24, "maximum_qos", "bit", "CONNACK"),
    (0x25, "retain_available", "bit", "CONNACK"),
    (
        0x26,
        "user_property",
        "pair",
        f"CONNECT CONNACK {_MESSAGE} SUBSCRIBE UNSUBSCRIBE DISCONNECT AUTH {_ACKS}",
    ),
    (0x27, "maximum_packet_size", "u321", "CONNECT CONNACK"),
    (0x28, "wildcard_subscription_available", "bit", "CONNACK"),
    (0x29, "subscription_identifier_available", "bit", "CONNACK"),
    (0x2A, "shared_subscription_available", "bit", "CONNACK"),
)
IDS = {name: number for number, name, _, _ in _TABLE}
_BY_ID = {number: (name, kind, where.split()) for number, name, kind, where in _TABLE}
_SIZES = {"bit": 1, "u16": 2, "u161": 2, "u32": 4, "u321": 4}


def decode(reader, packet):
    """The properties of `packet` ("WILL" for those of a will), with their length in front."""
    end = reader.vbi() + reader.at
    if end > len(reader.raw):
        raise Malformed("the property length runs past the end of the packet")
    found = {}
    while reader.at < end:
        number = reader.vbi()
        name, kind, where = _BY_ID.get(number, ("", "", ()))
        if not name:
            raise Malformed(f"unknown property {number:02x} in {packet}")
        if packet not in where:
            raise Malformed(f"{name} does not belong into {packet}")
        value = _value(reader, name, kind)
        if reader.at > end:
            break
        if kind == "pair":
            found.setdefault(name, []).append(value)
        elif name in found:
            raise Malformed(f"{name} twice in {packet}", PROTOCOL_ERROR)
        else:
            found[name] = value
    if reader.at != end:
        raise Malformed("a property runs past the property length")
    return found


def _value(reader, name, kind):
    if kind == "string":
        return reader.string(name)
    if kind == "binary":
        return reader.binary()
    if kind == "pair":
        return reader.string(f"the name of a {name}"), reader.string(f"the value of a {name}")
    value = reader.vbi() if kind == "vbi1" else int.from_bytes(reader.take(_SIZES[kind]), "big")
    if kind == "bit" and value > 1:
        raise Malformed(f"{name} {value} is neither 0 nor 1", PROTOCOL_ERROR)
    if kind.endswith("1") and value == 0:
        raise Malformed(f"{name} 0", ALIAS_INVALID if name == "topic_alias" else PROTOCOL_ERROR)
    return value


def encode(properties):
    """With the length in front. Says nothing against a property in the wrong packet."""
    body = bytearray()
    for name, value in (properties or {}).items():
        if name not in IDS:
            raise ValueError(f"no property {name!r}; there are {', '.join(IDS)}")
        kind = _BY_ID[IDS[name]][1]
        repeated = kind == "pair" or name == "subscription_identifier"
        for one in value if repeated and isinstance(value, list | tuple) else (value,):
            body.append(IDS[name])
            body += _encoded(kind, one)
    return remaining_length(len(body)) + bytes(body)


def _encoded(kind, value):
    if kind == "pair":
        return _prefixed(value[0]) + _prefixed(value[1])
    if kind in ("string", "binary"):
        return _prefixed(value)
    if kind == "vbi1":
        return remaining_length(value)
    return int(value).to_bytes(_SIZES[kind], "big")


def _prefixed(value):
    data = value.encode() if isinstance(value, str) else bytes(value)
    return len(data).to_bytes(2, "big") + data


__all__ = ["ALIAS_INVALID", "IDS", "MALFORMED", "decode", "encode"]
