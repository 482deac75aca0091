"""MQTT 3.1.1 packets as the server sees them: framing, strict parsing, encoding.

What MQTT 5.0 shares is here too: framing, the reader, the names; the rest is in `packets5`.
No sockets, no session state. What a client may not send raises `Malformed`, whose text names
the rule in plain words. The broker stays a fair witness because nothing here is lenient.
"""

from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

NAMES = (
    "RESERVED0 CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK "
    "UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH"
).split()

# Every first byte a client may send. PUBLISH: QoS 3 never, DUP never with QoS 0.
_CLIENT_FIRST = {0x10, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0} | {
    0x30 | dup << 3 | qos << 1 | retain
    for dup in (0, 1)
    for qos in (0, 1, 2)
    for retain in (0, 1)
    if qos or not dup
}
_CLIENT_FIRST_5 = _CLIENT_FIRST | {0xF0}
_SERVER_FIRST = {0x20, 0x90, 0xB0, 0xD0}

MALFORMED, PROTOCOL_ERROR, TOO_LARGE = 0x81, 0x82, 0x95


class Malformed(ValueError):
    """The client broke a rule for which the connection must be closed.

    `code` is what MQTT 5.0 has the DISCONNECT say; 3.1.1 has no words for it.
    """

    def __init__(self, text, code=MALFORMED):
        super().__init__(text)
        self.code = code


class _NoProperties(dict):
    """Shared by everything without properties; hashable, so that it may be a default."""

    __hash__ = object.__hash__


NONE = _NoProperties()


@dataclass(slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict = NONE


@dataclass(slots=True)
class Connect:
    protocol_name: str
    protocol_level: int
    client_id: str = ""
    clean_session: bool = True  # Clean Start in 5.0
    keep_alive_s: int = 0
    will: Will | None = None
    user: str | None = None
    password: bytes | None = None
    properties: dict = NONE


@dataclass(slots=True)
class Packet:
    kind: int
    raw: bytes
    packet_id: int = 0
    qos: int = 0
    dup: bool = False
    retain: bool = False
    topic: str = ""
    payload: bytes = b""
    filters: list | tuple = ()  # [(topic_filter, options), ...]
    connect: Connect | None = None
    reason_code: int = 0
    properties: dict = NONE

    @property
    def type(self):
        return NAMES[self.kind]


class Framer:
    """Cuts a client's byte stream into whole packets."""

    def __init__(self, max_packet_size):
        self.max_packet_size = max_packet_size
        self.announced_size = 0  # what the CONNACK of 5.0 allows, header included
        self.level = 4
        self.rest = b""

    def feed(self, data):
        """Yields (raw, offset of the variable header). Raises Malformed at a broken header."""
        if self.rest:
            data = self.rest + data
        self.rest = b""
        at, end = 0, len(data)
        while at < end:
            first = data[at]
            if first not in (_CLIENT_FIRST if self.level < 5 else _CLIENT_FIRST_5):
                self.rest = data[at:]
                wrong_way = first in _SERVER_FIRST or first in (0x38, 0x39)
                raise Malformed(
                    f"first byte {first:02x} is not one a client may send",
                    PROTOCOL_ERROR if wrong_way else MALFORMED,
                )
            length, shift, body = 0, 0, at + 1
            while True:
                if body == end:
                    self.rest = data[at:]
                    return
                byte = data[body]
                body += 1
                length |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
                if shift == 28:
                    self.rest = data[at:]
                    raise Malformed("remaining length has more than 4 bytes")
            if byte == 0 and shift:
                self.rest = data[at:]
                raise Malformed("remaining length is not the shortest form")
            whole = body - at + length
            if length > self.max_packet_size or 0 < self.announced_size < whole:
                self.rest = data[at:]
                raise Malformed(f"packet of {whole} bytes is larger than allowed", TOO_LARGE)
            if body + length > end:
                self.rest = data[at:]
                return
            yield data[at : body + length], body - at
            at = body + length


class Reader:
    """Reads the fields of one packet; every overrun is Malformed."""

    def __init__(self, raw, at):
        self.raw = raw
        self.at = at

    def take(self, count):
        end = self.at + count
        if end > len(self.raw):
            raise Malformed("a field runs past the end of the packet")
        piece = self.raw[self.at : end]
        self.at = end
        return piece

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def vbi(self):
        """A variable byte integer, in its shortest form."""
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift == 28:
                raise Malformed("a variable byte integer has more than 4 bytes")
        if byte == 0 and shift:
            raise Malformed("a variable byte integer is not in the shortest form")
        return value

    def binary(self):
        return self.take(self.u16())

    def string(self, what):
        try:
            text = str(self.binary(), "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"{what} is not UTF-8: {error.reason}") from None
        if "\0" in text:
            raise Malformed(f"{what} contains U+0000")
        return text

    def packet_id(self):
        packet_id = self.u16()
        if packet_id == 0:
            raise Malformed("packet id 0", PROTOCOL_ERROR)
        return packet_id

    def more(self):
        return self.at < len(self.raw)

    def finish(self):
        if self.more():
            raise Malformed(f"{len(self.raw) - self.at} bytes too many in the packet")


def check_topic_name(topic):
    if not topic:
        raise Malformed("empty topic name", PROTOCOL_ERROR)
    if "+" in topic or "#" in topic:
        raise Malformed(f"wildcard in the topic name {topic!r}", PROTOCOL_ERROR)


def check_topic_filter(topic_filter):
    if not topic_filter:
        raise Malformed("empty topic filter")
    levels = topic_filter.split("/")
    for i, level in enumerate(levels):
        if "#" in level and (level != "#" or i != len(levels) - 1):
            raise Malformed(f"# must be the whole last level in {topic_filter!r}")
        if "+" in level and level != "+":
            raise Malformed(f"+ must be a whole level in {topic_filter!r}")


def protocol_level(raw, at):
    """The level of a CONNECT named MQTT; 0 for any other name."""
    named = raw[at : at + 6] == b"\0\4MQTT" and len(raw) > at + 6
    return raw[at + 6] if named else 0


def parse(raw, at):
    """One whole packet from a client; `at` is the offset behind the remaining length."""
    kind = raw[0] >> 4
    if kind == PUBLISH:
        return _publish(raw, at)
    packet = Packet(kind, raw)
    reader = Reader(raw, at)
    if kind == CONNECT:
        packet.connect = _connect(reader)
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        packet.packet_id = reader.packet_id()
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        packet.packet_id = reader.packet_id()
        packet.filters = []
        while reader.more():
            topic_filter = reader.string("topic filter")
            check_topic_filter(topic_filter)
            qos = reader.u8() if kind == SUBSCRIBE else 0
            if qos > 2:
                raise Malformed(f"requested QoS byte {qos:02x}")
            packet.filters.append((topic_filter, qos))
        if not packet.filters:
            raise Malformed(f"{packet.type} without a topic filter")
    reader.finish()
    return packet


def _publish(raw, at):
    first = raw[0]
    reader = Reader(raw, at)
    topic = reader.string("topic name")
    check_topic_name(topic)
    qos = first >> 1 & 3
    packet_id = reader.packet_id() if qos else 0
    packet = Packet(PUBLISH, raw, packet_id, qos, bool(first & 8), bool(first & 1), topic)
    packet.payload = raw[reader.at :]
    return packet


def _connect(reader):
    name = reader.string("protocol name")
    level = reader.u8()
    connect = Connect(name, level)
    if name not in ("MQTT", "MQIsdp"):
        raise Malformed(f"protocol name {name!r}")
    if (name, level) != ("MQTT", 4):
        reader.at = len(reader.raw)  # another version: its layout is not ours to judge
        return connect
    flags = reader.u8()
    if flags & 1:
        raise Malformed("reserved CONNECT flag set")
    has_will, will_qos, will_retain = flags & 4, flags >> 3 & 3, bool(flags & 0x20)
    if will_qos == 3:
        raise Malformed("will QoS 3")
    if not has_will and (will_qos or will_retain):
        raise Malformed("will QoS or retain without a will")
    if flags & 0x40 and not flags & 0x80:
        raise Malformed("password without a user name")
    connect.clean_session = bool(flags & 2)
    connect.keep_alive_s = reader.u16()
    connect.client_id = reader.string("client id")
    if has_will:
        topic = reader.string("will topic")
        check_topic_name(topic)
        connect.will = Will(topic, reader.binary(), will_qos, will_retain)
    if flags & 0x80:
        connect.user = reader.string("user name")
    if flags & 0x40:
        connect.password = reader.binary()
    return connect


def remaining_length(length):
    out = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        out.append(low | 0x80 if length else low)
        if not length:
            return bytes(out)


def connack(session_present, code):
    return bytes((0x20, 2, session_present, code))


def ack(kind, packet_id):
    """PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK."""
    return bytes((kind << 4 | (2 if kind == PUBREL else 0), 2, packet_id >> 8, packet_id & 0xFF))


def suback(packet_id, codes):
    body = packet_id.to_bytes(2, "big") + bytes(codes)
    return b"\x90" + remaining_length(len(body)) + body


def publish(topic, payload, qos=0, retain=False, packet_id=0, dup=False):
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    if qos:
        body += packet_id.to_bytes(2, "big")
    first = 0x30 | dup << 3 | qos << 1 | retain
    return bytes((first,)) + remaining_length(len(body) + len(payload)) + body + payload


PINGRESP_BYTES = b"\xd0\x00"
