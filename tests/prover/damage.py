"""What the exploration does not reach: journals with damage that no power cut makes, and the cap.

check() takes a few journals of real life, and flips each bit, leaves out, doubles and exchanges
records. What is read back is "lost", or what the undamaged part says; a wrong session never.
"""

from . import reading
from .audit import Broken, split
from .device import PATH
from .machine import Machine, Step
from .scenarios import Scenario
from .server import ack, message


def journals(machine):
    """A few with all kinds of records, one of them torn."""
    node = machine.empty

    def come(p, k):
        return message(p, 2, k, 0, machine.sc.version)

    steps = [Step("boot"), Step("connect", script=(0, 0, 0)), Step("publish", m=0)]
    steps += [Step("publish", m=1), Step("feed", come(1, 0) + come(2, 1))]
    steps += [Step("feed", ack(0x50, 1)), Step("feed", ack(0x62, 1)), Step("feed", ack(0x70, 1))]
    steps += [Step("publish", m=2), Step("feed", come(1, 0), bad=1)]
    found = []
    for step in steps:
        node = machine.run(node, step).node
        (_, durable, pending), *_ = machine.nodes[node][2]
        found.append(durable + pending)
    return [found[4], found[6], found[-1], found[-1][:-3]]


def scenario(**more):
    return Scenario("bits", out=(2, 1, 2), inn=(2, 2), slots=3, ids=3, oracle=False, **more)


def recovered(machine, image):
    machine.events_seen = []
    machine.construct(((PATH, image, b""),))
    return machine.store.recovered, machine.session()


def check(version=4):
    """Broken for the first journal that is read wrongly; how many were read."""
    machine = Machine(scenario(version=version))
    done = 0
    with machine.installed():
        images = journals(machine)
    other = Machine(scenario(version=9 - version))
    with other.installed():
        told, session = recovered(other, images[0])
        if told != "lost" or session[1]:
            raise Broken("S16", f"the journal of the other version became {told}")
    with machine.installed():
        for image in images:
            whole = machine.read(image)[0]
            for i in range(len(image) * 8):
                data = bytearray(image)
                data[i >> 3] ^= 1 << (i & 7)
                judge(machine, bytes(data), whole, f"bit {i & 7} of byte {i >> 3}")
                done += 1
            records = cut(image)
            for i, one in enumerate(records):
                rest = records[:i] + records[i + 1 :]
                # without the last one it is the journal of a moment before
                if i < len(records) - 1:
                    judge(machine, b"".join(rest), None, f"no record {i}")
                judge(machine, b"".join(records[: i + 1] + records[i:]), None, f"twice {i}")
                if i < len(records) - 1 and records[i + 1] != one:
                    other = records[:i] + [records[i + 1], one] + records[i + 2 :]
                    judge(machine, b"".join(other), None, f"{i} and the next exchanged")
                done += 3
        foreign(machine)
    return done + 2


def cut(image):
    """The records of a journal, as bytes; a torn one is left out."""
    found = []
    i = 0
    while i + 9 <= len(image):
        n = int.from_bytes(image[i + 5 : i + 7], "big")
        j = i + 9 + (n + 2 if n else 0)
        if j > len(image):
            break
        found.append(image[i:j])
        i = j
    return found


def judge(machine, image, whole, what):
    told, session = recovered(machine, image)
    if told == "lost" and not session[1] and not any(session[4:7]):
        return
    if whole and reading.LOST != machine.read(image)[0] and session == whole:
        return  # in the torn end, which nobody reads
    if told == "new" and not any(session[4:7]) and not session[1]:
        return  # not even the mark is whole
    raise Broken("S16", f"{what} of {image.hex()}: {told} {session}")


def foreign(machine):
    """The journal of another client is none."""
    image = journals(machine)[0]
    records, _, _ = reading.records(image)
    mark = records[0]
    body = mark[4].replace(b"c@server", b"d@server")
    told, session = recovered(machine, seal([(*mark[:4], body)] + records[1:]))
    if told != "lost" or session[1]:
        raise Broken("S16", f"the journal of another client became {told}")


def seal(records):
    """A journal of these records, with checksums."""
    from binascii import crc_hqx

    crc = 0xFFFF
    data = b""
    for kind, epoch, flags, p, body in records:
        head = bytes((kind, epoch, flags, p >> 8, p & 255, len(body) >> 8, len(body) & 255))
        crc = crc_hqx(head, crc)
        data += head + crc.to_bytes(2, "big")
        if body:
            crc = crc_hqx(body, crc)
            data += body + crc.to_bytes(2, "big")
    return data


def cap():
    """S12: more open QoS 2 ids than the client holds close the connection; none is forgotten.

    With a file so small that it is written anew all the time. How many it took.
    """
    machine = Machine(Scenario("cap", inn=(2,), ids=3, slots=1, max_bytes=3000))
    machine.blind = True
    with machine.installed():
        node = machine.run(machine.empty, Step("boot")).node
        node = machine.run(node, Step("connect", script=(0, 0, 0))).node
        count = 0
        while True:
            # ids that collide in their last bits
            p = 1 + count * 37 % 997
            result = machine.run(node, Step("feed", message(p, 2, 0, 0)))
            if result.closed:
                break
            node = result.node
            count += 1
            if count > 999:
                raise Broken("S12", "there is no end")
            if len(machine.received()) != count:
                raise Broken("S12", f"{len(machine.received())} ids of {count}")
        if result.error != "mqtt 151" or any(
            packet[0] == 0x50 for _, e in result.moments if e[0] == "out" for packet in split(e[1])
        ):
            raise Broken("S12", f"message {count} too many: {result.error}")
        told, session = recovered(machine, machine.nodes[node][2][0][1])
        if told != "session" or len(session[5]) != count:
            raise Broken("S12", f"after a reboot {len(session[5])} ids of {count}")
    return count
