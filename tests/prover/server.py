"""The server's half of a session, written from the standards. Pure functions on tuples.

A session is (received, sending):
  received  ((packet_id, payload), ...): QoS 2 messages taken and not released
  sending   ((packet_id, qos, k, released), ...): message k of the server, oldest first; released:
            PUBREC has come, PUBREL went out
No session is None. Ids are the lowest that are free, so they are used again at once.
Ownership of a QoS 2 message begins at PUBLISH (method "B") or at PUBREL ("A").

With MQTT 5.0 each PUBLISH has a property, which must come as it is, and the full topic.
"""

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
PROPERTIES = {4: b"", 5: b"\2\1\1"}  # by version
REFUSED = 0x97


class Unexpected(Exception):
    """The client has sent what a server need not understand."""


def ack(first, p, code=0):
    if code:
        return bytes((first, 3, p >> 8, p & 255, code))
    return bytes((first, 2, p >> 8, p & 255))


def message(p, qos, k, dup, version=4):
    """PUBLISH of the server's message k, to topic d."""
    x = PROPERTIES[version]
    head = (0x30 | qos << 1 | dup << 3, 6 + len(x), 0, 1, 100, p >> 8, p & 255)
    return bytes(head) + x + bytes((97 + k,))


def payload(packet, version=4):
    """Of a PUBLISH to a topic of one byte, whoever sent it."""
    i = 7 if packet[0] & 6 else 5
    if version == 5:
        i += 1 + packet[i]
    return packet[i:]


def code(packet):
    """The reason code of an ack."""
    return packet[4] if packet[1] > 2 else 0


def connect(session, clean, version=4):
    """(session, Session Present, packets that are sent again)."""
    if clean or session is None:
        return ((), ()), 0, ()
    again = []
    for p, qos, k, released in session[1]:
        again.append(ack(PUBREL, p) if released else message(p, qos, k, 1, version))
    return session, 1, tuple(again)


def send(session, qos, k, version=4):
    """(session, packet) of a new message; no packet while two are on their way."""
    received, sending = session
    if len(sending) == 2:
        return session, None
    used = [entry[0] for entry in sending]
    p = 1
    while p in used:
        p += 1
    return (received, sending + ((p, qos, k, False),)), message(p, qos, k, 0, version)


def take(session, packet, method="B", version=4, refuses=False):
    """(session, answer or None, payload that is the server's own from now on, or None).

    refuses: a message that is new gets an answer with a reason code (5.0).
    """
    received, sending = session
    first = packet[0]
    kind = first & 0xF0
    if kind == 0x30:
        qos = first >> 1 & 3
        body = payload(packet, version)
        if packet[:5] != packet[:2] + b"\0\1u":
            raise Unexpected(f"{packet.hex()} has no topic")
        if packet[7 if qos else 5 :] != PROPERTIES[version] + body:
            raise Unexpected(f"{packet.hex()} has other properties")
        if not qos:
            return session, None, body
        p = packet[5] << 8 | packet[6]
        known = p in [entry[0] for entry in received]
        if refuses and not known:
            return session, ack(PUBACK if qos == 1 else PUBREC, p, REFUSED), None
        if qos == 1:
            return session, ack(PUBACK, p), body
        owned = None
        if not known:
            received += ((p, body),)
            owned = body if method == "B" else None
        return (received, sending), ack(PUBREC, p), owned
    p = packet[2] << 8 | packet[3]
    if first == PUBREL:
        owned = None
        for entry in received:
            if entry[0] == p and method == "A":
                owned = entry[1]
        received = tuple(entry for entry in received if entry[0] != p)
        lost = version == 5 and p not in [entry[0] for entry in session[0]]
        return (received, sending), ack(PUBCOMP, p, 0x92 if lost else 0), owned
    wanted = {PUBACK: (1, False), PUBREC: (2, False), PUBCOMP: (2, True)}.get(first)
    for i, entry in enumerate(sending):
        if entry[0] == p and wanted == (entry[1], entry[3]):
            if first == PUBREC and code(packet) < 128:
                entry = ((p, 2, entry[2], True),)
                return (received, sending[:i] + entry + sending[i + 1 :]), ack(PUBREL, p), None
            return (received, sending[:i] + sending[i + 1 :]), None, None
    raise Unexpected(f"{packet.hex()} does not fit {sending}")
