"""A client, a server and a broken link in one hand, for the fuzz target of the engine.

Each method of World does something and tells the model what it means; compare() looks whether the
client is where the model is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit"))

from driver import OK, RESUMED, Driver, Link, ack, publish  # noqa: E402
from session_model import PUBREL, Model  # noqa: E402

from umqtt_plus.errors import MQTTException  # noqa: E402


def raises(world):
    raise KeyError("the handler")


def closes(world):
    world.client.disconnect()


class Wire(Link):
    """Shows each packet to the model."""

    def __init__(self, world, answer):
        Link.__init__(self, answer)
        self.world = world
        self.packet = b""  # being written

    def write(self, buf, off, n):
        whole = bytes(memoryview(buf)[off : off + n])
        model = self.world.model
        if not self.packet:
            self.packet = whole
            model.begin(whole, buf is self.world.client._acks)
        assert self.packet.endswith(whole), "another packet inside of one"
        done = Link.write(self, buf, off, n)
        if done == n:
            packet, self.packet = self.packet, b""
            model.end(packet)
        return done


class World(Driver):
    """A client, its server and the model of it."""

    def __init__(self, how):
        options = {"inflight": (how & 3) + 1, "buffer_size": 64, "timeout_ms": 20}
        if how & 4:
            options["keepalive"] = 10
        self.model = Model((how & 3) + 1)
        self.handler = ("message", "callback")[how >> 3 & 1]
        Driver.__init__(self, handler=self.handler, **options)
        self.number = 0
        if how & 16:
            self.set_next_id(65534)
        if how & 32:
            self.client.on_pub = None  # then publish() that waits has a shorter way
        self.connecting(False, OK)

    def _open(self, *args):
        Driver._open(self, *args)
        self.link = Wire(self, self.link.answer)
        self.link.space = self.space
        return (None, self.link)

    @property
    def up(self):
        return self.client.sock is not None

    def payload(self, n):
        self.number += 1
        return b"%d" % self.number + b"." * (n % 40)

    # -- steps -----------------------------------------------------------------------------------

    def connecting(self, clean, answer):
        model = self.model
        if self.up:
            self.leave()
        foreign = answer == RESUMED and not clean and not model.ours
        if clean and answer == RESUMED:
            answer = OK
        model.connecting(clean)
        answers = (answer, OK, OK) if foreign else answer
        if foreign:
            self.foreign(model)
        self.connect(clean, answers)
        assert self.up and not self.answers
        model.connected(answer == RESUMED and not foreign)
        self.go()

    def foreign(self, model):
        """Three connections: look, clean, begin. Nothing is open on any."""
        real = model.begin
        left = 3

        def begin(packet, is_reply):
            nonlocal left
            if packet[0] == 0x10:
                left -= 1
                model.goodbye = False
                if not left:
                    model.begin = real
            real(packet, is_reply)

        model.begin = begin

    def refused_connect(self, n):
        model = self.model
        if self.up:
            self.leave()
        model.connecting(bool(n & 1))
        answer = (b"\x20\x02\x00\x05", b"\x20\x02\x00\x00\x00"[: n % 4], b"\xd0\x00")[n % 3]
        try:
            self.connect(bool(n & 1), answer)
        except (MQTTException, OSError):
            pass
        assert not self.up
        self.answers.clear()

    def leave(self):
        self.run(self.client.disconnect)
        assert not self.up

    def accepts(self, n, qos):
        model = self.model
        payload = self.payload(n)
        full = len(model.open) == model.slots
        if not qos:
            model.qos0.append(publish(b"t", payload))
        hook = self.client._tab.accept
        taken = 0

        def accept(*args, **options):
            nonlocal taken
            taken = hook(*args, **options)
            if taken:
                model.accepted(taken, publish(b"t", payload, qos, taken), qos)
            return taken

        self.client._tab.accept = accept
        try:
            p = self.accept(b"t", payload, qos=qos)
        except OSError as error:
            assert error.args[0] == 107 and not self.up, error
            model.qos0.clear()
            return
        finally:
            self.client._tab.accept = hook
        assert self.up
        if qos:
            assert p == taken and bool(p) != full, (p, taken, full)
        elif not p:
            model.qos0.clear()
        else:
            assert p == -1 and not model.qos0

    def some_id(self, n):
        """An id of what is open, mostly."""
        ids = [*sorted(self.model.open), *sorted(self.model.asks), 77, 65535]
        return ids[n % len(ids)] if n < 0xC0 else n

    def gets(self, first, n, batch=False):
        """A packet of the server: its bytes, and what the model says of it."""
        model = self.model
        kind = first & 0xF0
        if kind != 0x30:
            p = self.some_id(n) if first != PUBREL else n % 12 + 1
            if first == 0x90:
                codes = b"\1" * (n >> 5 & 1 ^ 1) + b"\x80" * (n >> 6 & 1)
                body = p.to_bytes(2, "big") + codes
                code = model.arrive(first, p, None, codes)
                return bytes((first, len(body))) + body, code if codes else 0x82
            return ack(first, p), model.arrive(first, p)
        p = (n & 15) + 1 if first & 6 else 0
        payload = self.payload(n)
        flags = (n >> 4 & 8 if first & 6 else 0) | n >> 4 & 1
        first |= flags
        data = publish(b"in", payload, first >> 1 & 3, p, flags)
        if self.handler == "message":
            message = (b"in", payload, first >> 1 & 3, bool(flags & 1), bool(flags & 8))
        else:
            message = (b"in", payload)
        return data, model.arrive(first, p, message)

    def feeds(self, packets):
        """Feed [(first byte, n)], at once."""
        if not self.up:
            return
        self.go()
        data = b""
        code = 0
        for i, (first, n) in enumerate(packets):
            if self.client._an + 4 * i >= 60 or code:
                break  # more replies than may wait: the client takes it later
            packet, code = self.gets(first, n)
            data += packet
        self.sends(data, code)

    def sends(self, data, code):
        try:
            self.feed(data)
        except MQTTException as error:
            assert error.args[0] == code, (error, code)
            assert not self.up
            return
        assert not code, f"accepted, not closed with {code:#x}"
        assert self.up

    def subscribes(self, n, late):
        if not self.up:
            return
        self.link.space = -1
        self.go()
        model = self.model
        first = 0x82 if n & 1 else 0xA2
        if not late:
            before = set(model.asks)
            self.later.append(lambda d: self.answer(first, before))
        verb = self.subscribe if n & 1 else self.unsubscribe
        try:
            verb(b"f", 1) if n & 1 else verb(b"f")
        except OSError as error:
            assert error.args[0] == 110 and late, error
        self.later.clear()

    def answer(self, first, before):
        """The SUBACK or UNSUBACK for the newest request."""
        model = self.model
        (p,) = set(model.asks) - before
        codes = b"\1" if first == 0x82 else b""
        kind = 0x90 if first == 0x82 else 0xB0
        assert not model.arrive(kind, p, None, codes)
        self.link.pieces.append(bytes((kind, 2 + len(codes))) + p.to_bytes(2, "big") + codes)

    def handles(self, fails, n):
        """A message whose handler fails in some way, or publishes (None)."""
        if not self.up:
            return
        self.link.space = -1
        self.go()
        model = self.model
        qos = n % 3
        p = (n >> 2 & 15) + 1 if qos else 0
        first = 0x30 | qos << 1
        known = qos and p in model.ids_in
        before = len(model.got)
        payload = self.payload(n)
        message = (b"in", payload, qos, False, False)[: 5 if self.handler == "message" else 2]
        if not fails or known:
            if not fails:
                self.then = lambda d: self.accepts(n, n >> 4 & 3 if n >> 4 & 3 < 3 else 0)
            code = model.publish(first, p, message)
            self.sends(publish(b"in", payload, qos, p), code)
            self.then = None
            return
        model.publish(first, p, message, handled=False)
        assert len(model.got) == before + 1
        if fails is closes and qos == 2:
            model.ids_in.add(p)  # a handler that returns has dealt with it
        self.then = fails
        try:
            self.feed(publish(b"in", payload, qos, p))
        except KeyError:
            assert fails is raises
        except OSError as error:
            assert fails is closes and error.args[0] == 107, error
        else:
            raise AssertionError("the handler's exception is lost")
        finally:
            self.then = None
        assert self.up == (fails is raises and not qos)

    def publishes(self, n):
        """publish() that waits for the answer, which comes, or something else does."""
        model = self.model
        if not self.up or len(model.open) == model.slots:
            return
        self.link.space = -1
        self.go()
        qos = 1 + (n & 1)
        payload = self.payload(n)
        model.expected = (payload, qos)
        answers = [self.replies(0x40)] if qos == 1 else [self.replies(0x50), self.replies(0x70)]
        how = n >> 1 & 7
        if how == 0:
            self.later.append(self.receives)
        elif how == 1:
            self.later.append(lambda d, both=answers: [f(d) for f in both])
            answers = []
        elif how == 2:
            answers.pop()
        elif how == 3:
            answers.insert(n >> 4 & 1, lambda d: setattr(d.link, "eof", True))
        elif how == 4:
            answers.append(lambda d: d.link.pieces.append(b"\xd0\x00"))
        self.later += answers
        try:
            p = self.publish(b"t", payload, False, qos)
            assert p == model.newest and p not in model.open
        except OSError as error:
            assert error.args[0] == (104 if how == 3 else 110) and how in (2, 3), error
            assert self.up == (how == 2)
        assert not model.expected
        self.later.clear()

    def replies(self, first):
        def reply(driver):
            assert not self.model.arrive(first, self.model.newest)
            driver.link.pieces.append(ack(first, self.model.newest))

        return reply

    def receives(self, driver):
        data, code = self.gets(0x32, 0x0F)
        if not code:
            driver.link.pieces.append(data)

    def calls_wrongly(self, n):
        """Arguments that the standard forbids, or that do not fit: ValueError, nothing else."""
        c = self.client
        calls = (
            lambda: c.publish(b"a/+", b"x", False, n & 1),
            lambda: c.publish(b"", b"x", False, n & 1),
            lambda: c.publish(b"t" * 70, b"x", False, n & 1),
            lambda: c.publish(b"\xff", b"x", False, n & 1),
            lambda: c.publish(b"t", b"x", False, 3),
            lambda: c.publish_nowait(b"t", b"x" * 60, False, 1 + (n & 1)),
            lambda: c.publish_nowait("\0", "x", False, n & 1),
            lambda: c.subscribe(b"a/#/b", n & 1),
            lambda: c.subscribe(b"a", 3),
            lambda: c.subscribe([]),
            lambda: c.unsubscribe(b"a+"),
            lambda: c.subscribe(b"x" * 90),
        )
        self.link.space = -1
        self.go()
        try:
            self.run(calls[n % len(calls)])
        except ValueError:
            assert self.up
        else:
            raise AssertionError("taken")

    def time(self, ms):
        try:
            self.tick(ms)
        except OSError as error:
            assert error.args[0] == 110 and self.client.keepalive, error
            assert not self.up

    def compare(self):
        model, t = self.model, self.client._tab
        if self.client.on_pub:
            assert self.done == model.done, (self.done, model.done)
        assert self.got == model.got, (self.got[-2:], model.got[-2:])
        wants = (0, 0, 0x40, 0x50, 0x70)
        mine = {t.ids[i]: wants[t.state[i] & 7] for i in range(t.slots) if t.state[i]}
        theirs = {p: message.wants for p, message in model.open.items()}
        assert mine == theirs, (mine, theirs)
        assert t.used == len(mine)
        assert t.todo == sum(1 for s in t.state if s & 8), "todo"
        ids = {p for p in t.ids_in.ids if p} if t.ids_in else set()
        assert ids == model.ids_in, (ids, model.ids_in)
        assert not t.ids_in or t.ids_in.count == len(ids)
        n = self.client._n
        assert n[3:] == [model.ignored, model.copies], (n, model.ignored, model.copies)
        if self.up and self.link.space < 0:
            self.go()
            assert not model.owed, model.owed
            assert all(m.now == 2 for m in model.open.values()), "something waits, and need not"
