"""What a client has to make of the bytes of a server, told a second time and in another way.

Slow and plain: bytes are joined and sliced, text is decoded by Python. Nothing of umqtt_plus is
used here. fuzz targets compare the client with it after each piece.
"""

BAD, LARGE, ROOM = 0x82, 0x95, 0x97
ACKS = (0x40, 0x50, 0x62, 0x70)
CAPACITY = 256  # QoS 2 ids that a client remembers


class Reference:
    """state: "connecting" or "up". size: of the client's buffer. table: None, or id -> what is
    awaited for a message of the client (0x40, 0x50, 0x70), in the order of acceptance. asks: id
    -> codes a SUBACK must have, 0 for an UNSUBACK. stream: takes large messages in pieces.

    must, may: the reason codes with which the client has to end, or may end, the connection by
    now. Both empty: it must stay.
    """

    def __init__(self, state, size, table, ids_in=(), asks=(), stream=False, clean=False):
        self.state = state
        self.size = size
        self.table = None if table is None else dict(table)
        self.ids_in = set(ids_in)
        self.asks = dict(asks)
        self.stream = stream
        self.clean = clean
        self.buf = b""
        self.got = []  # [first byte, topic, payload, total or None]
        self.out = b""
        self.done = []
        self.ignored = self.duplicates = 0
        self.rest = 0  # of a large message
        self.owner = None  # (first byte, id) of it, first byte 0 for a copy
        self.must = self.may = ()
        self.foreign = False
        self.handler = None  # whether there is one; it fails for payloads that begin with "!"
        self.ended = False  # by the application, as it failed with a QoS 1 or 2 message

    def feed(self, data):
        self.buf += data
        self.may = ()
        while self.buf and not (self.must or self.foreign or self.ended):
            if self.rest:
                self.pour()
            elif not self.packet():
                break

    def pour(self):
        data, self.buf = self.buf[: self.rest], self.buf[self.rest :]
        self.rest -= len(data)
        first, packet_id = self.owner
        if first:
            self.got[-1][2] += data
        if not self.rest:
            if first & 4:
                self.ids_in.add(packet_id)
            if first & 4 or not first:
                self.reply(0x50, packet_id)
            elif first & 2:
                self.reply(0x40, packet_id)

    def resend(self):
        """What goes out again on a new connection: PUBRELs first."""
        packets = {True: b"", False: b""}
        for p, wanted in (self.table or {}).items():
            packet_id = p.to_bytes(2, "big")
            if wanted == 0x70:
                packets[True] += b"\x62\2" + packet_id
            else:
                body = b"\0\1t" + packet_id + self.payload(p)
                packets[False] += bytes((0x3A if wanted == 0x40 else 0x3C, len(body))) + body
        return packets[True] + packets[False]

    def reply(self, first, packet_id):
        self.out += bytes((first, 2)) + packet_id.to_bytes(2, "big")

    def packet(self):
        """Handle the packet at the start of buf; whether it was handled whole."""
        buf = self.buf
        first = buf[0]
        if self.state == "connecting":
            return self.connack(buf)
        if first & 0xF0 == 0x30:
            if first & 6 == 6 or first & 14 == 8:
                self.may = (BAD,)
        elif first not in (*ACKS, 0x90, 0xB0, 0xD0):
            self.may = (BAD,)
        n = i = 0
        while True:
            if i == 4:
                self.must = (BAD,)
                return False
            if i + 1 == len(buf):
                return False
            byte = buf[i + 1]
            n |= (byte & 127) << 7 * i
            i += 1
            if byte < 128:
                break
        head = i + 1
        whole = len(buf) >= head + n
        body = buf[head : head + n]
        if head + n > self.size:
            if first & 0xF0 == 0x30:
                return self.large(first, head, body, n)
            self.must = (LARGE, *self.may)
            return False
        if not whole:
            if first & 0xF0 == 0x30:
                pass
            elif n != {0xD0: 0, 0x90: n}.get(first, 2):
                self.may = (BAD,)
            return False
        self.buf = buf[head + n :]
        bad = self.may or (self.publish if first & 0xF0 == 0x30 else self.control)(first, body)
        if bad:
            self.must = tuple(bad)
        return not bad

    def connack(self, buf):
        if buf[0] != 0x20 or buf[1:2] not in (b"", b"\2"):
            self.must = (BAD,)
        elif len(buf) >= 4:
            present, code = buf[2], buf[3]
            self.buf = buf[4:]
            if present > 1 or code > 5 or present and self.clean and not code:
                self.must = (BAD,)
            elif code:
                self.must = (code,)
            else:
                self.foreign = present and not self.ours
                self.state = "up"
                if not present:
                    self.ids_in.clear()
                if not self.foreign:
                    self.out += self.resend()
                return True
        elif len(buf) == 3 and buf[2] > 1:
            self.may = (BAD,)
        return False

    def topic(self, body):
        """(topic, what stands behind it), or None when it is not one."""
        n = int.from_bytes(body[:2], "big")
        topic = body[2 : 2 + n]
        if len(body) < 2 + n or not n or b"+" in topic or b"#" in topic or b"\0" in topic:
            return None
        try:
            topic.decode()
        except UnicodeDecodeError:
            return None
        return topic, body[2 + n :]

    def message(self, first, body):
        """(reason codes of what is wrong, topic, id or 0, payload, whether it is a copy)"""
        found = self.topic(body)
        if first & 6 == 6 or first & 14 == 8 or not found:
            return (BAD,), b"", 0, b"", False
        topic, rest = found
        packet_id = 0
        if first & 6:
            packet_id = int.from_bytes(rest[:2], "big")
            if len(rest) < 2 or not packet_id:
                return (BAD,), topic, 0, b"", False
            rest = rest[2:]
        copy = packet_id and self.table is not None and packet_id in self.ids_in
        if copy and first & 2:
            return (BAD,), topic, packet_id, rest, copy
        if first & 4 and not copy and (self.table is None or len(self.ids_in) >= CAPACITY):
            return (ROOM,), topic, packet_id, rest, copy
        return (), topic, packet_id, rest, copy

    def publish(self, first, body):
        bad, topic, packet_id, payload, copy = self.message(first, body)
        if bad:
            return bad
        if copy:
            self.duplicates += 1
            self.reply(0x50, packet_id)
            return ()
        self.got.append([first, topic, payload, None])
        if first & 6 and self.handler and payload[:1] == b"!":
            self.ended = True
            return ()
        if first & 4:
            self.ids_in.add(packet_id)
        if first & 6:
            self.reply(0x50 if first & 4 else 0x40, packet_id)
        return ()

    def large(self, first, head, body, n):
        """A PUBLISH of n bytes that does not fit into the buffer."""
        if len(body) < 2:
            return False
        end = 2 + int.from_bytes(body[:2], "big")
        if end > n:
            self.must = (BAD,)
        elif not self.stream or head + end + 2 >= self.size:
            self.must = (LARGE, *self.may)
        elif len(body) > end + 2 or len(body) == n:
            bad, topic, packet_id, payload, copy = self.message(first, body)
            if bad:
                self.must = bad
                return False
            skip = end + (2 if first & 6 else 0)
            self.buf = self.buf[head + skip :]
            self.rest = n - skip
            self.owner = (0 if copy else first, packet_id)
            self.duplicates += bool(copy)
            if not copy:
                self.got.append([first, topic, b"", self.rest])
                if first & 6 and payload[:1] == b"!":
                    self.ended = True
                    self.got[-1][2] = payload
            return True
        return False

    def control(self, first, body):
        if first == 0xD0:
            return (BAD,) if body else ()
        if first == 0x90:
            if len(body) < 3:
                return (BAD,)
        elif len(body) != 2:
            return (BAD,)
        packet_id = int.from_bytes(body[:2], "big")
        if not packet_id:
            return (BAD,)
        if first in (0x90, 0xB0):
            return self.granted(first, packet_id, body[2:])
        if first == 0x62:
            self.ids_in.discard(packet_id)
            self.reply(0x70, packet_id)
            return ()
        wanted = (self.table or {}).get(packet_id)
        if wanted is None:
            self.ignored += 1
            if first == 0x50:
                self.reply(0x62, packet_id)
            return ()
        if first == 0x50 and wanted in (0x50, 0x70):
            if wanted == 0x50:
                del self.table[packet_id]
                self.table[packet_id] = 0x70  # now it is the last PUBREL
            self.reply(0x62, packet_id)
            return ()
        if first != wanted:
            return (BAD,)
        del self.table[packet_id]
        self.done.append(packet_id)
        return ()

    def granted(self, first, packet_id, codes):
        wanted = self.asks.get(packet_id)
        if wanted is None or isinstance(wanted, bytes):
            return (BAD,)
        if (first == 0x90) != (wanted > 0) or len(codes) != wanted:
            return (BAD,)
        if any(code > 2 and code != 0x80 for code in codes):
            return (BAD,)
        self.asks[packet_id] = codes
        return ()
