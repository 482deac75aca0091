"""The client's device: the real client and store on a simulated flash, clock and link.

Machine.run(node, step) runs one step of the real code from a known state and gives a Result: all
that the device did, in order, what a power cut could have left on the flash at each moment, and the
state afterwards. Equal questions are answered from memory. Invariants that need neither server nor
history are checked here: S5 (in the journal), S9, S10, S12, S14, S16, S17 and S18.
"""

import ast
import contextlib
import sys
import types
from collections import namedtuple
from pathlib import Path

import umqtt_plus
import umqtt_plus.client as front
import umqtt_plus.inbox as inbox
import umqtt_plus.inflight as inflight
import umqtt_plus.journal as journal
import umqtt_plus.lost as lost
import umqtt_plus.options as options  # noqa: F401, before the clocks are looked for
import umqtt_plus.protocol as protocol
import umqtt_plus.receive as receive
import umqtt_plus.recover as recover
import umqtt_plus.retry as retry
import umqtt_plus.store as store
import umqtt_plus.verbs as verbs
from umqtt_plus.client import MQTTClient

from . import reading
from .flash import Flash, images

# the store imports this room anew each time; ours is kept, and only ours has a simulated flash
del sys.modules["umqtt_plus.recover"], umqtt_plus.recover

ROOMS = {
    "client": front,
    "inbox": inbox,
    "inflight": inflight,
    "journal": journal,
    "protocol": protocol,
    "receive": receive,
    "recover": recover,
    "retry": retry,
    "store": store,
    "verbs": verbs,
}
PATH = "j"
NEW = PATH + ".new"
NOW_MS = 1000
SLAB = 64
POISON = 0xA5
IDLE = ("_n", "_tend", "_rend", "_due", "_pat", "_dry", "session_present", "_at", "_fit", "_room")
IDLE += ("_e", "_p", "_aat", "_an", "_oat", "_on", "_tl", "_k", "_top", "_of", "_txof")

Step = namedtuple("Step", "verb data m clean script cut fault short bad chain broken")
Step.__new__.__defaults__ = (b"", -1, False, (), None, None, -1, 0, -1, False)
"""verb: boot, connect, publish, feed, tick.
data: bytes from the server; broken: then the link ends. m: the message to publish.
script: the Session Present of each CONNACK; cut (i, k): of the i-th only k bytes come.
fault (i, k): the i-th write takes k bytes, then the link is gone; short: bytes it takes, then it
would block. bad: the handler 1 raises, 2 disconnects and returns. chain: what on_published() publishes.
"""
Result = namedtuple("Result", "node moments last value error closed")
"""moments: ((offs, event), ...): offs are the nodes to which a power cut before the event can lead,
last those after the last event, both without those to which it leads before or after the step.
node: -1 when the step was not possible."""


class Broken(Exception):
    """An invariant does not hold: Broken("S1", "why")."""


class Boom(Exception):
    """What a bad handler raises."""


# as they were when they were imported
SOURCES = {name: Path(room.__file__).read_text() for name, room in ROOMS.items()}


def source_of(room, name):
    """The source of "function" or "Class.function"."""
    lines = SOURCES[room].splitlines(keepends=True)
    nodes = ast.parse(SOURCES[room]).body
    for part in name.split("."):
        node = next(n for n in nodes if getattr(n, "name", None) == part)
        nodes = getattr(node, "body", ())
    return "".join(lines[node.lineno - 1 : node.end_lineno])


@contextlib.contextmanager
def recoded(changes):
    """((room, function, old text, new text), ...): change the source of functions, for a while.

    The old text must be there exactly once, or where new is (text, count), so many times.
    """
    saved = []
    try:
        for room, name, old, new in changes:
            function = ROOMS[room]
            for part in name.split("."):
                function = getattr(function, part)
            count = 1
            if isinstance(new, tuple):
                new, count = new
            source = _recoded.get(function.__code__) or source_of(room, name)
            if source.count(old) != count:
                raise LookupError(f"{room}.{name}: {source.count(old)} times {old!r}")
            source = source.replace(old, new)
            names = dict(function.__globals__)
            nest = "if True:\n" if source[0] == " " else ""
            exec(compile(nest + source, ROOMS[room].__file__, "exec"), names)
            code = names[function.__name__].__code__
            saved.append((function, function.__code__))
            function.__code__ = code
            _recoded[code] = source
        yield
    finally:
        for function, code in reversed(saved):
            function.__code__ = code


_recoded = {}  # code that stands in for another -> its source


def id_space(last):
    """Changes that let packet ids wrap at last, not at 65535."""
    return (
        ("inflight", "Outbound.accept", "% 65535 + 1", (f"% {last} + 1", 2)),
        ("recover", "apply", "% 65535 + 1", f"% {last} + 1"),
    )


class Store(store.Store):
    """With a smaller file than real flash has, and the room recover kept loaded."""

    small = None

    def load(self):
        if self.small:
            self.max_bytes = self._at = self.small
        sys.modules["umqtt_plus.recover"] = umqtt_plus.recover = recover
        return recover.recover(self)


class Link:
    """One connection. answer: what comes once the CONNECT is out."""

    def __init__(self, machine, answer=b""):
        self.machine = machine
        self.answer = answer
        self.waiting = b""
        self.gone = self.closed = False
        self.broken = False  # at the end of what waits

    def write(self, buf, off, n):
        assert not self.closed and n > 0 and off + n <= len(buf)
        if self.gone:
            raise OSError(104)
        m = self.machine
        fault = m.fault
        m.writes += 1
        if fault and fault[0] == m.writes - 1:
            self.gone = True
            n = fault[1]
            if not n:
                raise OSError(104)
        elif m.short >= 0:
            n = min(n, m.short)
            m.short -= n
            if not n:
                return None
        data = bytes(buf[off : off + n])
        m.report("out", data)
        if self.answer is not None and data[0] == 0x10:
            self.waiting += self.answer
            self.answer = None
        return n

    def readinto(self, buf, n=-1):
        assert not self.closed
        if self.waiting:
            data = self.waiting[: n if n > 0 else len(buf)]
            self.waiting = self.waiting[len(data) :]
            buf[: len(data)] = data
            return len(data)
        if self.gone or self.broken:
            raise OSError(104)
        return None

    def close(self):
        self.closed = True
        self.machine.report("close", None)


class Machine:
    """scenario: see scenarios.py. nodes: what is known about each state, by number.

    A node is ("off", frozen flash) or ("on", snapshot, frozen flash, connected, facts).
    """

    def __init__(self, scenario):
        self.sc = scenario
        self.who = b"c@server:1883"
        self.nodes = []
        self.numbers = {}  # key -> number of the node
        self.results = {}  # (node, step) -> Result
        self.same = {}  # Results: equal ones are one object
        self.offs = {}  # what is at risk -> nodes
        self.read_back = {}  # image -> what reading.read() says
        self.checked = set()  # images that the real code has read as the oracle does
        self.twice = set()  # and nodes of which it has read what it left there
        self.runs = self.boots = self.torn = 0
        self.fault = None
        self.short = -1
        self.blind = False  # look at no power cuts
        self.empty = self.off(())

    # -- the world that the client sees --------------------------------------------------------

    @contextlib.contextmanager
    def installed(self):
        """Let the client's modules see this machine."""
        rooms = [r for n, r in sys.modules.items() if n.startswith("umqtt_plus.")]
        clocks = [(room, room.ticks_ms) for room in rooms if hasattr(room, "ticks_ms")]
        before = (front.open, front.select)
        for room, _ in clocks:
            room.ticks_ms = self._ticks_ms
        front.open, front.select = self._open, self
        for room in (journal, recover):
            room.__dict__["open"] = lambda name, mode: self.flash.open(name, mode)
            self_os = room.os
            room.os = self
        try:
            with recoded(id_space(self.sc.ids)):
                yield self
        finally:
            front.open, front.select = before
            for room, clock in clocks:
                room.ticks_ms = clock
            for room in (journal, recover):
                del room.__dict__["open"]
                room.os = self_os

    def rename(self, old, new):
        self.flash.rename(old, new)

    def remove(self, name):
        self.flash.remove(name)

    def _ticks_ms(self):
        return self.now

    def _open(self, host, port, tls, params, end, wait_ms):
        script = self.script
        if not script:
            raise AssertionError("one CONNECT more than was planned")
        answer = bytes((0x20, 2, script[0], 0))
        self.script = script[1:]
        self.link = Link(self, answer)
        if self.cut and self.cut[0] == self.opened:
            self.link.answer = answer[: self.cut[1]]
            self.link.broken = True
        self.opened += 1
        self.report("open", None)
        return (None, self.link)

    def poll(self):
        return self

    def register(self, link, events):
        self.events = events

    modify = register

    def ipoll(self, ms):
        link = self.link
        ready = 1 if link.waiting or link.broken or link.gone else 0
        if self.short:
            ready |= 4
        ready &= self.events
        if ready:
            return ((link, ready),)
        self.now += ms
        return ()

    def report(self, kind, data):
        self.events_seen.append((kind, data))

    # -- the application -----------------------------------------------------------------------

    def handler(self, m):
        payload = m.payload
        number = m.number
        self.report("box", (number, m.qos, payload))
        if self.bad == 1:
            self.bad = 0
            self.report("bad", None)
            raise Boom
        self.report("effect", (number, m.qos, payload))
        if self.bad == 2:
            self.bad = 0
            self.link.waiting = b"\x30\x09\0\1d......" * 3  # unread, it goes over the message
            self.client.disconnect()
        if self.sc.echo >= 0 and self.client.state == 2:
            self.publish(self.sc.echo + payload[0] - 97)
        self.report("end", (number, m.qos, payload))

    def published(self, packet_id):
        self.report("rep", packet_id)
        if self.chain >= 0:
            m, self.chain = self.chain, -1
            self.publish(m)

    def publish(self, m):
        self.report("try", m)
        p = self.client.publish_nowait(b"u", bytes((65 + m,)), False, self.sc.out[m])
        self.report("accepted", (m, p))
        return p

    # -- states --------------------------------------------------------------------------------

    def construct(self, frozen):
        """A client and its store, as after a reboot, but for set_message()."""
        self.flash = Flash(self.sc.flash, self.report, frozen)
        sc = self.sc
        self.client = c = MQTTClient(
            "c", "server", inflight=sc.slots, buffer_size=SLAB, retry_ms=sc.retry_ms
        )
        c.on_published(self.published)
        Store.small = sc.max_bytes
        self.store = Store(c, PATH, discard=sc.discard, inbox_qos=sc.inbox_qos)

    def objects(self):
        c = self.client
        parts = self.store._parts
        found = [c, c._tab, self.store]
        for one in (c._tab.ids_in, parts.get(1), c._view):
            if one is not None:
                found.append(one)
        return found

    def save(self):
        """All that changes in the client's objects."""
        found = []
        for one in self.objects():
            plain, data, lists, dicts = {}, [], [], []
            for name, value in one.__dict__.items():
                kind = type(value)
                if kind in _PLAIN:
                    plain[name] = value
                elif kind is bytearray:
                    if name != "_out":
                        data.append((name, bytes(value)))
                elif kind is list:
                    lists.append((name, tuple(value)))
                elif kind is dict and name != "_parts":
                    dicts.append((name, tuple(value.items())))
            found.append((plain, data, lists, dicts))
        c = self.client
        out = next((i for i, x in enumerate(self.buffers()) if x is c._out), -1)
        return found, out, bytes(c._out) if out < 0 else b"", c.sock is not None

    def buffers(self):
        c = self.client
        return c._acks, c._tx, c._rx, c._tab.slab

    def load(self, snapshot, frozen):
        """The objects as they were, with rubbish in all that is dead."""
        found, out, data, connected = snapshot
        for one, (plain, bufs, lists, dicts) in zip(self.objects(), found, strict=True):
            names = one.__dict__
            names.update(plain)
            for name, value in bufs:
                names[name][:] = value
            for name, value in lists:
                names[name][:] = value
            for name, value in dicts:
                names[name].clear()
                names[name].update(value)
        c = self.client
        t = c._tab
        self.flash = Flash(self.sc.flash, self.report, frozen)
        self.store._f = self.flash.append(PATH) if self.store._f else None
        self.link = Link(self, None) if connected else None
        c.sock = self.link
        c._poll = self if connected else None
        self.events = 1
        c._ev = 1
        c._out = self.buffers()[out] if out >= 0 else data
        c._of = c._txof = c
        n = len(c._rx)
        c._rx[:] = bytes((POISON,)) * n
        c._tx[:] = bytes((POISON,)) * len(c._tx) if not c._on else c._tx
        if c._aat == c._an and not c._on:
            c._acks[:] = bytes((POISON,)) * len(c._acks)
        if self.sc.retry_ms:
            t.since[:] = [NOW_MS] * t.slots
        for i in range(t.slots):
            if not t.state[i]:
                t.ids[i] = i or t.slots  # an id that could be meant
                t.slab[i * t.size : (i + 1) * t.size] = bytes((POISON,)) * t.size
                t.length[i] = POISON
                t.seq[i] = t.order

    def table(self):
        """((packet_id, state, packet), ...) of what is in flight, oldest first."""
        t = self.client._tab
        live = [(-(t.order - t.seq[i] & 0xFFFFFFF), i) for i in range(t.slots) if t.state[i]]
        return tuple(
            (t.ids[i], t.state[i], bytes(t.slab[i * t.size : i * t.size + t.length[i]]))
            for _, i in sorted(live)
        )

    def received(self):
        t = self.client._tab.ids_in
        return tuple(sorted(p for p in t.ids if p)) if t else ()

    def items(self):
        part = self.store._parts.get(1)
        return tuple(part.items) if part else ()

    def session(self):
        """What RAM knows, in the words of reading.py."""
        s = self.store
        out = []
        for p, state, packet in self.table():
            if state & 7 == 4:
                out.append((p, "R", b""))
            else:
                out.append((p, "P", bytes((packet[0] & 0xF7,)) + packet[1:]))
        rx = self.received()
        t = self.client._tab
        out = tuple(out)
        return (s.epoch, s.established, t.next_id, s.number, out, rx, self.items(), s.accepted)

    def key(self):
        """What two states must have in common to be one."""
        c, t, s = self.client, self.client._tab, self.store
        plain = tuple(
            (k, v) for k, v in c.__dict__.items() if type(v) in _SMALL and k not in IDLE
        )
        waits = bytes(c._out[c._oat : c._oat + c._on]), bytes(c._acks[c._aat : c._an])
        part = s._parts.get(1)
        more = (s.epoch, s.established, s.number, s.accepted, s._at >= s.max_bytes)
        if part:
            more += (part._hot, part._known, tuple(part.items))
        if self.sc.retry_ms:
            more += (tuple(t.seen),)
        return (
            c.sock is not None,
            plain,
            waits,
            (t.next_id, t.used, t.todo, t.writing, self.table()),
            self.received(),
            more,
        )

    def read(self, image):
        """The oracle's answer."""
        found = self.read_back.get(image)
        if found is None:
            found = self.read_back[image] = reading.read(image, self.who, self.sc.ids)
        return found

    def tail(self, pending, found):
        """What is at risk, told by its meaning: a checksum depends on all that was before."""
        if not pending or found[1]:
            return pending
        records, rest, _ = reading.records(pending, found[3])
        return pending if records == reading.LOST else (tuple(records), rest)

    def number(self, key, value):
        n = self.numbers.get(key)
        if n is None:
            n = self.numbers[key] = len(self.nodes)
            self.nodes.append(value)
        return n

    def off(self, frozen):
        """The node of a device without power."""
        key = ["off"]
        for name, image, _ in frozen:
            if name == NEW and len(frozen) == 2:
                key.append(NEW)  # it is removed unread
                continue
            found = self.read(image)
            key.append((name, found[:2], len(image) if self.sc.max_bytes else 0))
        return self.number(tuple(key), ("off", frozen))

    def cuts(self, frozen):
        """The nodes to which a power cut at this moment can lead."""
        if self.blind:
            return ()
        key = []
        for name, durable, pending in frozen:
            size = len(durable) if self.sc.max_bytes else 0
            found = self.read(durable)
            key.append((name, found[:2], self.tail(pending, found), size))
        key = tuple(key)
        found = self.offs.get(key)
        if found is None:
            found = []
            for left in images(frozen, PATH, NEW):
                self.torn += 1
                node = self.off(left)
                if node not in found:
                    found.append(node)
                if left and left[0][1] not in self.checked:
                    self.checked.add(left[0][1])
                    self.recovery(left, node not in self.twice)
                    self.twice.add(node)
            found = self.offs[key] = tuple(found)
        return found

    def recovery(self, frozen, twice):
        """The real code reads an image as the oracle does, and what it leaves there, too. S16."""
        kept = self.__dict__.copy()
        self.events_seen = []
        try:
            self.construct(frozen)
            self.compare(frozen)
            first = self.session()
            again = tuple((name, durable + p, b"") for name, durable, p in self.flash.freeze())
            if [name for name, _, _ in again] != [PATH]:
                raise Broken("S16", f"recovery leaves {again}")
            self.boots += 1
            if twice and self.sc.oracle:
                self.construct(again)
                self.boots += 1
                if self.session() != first:
                    raise Broken("S16", f"once: {first}, twice: {self.session()}")
        finally:
            for name in ("client", "store", "flash", "events_seen"):
                if name in kept:
                    setattr(self, name, kept[name])

    def compare(self, frozen):
        """What was recovered is what the journal says."""
        if not self.sc.oracle:
            return
        image = frozen[0][1] if frozen else b""
        wanted = fresh(self.read(image)[0])
        got = self.session()
        told = self.store.recovered
        if wanted == reading.LOST:
            if told != "lost" or got[1] or got[3:] != (0, (), (), (), 0):
                raise Broken("S16", f"a damaged journal became {told} {got}")
            return
        if told != ("session" if wanted[1] else "new") or got != wanted:
            raise Broken("S16", f"the journal says {wanted}, recovered was {told} {got}")

    # -- steps ---------------------------------------------------------------------------------

    def run(self, node, step):
        """The Result of a step from a node."""
        found = self.results.get((node, step))
        if found is None:
            found = self.really(node, step)
            found = self.results[node, step] = self.same.setdefault(found, found)
        return found

    def really(self, node, step):
        self.runs += 1
        self.events_seen = []
        self.now = NOW_MS
        self.writes = self.opened = 0
        self.script, self.cut = step.script, step.cut
        self.fault, self.short = step.fault, step.short
        self.bad, self.chain = step.bad, step.chain
        value = error = None
        start = self.nodes[node]
        if start[0] == "on":
            self.load(start[1], start[2])
        try:
            if step.verb == "boot":
                self.boots += 1
                self.construct(start[1])
                self.compare(start[1])
                self.report("booted", self.store.number)
                if self.sc.handler:
                    self.client.set_message(self.handler)
            elif step.verb == "connect":
                value = self.client.connect(step.clean)
                self.go()
            elif step.verb == "publish":
                value = self.publish(step.m)
                if self.link.gone:
                    self.go()  # QoS 0: what is left of it waits
            elif step.verb == "feed":
                self.link.waiting = step.data
                self.link.broken = step.broken
                self.go()
            elif step.verb == "tick":
                for ms in (1, self.sc.retry_ms):  # it looks, and looks again
                    self.now += ms
                    self.client._due = self.now
                    self.go()
        except OSError as e:
            error = e.args[0]
        except Boom:
            error = "boom"
        except lost.SessionLost as e:
            error = "lost"
            self.report("lost", tuple(e.args[1]))
        except front.MQTTException as e:
            error = "mqtt %d" % e.args[0]
        self.short = -1
        return self.result(start, step, value, error)

    def go(self):
        c = self.client
        for _ in range(99):
            # an error that comes with the last bytes shows at the next look
            if not c.check_msg() and not (c.sock and (self.link.broken or self.link.gone)):
                return
        raise Broken("L1", "check_msg() finds no end")

    def result(self, start, step, value, error):
        c = self.client
        frozen = self.flash.freeze()
        closed = c.sock is None
        if start[0] == "on" and value == 0 and step.verb == "publish":
            return Result(-1, (), (), value, error, closed)
        before = start[1] if start[0] == "off" else start[2]
        events = self.events_seen
        waits = start[0] == "on" and start[4][4]  # a packet of the last step is half out
        if not waits:
            self.audit(before, step, events, closed)
        if not closed and c._p != c._e:
            raise Broken("S18", "the client leaves what has come")
        facts = (self.session(), c._tab.used, c._tab.todo, len(self.items()), c._on)
        self.agree(frozen, facts[0])
        image = self.files(frozen)
        found = self.read(image[0])
        key = ("on", self.key(), found[:2], self.tail(image[1], found))
        if self.sc.max_bytes:
            key += (self.store._at, len(image[0]))
        node = self.number(key, ("on", self.save(), frozen, not closed, facts))
        # what can be left before the first event or at the end can be left while the client waits
        first = set(self.cuts(before)) if start[0] == "on" else ()
        moments = []
        now = [before]
        for event in events:
            if event[0] == "flash":
                if now and grows(now[-1], event[1]):
                    now.pop()  # whatever could be left of it can be left of this, too
                now.append(event[1])
            else:
                if step.fault and event[0] == "out" and not waits:
                    # a packet that is not whole is nothing to the server; that it was begun
                    # counts where it is lost on its way
                    event = ("out", b"".join(split(event[1])))
                moments.append((self.gap(now, first), event))
                first = ()
                # a rename is followed by what it leaves, and what was before it is over
                now = now[-1:] if event[0] != "rename" else []
        last = self.gap(now, self.cuts(frozen))
        return Result(node, tuple(moments), last, value, error, closed)

    def gap(self, flashes, without=()):
        found = []
        for frozen in flashes:
            for node in self.cuts(frozen):
                if node not in found and node not in without:
                    found.append(node)
        return tuple(found)

    def files(self, frozen):
        for name, durable, pending in frozen:
            if name == PATH:
                return durable, pending
        return b"", b""

    def agree(self, frozen, session):
        """What the journal would bring back is what RAM knows; only then a reboot changes nothing."""
        s = self.store
        if not s.established or s._at >= s.max_bytes or not self.sc.oracle:
            return
        found, torn, *_ = self.read(b"".join(self.files(frozen)))
        if torn or found == reading.LOST:
            raise Broken("S16", f"the journal is damaged: {found}")
        found = fresh(found)
        if found != session:
            raise Broken("S16", f"RAM {session} and journal {found} differ")

    # -- what can be said of one step ----------------------------------------------------------

    def audit(self, frozen, step, events, closed):
        """Order and completeness of replies, and the write-ahead rules."""
        image = self.files(frozen)[0]
        owed = {0x40: [], 0x50: [], 0x62: [], 0x70: []}
        body_of = {}
        for packet in split(step.data):
            kind = packet[0] & 0xF0
            if kind == 0x30 and packet[0] & 6:
                p = int.from_bytes(packet[5:7], "big")  # the topic has one byte
                owed[0x40 if packet[0] & 2 else 0x50].append(p)
                body_of[p] = packet[7:]
            elif kind == 0x50 or kind == 0x60:
                p = int.from_bytes(packet[2:4], "big")
                owed[0x62 if kind == 0x50 else 0x70].append(p)
        ended = []
        hello = False  # a CONNECT is what comes next
        bye = False
        for kind, data in events:
            if kind == "flash":
                image = self.files(data)[0]
                clash = self.read(image)[2]
                if clash and self.sc.ahead:
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
                    self.ahead(packet, image, owed, ended, body_of, step)
        if not closed and step.short < 0 and any(owed.values()):
            raise Broken("S18", f"not answered: {owed}")

    def ahead(self, packet, image, owed, ended, body_of, step):
        first = packet[0]
        session = self.read(image)[0] if self.sc.ahead else reading.NEW
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
        if first == 0x50 and known and self.sc.inbox_qos < 3 and p not in session[5]:
            raise Broken("S14", f"PUBREC {p} is not in the journal")
        if first == 0x70 and known and p in session[5]:
            raise Broken("S14", f"PUBCOMP {p}, but the journal has the id")
        if step.verb == "feed":
            if not owed[first] or owed[first][0] != p:
                raise Broken("S10" if first != 0x62 else "S9", f"reply {packet.hex()}: {owed}")
            del owed[first][0]
            if first == 0x40 and self.sc.handler and self.sc.ahead and body_of[p] not in ended:
                raise Broken("S14", f"PUBACK {p} before its handler is done")


_PLAIN = {int, bool, type(None), bytes, str, float, tuple, types.FunctionType}
_SMALL = {int, bool, type(None)}


def grows(old, new):
    """Whether a flash differs by more bytes at risk, at the end of one file, and nothing else."""
    if len(old) != len(new):
        return False
    for a, b in zip(old, new, strict=True):
        if a[:2] != b[:2] or not b[2].startswith(a[2]) or a[2] != b[2] and a[0] != PATH:
            return False
    return True


def fresh(session):
    """Without DUP, which the file has or not, and which each resend sets."""
    if session == reading.LOST:
        return session
    plain = tuple((p, k, bytes((b[0] & 0xF7,)) + b[1:] if b else b) for p, k, b in session[4])
    return session[:4] + (plain,) + session[5:]


def split(data):
    """The packets in data, all shorter than 128 bytes; a piece at the end is left out."""
    found = []
    i = 0
    while i + 2 <= len(data) and i + 2 + data[i + 1] <= len(data):
        found.append(data[i : i + 2 + data[i + 1]])
        i += 2 + data[i + 1]
    return found
