"""Handlers that raise, close, publish or write the file anew while a message is handed over."""

from driver import RESUMED, ack, publish
from flash import Board, Cut, Flash
from store_world import boom, down, in_handler, payloads, power
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def test_a_handler_that_raises():
    """Not acknowledged, closed; it comes again under a new number, and a cut shows it once."""

    def check(qos, keep, reboot):
        b = Board(store={"inbox_qos": 1}).up()
        in_handler(b, boom)
        with raises(KeyError):
            down(b, 9, b"in", qos)
        same((b.closed, b.out()), (True, b""))
        if reboot:
            b = b.reboot(keep)
            # that it was given back is not durable: then it counts as not dealt with
            same(b.numbers, [] if keep else [1])
        same(b.tables[1], 1 if reboot and not keep and qos == 2 else 0)
        b.up(RESUMED)
        b.got = []
        down(b, 9, b"in", qos, 8)
        same(b.out(), ack(0x30 + 16 * qos, 9))
        known = reboot and not keep and qos == 2
        same(payloads(b), [] if known else [b"in"])
        same(b.numbers[-1:], [1] if known else [2])

    each([(q, k, r) for q in (1, 2) for k in (0, 999) for r in (0, 1) if r or not k], check)


def test_a_handler_that_closes():
    """disconnect() inside: a handler that returns has dealt with the message all the same.

    What lies unread does not get into the file, also when it is written anew just then."""

    def check(unread, tight, keep):
        b = Board().up()
        down(b, 3, b"one")
        b.feed(ack(PUBREL, 3))

        def close(b):
            b.link.pieces = [publish(b"y" * 20, b"z" * 20, 0)] * unread
            if tight:
                b.store._at = b.store.max_bytes - tight
            b.client.disconnect()

        b.out()
        in_handler(b, close)
        with raises(OSError, 107):
            down(b, 9, b"two")
        same((b.closed, b.out()), (True, b"\xe0\x00"))
        same((payloads(b), b.file.items), ([b"one", b"two"], []))
        b = b.reboot(keep)
        assert payloads(b) in ([[b"two"], []] if not keep else [[]])
        b.got = []
        b.up(RESUMED)
        down(b, 9, b"two", 2, 8)
        same((b.got, b.out()), ([], ack(PUBREC, 9)))

    each([(n, tight, k) for n in (0, 1, 3) for tight in (0, 5, 9, 20) for k in (0, 999)], check)


def test_cut_behind_a_handler_that_closes():
    """At each step from there on: what is handed over is the message itself, or nothing."""
    for steps in range(100):
        b = Board().up()

        def close(b, steps=steps):
            b.link.pieces = [publish(b"y" * 20, b"z" * 20, 0)]
            b.store._at = b.store.max_bytes - 5
            b.flash.cut = steps
            b.client.disconnect()

        in_handler(b, close)
        try:
            down(b, 9, b"two")
        except OSError:
            break
        except Cut:
            pass
        for keep in (0, 1, 999):
            b.flash.power(keep)
            other = Board(b.flash.copy())
            assert payloads(other) in ([], [b"two"]), other.got
    assert 5 < steps < 99


def test_a_handler_that_publishes():
    """QoS 0, 1 and 2 inside, with a new file in between or not; a cut behind it keeps all."""

    def check(qos, compact, keep):
        b = Board().up()

        def reply(b):
            if compact & 1:
                b.store.compact()
            b.client.publish_nowait(b"t", b"reply", False, qos)
            if compact & 2:
                b.store.compact()

        in_handler(b, reply)
        down(b, 9, b"in")
        wanted = publish(b"t", b"reply", qos, 1)
        assert wanted in b.out()
        same(b.file.state, b.ram)
        b = b.reboot(keep)
        same(b.tables, (1 if qos else 0, 1))
        same(payloads(b), [] if keep else [b"in"])

    each([(q, c, k) for q in (0, 1, 2) for c in range(4) for k in (0, 999)], check)


def test_a_new_file_inside_the_handler():
    """The message that is being handed over is in it, until it has been dealt with."""

    def check(qos, others):
        b = Board(store={"inbox_qos": 1}).up()
        for n in range(others):
            down(b, 20 + n, b"other")
        in_handler(b, lambda b: (b.store.compact(), power(b)))
        with raises(Cut):
            down(b, 9, b"hot", qos)
        b = b.reboot()
        same((payloads(b), b.numbers), ([b"hot"], [others + 1]))
        same(b.tables[1], others + qos - 1)
        b = b.reboot(999).up(RESUMED)
        same(payloads(b), [])
        down(b, 9, b"next", qos)
        same(payloads(b), [b"next"] if qos == 1 else [])

    each([(q, n) for q in (1, 2) for n in (0, 1, 5)], check)


def test_cut_in_the_new_file_inside_the_handler():
    """At each step of it, with and without a file system that replaces at once."""

    def check(fat, keep):
        ends = []
        for steps in range(100):
            b = Board(Flash(fat)).up()
            b.accept(b"t", b"out", qos=2)
            b.feed(ack(PUBREC, 1))
            down(b, 5, b"old")

            def write(b, steps=steps):
                b.flash.cut = steps
                b.store.compact()
                ends.append(steps)
                b.flash.cut = 0
                b.flash.step("end")

            in_handler(b, write)
            with raises(Cut):
                down(b, 9, b"hot")
            b = b.reboot(keep)
            same(b.store.recovered, "session")
            same((payloads(b)[-1:], b.numbers[-1:]), ([b"hot"], [2]))
            same(b.tables, (1, 2))
            if ends:
                break
        assert 10 < ends[0] < 99

    each([(fat, keep) for fat in (0, 1) for keep in (0, 4, 999)], check)


def test_handlers_set_inside_the_handler():
    """Of the message that a cut interrupted: it is handed over once, and then done with."""

    def check(outer, inner, other):
        b = Board().up()
        in_handler(b, power)
        with raises(Cut):
            down(b, 9)
        b = b.reboot(handler=False)
        got = []

        def handler(*args):
            got.append(args[-1] if outer == "set_callback" else args[0].payload)
            assert len(got) < 5
            f = handler if other == "itself" else other
            b.run(getattr(b.client, inner), f)

        b.run(getattr(b.client, outer), handler)
        same(got, [b"in"])
        same(b.up(RESUMED).tables, (0, 1))
        b = b.reboot(999)
        same((b.store.recovered, payloads(b), b.tables), ("session", [], (0, 1)))

    both = ("set_message", "set_callback")
    each([(o, i, f) for o in both for i in both for f in ("itself", None, print)], check)
