"""A flash in RAM: what is written and what is durable are two things. And a Board that has one.

Flash stands in for open() and os in umqtt_plus.journal and umqtt_plus.recover. Files append only,
as a journal does. Everything that happens outside of the client's RAM is a step, at which the
power may be cut: each call of the flash, and each write to the socket.

read_journal() reads the file a second way, so that Board can look, each time a packet begins to
leave, whether what it depends on is durable by then: the write-ahead rules, in every test.
"""

import sys

import umqtt_plus
import umqtt_plus.journal as journal
import umqtt_plus.recover as recover
import umqtt_plus.store as rooms
from driver import Driver, Link, OK, ack, parse, publish

NAME = "s"  # of the file
MARK, PUT, REL, DEL, ADD, OWN, USED, UNDO, END = 1, 2, 3, 4, 16, 17, 18, 19, 20
FORMAT = 4
WHO = b"c@server:1883"
ENOENT, EIO, ENOSPC, EROFS = 2, 5, 28, 30


class Cut(BaseException):
    """The power is cut. Nothing that cleans up behind an exception reaches the world any more."""


class Node:
    def __init__(self):
        self.data = bytearray()
        self.safe = 0  # so many bytes are durable
        self.seen = None  # what read_journal() knows of it


class Flash:
    """files: name -> Node. Errors on demand; fat: rename() cannot replace, it removes first."""

    def __init__(self, fat=False):
        self.files = {}
        self.fat = fat
        self.cut = -1  # steps until the power is cut; -1 never
        self.dead = False
        self.full = -1  # bytes that still fit; -1 no end
        self.part = False  # a full flash answers with a short count, as POSIX; else ENOSPC
        self.fail = {}  # name of a step -> errno
        self.steps = 0  # so far
        self.counts = {}  # of each name
        self.written = 0
        self._before = []  # what it stands in for

    def step(self, what):
        if self.dead or not self.cut:
            self.dead = True
            raise Cut(what)
        self.cut -= 1
        self.steps += 1
        self.counts[what] = self.count(what) + 1
        if what in self.fail:
            raise OSError(self.fail[what])

    def count(self, what):
        return self.counts.get(what, 0)

    @property
    def touched(self):
        """Steps of the flash alone."""
        return self.steps - self.count("send")

    def open(self, name, mode):
        if mode != "rb":
            self.step("open")
        if mode == "wb" or mode == "ab" and name not in self.files:
            self.files[name] = Node()
        if name not in self.files:
            raise OSError(ENOENT)
        return File(self, self.files[name], mode)

    def rename(self, old, new):
        if old not in self.files:
            raise OSError(ENOENT)
        if self.fat and new in self.files:
            self.step("unlink")
            del self.files[new]
        self.step("rename")
        self.files[new] = self.files.pop(old)

    def remove(self, name):
        self.step("remove")
        if name not in self.files:
            raise OSError(ENOENT)
        del self.files[name]

    def power(self, keep=0):
        """After a power cut: up to `keep` bytes that were not flushed are there all the same."""
        for node in self.files.values():
            node.data = node.data[: node.safe + keep]
            node.safe = len(node.data)
            node.seen = None
        self.cut = -1
        self.dead = False

    def copy(self):
        other = Flash(self.fat)
        for name in self.files:
            other.put(self.files[name].data, name)
        return other

    def put(self, data, name=NAME):
        """A file with this in it, durable: bytes or records."""
        if isinstance(data, list):
            data = encode(data)
        node = self.files[name] = Node()
        node.data.extend(data)
        node.safe = len(data)

    def get(self, name=NAME):
        return bytes(self.files[name].data)

    # -- in place of the real one ----------------------------------------------------------------

    def enter(self):
        for room in (journal, recover):
            self._before.append((room, getattr(room, "open", None), room.os))
            room.open = self.open
            room.os = self
        # Store() imports it anew each time, unless it is there
        sys.modules["umqtt_plus.recover"] = umqtt_plus.recover = recover

    def __enter__(self):
        self.enter()

    def __exit__(self, *_):
        self.leave()

    def leave(self):
        for _ in range(2):
            room, opener, system = self._before.pop()
            room.os = system
            if opener:
                room.open = opener
            else:
                del room.open


class File:
    def __init__(self, flash, node, mode):
        self.flash = flash
        self.node = node
        self.writes = mode != "rb"
        self.at = 0
        self.closed = False

    def write(self, buf, *args):
        assert self.writes and not self.closed
        i, n = args if len(args) == 2 else (0, len(buf))
        flash = self.flash
        data = bytes(memoryview(buf)[i : i + n])
        assert len(data) == n, "write beyond the buffer"
        if not flash.cut:
            self.node.data.extend(data[: n // 2])  # cut in the middle of it
        flash.step("write")
        if 0 <= flash.full < n:
            data = data[: flash.full]
        if flash.full > 0:
            flash.full -= len(data)
        self.node.data.extend(data)
        flash.written += len(data)
        if len(data) < n and not (flash.part and data):
            raise OSError(ENOSPC)
        return len(data)

    def flush(self):
        assert not self.closed
        self.flash.step("flush")
        self.node.safe = len(self.node.data)

    def readinto(self, buf, n=-1):
        assert not self.writes and not self.closed
        data = self.node.data[self.at : self.at + (len(buf) if n < 0 else n)]
        buf[: len(data)] = data
        self.at += len(data)
        return len(data)

    def seek(self, offset, whence=0):
        self.at = offset + (len(self.node.data) if whence == 2 else 0)
        return self.at

    def close(self):
        self.closed = True
        self.flash.step("close")


# -- the format, read and written a second way ---------------------------------------------------


def crc(data, value=0xFFFF):
    """CRC-16/CCITT, bit by bit."""
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = value << 1 ^ (0x1021 if value & 0x8000 else 0)
        value &= 0xFFFF
    return value


def two(n):
    return bytes((n >> 8, n & 255))


def record(kind, packet_id=0, body=b"", flags=0, epoch=0):
    """A list of one record, for encode()."""
    return [(bytes((kind, epoch, flags)) + two(packet_id) + two(len(body)), body)]


def mark(established=1, next_id=1, number=0, accepted=0, who=WHO, epoch=0, form=FORMAT):
    body = bytes((form, established)) + two(next_id)
    body += number.to_bytes(4, "big") + accepted.to_bytes(4, "big")
    return record(MARK, 0, body + who, 0, epoch)


def encode(records, value=0xFFFF):
    """The bytes of a file with these records: the CRC goes on from one to the next."""
    data = b""
    for head, body in records:
        value = crc(head, value)
        data += head + two(value)
        if body:
            value = crc(body, value)
            data += body + two(value)
    return data


def plain(packet):
    """packet without DUP."""
    return packet and bytes((packet[0] & 0xF7,)) + bytes(packet[1:])


class Content:
    """What a journal says; at: where its last whole record ends. records: keep them all, too."""

    def __init__(self, records=True):
        self.at = self.established = self.next_id = self.epoch = 0
        self.number = self.accepted = 0  # messages in by way of the inbox; messages out
        self.who = None
        self.out = []  # [id, packet; None for its PUBREL], in order
        self.rx = []  # ids of QoS 2 messages that came and are not released
        self.items = []  # (number, first byte, id, body) that the application may not have
        self.records = [] if records else None
        self.seen = bytearray()  # their kinds
        self.crc = 0xFFFF

    @property
    def kinds(self):
        return list(self.seen)

    def read(self, data, size=None):
        size = len(data) if size is None else size
        while self.at + 9 <= size:
            head = data[self.at : self.at + 9]
            n = head[5] << 8 | head[6]
            end = self.at + 9 + (n + 2 if n else 0)
            if end > size:
                break
            one = (bytes(head[:7]), bytes(data[self.at + 9 : self.at + 9 + n]))
            whole = encode([one], self.crc)
            assert whole == bytes(data[self.at : end]), "damaged at %d" % self.at
            self.crc = whole[-2] << 8 | whole[-1]
            self.at = end
            if self.records is not None:
                self.records.append(one)
            self.seen.append(head[0])
            self._apply(head[0], head[1], head[2], head[3] << 8 | head[4], one[1])
        return self

    def _apply(self, kind, epoch, flags, p, body):
        assert (self.who is None) == (kind == MARK)
        if kind == MARK:
            self.epoch = epoch
            assert body[0] == FORMAT
            self.established = body[1]
            self.next_id = body[2] << 8 | body[3]
            self.number = int.from_bytes(body[4:8], "big")
            self.accepted = int.from_bytes(body[8:12], "big")
            self.who = body[12:]
            return
        assert p and epoch == self.epoch
        if kind in (PUT, REL, DEL):
            assert self.established
            self.out = [x for x in self.out if x[0] != p]
        if kind == PUT:
            self.next_id = p % 65535 + 1
            self.accepted += 1
            self.out.append([p, body])
        elif kind == REL:
            self.out.append([p, None])
        elif kind == ADD:
            self.number += 1
            self.items.append((self.number, flags, p, body))
        elif kind == USED:
            self.items.pop(0 if flags else -1)
        elif kind == UNDO and self.items:
            self.items.pop()
        if (kind == OWN or kind == ADD and flags & 4) and p not in self.rx:
            self.rx.append(p)
        elif kind in (UNDO, END) and p in self.rx:
            self.rx.remove(p)

    @property
    def state(self):
        """To compare: [(id, packet without DUP, or None)], sorted ids received, items."""
        return [(p, plain(x)) for p, x in self.out], sorted(self.rx), self.items


def read_journal(data):
    return Content().read(data)


# -- a board -------------------------------------------------------------------------------------


class Wire(Link):
    """Looks at each packet when its first byte is about to leave."""

    def __init__(self, board, answer):
        Link.__init__(self, answer)
        self.board = board
        self.begun = bytearray()  # not whole yet, on its way

    def write(self, buf, off, n):
        found = parse(bytes(self.begun) + bytes(memoryview(buf)[off : off + n]))
        for first, body in found:
            self.board.leaves(first, body)
        self.board.flash.step("send")
        done = Link.write(self, buf, off, n)
        if done:
            self.begun.extend(memoryview(buf)[off : off + done])
            size = sum([len(x) + (2 if len(x) < 128 else 3) for _, x in parse(self.begun)])
            if self.board.server:
                self.board.server.take(self, self.begun[:size])
            self.begun = self.begun[size:]
        return done


class Server:
    """Answers at once, keeps a session, sends what is in it again. took: (qos, payload)."""

    def __init__(self):
        self.session = False
        self.forget = False  # loses the session at the next CONNECT
        self.wipe()

    def wipe(self):
        self.took = []
        self.open = []  # ids of QoS 2 messages received and not released
        self.sending = []  # [id, qos, payload, sent before, PUBREC has come]
        self.next_id = 7

    def take(self, link, data):
        for first, body in parse(data):
            kind = first & 0xF0
            p = body[0] << 8 | body[1] if len(body) > 1 else 0
            if kind == 0x10:
                clean = body[7] & 2
                if clean or self.forget:
                    self.open.clear()
                    self.sending.clear()
                    self.session = self.forget = False
                link.pieces.append(bytes((0x20, 2, self.session, 0)))
                self.session = not clean
                for one in self.sending:
                    self.send(link, one)
            elif kind == 0x30:
                at = 2 + p
                qos = first >> 1 & 3
                if not qos:
                    continue
                p = body[at] << 8 | body[at + 1]
                if p not in self.open:
                    self.took.append((qos, body[at + 2 :]))
                if qos == 2 and p not in self.open:
                    self.open.append(p)
                link.pieces.append(ack(0x30 + 16 * qos, p))
            elif kind == 0x60:
                self.open = [x for x in self.open if x != p]
                link.pieces.append(ack(0x70, p))
            elif kind == 0x50:
                for one in self.sending:
                    if one[0] == p:
                        one[4] = True
                link.pieces.append(ack(0x62, p))
            elif kind in (0x40, 0x70):
                self.sending = [x for x in self.sending if x[0] != p]

    def publish(self, link, qos, payload):
        self.next_id += 1
        self.sending.append([self.next_id, qos, payload, False, False])
        self.send(link, self.sending[-1])

    def send(self, link, one):
        p, qos, payload, sent, rec = one
        one[3] = True
        link.pieces.append(ack(0x62, p) if rec else publish(b"x", payload, qos, p, 8 * sent))


class Board(Driver):
    """A client with a store in a flash. numbers: m.number of each message of got.

    server: one that answers what is sent, in place of the answers of connect() and of feed().
    reboot() cuts the power and gives the next one, with the same options or with others.
    """

    def __init__(self, flash=None, handler=True, name=NAME, store={}, server=None, **options):
        self.flash = flash or Flash()
        self.name = name
        self.server = server
        self.numbers = []
        self.lax = False  # ids received need not be durable
        self.clean = None  # of the last CONNECT
        self.again = (name, store, server, options)
        options = dict(options)
        for key, value in (("inflight", 4), ("buffer_size", 64), ("client_id", "c")):
            options.setdefault(key, value)
        Driver.__init__(self, handler=None, **options)
        self.store = self.run(rooms.Store, self.client, name, **store)
        if handler:
            self.handle()

    def handle(self):
        """Set the handler, which takes what waits."""
        self.run(self.client.set_message, self._message)

    def compact(self):
        self.run(self.store.compact)

    def _enter(self):
        self.flash.enter()
        return Driver._enter(self)

    def _leave(self, before):
        Driver._leave(self, before)
        self.flash.leave()

    def reboot(self, keep=0, handler=True, **changes):
        self.flash.power(keep)
        name, store, server, options = self.again
        options = dict(options)
        options.update(changes)
        store = options.pop("store", store)
        return Board(self.flash, handler, name, store, server, **options)

    def up(self, answer=OK):
        """connect(), and forget what it sent."""
        self.connect(False, answer)
        self.out()
        return self

    def _open(self, *args):
        if self.server:
            self.answers.append([])
        _, link = Driver._open(self, *args)
        self.link = Wire(self, link.answer)
        self.link.space = self.space
        return (None, self.link)

    def note(self, m):
        self.numbers.append(m.number)

    # -- what is known ---------------------------------------------------------------------------

    @property
    def ram(self):
        """What the client knows, as Content.state has it."""
        t = self.client._tab
        out = []
        for i in range(t.slots):
            if t.state[i]:
                packet = plain(t.slab[i * t.size : i * t.size + t.length[i]])
                out.append((t.seq[i], t.ids[i], None if t.state[i] & 7 == 4 else packet))
        out.sort()
        ids = sorted([p for p in t.ids_in.ids if p]) if t.ids_in else []
        inbox = self.store._parts.get(1)
        return [x[1:] for x in out], ids, inbox.items if inbox else []

    @property
    def durable(self):
        """Content of what a power cut would leave."""
        node = self.flash.files[self.name]
        if not node.seen:
            node.seen = Content(records=False)
        return node.seen.read(node.data, node.safe)

    @property
    def file(self):
        """Content of the file, with what was not flushed yet."""
        return read_journal(self.flash.get(self.name))

    def leaves(self, first, body):
        """See that what a packet depends on is durable, whose first byte is about to leave."""
        kind = first & 0xF0
        if kind == 0x10:
            self.clean = body[7] & 2
            assert not (self.clean and self.durable.established), "clean CONNECT, session on file"
            return
        if self.clean or kind >= 0x80 or self.client.state != 2 or first & 0xF6 == 0x30:
            return
        now = self.durable
        assert now.established, "session not on file"
        at = 2 + (body[0] << 8 | body[1]) if kind == 0x30 else 0
        p = body[at] << 8 | body[at + 1]
        out = [x[1] for x in now.out if x[0] == p]
        if kind == 0x30:
            packet = parse(out[0])[0] if out and out[0] else None
            good = packet and packet[0] & 0xF7 == first & 0xF7 and packet[1] == body
        elif kind == 0x60:
            good = not out or out[0] is None  # an unknown PUBREC is answered, too
        elif kind == 0x50:
            good = p in now.rx or self.lax
        elif kind == 0x70:
            good = p not in now.rx
        else:
            good = kind == 0x40
        assert good, "%02X of %d leaves, and is not on file" % (first, p)
