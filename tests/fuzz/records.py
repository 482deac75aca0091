"""The journal file read a second time, record by record, for the fuzz target of it.

Plain, and with nothing of umqtt_plus: what each record means is what store.py and inbox.py say.
"""

MARK, PUT, REL, DEL, ADD, OWN, USED, UNDO, END = 1, 2, 3, 4, 16, 17, 18, 19, 20
HEAD, CRC, LENGTH = 9, 2, 12  # of a record's head, of a CRC, of a mark before who
FORMAT = 4
TABLE = []
for _byte in range(256):
    _value = _byte << 8
    for _ in range(8):
        _value = (_value << 1 ^ (0x1021 if _value & 0x8000 else 0)) & 0xFFFF
    TABLE.append(_value)


def crc16(data, crc=0xFFFF):
    for byte in data:
        crc = (crc << 8 & 0xFF00) ^ TABLE[crc >> 8 ^ byte]
    return crc


def record(kind, epoch, flags, packet_id, body, crc=0xFFFF):
    """The bytes of a record behind one that ended with crc, and the crc it ends with."""
    head = (
        bytes((kind, epoch, flags)) + packet_id.to_bytes(2, "big") + len(body).to_bytes(2, "big")
    )
    crc = crc16(head, crc)
    data = head + crc.to_bytes(2, "big")
    if body:
        crc = crc16(body, crc)
        data += body + crc.to_bytes(2, "big")
    return data, crc


def join(parts):
    """The file that holds these (kind, epoch, flags, id, body)."""
    file = b""
    crc = 0xFFFF
    for part in parts:
        data, crc = record(*part, crc)
        file += data
    return file


class State:
    """out: {id: packet without DUP, or None for its PUBREL}, in order. ids: QoS 2 ids received.
    items: [(number, first byte, id, body)], what the application has not dealt with."""

    def __init__(self, out=(), ids=(), items=(), number=0):
        self.out = dict(out)
        self.ids = set(ids)
        self.items = list(items)
        self.number = number
        self.established = False
        self.next_id = 1

    def copy(self):
        other = State(self.out, self.ids, self.items, self.number)
        other.established = self.established
        other.next_id = self.next_id
        return other

    @property
    def content(self):
        return list(self.out.items()), sorted(self.ids), self.items

    def apply(self, kind, flags, packet_id, body):
        """Take a record that the writer can have written."""
        if kind == MARK:
            self.established = body[1] == 1
            self.next_id = int.from_bytes(body[2:4], "big")
            self.number = int.from_bytes(body[4:8], "big")
        elif kind in (PUT, REL):
            self.out.pop(packet_id, None)
            self.out[packet_id] = None if kind == REL else bytes((body[0] & 0xF7,)) + body[1:]
            if kind == PUT:
                self.next_id = packet_id % 65535 + 1
        elif kind == DEL:
            self.out.pop(packet_id, None)
        elif kind == ADD:
            self.number += 1
            self.items.append((self.number, flags, packet_id, body))
            if flags & 4:
                self.ids.add(packet_id)
        elif kind == OWN:
            self.ids.add(packet_id)
        elif kind == USED:
            self.items.pop(0 if flags else -1)
        elif kind == UNDO:
            self.items.pop()
            self.ids.discard(packet_id)
        elif kind == END:
            self.ids.discard(packet_id)
        else:
            raise AssertionError(f"a record of kind {kind}")


def split(data):
    """[(where it ends, (kind, epoch, flags, id, body))] of the whole records, and whether what is
    behind them is damaged, not merely cut off."""
    found = []
    at = 0
    crc = 0xFFFF
    while len(data) - at >= HEAD:
        head = data[at : at + HEAD]
        crc = crc16(head[:7], crc)
        n = int.from_bytes(head[5:7], "big")
        if crc != int.from_bytes(head[7:], "big"):
            return found, True
        end = at + HEAD + (n + CRC if n else 0)
        if end > len(data):
            break
        body = data[at + HEAD : at + HEAD + n]
        if n:
            crc = crc16(body, crc)
            if crc != int.from_bytes(data[end - CRC : end], "big"):
                return found, True
        found.append((end, (*head[:3], int.from_bytes(head[3:5], "big"), body)))
        at = end
    return found, False


def states(data):
    """[(where a record ends, State behind it)] of a whole file, which nothing has damaged."""
    found, damaged = split(data)
    assert not damaged and found and found[-1][0] == len(data), "the writer wrote what is damaged"
    assert found[0][1][0] == MARK, "no mark at the start"
    state = State()
    history = []
    for end, (kind, _, flags, packet_id, body) in found:
        state.apply(kind, flags, packet_id, body)
        history.append((end, state.copy()))
    return history
