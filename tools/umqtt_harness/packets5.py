"""MQTT 5.0 packets as the server sees them: strict parsing of what a client may send, encoding.

Errors are `Malformed` with the reason code the standard names, or, where it names none, 0x81
for what cannot be read and 0x82 for what can be read but is not allowed.
"""

from . import packets, properties
from .packets import (
    CONNECT,
    DISCONNECT,
    PROTOCOL_ERROR,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Connect,
    Malformed,
    Packet,
    Reader,
    Will,
    check_topic_filter,
    check_topic_name,
    remaining_length,
)

_PUBLISH_CODES = {0, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}  # 0x10 is the server's
_CODES = {
    PUBACK: _PUBLISH_CODES,
    PUBREC: _PUBLISH_CODES,
    PUBREL: {0, 0x92},
    PUBCOMP: {0, 0x92},
    DISCONNECT: {
        0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    },
    packets.AUTH: {0x18, 0x19},
}  # fmt: skip


def parse(raw, at):
    """One whole packet from a client; `at` is the offset behind the remaining length."""
    kind = raw[0] >> 4
    packet = Packet(kind, raw)
    reader = Reader(raw, at)
    if kind == PUBLISH:
        _publish(packet, reader)
    elif kind == CONNECT:
        packet.connect = _connect(reader)
        packet.properties = dict(packet.connect.properties)
        if packet.connect.will is not None:
            packet.properties["will"] = packet.connect.will.properties
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        _filters(packet, reader)
    elif kind in _CODES:
        if kind not in (DISCONNECT, packets.AUTH):
            packet.packet_id = reader.packet_id()
        _reason(packet, reader)
    reader.finish()
    return packet


def _reason(packet, reader):
    if reader.more():
        packet.reason_code = reader.u8()
    if reader.more():
        packet.properties = properties.decode(reader, packet.type)
    if packet.reason_code not in _CODES[packet.kind]:
        raise Malformed(f"{packet.type} with reason code {packet.reason_code:02x}", PROTOCOL_ERROR)
    if "server_reference" in packet.properties:
        raise Malformed("Server Reference from a client", PROTOCOL_ERROR)
    if packet.kind == packets.AUTH and "authentication_method" not in packet.properties:
        raise Malformed("AUTH without an Authentication Method", PROTOCOL_ERROR)


def _publish(packet, reader):
    first = reader.raw[0]
    packet.qos, packet.dup, packet.retain = first >> 1 & 3, bool(first & 8), bool(first & 1)
    packet.topic = reader.string("topic name")
    if packet.topic:
        check_topic_name(packet.topic)
    if packet.qos:
        packet.packet_id = reader.packet_id()
    packet.properties = _message_properties(reader, "PUBLISH")
    if "subscription_identifier" in packet.properties:
        raise Malformed("Subscription Identifier in a client's PUBLISH", PROTOCOL_ERROR)
    if not packet.topic and "topic_alias" not in packet.properties:
        raise Malformed("empty topic name without a Topic Alias", PROTOCOL_ERROR)
    packet.payload = reader.take(len(reader.raw) - reader.at)


def _message_properties(reader, packet):
    found = properties.decode(reader, packet)
    if "response_topic" in found:
        check_topic_name(found["response_topic"])
    return found


def _filters(packet, reader):
    packet.packet_id = reader.packet_id()
    packet.properties = properties.decode(reader, packet.type)
    packet.filters = []
    while reader.more():
        topic_filter = reader.string("topic filter")
        check_topic_filter(topic_filter)
        shared = topic_filter.startswith("$share/")
        if shared:
            split_shared(topic_filter)
        options = 0
        if packet.kind == SUBSCRIBE:
            options = reader.u8()
            _check_options(options, shared)
        packet.filters.append((topic_filter, options))
    if not packet.filters:
        raise Malformed(f"{packet.type} without a topic filter", PROTOCOL_ERROR)


def _check_options(options, shared):
    if options & 0xC0:
        raise Malformed(f"reserved bits in the subscription options {options:02x}")
    if options & 3 == 3:
        raise Malformed("requested QoS 3", PROTOCOL_ERROR)
    if options & 0x30 == 0x30:
        raise Malformed("Retain Handling 3", PROTOCOL_ERROR)
    if shared and options & 4:
        raise Malformed("No Local on a shared subscription", PROTOCOL_ERROR)


def split_shared(topic_filter):
    """("group", "filter") of $share/group/filter."""
    _, group, *rest = topic_filter.split("/", 2)
    if not group or "+" in group or "#" in group or not rest or not rest[0]:
        raise Malformed(f"not a shared subscription: {topic_filter!r}", PROTOCOL_ERROR)
    return group, rest[0]


def _connect(reader):
    connect = Connect(reader.string("protocol name"), reader.u8())
    flags = reader.u8()
    if flags & 1:
        raise Malformed("reserved CONNECT flag set")
    has_will, will_qos, will_retain = flags & 4, flags >> 3 & 3, bool(flags & 0x20)
    if will_qos == 3:
        raise Malformed("will QoS 3")
    if not has_will and (will_qos or will_retain):
        raise Malformed("will QoS or retain without a will")
    connect.clean_session = bool(flags & 2)
    connect.keep_alive_s = reader.u16()
    connect.properties = properties.decode(reader, "CONNECT")
    if "authentication_data" in connect.properties:
        if "authentication_method" not in connect.properties:
            raise Malformed("Authentication Data without a method", PROTOCOL_ERROR)
    connect.client_id = reader.string("client id")
    if has_will:
        found = _message_properties(reader, "WILL")
        topic = reader.string("will topic")
        check_topic_name(topic)
        connect.will = Will(topic, reader.binary(), will_qos, will_retain, found)
    if flags & 0x80:
        connect.user = reader.string("user name")
    if flags & 0x40:
        connect.password = reader.binary()
    return connect


# Encoding


def _packet(first, body):
    return bytes((first,)) + remaining_length(len(body)) + body


def connack(session_present, code, props=None):
    return _packet(0x20, bytes((session_present, code)) + properties.encode(props))


def _reason_tail(code, props):
    if props:
        return bytes((code,)) + properties.encode(props)
    return bytes((code,)) if code else b""


def ack(kind, packet_id, code=0, props=None):
    """PUBACK, PUBREC, PUBREL, PUBCOMP, as short as the standard lets them be."""
    first = kind << 4 | (2 if kind == PUBREL else 0)
    return _packet(first, packet_id.to_bytes(2, "big") + _reason_tail(code, props))


def acks(kind, packet_id, codes, props=None):
    """SUBACK and UNSUBACK."""
    return _packet(
        kind << 4, packet_id.to_bytes(2, "big") + properties.encode(props) + bytes(codes)
    )


def disconnect(code, props=None):
    return _packet(0xE0, _reason_tail(code, props))


def auth(code, props=None):
    return _packet(0xF0, _reason_tail(code, props))


def publish(topic, payload, qos=0, retain=False, packet_id=0, dup=False, props=None):
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    if qos:
        body += packet_id.to_bytes(2, "big")
    return _packet(0x30 | dup << 3 | qos << 1 | retain, body + properties.encode(props) + payload)
