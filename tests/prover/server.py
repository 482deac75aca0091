"""The server's half of a 3.1.1 session, written from the standard. Pure functions on tuples.

A session is (received, sending):
  received  ((packet_id, payload), ...): QoS 2 messages taken and not released
  sending   ((packet_id, qos, k, released), ...): message k of the server, oldest first; released:
            PUBREC has come, PUBREL went out
No session is None. Ids are the lowest that are free, so they are used again at once.
Ownership of a QoS 2 message begins at PUBLISH (method "B") or at PUBREL ("A").
"""

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


class Unexpected(Exception):
    """The client has sent what a server need not understand."""


def ack(first, p):
    return bytes((first, 2, p >> 8, p & 255))


def message(p, qos, k, dup):
    """PUBLISH of the server's message k, to topic d."""
    return bytes((0x30 | qos << 1 | dup << 3, 6, 0, 1, 100, p >> 8, p & 255, 97 + k))


def connect(session, clean):
    """(session, Session Present, packets that are sent again)."""
    if clean or session is None:
        return ((), ()), 0, ()
    again = []
    for p, qos, k, released in session[1]:
        again.append(ack(PUBREL, p) if released else message(p, qos, k, 1))
    return session, 1, tuple(again)


def send(session, qos, k):
    """(session, packet) of a new message; no packet while two are on their way."""
    received, sending = session
    if len(sending) == 2:
        return session, None
    used = [entry[0] for entry in sending]
    p = 1
    while p in used:
        p += 1
    return (received, sending + ((p, qos, k, False),)), message(p, qos, k, 0)


def take(session, packet, method="B"):
    """(session, answer or None, payload that is the server's own from now on, or None)."""
    received, sending = session
    first = packet[0]
    kind = first & 0xF0
    if kind == 0x30:
        qos = first >> 1 & 3
        if not qos:
            return session, None, packet[5:]
        p = packet[5] << 8 | packet[6]
        payload = packet[7:]
        if qos == 1:
            return session, ack(PUBACK, p), payload
        owned = None
        if p not in [entry[0] for entry in received]:
            received += ((p, payload),)
            owned = payload if method == "B" else None
        return (received, sending), ack(PUBREC, p), owned
    p = packet[2] << 8 | packet[3]
    if first == PUBREL:
        owned = None
        for entry in received:
            if entry[0] == p and method == "A":
                owned = entry[1]
        received = tuple(entry for entry in received if entry[0] != p)
        return (received, sending), ack(PUBCOMP, p), owned
    wanted = {PUBACK: (1, False), PUBREC: (2, False), PUBCOMP: (2, True)}.get(first)
    for i, entry in enumerate(sending):
        if entry[0] == p and wanted == (entry[1], entry[3]):
            if first == PUBREC:
                entry = ((p, 2, entry[2], True),)
                return (received, sending[:i] + entry + sending[i + 1 :]), ack(PUBREL, p), None
            return (received, sending[:i] + sending[i + 1 :]), None, None
    raise Unexpected(f"{packet.hex()} does not fit {sending}")
