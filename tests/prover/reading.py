"""What a journal says, read by other code than the client's own: the oracle of recovery.

A session is (epoch, established, next_id, number, out, rx, items, accepted):
  out    ((packet_id, "P" or "R", packet), ...) in the order in which they are to be resent
  rx     ids of QoS 2 messages received and not released, sorted
  items  ((number, first byte, packet_id, body), ...) of messages not handed over to the end
"""

from binascii import crc_hqx

MARK, PUT, REL, DEL, ADD, OWN, USED, UNDO, END = 1, 2, 3, 4, 16, 17, 18, 19, 20
NEW = (0, False, 1, 0, (), (), (), 0)
LOST = "lost"
FORMAT = 4
NONE = ("lost", False, (), 0)


def records(image, crc=0xFFFF):
    """[(kind, epoch, flags, packet_id, body), ...], what is behind the last whole one, last CRC.

    Each checksum goes on from the one before; LOST instead of the list when one is wrong.
    """
    found = []
    i = 0
    while i + 9 <= len(image):
        head = image[i : i + 9]
        then = crc_hqx(head[:7], crc)
        if then != int.from_bytes(head[7:], "big"):
            return LOST, b"", 0
        n = int.from_bytes(head[5:7], "big")
        body = image[i + 9 : i + 9 + n]
        j = i + 9
        if n:
            j += n + 2
            if j > len(image):
                break
            then = crc_hqx(body, then)
            if then != int.from_bytes(image[j - 2 : j], "big"):
                return LOST, b"", 0
        found.append((head[0], head[1], head[2], int.from_bytes(head[3:5], "big"), body))
        i = j
        crc = then
    return found, image[i:], crc


def read(image, who, ids):
    """(session or LOST, whether the end is torn, ids given away while they were taken, CRC)."""
    found, rest, crc = records(image)
    if found == LOST:
        return NONE
    if not found:
        return NEW, bool(rest), (), crc
    kind, epoch, _, _, body = found[0]
    if kind != MARK or len(body) < 12 or body[0] != FORMAT or body[12:] != who:
        return NONE
    established = bool(body[1])
    next_id = int.from_bytes(body[2:4], "big")
    number = int.from_bytes(body[4:8], "big")
    accepted = int.from_bytes(body[8:12], "big")
    out, rx, items, clash = [], [], [], []
    for kind, of, flags, p, body in found[1:]:
        if of != epoch or not p:
            return NONE
        mine = [entry for entry in out if entry[0] == p]
        if kind == PUT:
            if mine and mine[0][2] != body:
                clash.append(p)
            out = [entry for entry in out if entry[0] != p] + [(p, "P", body)]
            next_id = p % ids + 1
            accepted += 1
        elif kind == REL:
            out = [entry for entry in out if entry[0] != p] + [(p, "R", b"")]
        elif kind == DEL:
            out = [entry for entry in out if entry[0] != p]
        elif kind in (ADD, OWN):
            if kind == ADD:
                number += 1
                items.append((number, flags, p, body))
            if (kind == OWN or flags & 4) and p not in rx:
                rx.append(p)
        elif kind in (USED, UNDO):
            if items:
                items.pop(0 if flags and kind == USED else -1)
            elif kind == USED:
                return NONE
            if kind == UNDO and p in rx:
                rx.remove(p)
        elif kind == END:
            if p in rx:
                rx.remove(p)
        else:
            return NONE
    if not established:
        out, rx = [], []
    rx = tuple(sorted(rx))
    session = (epoch, established, next_id, number, tuple(out), rx, tuple(items), accepted)
    return session, bool(rest), tuple(clash), crc
