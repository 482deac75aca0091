"""What can be said of one step alone: order and completeness of replies, the write-ahead rules."""

from . import reading
from .server import code, payload


class Broken(Exception):
    """An invariant does not hold: Broken("S1", "why")."""


def audit(machine, frozen, step, events, closed):
    """Order and completeness of replies, and the write-ahead rules."""
    image = machine.files(frozen)[0]
    owed = {0x40: [], 0x50: [], 0x62: [], 0x70: []}
    body_of = {}
    for packet in split(step.data):
        kind = packet[0] & 0xF0
        if kind == 0x30 and packet[0] & 6:
            p = int.from_bytes(packet[5:7], "big")  # the topic has one byte
            owed[0x40 if packet[0] & 2 else 0x50].append(p)
            body_of[p] = payload(packet, machine.sc.version)
        elif kind == 0x50 and code(packet) < 128 or kind == 0x60:
            p = int.from_bytes(packet[2:4], "big")
            owed[0x62 if kind == 0x50 else 0x70].append(p)
    ended = []
    hello = False  # a CONNECT is what comes next
    bye = False
    for kind, data in events:
        if kind == "flash":
            image = machine.files(data)[0]
            clash = machine.read(image)[2]
            if clash and machine.sc.ahead:
                raise Broken("S5", f"packet id {clash} is given away while it is open")
        elif kind == "fault":
            raise Broken("flash", data)
        elif kind == "end":
            ended.append(data[2])
        elif kind == "open":
            hello, bye = True, False
        elif kind == "out" and not (step.fault or step.short >= 0):
            for packet in split(data):
                if bye or hello != (packet[0] == 0x10):
                    raise Broken("S17", f"{packet.hex()} comes at the wrong time")
                hello = False
                bye = packet[0] == 0xE0
                ahead(machine, packet, image, owed, ended, body_of, step)
    if not closed and step.short < 0 and any(owed.values()):
        raise Broken("S18", f"not answered: {owed}")


def ahead(machine, packet, image, owed, ended, body_of, step):
    first = packet[0]
    session = machine.read(image)[0] if machine.sc.ahead else reading.NEW
    known = session != reading.LOST and session[1]
    p = int.from_bytes(packet[2:4], "big")
    mine = [entry for entry in session[4] if entry[0] == p] if known else ()
    if first & 0xF0 == 0x30:
        if first & 6 and known:
            p = int.from_bytes(packet[5:7], "big")
            mine = [entry for entry in session[4] if entry[0] == p]
            if not mine or mine[0][1] != "P" or mine[0][2][1:] != packet[1:]:
                raise Broken("S14", f"PUBLISH {packet.hex()} is not in the journal: {mine}")
        return
    if first not in owed:
        return
    if first == 0x62 and mine and mine[0][1] != "R":
        raise Broken("S14", f"PUBREL {p}, but the journal has its PUBLISH")
    refused = first == 0x50 and code(packet) > 127
    if first == 0x50 and known and machine.sc.inbox_qos < 3 and (p in session[5]) == refused:
        raise Broken("S14", f"PUBREC {p} {refused=}, in the journal is {session[5]}")
    if first == 0x70 and known and p in session[5]:
        raise Broken("S14", f"PUBCOMP {p}, but the journal has the id")
    if step.verb in ("feed", "subscribe"):
        if not owed[first] or owed[first][0] != p:
            raise Broken("S10" if first != 0x62 else "S9", f"reply {packet.hex()}: {owed}")
        del owed[first][0]
        done = body_of[p] in ended or code(packet) > 127 if first == 0x40 else True
        if not done and machine.sc.handler and machine.sc.ahead:
            raise Broken("S14", f"PUBACK {p} before its handler is done")


def split(data):
    """The packets in data, all shorter than 128 bytes; a piece at the end is left out."""
    found = []
    i = 0
    while i + 2 <= len(data) and i + 2 + data[i + 1] <= len(data):
        found.append(data[i : i + 2 + data[i + 1]])
        i += 2 + data[i + 1]
    return found
