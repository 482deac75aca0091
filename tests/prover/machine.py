"""Runs single steps of the client from any known state, once each.

Machine.run(node, step) gives a Result: all that the device did, in order, what a power cut could
have left on the flash at each moment, and the state afterwards. Invariants that need neither the
server nor history are checked here and in audit.py: S5 (in the file), S9, S10, S14, S16 to S18.
"""

from collections import namedtuple

from umqtt_plus.errors import MQTTException
from umqtt_plus.lost import SessionLost

from . import reading
from .audit import Broken, audit, split
from .device import NEW, NOW_MS, PATH, Boom, Device
from .flash import images

Step = namedtuple("Step", "verb data m clean script cut fault short bad chain broken full")
Step.__new__.__defaults__ = (b"", -1, False, (), None, None, -1, 0, -1, False, None)
"""verb: boot, connect, publish, subscribe, feed, tick.
data: bytes from the server; broken: then the link ends. m: the message to publish.
script: the Session Present of each CONNACK; cut (i, k): of the i-th only k bytes come.
fault (i, k): the i-th write takes k bytes, then the link is gone; short: bytes it takes, then it
would block. bad: the handler 1 raises, 2 disconnects and returns, 3 refuses (5.0). chain: that
on_published() publishes a message. full: see Flash.
"""
Result = namedtuple("Result", "node moments last value error closed operations")
"""moments: ((offs, event), ...): offs are the nodes to which a power cut before the event leads,
last those after the last event, both without those to which it leads before or after the step.
node: -1 when the step was not possible."""


class Machine(Device):
    """nodes: what is known about each state, by number.

    A node is ("off", frozen flash) or ("on", snapshot, frozen flash, connected, facts).
    """

    def __init__(self, scenario):
        Device.__init__(self, scenario)
        self.nodes = []
        self.numbers = {}  # key -> number of the node
        self.results = {}  # (node, step) -> Result
        self.same = {}  # Results: equal ones are one object
        self.offs = {}  # what is at risk -> nodes
        self.read_back = {}  # image -> what reading.read() says
        self.checked = set()  # images that the real code has read as the oracle does
        self.twice = set()  # and nodes of which it has read what it left there
        self.runs = self.boots = self.torn = 0
        self.blind = not scenario.powers  # look at no power cuts
        self.empty = self.off(())

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
        self.fault, self.short, self.full = step.fault, step.short, step.full
        self.bad, self.chain = step.bad, step.chain
        value = error = None
        self.before = self.client, self.store
        start = self.nodes[node]
        if start[0] == "on":
            self.load(start[1], start[2])
        try:
            if step.verb == "boot":
                self.boots += 1
                self.construct(start[1])
                self.compare(start[1])
                self.report("booted", (self.store.number, self.store.accepted))
                if self.sc.handler:
                    self.client.set_message(self.handler)
            elif step.verb == "connect":
                try:
                    value = self.client.connect(step.clean)
                finally:
                    self.unresolved()
                self.go()
            elif step.verb == "publish":
                value = self.publish(step.m)
                if self.link.gone:
                    self.go()  # QoS 0: what is left of it waits
            elif step.verb == "subscribe":
                self.link.waiting = step.data
                value = self.client.subscribe(b"s", 1)
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
        except SessionLost as e:
            error = "lost"
            if not self.five:
                self.report("lost", tuple(e.args[1]))
        except MQTTException as e:
            error = f"mqtt {e.args[0]}"
        self.short = -1
        self.full = None
        return self.result(start, step, value, error)

    def unresolved(self):
        """The application looks whether messages got lost with their session."""
        if self.five and self.client.unresolved:
            self.report("lost", tuple(self.client.unresolved))
            del self.client.unresolved[:]

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
        many = self.flash.operations
        if step.verb == "boot" and error:
            # the program ends, and the file is closed; what it did is for the next one to find
            left = tuple((name, durable + pending, b"") for name, durable, pending in frozen)
            self.client, self.store = self.before
            return Result(self.off(left), (), (), value, error, True, many)
        closed = c.sock is None
        if start[0] == "on" and value == 0 and step.verb == "publish":
            return Result(-1, (), (), value, error, closed, many)
        before = start[1] if start[0] == "off" else start[2]
        events = self.events_seen
        waits = start[0] == "on" and start[4][4]  # a packet of the last step is half out
        if not waits:
            audit(self, before, step, events, closed)
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
        return Result(node, tuple(moments), last, value, error, closed, many)

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
        """What the journal would bring back is what RAM knows: a reboot changes nothing."""
        s = self.store
        if not s.established or s._at >= s.max_bytes or not self.sc.oracle:
            return
        found, torn, *_ = self.read(b"".join(self.files(frozen)))
        if torn or found == reading.LOST:
            raise Broken("S16", f"the journal is damaged: {found}")
        found = fresh(found)
        # the next id may be any: a free one is found anyhow
        if (found[:2], found[3:]) != (session[:2], session[3:]):
            raise Broken("S16", f"RAM {session} and journal {found} differ")


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
