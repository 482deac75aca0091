"""The client's device: the real client and store on a simulated flash, clock and link.

Here is what they see of the world, what the application does, and how all of it is put away and
taken out again. machine.py runs it.
"""

import contextlib
import sys
import types

import umqtt_plus
from umqtt_plus.client import MQTTClient

from .flash import Flash
from .rooms import id_space, journal, limits5, opening, recoded, recover, store
from .server import PROPERTIES, REFUSED

PATH = "j"
NEW = PATH + ".new"
NOW_MS = 1000
SLAB = 64
POISON = 0xA5
IDLE = ("_n", "_tend", "_rend", "_due", "_pat", "_dry", "session_present", "_at", "_fit", "_room")
IDLE += ("_e", "_p", "_aat", "_an", "_oat", "_on", "_tl", "_k", "_top", "_of", "_txof")
IDLE += ("reason_code",)

# dead, or told otherwise
LISTS = ("_n", "_known", "_timers", "_found", "ids", "length", "seq", "since")


class Boom(Exception):
    """What a bad handler raises."""


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

    def write(self, buf, off=0, n=None):
        n = len(buf) if n is None else n
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
        if data[0] == 0x82:
            self.waiting += b"\x90\3" + data[2:4] + b"\1"
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


class Device:
    """scenario: see scenarios.py. report(kind, data) of each event goes to events_seen."""

    def __init__(self, scenario):
        self.sc = scenario
        self.five = scenario.version == 5
        self.who = b"c@server:1883" + (b"/5" if self.five else b"")
        self.fault = self.full = self.client = self.store = None
        self.short = -1

    # -- the world that the client sees --------------------------------------------------------

    @contextlib.contextmanager
    def installed(self):
        """Let the client's modules see this machine."""
        rooms = [r for n, r in sys.modules.items() if n.startswith("umqtt_plus.")]
        clocks = [(room, room.ticks_ms) for room in rooms if hasattr(room, "ticks_ms")]
        before = (opening.open, opening.select)
        for room, _ in clocks:
            room.ticks_ms = self._ticks_ms
        opening.open, opening.select = self._open, self
        for room in (journal, recover):
            room.__dict__["open"] = lambda name, mode: self.flash.open(name, mode)
            self_os = room.os
            room.os = self
        try:
            with recoded(id_space(self.sc.ids)):
                yield self
        finally:
            opening.open, opening.select = before
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
        if self.five:
            w = self.sc.window
            more = bytes((3, 0x21, 0, w)) if w else b"\0"
            answer = bytes((0x20, 2 + len(more), script[0], 0)) + more
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
        if self.bad == 3:
            self.bad = 0
            self.report("bad", None)
            m.refuse(REFUSED)
            return
        self.report("effect", (number, m.qos, payload))
        if self.bad == 2:
            self.bad = 0
            self.link.waiting = b"\x30\x09\0\1d......" * 3  # unread, it goes over the message
            self.client.disconnect()
        if self.sc.echo >= 0 and self.client.state == 2:
            self.publish(self.sc.echo + payload[0] - 97)
        self.report("end", (number, m.qos, payload))

    def published(self, packet_id):
        code = self.client.reason_code if self.five else 0
        self.report("rep", (packet_id, code))
        if self.chain >= 0:
            m, self.chain = self.chain, -1
            self.publish(m)

    def publish(self, m):
        self.report("try", m)
        more = (PROPERTIES[5],) if self.five else ()
        p = self.client.publish_nowait(b"u", bytes((65 + m,)), False, self.sc.out[m], *more)
        self.report("accepted", (m, p))
        return p

    # -- states --------------------------------------------------------------------------------

    def construct(self, frozen):
        """A client and its store, as after a reboot, but for set_message()."""
        self.flash = Flash(self.sc.flash, self.report, frozen)
        self.flash.full = self.full
        sc = self.sc
        self.client = c = MQTTClient(
            "c",
            "server",
            inflight=sc.slots,
            buffer_size=SLAB,
            retry_ms=sc.retry_ms,
            version=sc.version,
        )
        c.on_published(self.published)
        Store.small = sc.max_bytes
        self.store = Store(c, PATH, discard=sc.discard, inbox_qos=sc.inbox_qos)

    def objects(self):
        c = self.client
        parts = self.store._parts
        found = [c, c._tab, self.store]
        more = (c._v, parts.get(0)) if self.five else ()
        for one in (c._tab.ids_in, parts.get(1), c._view, *more):
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
                if kind in _PLAIN and not getattr(value, "__closure__", None):
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
        if self.five:
            found[0][0]["window"] = c._v.full is not None
        out = next((i for i, x in enumerate(self.buffers()) if x is c._out), -1)
        opened = self.store._f is not None
        return found, out, bytes(c._out) if out < 0 else b"", c.sock is not None, opened

    def buffers(self):
        c = self.client
        return c._acks, c._tx, c._rx, c._tab.slab

    def load(self, snapshot, frozen):
        """The objects as they were, with rubbish in all that is dead."""
        found, out, data, connected, opened = snapshot
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
        if self.five:
            c._v.full = None
            t.__dict__.pop("pick", None)
            if c.__dict__.pop("window"):
                c._v.full = limits5.Window(t, self.sc.window)
                t.pick = c._v.full.pick
        self.flash = Flash(self.sc.flash, self.report, frozen)
        self.flash.full = self.full
        self.store._f = self.flash.append(PATH) if opened else None
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
        found = getattr(c, "_found", None)
        if found:
            found[:5] = [POISON] * len(found[:5])
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
        plain = tuple((k, v) for k, v in c.__dict__.items() if type(v) in _SMALL and k not in IDLE)
        waits = bytes(c._out[c._oat : c._oat + c._on]), bytes(c._acks[c._aat : c._an])
        part = s._parts.get(1)
        more = (s.epoch, s.established, s.number, s.accepted, s._at >= s.max_bytes, s._f is None)
        for one in self.objects():
            for name, value in one.__dict__.items():
                if type(value) is list and name not in LISTS:
                    more += ((name, tuple(value)),)
        if part:
            more += (part._hot, part._known, tuple(part.items))
        if self.sc.retry_ms:
            more += (tuple(t.seen),)
        if self.five:
            codes = c._v.codes
            more += (tuple(codes[i] if t.state[i] & 7 == 4 else 0 for i in range(t.slots)),)
        return (
            c.sock is not None,
            plain,
            waits,
            (t.next_id, t.used, t.todo, t.writing, self.table()),
            self.received(),
            more,
        )


_PLAIN = {int, bool, type(None), bytes, str, float, tuple, types.FunctionType}
_SMALL = {int, bool, type(None)}
