"""Replies of four bytes. Loaded with the tables or the receiver."""


def ack(c, first, packet_id):
    """Queue a reply; there is room."""
    a = c._acks
    i = c._an
    a[i] = first
    a[i + 1] = 2
    a[i + 2] = packet_id >> 8
    a[i + 3] = packet_id & 255
    c._an = i + 4
    c._busy = 1


def unknown(c, first, packet_id):
    """An ack for an id not in flight. A PUBREC is answered all the same: it frees the server."""
    c._n[3] += 1
    if first == 0x50:
        ack(c, 0x62, packet_id)
