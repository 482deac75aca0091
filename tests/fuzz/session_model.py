"""What may be in flight, told a second time: a model of the tables of a client, for fuzzing.

The model is told what happens (accepted, arrive, connecting, connected) and looks at every packet
when its first byte is offered to the socket (begin) and when its last one is taken (end). It knows
nothing of slots, buffers and bits. An AssertionError says what the client should not have done.
"""

BAD, ROOM = 0x82, 0x97
PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


class Message:
    def __init__(self, packet, qos, age):
        self.packet = packet  # as it goes out first, or its PUBREL
        self.wants = PUBACK if qos == 1 else PUBREC
        self.age = age  # in the order of acceptance; of the PUBREC, once that has come
        self.begun = False  # on an earlier connection, so that it goes out with DUP
        self.now = 0  # on this connection: 1 being written, 2 written


class Model:
    """open: id -> Message. ids_in: QoS 2 ids of the server. asks: id -> (first byte of the
    answer, how many codes). owed: the replies that must go out, in order."""

    def __init__(self, slots):
        self.slots = slots
        self.open = {}
        self.ids_in = set()
        self.ours = False
        self.age = self.ignored = self.copies = 0
        self.done = []
        self.got = []
        self.newest = 0  # id of the last message
        self.expected = None  # (payload, QoS) of one that is accepted when it begins to leave
        self.connecting(False)

    # -- calls -----------------------------------------------------------------------------------

    def connecting(self, clean):
        """A CONNECT will go out."""
        self.clean = clean
        self.owed = b""
        self.asks = {}
        self.qos0 = []  # packets that were taken and have not begun
        self.last = (0, 0)
        self.goodbye = False
        for message in self.open.values():
            message.begun = message.begun or message.now > 0
            message.now = 0
        if clean or not self.ours:
            self.open.clear()
            self.ids_in.clear()
        if clean:
            self.ours = False

    def connected(self, present):
        self.ours = not self.clean
        if not present:
            self.ids_in.clear()

    def accepted(self, packet_id, packet, qos):
        assert 1 <= packet_id <= 65535
        assert packet_id not in self.open and packet_id not in self.asks, "an id that is taken"
        assert len(self.open) < self.slots
        self.age += 1
        self.open[packet_id] = Message(packet, qos, self.age)
        self.newest = packet_id

    # -- what the client writes ------------------------------------------------------------------

    def begin(self, packet, is_reply):
        assert not self.goodbye, "something after DISCONNECT"
        first = packet[0]
        if is_reply:
            assert self.owed.startswith(packet), (packet, self.owed)
            self.owed = self.owed[len(packet) :]
        elif first & 0xF6 == 0x30:
            assert packet == self.qos0.pop(0)
        elif first & 0xF0 == 0x30 or first == PUBREL:
            self.send(packet)
        elif first in (0x82, 0xA2):
            packet_id = int.from_bytes(packet[2:4], "big")
            assert packet_id and packet_id not in self.asks and packet_id not in self.open
            self.asks[packet_id] = (0x90, 1) if first == 0x82 else (0xB0, 0)
        elif first == 0xE0:
            assert packet == b"\xe0\x00"
            self.goodbye = True
        else:
            assert packet == b"\xc0\x00" or first == 0x10, packet

    def find(self, packet):
        at = 2
        if packet[0] & 0xF0 == 0x30:
            at = 4 + int.from_bytes(packet[2:4], "big")
        return int.from_bytes(packet[at : at + 2], "big")

    def send(self, packet):
        """A message, or the PUBREL of one that goes out again."""
        packet_id = self.find(packet)
        if self.expected:
            payload, qos = self.expected
            self.expected = None
            assert packet[0] == 0x30 | qos << 1 and packet.endswith(payload)
            self.accepted(packet_id, packet, qos)
        message = self.open.get(packet_id)
        assert message, f"id {packet_id} is not open"
        wanted = message.packet
        if message.begun and message.wants != PUBCOMP:
            wanted = bytes((wanted[0] | 8,)) + wanted[1:]
        assert packet == wanted, (packet, wanted)
        assert not message.now, "twice on one connection"
        assert message.begun or message.wants != PUBCOMP
        # PUBRELs first, then copies, then new ones, each in their order
        place = (message.wants != PUBCOMP, message.age)
        assert place > self.last, (place, self.last)
        self.last = place
        message.now = 1

    def end(self, packet):
        if packet[0] & 0xF6 != 0x30 and packet[0] & 0xF0 == 0x30:
            message = self.open.get(self.find(packet))
            if message and message.now == 1:
                message.now = 2
        elif packet[0] == PUBREL and len(packet) == 4:
            message = self.open.get(self.find(packet))
            if message and message.now == 1:
                message.now = 2

    # -- what the server sends -------------------------------------------------------------------

    def reply(self, first, packet_id):
        self.owed += bytes((first, 2)) + packet_id.to_bytes(2, "big")

    def arrive(self, first, packet_id=0, message=None, codes=b""):
        """A well-formed packet; the reason code with which the client must close, or 0."""
        kind = first & 0xF0
        if kind == 0x30:
            return self.publish(first, packet_id, message)
        if first == PUBREL:
            self.ids_in.discard(packet_id)
            self.reply(PUBCOMP, packet_id)
            return 0
        if first in (0x90, 0xB0):
            if self.asks.get(packet_id) != (first, len(codes)):
                return BAD
            del self.asks[packet_id]
            return 0
        return self.ack(first, packet_id)

    def publish(self, first, packet_id, message, handled=True):
        if first & 4 and packet_id in self.ids_in:
            self.copies += 1
            self.reply(PUBREC, packet_id)
            return 0
        if first & 2 and packet_id in self.ids_in:
            return BAD
        if first & 4 and len(self.ids_in) == 256:
            return ROOM
        self.got.append(message)
        if first & 6 and handled:
            if first & 4:
                self.ids_in.add(packet_id)
            self.reply(PUBREC if first & 4 else PUBACK, packet_id)
        return 0

    def ack(self, first, packet_id):
        message = self.open.get(packet_id)
        if message and message.now == 1:
            self.ignored += 1  # not all of it is out, so this is no answer to it
            return 0
        if not message or not message.now and not message.begun:
            self.ignored += 1
            if first == PUBREC:
                self.reply(PUBREL, packet_id)
            return 0
        if first == PUBREC and message.wants != PUBACK:
            if message.wants == PUBREC:
                self.age += 1
                message.age = self.age
                message.wants = PUBCOMP
                message.packet = b"\x62\2" + packet_id.to_bytes(2, "big")
            message.begun = True
            message.now = 2
            self.reply(PUBREL, packet_id)
            return 0
        if first != message.wants:
            return BAD
        del self.open[packet_id]
        self.done.append(packet_id)
        return 0
