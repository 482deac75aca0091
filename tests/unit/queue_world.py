"""A board with a durable outbox, its server, and a book of all that put() took."""

import time

import umqtt_plus.outbox as room
from flash import NAME, Board, Flash, Server, parse
from outbox_world import HEAD
from umqtt_plus.reconnect import Link
from util import same

NO_END = 1000


class Witness(Server):
    """A server that also lists what it took with QoS 0."""

    def take(self, link, data):
        for first, body in parse(data):
            if first & 0xF6 == 0x30:
                self.took.append((0, body[2 + (body[0] << 8 | body[1]) :]))
        Server.take(self, link, data)


def outbox(**options):
    """An Outbox that is made when a Board begins, by the clock of that."""
    before = room.ticks_ms
    room.ticks_ms = lambda: time.ticks_add(0, 1000)
    try:
        return room.Outbox(**options)
    finally:
        room.ticks_ms = before


class World:
    """A board with a durable outbox, and its server. **box: options of each Outbox it makes."""

    def __init__(self, flash=None, **box):
        self.flash = flash or Flash()
        self.server = Witness()
        self.options = box
        self.taken = []  # (payload, qos) in the order of put()
        self.told = {}  # payload -> why
        self.trying = None  # what put() is at
        self.failed = []  # (what it could not write, what was queued then)
        self.loose = []  # payloads that may come, or not
        self.states = [[]]  # what was queued after each put()
        self.max_bytes = 16384
        self.boot()

    def boot(self, keep=0, old=None, **box):
        """Power returns. old: a box that has been there for long."""
        self.flash.power(keep)
        self.options.update(box)
        options = dict(self.options)
        options.setdefault("dropped", self.dropped)
        self.box = outbox(**options) if old is None else old
        store = {"outbox": self.box, "max_bytes": self.max_bytes}
        self.board = Board(self.flash, False, NAME, store, self.server)
        self.client = self.board.client
        self.store = self.board.store
        self.run = self.board.run
        self.link = Link(self.client, outbox=self.box)
        for msg in self.queued:  # what expired has come back
            assert self.told.pop(msg, "expired") == "expired", msg
        return self

    def dropped(self, topic, msg, why):
        self.told[msg] = why

    def put(self, msg, qos=1, topic=b"t", **how):
        self.trying = msg
        done = self.run(self.box.put, topic, msg, False, qos, **how)
        self.trying = None
        if done:
            self.taken.append((msg, qos))
        self.states.append(self.queued)
        return done

    def clear(self):
        self.loose += self.queued
        self.run(self.box.clear)

    @property
    def queued(self):
        """The payloads in the slab."""
        return [x[1] for x in records(self.box)]

    def connect(self):
        self.run(self.client.connect, False)
        self.link.up = True

    def lose(self):
        self.link.up = False
        self.run(self.client._close)
        self.run(self.link.pump)

    def pump(self):
        self.run(self.link.pump)
        if self.client.sock:
            self.board.go()

    def deliver(self):
        """All that waits reaches the server."""
        if not self.client.sock:
            self.connect()
        self.board.link.space = -1
        for _ in range(NO_END):
            if not len(self.box) and not self.client.stats()["in_flight"]:
                return self.came
            self.pump()
        raise AssertionError("it is not sent")

    @property
    def came(self):
        return [payload for _, payload in self.server.took]

    def check(self):
        """What came is what was taken, as often as its QoS promises, in order."""
        came = all_came = self.came
        order = []
        for msg, qos in self.taken:
            n = came.count(msg)
            why = self.told.get(msg)
            what = "%r qos %d %s: %d times" % (msg, qos, why, n)
            if why == "oldest" or why == "replaced":
                assert n == 0, what
            elif why or msg in self.loose or not qos:
                assert n <= 1 or qos == 1, what
            else:
                assert n == 1 or n and qos == 1, what
            if n:
                order.append((all_came.index(msg), msg))
            came = [x for x in came if x != msg]
        same(order, sorted(order), "order:")
        came = [x for x in came if x not in self.loose]
        assert came in ([], [self.trying]), "never taken: %r" % (came,)
        return self


def records(box):
    """(topic, payload, retain and qos, deadline) of all that is in the slab."""
    q = bytes(box._q)
    found = []
    while q:
        n, t, ends = [int.from_bytes(q[i : i + 4], "big") for i in (0, 4, 8)]
        at = HEAD + (t >> 3)
        found.append((q[HEAD:at], q[at:n], t & 7, ends))
        q = q[n:]
    same(len(found), len(box))
    return found


def letters(n):
    return [b"%c" % (97 + i) for i in range(n)]


def later(w, ms):
    w.board.now += ms
    w.run(w.box.tick)
