"""Every order of steps, cuts and losses of one scenario, depth first.

A world is (node of the machine, books); successors() says what can happen next: the application
publishes, the server sends, the client reads one packet or all that came, a write fails after each
of its bytes, the link ends after each byte that comes, power goes at each moment of a step and
between steps, the server has kept its session or not. A path that comes back to a world on itself
would go on for ever: that, too, is a violation (L1).

What the client writes reaches the server at once, or never: to arrive later is the same, for both,
as if the server had sent before what it sends in between. So a link that has lost something is
DEAD from there on: the server knows no more, the client goes on until it notices, or until power
is cut (then the loss costs no link cut). To the server, part of a packet is nothing.
"""

import time

from . import server
from .audit import Broken, split
from .books import DEAD, DOWN, UP, Now
from .machine import Machine, Step


class Failure(Exception):
    """Failure(Broken, [what was done, ...])."""

    def __str__(self):
        broken, path = self.args
        lines = [": ".join(broken.args) if isinstance(broken, Broken) else repr(broken)]
        return "\n".join(lines + [f"  {i + 1:>2} {words}" for i, words in enumerate(path)])


class World:
    """The exploration of one scenario. counts: what was seen so far."""

    def __init__(self, scenario):
        self.sc = scenario
        self.machine = Machine(scenario)
        self.seen = {}
        self.books = {}  # frozen books -> number
        self.listed = []
        self.counts = dict.fromkeys(
            "states edges power_cuts link_cuts ends residual loops bytes".split(), 0
        )

    def number(self, frozen):
        n = self.books.get(frozen)
        if n is None:
            n = self.books[frozen] = len(self.listed)
            self.listed.append(frozen)
        return n

    # -- the search ----------------------------------------------------------------------------

    def search(self, deadline=None, progress=None):
        """True when all was seen, False at the deadline (time.monotonic). Failure for a fault."""
        with self.machine.installed():
            return self._search(deadline, progress)

    def _search(self, deadline, progress):
        start = (self.machine.empty, self.number(Now(self.sc).freeze()))
        seen = self.seen
        counts = self.counts
        seen[start] = True
        path = [["start", start, None]]
        counts["states"] = 1
        try:
            path[0][2] = self.successors(*start)
            while path:
                found = next(path[-1][2], None)
                if found is None:
                    seen[path.pop()[1]] = False
                    continue
                words, node, now = found
                state = (node, self.number(now.freeze()))
                counts["edges"] += 1
                on_path = seen.get(state)
                if on_path is None:
                    seen[state] = True
                    counts["states"] += 1
                    path.append([words, state, self.successors(*state)])
                    if not counts["states"] & 0x3FF:
                        if progress:
                            progress(self)
                        if deadline and time.monotonic() > deadline:
                            return False
                elif on_path and words[0] != "refused":
                    raise Broken("L1", f"this goes round in circles: {words}")
        except Exception as error:
            raise Failure(error, [entry[0] for entry in path[1:]] + [self.trying]) from error
        return True

    # -- what can happen -------------------------------------------------------------------------

    def successors(self, node, n):
        """(words, node, Now) of all that can be next."""
        sc = self.sc
        frozen = self.listed[n]
        kind = self.machine.nodes[node]
        now = Now.thaw(sc, frozen)
        if kind[0] == "off":
            yield from self.step(node, now, Step("boot"))
            yield from self.fulls(node, now, Step("boot"))
            return
        if now.powers:
            yield from self.cut_power(node, now)
        if not kind[3]:
            yield from self.connect(node, now)
            return
        idle = True
        if now.link == UP:
            if now.given < len(sc.inn):
                later = now.copy()
                later.srv, packet = server.send(now.srv, sc.inn[now.given], now.given, sc.version)
                if packet:
                    idle = False
                    later.s2c += (packet,)
                    later.row_in(now.given, 0, 1)
                    later.given += 1
                    yield ("server sends", now.given), node, later
        if now.pc < len(sc.program):
            what = sc.program[now.pc]
            if what in ("clean", "persist"):
                idle = False
                yield from self.change(node, now, what == "clean")
            elif what == "sub":
                if now.link == UP and not kind[4][4]:
                    idle = False
                    # the answer comes behind what is on its way
                    step = Step("subscribe", b"".join(now.s2c))
                    yield from self.with_faults(node, now, step, len(now.s2c), pc=1)
            else:
                for found in self.with_faults(node, now, Step("publish", m=what), pc=1):
                    idle = False
                    yield found
        if now.s2c:
            idle = False
            chain = sc.chain if sc.chain >= 0 and not now.out[sc.chain][0] else -1
            for many in {1, len(now.s2c)}:
                data = b"".join(now.s2c[:many])
                step = Step("feed", data, chain=chain)
                yield from self.with_faults(node, now, step, many)
                if now.bads and any(packet[0] & 0xF0 == 0x30 for packet in now.s2c[:many]):
                    for bad in (1, 2) if sc.version == 4 else (1, 2, 3):
                        yield from self.step(node, now, step._replace(bad=bad), many)
        if kind[4][4]:  # the client has not written all
            idle = False
            yield from self.with_faults(node, now, Step("feed"))
        if now.links:
            head = now.s2c[0] if now.s2c else b""
            steps = [Step("feed", head[:k], broken=True) for k in range(max(1, len(head)))]
            yield from self.breaks(node, now, steps)
        if now.ticks and now.link == UP:
            later = now.copy()
            later.ticks -= 1
            yield from self.with_faults(node, later, Step("tick"))
        if idle and now.link == UP:
            self.trying = ("the end",)
            self.counts["ends"] += 1
            now.settled(kind[4])

    def change(self, node, now, clean):
        """The application wants another kind of session."""
        now = now.copy()
        now.mode = clean
        now.pc += 1
        yield from self.connect(node, now)

    def connect(self, node, now):
        """All ways in which connect() can go, link cuts included."""
        known = now.srv is not None and not now.clean
        choices = [(known and not now.mode, False)]
        if known and now.losses and not now.mode:
            choices.append((False, True))
        for present, lost in choices:
            then = now.copy()
            if lost:
                then.losses -= 1
                then.drop()
            if present and now.stale and self.machine.nodes[node][4][0][1]:
                self.counts["residual"] += 1  # no client can tell this session from its own
                continue
            step = Step("connect", clean=now.mode, script=(int(present), 0, 0))
            yield from self.with_faults(node, then, step)
            if now.links:
                for i in range(self.last_opened):
                    yield from self.step(node, then, step._replace(cut=(i, 0)), broken=1)
                    self.counts["link_cuts"] += 1
                    steps = [step._replace(cut=(i, k)) for k in (1, 2, 3)]
                    yield from self.breaks(node, then, steps)

    def with_faults(self, node, now, step, many=0, pc=0):
        """A step, and the same with each of its writes failing after each byte."""
        found = list(self.step(node, now, step, many, pc=pc))
        yield from found
        result = self.machine.run(node, step)
        if result.node < 0:
            return
        writes = [event[1] for _, event in result.moments if event[0] == "out"]
        self.last_opened = sum(1 for _, event in result.moments if event[0] == "open")
        for j, data in enumerate(writes):
            if data[0] == 0x10 or data[0] == 0xE0:
                continue
            if now.links:
                steps = [step._replace(fault=(j, k)) for k in range(len(data))]
                yield from self.breaks(node, now, steps, many, pc)
        yield from self.fulls(node, now, step, many, pc)
        if now.shorts and writes and step.verb != "connect":
            total = sum(map(len, writes))
            for k in range(total):
                one = step._replace(short=k)
                yield from self.step(node, now, one, many, pc=pc, short=1)

    def fulls(self, node, now, step, many=0, pc=0):
        """A step, with each operation of the flash failing."""
        if now.fulls:
            for i in range(self.machine.run(node, step).operations):
                for how in range(3):
                    one = step._replace(full=(i, how))
                    yield from self.step(node, now, one, many, pc=pc)

    def breaks(self, node, now, steps, many=0, pc=0):
        """Steps in which the link breaks, one a byte; those with the same result count once."""
        known = set()
        for step in steps:
            self.counts["link_cuts"] += 1
            self.trying = step
            result = self.machine.run(node, step)
            if id(result) not in known:
                known.add(id(result))
                yield from self.step(node, now, step, many, broken=1, pc=pc)

    # -- one step --------------------------------------------------------------------------------

    def cut_power(self, node, now):
        """Power is cut while the client waits."""
        frozen = self.machine.nodes[node][2]
        self.trying = ("power cut",)
        for off in self.machine.cuts(frozen):
            yield self.dark(now, off, ("power cut",))
        if now.damages:
            for off in self.damaged(frozen):
                words, off, later = self.dark(now, off[1], ("power cut and " + off[0],), True)
                later.damages -= 1
                yield words, off, later

    def damaged(self, frozen):
        """Journals that are lost: no file, and a flipped bit in the mark or in the last record."""
        yield "no file", self.machine.off(())
        (name, data, pending), *_ = frozen
        data += pending
        for at in {12, len(data) - 3}:
            data = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            yield f"bit {at}", self.machine.off(((name, data, b""),))

    def dark(self, now, off, words, damaged=False):
        self.counts["power_cuts"] += 1
        then = now.copy()
        if damaged:
            then.damaged()
        else:
            then.power_cut(self.machine, off)
        then.begin()
        return words, off, then

    def step(self, node, now, step, many=0, broken=0, pc=0, short=0):
        """The worlds after a step of the client, whole or cut. many: packets it reads."""
        self.trying = step
        result = self.machine.run(node, step)
        if result.node < 0:
            return
        then = now.copy()
        then.pc += pc
        then.links -= broken
        then.shorts -= short
        if step.bad:
            then.bads -= 1
        if step.full:
            then.fulls -= 1
        if many:
            then.given_to_client(b"".join(then.s2c[:many]))
            then.s2c = then.s2c[many:]
        then.cleaning = step.clean
        connects = step.verb == "connect"
        sc5 = self.sc.version == 5
        variants = [then]
        for offs, (kind, data) in result.moments:
            yield from self.cuts(variants, offs, step)
            if kind == "out":
                later = []
                for one in variants:
                    later += self.written(one, data, connects, step)
                variants = later
                yield from self.cuts(variants, (), step)
            elif kind == "close":
                if connects:
                    for one in variants:
                        one.link = DOWN
            else:
                for one in variants:
                    one.event(kind, data)
        yield from self.cuts(variants, result.last, step)
        for one in variants:
            if result.closed:
                if one.link == DEAD and not broken:
                    if not one.links:
                        continue
                    one.links -= 1
                one.link = DOWN
                one.s2c = ()
                one.part = b""
            if broken and not result.closed:
                raise Broken("S17", "the link is gone, and the client has not noticed")
            if step.full and self.machine.nodes[result.node][0] == "on":
                one.reconcile(self.machine.nodes[result.node][4][0])
            if connects and not result.closed:
                one.stale = False
                for m, row in enumerate(one.out):
                    if row[0] == 7 and sc5:
                        raise Broken("L1", f"nobody is told that message {m} got lost")
            one.begin()
            yield step, result.node, one

    def cuts(self, variants, offs, step):
        for one in variants:
            if one.powers:
                for off in offs:
                    yield self.dark(one, off, ("power cut in", step))

    def written(self, now, data, connects, step):
        """The worlds after the client wrote data: all arrives, or only so many packets.

        The server may refuse a message that is new to it.
        """
        now.part += data
        packets = split(now.part)
        rest = now.part[sum(map(len, packets)) :]
        now.part = rest
        self.counts["bytes"] += len(data)
        return self.delivered(now, packets, connects, step)

    def delivered(self, now, packets, connects, step):
        found = []
        for i, packet in enumerate(packets):
            hello = packet[0] == 0x10
            if hello and step.cut == (now.opened - 1, 0):
                # CONNACK does not come because CONNECT is lost, too
                dead = now.copy()
                dead.link = DEAD
                dead.wrote(packet, connects)
                found.append(dead)
            elif now.link == UP and not hello and packet[0] != 0xE0 and (now.links or now.powers):
                dead = now.copy()
                dead.link = DEAD
                for later in packets[i:]:
                    dead.wrote(later, connects)
                found.append(dead)
            now.wrote(packet, connects)
            if now.link == UP and now.refusals and packet[0] & 0xF0 == 0x30 and packet[0] & 6:
                other = now.copy()
                other.refusals -= 1
                other.arrives(packet, True)
                if other.srv == now.srv and other.s2c[-1][1] == 3:
                    found += self.delivered(other, packets[i + 1 :], connects, step)
            if now.link == UP:
                present = now.arrives(packet)
                if hello and present != step.script[now.opened - 1]:
                    raise AssertionError("the server's answer is not the one that was planned")
        found.append(now)
        return found
