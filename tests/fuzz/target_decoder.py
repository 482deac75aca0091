"""Fuzz target: bytes of a server, cut into pieces, into the engine; compared with reference.py.

The engine runs without a front of sockets, and one client serves for all inputs of a kind: it is
put back to where it was, not made anew. Input: kind and how it is cut (1 byte), where the cut
needs it a number and the cuts, then what the server sends.
"""

import sys
from pathlib import Path

from reference import Reference

import umqtt_plus.keepalive  # noqa: F401
import umqtt_plus.retry  # noqa: F401
import umqtt_plus.stream as stream
import umqtt_plus.subscribe  # noqa: F401
from umqtt_plus.errors import MQTTException
from umqtt_plus.message import view
from umqtt_plus.opening import begin, first
from umqtt_plus.protocol import Protocol
from umqtt_plus.receive import load

MEMORY = 40_000  # bytes that no input may need at once
MAX_LEN = 500
PIECES = 16
TOPIC_A = b"\x30\x04\x00\x01ax"
TOPIC_AB = b"\x30\x06\x00\x03a/bx"
RESUMED = b"\x20\x02\x01\x00"
TOKENS = (
    TOPIC_A,
    TOPIC_AB,
    b"\x30\x04\x00\x01a!",
    b"\x34\x06\x00\x01a\x00\x06!",
    b"\x32\x06\x00\x01a\x00\x07x",
    b"\x34\x06\x00\x01a\x00\x04x",
    b"\x3c\x06\x00\x01a\x00\x07x",
    b"\x34\x07\x00\x02\xc3\xa9\x00\x05x",
    b"\x34\x50\x00\x01a\x00\x06" + b"x" * 75,
    b"\x30\x8a\x02\x00\x03a/b" + b"x" * 261,
    b"\x30\xff\xff\xff\x7f\x00\x01axxxx",
    b"\x40\x02\x00\x01",
    b"\x50\x02\x00\x02",
    b"\x62\x02\x00\x07",
    b"\x70\x02\x00\x03",
    b"\x70\x02\x00\x02",
    b"\x40\x02\x00\x0c",
    b"\x90\x04\x00\x08\x01\x80",
    b"\xb0\x02\x00\x09",
    b"\xd0\x00",
    b"\x20\x02\x00\x00",
    RESUMED,
)
VARIANTS = (
    b"\x90\x05\x00\x08\x01\x80\x00",  # a code too many
    b"\x90\x03\x00\x08\x01",  # one too few
    b"\x34\xff\xff\xff\x7f\x00\x01a\x00\x05xxxxxx",  # 256 MB
    b"\x40\xff\xff\xff\x7f\x00\x01",
    # a topic, another one in a large message, the same again
    TOPIC_A * 2 + b"\x30\xeb\x01\x00\x03a/b" + b"x" * 230 + TOPIC_AB,
    b"\x30\xea\x01\x00\x03a/b!" + b"x" * 228 + TOPIC_A,
    b"\x32\xea\x01\x00\x03a/b\0\5!" + b"x" * 226 + TOPIC_A,
    # more replies than may wait, half of them for copies
    b"\x62\x02\x00\x05" * 17 + b"\x3c\x06\x00\x01a\x00\x07x" * 14,
)
OPEN = {1: 0x40, 2: 0x50, 12: 0x40, 3: 0x70}  # in the table of four: what each id waits for
ASKS = {8: 2, 9: 0}  # a SUBSCRIBE of two filters, an UNSUBSCRIBE


class Ring:
    """micropython.RingIO, as far as the receiver needs it."""

    def __init__(self):
        self.data = b""

    def write(self, buf, i, n):
        self.data = bytes(buf[i : i + n])
        return n

    def readinto(self, buf, n):
        buf[:n] = self.data
        return n


class Refused(Exception):
    """The handler fails: for a payload that begins with an exclamation mark."""


class Client(Protocol):
    """The engine with a front that has no sockets. hold: write only when replies fill up."""

    hold = False

    def _close(self):
        self.closed = True
        self._reset()

    def start(self):
        self.wire = bytearray()
        self.got = []
        self.done = []
        self.closed = False

    def flush(self):
        while self._on or self._busy and self._next():
            self.wire += memoryview(self._out)[self._oat : self._oat + self._on]
            self._sent(self._on, 0)

    def feed(self, data):
        i = 0
        while i < len(data):
            buf = self._lend()
            n = min(self._room, len(data) - i)
            buf[:n] = data[i : i + n]
            i += n
            self._got(buf, n)
            while self._new:
                self._new = False
                try:
                    self._read(self)
                except BaseException as error:
                    self._new = True
                    owed = self._owed
                    if owed:
                        self._close()
                    if not isinstance(error, Refused):
                        raise
                    if owed:
                        return
                if (self._busy or self._on) and (not self.hold or self._an > 60):
                    self.flush()
            if self.state == 3:
                return  # of a session that is not ours: a front goes no further

    def message(self, m):
        self.got.append([m.head, m.topic, m.payload, None])
        refuse(m.payload)

    def callback(self, topic, payload):
        self.got.append([None, topic, payload, None])
        refuse(payload)

    def piece(self, m):
        if not m.offset:
            self.got.append([m.head, m.topic, m.payload, m.total])
            refuse(m.payload)
            return
        last = self.got[-1]
        if m.offset != len(last[2]) or not len(m) or m.topic or m.total != last[3]:
            raise AssertionError("a piece that does not go on from the last one")
        last[2] += m.payload


def refuse(payload):
    if payload[:1] == b"!":
        raise Refused


def payload(packet_id):
    return b"%d" % packet_id


class Kind:
    """A client in one state, and how to get there again. handler: "message", "callback", None."""

    def __init__(
        self, name, state, handler, size=64, slots=4, ids_in=(), stream_in=False, clean=False,
        ours=True, ring=False,
    ):  # fmt: skip
        self.name = name
        self.up = state == "up"
        self.handler = handler
        self.clean = clean
        self.ours = ours
        self.client = c = Client()
        begin(c, "c", None, None, 0, size, slots, 0)
        c.start()
        if handler == "message":
            view(c)
            c._take = c.message
        elif handler == "callback":
            c.cb = c.callback
            load(c)
        if stream_in:
            view(c).handler = c.piece
            c._big = stream
        c.on_pub = lambda packet_id: c.done.append(packet_id)
        c._ours = ours
        self.open = OPEN if slots and (self.up or ours) else {}
        self.ids_in = tuple(ids_in) if slots else ()
        self.asks = ASKS if self.up else {}
        self.args = (state, size, self.open if slots else None, self.ids_in, self.asks, stream_in)
        c._start(False, 0)
        c.flush()
        if self.open:
            c.state, c._ours = 2, True
            for packet_id, wanted in sorted(OPEN.items()):
                c._tab.next_id = packet_id
                c._busy = 1
                c._tab.accept(c, b"t", payload(packet_id), False, 1 if wanted == 0x40 else 2)
                c.flush()
            c._tab.control(c, 0x50, 3)
            c.flush()
        if handler or stream_in:
            self.read = c._read
            for p in self.ids_in:
                c._tab.ids_in.room()
                c._tab.ids_in.add(p)
        else:
            self.read = first
        c._ours = ours
        if ring and handler:
            c._ring = Ring()
        t = c._tab
        self.table = t and [bytes(t.slab), bytes(t.state), t.ids[:], t.length[:], t.seq[:]]
        self.more = t and (t.order, t.next_id, t.used)
        self.inbox = t and t.ids_in and (t.ids_in.ids[:], t.ids_in.count, t.ids_in.astray)

    def reset(self):
        """The client as it was, and its reference."""
        c = self.client
        c._reset()
        c._n[:] = (0, 0, 0, 0, 0)
        c._read = self.read
        c._ours = self.ours
        c._k = 0
        t = c._tab
        if t:
            t.slab[:], t.state[:], t.ids[:], t.length[:], t.seq[:] = self.table
            t.order, t.next_id, t.used = self.more
            t.todo = 0
            box = t.ids_in
            if self.inbox:
                box.ids, box.count, box.astray = self.inbox[0][:], self.inbox[1], self.inbox[2]
            elif box:
                box.clear()
        if self.up:
            c.state = 2
            c._cl = False
            c._busy = 0
            c._asks.update(ASKS)
        else:
            c._start(self.clean, 0)
            c.start()
            c.flush()
        c.start()
        reference = Reference(*self.args, clean=self.clean)
        reference.ours = self.ours
        reference.payload = payload
        reference.handler = self.handler
        if self.clean or not self.ours and t:
            reference.table = reference.table and {}
        return c, reference


KINDS = [
    Kind("connecting clean", "connecting", "message", clean=True),
    Kind("connecting", "connecting", "message", ids_in=(7,)),
    Kind("connecting new", "connecting", None, ours=False),
    Kind("publisher QoS 0", "up", None, slots=0),
    Kind("publisher", "up", None),
    Kind("receiver", "up", "message", ids_in=(7, 39)),
    Kind("receiver, topics known again", "up", "message", ids_in=(7,), ring=True),
    Kind("receiver with a callback", "up", "callback", ids_in=(7,)),
    Kind("receiver without a table", "up", "message", slots=0),
    Kind("receiver, table about to grow", "up", "message", ids_in=range(31, 1, -1)),
    Kind("receiver, table about to be full", "up", "message", ids_in=range(1, 255)),
    Kind("stream", "up", "message", stream_in=True, ids_in=(7,)),
    Kind("stream without a table", "up", "message", slots=0, stream_in=True),
    Kind("receiver of 200 bytes", "up", "message", size=200, ids_in=(7,)),
    Kind("stream of 200 bytes", "up", "message", size=200, stream_in=True, ring=True),
    Kind("stream, topics known again", "up", "message", stream_in=True, ids_in=(7,), ring=True),
]


def split(data):
    """(kind, hold, try a connection afterwards, pieces) of an input."""
    how = data[0]
    i = 1
    cut = how >> 6
    if cut == 1 or not cut:
        n = min(len(data), PIECES + 1) if cut else i  # so many single bytes, then the rest
        pieces = [data[j : j + 1] for j in range(i, n)]
        pieces.append(data[n:])
    elif cut == 2:
        size = (data[1] if len(data) > 1 else 0) % 7 + 2
        n = min(len(data), PIECES * size + 2)
        pieces = [data[j : min(j + size, n)] for j in range(2, n, size)]
        pieces.append(data[n:])
    else:
        count = (data[1] if len(data) > 1 else 0) & 15
        sizes = data[2 : 2 + count]
        i = 2 + count
        pieces = []
        for size in sizes:
            pieces.append(data[i : i + size])
            i += size
        pieces.append(data[i:])
    return KINDS[how & 15], how & 16, how & 32, pieces


def seeds():
    """Inputs from the tables of the unit tests: each packet to each kind, whole and in bytes."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "vectors"))
    import violations

    found = []
    for number, kind in enumerate(KINDS):
        table = violations.VIOLATIONS + violations.ACCEPTED if kind.up else violations.CONNACKS
        for i, row in enumerate(table):
            if i % len(KINDS) in (number, (number + 5) % len(KINDS)):
                packet = bytes.fromhex(row[1] if kind.up else row[2])
                how = number | (i & 1) << 6 | (i % 4 < 1) << 5
                found.append(bytes((how,)) + packet)
        found.append(bytes((number | 0x20,)) + b"".join(TOKENS[:9]))
        found.append(bytes((number | 0x10,)) + RESUMED + b"".join(TOKENS[9:]))
        for packet in VARIANTS:
            found.append(bytes((number,)) + packet)
    return found


def run(data):
    """One input. AssertionError, or whatever the client should not have raised."""
    if not data:
        return
    kind, hold, again, pieces = split(data)
    c, reference = kind.reset()
    c.hold = hold and kind.up
    code = None
    for piece in pieces:
        reference.feed(piece)
        try:
            c.feed(piece)
        except MQTTException as error:
            code = error.args[0]
            allowed = reference.must or reference.may
            assert code in allowed, f"{kind.name}: {code:#x}, reference: {allowed}"
            break
        assert not reference.must, f"{kind.name}: accepted, reference: {reference.must}"
        assert c.closed == reference.ended, kind.name
        if c.closed:
            code = 0
            break
        if reference.foreign:
            assert c.state == 3, c.state
            return
        if not c.hold:
            assert c.wire == reference.out, (kind.name, bytes(c.wire), reference.out)
    compare(kind, c, reference, code)
    if again and kind.up:
        reconnect(kind, c, reference)


def compare(kind, c, reference, code):
    """All that has come of it, in the application and in the tables."""
    want = reference.got if kind.handler else []
    if kind.handler == "callback":
        want = [[None, *message[1:]] for message in want]
    if not kind.handler:
        assert not c.got
    if reference.ended and want[-1][3]:
        want[-1][2] = want[-1][2][: max(len(c.got[-1][2]), 1)]  # it failed with the first piece
    assert c.got == want, (kind.name, c.got, want)
    assert c.done == reference.done, (kind.name, c.done, reference.done)
    assert reference.out.startswith(c.wire), (kind.name, bytes(c.wire), reference.out)
    if code is None:
        assert not c.closed
        c.flush()
        assert c.wire == reference.out, (kind.name, bytes(c.wire), reference.out)
        assert c._n[3:] == [reference.ignored, reference.duplicates], (kind.name, c._n)
        assert c._asks == reference.asks, (kind.name, c._asks, reference.asks)
    else:
        assert c.closed and not c.state and not c._an and not c._on, kind.name
        assert not c._owed and not c._rest and not c._asks, kind.name
    t = c._tab
    if t:
        wants = (0, 0, 0x40, 0x50, 0x70)
        mine = {t.ids[i]: wants[t.state[i] & 7] for i in range(t.slots) if t.state[i]}
        assert mine == reference.table, (kind.name, mine, reference.table)
        assert t.used == len(mine)
        box = t.ids_in
        if box:
            ids = {p for p in box.ids if p}
            assert ids == reference.ids_in, (kind.name, ids, reference.ids_in)
            assert box.count == len(ids), (kind.name, box.count)


def reconnect(kind, c, reference):
    """The same client connects again, sends what is open, and takes a message."""
    c._reset()
    c.hold = False
    c._start(False, 0)
    c.start()
    c.flush()
    assert c.wire[0] == 0x10
    c.wire.clear()
    c.feed(b"\x20\x02\x01\x00")
    c.flush()
    want = reference.resend()
    assert c.wire == want, (kind.name, bytes(c.wire), want)
    c.wire.clear()
    before = len(c.got)
    p = next(p for p in range(256, 1000) if p not in reference.ids_in).to_bytes(2, "big")
    c.feed(b"\x32\x06\x00\x01a" + p + b"x\xd0\x00")
    assert c.wire == b"\x40\x02" + p, (kind.name, bytes(c.wire))
    assert not kind.handler or c.got[before][1:3] == [b"a", b"x"], c.got[before:]
