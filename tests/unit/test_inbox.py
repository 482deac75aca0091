"""Received messages in the journal: what is durable when, what a power cut shows again."""

from driver import OK, RESUMED, ack, publish
from flash import ADD, EIO, END, ENOSPC, MARK, OWN, USED, Board, Cut, Flash, record
from umqtt_plus.protocol import MQTTException
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


def down(b, packet_id, payload=b"in", qos=2, dup=0):
    b.feed(publish(b"x", payload, qos, packet_id, dup))


def flushed(b):
    """All that is written becomes durable."""
    for node in b.flash.files.values():
        node.safe = len(node.data)


def cost(b, f, *args):
    """Flushes that f needs."""
    before = b.flash.count("flush")
    f(b, *args)
    return b.flash.count("flush") - before


def payloads(b):
    return [m[1] for m in b.got]


def boom(b):
    raise KeyError(1)


def power(b):
    b.flash.cut = 0
    b.flash.step("in the handler")


def in_handler(b, f):
    """f(driver) runs inside the next call of the handler."""

    def once(d):
        d.then = None
        f(d)

    b.then = once


def cut_inside(b, packet_id=9, payload=b"in", qos=2, keep=0, **changes):
    """Power is cut while the message is handed over; the next board."""
    in_handler(b, power)
    with raises(Cut):
        down(b, packet_id, payload, qos)
    return b.reboot(keep, **changes)


# -- what it costs -------------------------------------------------------------------------------


def test_flushes_of_receiving():
    """2 for QoS 2, whoever takes it; QoS 1 one with inbox_qos=1 and none else; QoS 0 none."""

    def check(inbox_qos, handler, wanted, numbered):
        b = Board(handler=handler == "message", store={"inbox_qos": inbox_qos})
        if handler == "callback":
            b.run(b.client.set_callback, b._callback)
        b.up()
        for n in range(2):
            costs = [cost(b, down, 5 + qos, b"%d" % qos, qos) for qos in (0, 1, 2)]
            same(b.out(), ack(PUBACK, 6) + ack(PUBREC, 7))
            costs.append(cost(b, down, 7, b"2", 2, 8))
            same(b.out(), ack(PUBREC, 7))
            costs.append(cost(b, lambda b: b.feed(ack(PUBREL, 7))))
            same(b.out(), ack(PUBCOMP, 7))
            same(costs, wanted)
        if handler:
            same(payloads(b), [b"0", b"1", b"2"] * 2)
        if handler == "message":
            same([number > 0 for number in b.numbers], numbered * 2)

    no, yes = False, True
    each(
        (
            (2, "message", [0, 0, 1, 0, 1], [no, no, yes]),
            (1, "message", [0, 1, 1, 0, 1], [no, yes, yes]),
            (3, "message", [0, 0, 1, 0, 1], [no, no, no]),
            (2, "callback", [0, 0, 1, 0, 1], None),
            (1, "callback", [0, 1, 1, 0, 1], None),
            (3, "callback", [0, 0, 1, 0, 1], None),
        ),
        check,
    )


def test_records():
    """Which records each way of receiving writes."""
    add, used, own, end = [ADD], [USED], [OWN], [END]

    def check(inbox_qos, qos, wanted):
        b = Board(store={"inbox_qos": inbox_qos}).up()
        down(b, 9, b"in", qos)
        if qos == 2:
            b.feed(ack(PUBREL, 9))
        same(b.file.kinds, [MARK] + wanted)

    each(
        (
            (1, 1, add + used),
            (1, 2, add + used + end),
            (2, 1, []),
            (2, 2, add + used + end),
            (3, 1, []),
            (3, 2, own + end),
        ),
        check,
    )


# -- power cuts ----------------------------------------------------------------------------------


def test_cut_around_the_handler():
    """Before, in and behind the handler: handed over again, with its number, or not at all."""

    def check(when, qos, keep, again):
        b = Board(store={"inbox_qos": 1}).up()
        down(b, 3, b"before")
        b.feed(ack(PUBREL, 3))
        if when == "in":
            b = cut_inside(b, 9, b"in", qos, keep)
        else:
            down(b, 9, b"in", qos)
            if when == "flushed":
                b.feed(ack(PUBREL, 3 if qos == 1 else 9))
                b.accept(b"t", b"", qos=1)
            b = b.reboot(keep)
        same(payloads(b), [b"in"] * again)
        same(b.numbers, [2] * again)
        # it has been handed over now, which is written
        b = b.reboot(999)
        same(payloads(b), [])
        b.up(RESUMED)
        if qos == 2 and when != "flushed":
            down(b, 9, b"in", qos, 8)
            same((b.out()[-4:], b.got), (ack(PUBREC, 9), []))
            b.feed(ack(PUBREL, 9))
        down(b, 9, b"new", qos)
        same((payloads(b), b.numbers), ([b"new"], [3]))

    each(
        (
            ("in", 2, 0, 1),
            ("in", 2, 999, 1),
            ("in", 1, 0, 1),
            ("in", 1, 999, 1),
            ("behind", 2, 0, 1),  # that it was used waits for the next flush
            ("behind", 2, 999, 0),
            ("behind", 1, 0, 1),
            ("behind", 1, 999, 0),
            ("flushed", 2, 0, 0),
            ("flushed", 1, 0, 0),
        ),
        check,
    )


def test_message_of_before():
    """What is handed over after a power cut looks as it did: topic, payload, QoS, retain, DUP."""
    payload = bytes(range(50))

    def check(topic, payload, flags, callback):
        b = Board(buffer_size=64, store={"inbox_qos": 1}).up()
        in_handler(b, power)
        with raises(Cut):
            b.feed(publish(topic, payload, 1 + flags % 2, 300, flags & 8 | flags & 1))
        seen = b.got[:]
        b = b.reboot(handler=False)
        if callback:
            b.run(b.client.set_callback, b._callback)
            same(b.got, [(topic, payload)])
            return
        views = []

        def handler(m):
            buf = bytearray(70)
            n = m.payload_into(buf)
            views.append((m.topic_is(topic), m.payload_is(payload), len(m), bytes(buf[:n])))
            b._message(m)

        b.run(b.client.set_message, handler)
        same((b.got, b.numbers), (seen, [1]))
        same(views, [(True, True, len(payload), payload)])

    table = []
    for topic, body in ((b"x", b""), (b"x", b"1"), (b"a/b", payload), (b"x" * 50, b"y" * 5)):
        table += [(topic, body, flags, callback) for flags in (0, 1, 8, 9) for callback in (0, 1)]
    each(table, check)


def test_the_effect_once():
    """Power is cut in the handler again and again: the same number each time."""
    b = cut_inside(Board().up(), 9, b"in")
    for _ in range(3):
        b = b.reboot(handler=False)
        in_handler(b, power)
        with raises(Cut):
            b.handle()
        same((payloads(b), b.numbers), ([b"in"], [1]))
        b = b.reboot(999, handler=False)
    b.handle()
    same(b.numbers, [1])
    b = b.reboot(999).up(RESUMED)
    down(b, 10, b"next")
    same(b.numbers, [2])


def test_numbers_go_on():
    """One for each message that comes this way, whatever else happens; 0 for the others."""
    b = Board().up()
    wanted = 0
    for n in range(40):
        b.numbers = []
        if n % 5 == 1:
            in_handler(b, boom)
            with raises(KeyError):
                down(b, 9)
            b.up(RESUMED)
            wanted += 1
            same(b.numbers, [wanted])
            b.numbers = []
        if n % 7 == 2:
            b.compact()
        if n % 4 == 3:
            in_handler(b, lambda b: b.compact())
        down(b, 9)
        wanted += 1
        same(b.numbers, [wanted])
        down(b, 8, b"", 1)
        down(b, 8, b"", 0)
        same(b.numbers, [wanted, 0, 0])
        b.feed(ack(PUBREL, 9))
        if n % 3 == 0:
            b = b.reboot(n % 2 * 999).up(RESUMED)
        same(b.store.number, wanted)


# -- handlers ------------------------------------------------------------------------------------


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


# -- messages that wait --------------------------------------------------------------------------


def test_a_handler_that_fails_on_what_waits():
    """It stays, with its number, until a handler takes it; new ones wait behind it."""
    b = cut_inside(Board().up(), 9, b"first", handler=False)
    b.then = boom
    for _ in range(2):
        with raises(KeyError):
            b.handle()
    same(b.numbers, [1, 1])
    b.then = None
    b.up(RESUMED)
    with raises(ValueError) as caught:
        down(b, 10, b"second")
    assert "set_message" in str(caught.error)
    same((b.closed, b.out(), payloads(b)), (True, b"", [b"first"] * 2))
    with raises(ValueError):
        b.up(RESUMED)
        b.handle()  # too late: the client is connected
    b.run(b.client.disconnect)
    b.handle()
    same(b.numbers, [1, 1, 1])
    b.up(RESUMED)
    down(b, 10, b"second")
    same((payloads(b)[3:], b.numbers[3:]), ([b"second"], [2]))


def test_what_waits_and_the_session():
    """A message that waits is the application's, whatever becomes of its id and of the session.

    Its id counts as received only as long as the server thinks so."""

    def released(b):
        b.up(RESUMED)
        b.feed(ack(PUBREL, 9))
        return b

    def gone(b):
        return b.up(OK)

    def clean(b):
        b.connect(True, OK)
        b.lose()
        return b.up(OK)

    def kept(b):
        return b.up(RESUMED)

    def check(how, known, compact, keep):
        b = cut_inside(Board().up(), 9, b"first", handler=False)
        b = how(b)
        if compact:
            b.compact()
        b = b.reboot(keep)
        same((payloads(b), b.numbers), ([b"first"], [1]))
        same(b.tables[1], known)
        b = b.reboot(999).up(RESUMED)
        same(b.tables[1], known)
        down(b, 9, b"second")
        same(payloads(b), [] if known else [b"second"])

    table = []
    for how, known in ((released, 0), (gone, 0), (clean, 0), (kept, 1)):
        table += [(how, known, c, k) for c in (0, 1) for k in (0, 999)]
    each(table, check)


def test_changing_the_handler():
    """set_message(None), then a callback, then set_message() again."""
    b = cut_inside(Board().up(), 9, b"first", handler=False)
    b.run(b.client.set_message, None)
    same(b.got, [])
    b.run(b.client.set_callback, b._callback)
    same(b.got, [(b"x", b"first")])
    b.up(RESUMED)
    down(b, 10, b"second")
    b.client.set_message(b._message)
    down(b, 11, b"third")
    b.client.set_message(None)
    down(b, 12, b"fourth")
    b.client.set_callback(None)
    down(b, 13, b"nobody")
    same([m[1] for m in b.got], [b"first", b"second", b"third", b"fourth"])
    same(b.tables[1], 5)
    same(b.reboot().tables[1], 5)


# -- ids -----------------------------------------------------------------------------------------


def test_ids_received():
    """Known over a reboot: copies are answered, not handed over; released ids are new again.

    MQTT-4.3.3-2."""

    def check(count, compact, inbox_qos):
        b = Board(store={"inbox_qos": inbox_qos, "max_bytes": 1 << 16}).up()
        ids = [7 * n % 1000 + 1 for n in range(count)]
        for p in ids:
            down(b, p, b"%d" % p)
        same(len(b.got), count)
        for p in ids[::3]:
            b.feed(ack(PUBREL, p))
        if compact:
            b.compact()
        b = b.reboot()
        same(b.tables[1], count - len(ids[::3]))
        b.up(RESUMED)
        b.got = []
        for n in range(count):
            p = ids[n]
            down(b, p, b"again", 2, 8)
            same(b.out(), ack(PUBREC, p))
            same(payloads(b), [b"again"] * (n // 3 + 1))

    each([(n, c, q) for n in (1, 31, 33, 100) for c in (0, 1) for q in (2, 3)], check)


def test_too_many_ids():
    """At 256 the link is closed, as without a store; nothing of the last one is on file."""
    b = Board(store={"max_bytes": 1 << 16}).up()
    for p in range(1, 257):
        down(b, p, b"")
        if not p % 50:
            b.compact()
    with raises(MQTTException, 0x97):
        down(b, 300, b"")
    same(len(b.got), 256)
    b = b.reboot(999)
    same((b.store.recovered, b.tables[1], len(b.got)), ("session", 256, 0))
    b.up(RESUMED)
    b.feed(ack(PUBREL, 5))
    down(b, 300, b"")
    same(b.tables[1], 256)


def test_many_at_once():
    """More messages in one read than there is room for acks."""
    b = Board(buffer_size=512, store={"inbox_qos": 1}).up()
    data = b"".join([publish(b"x", b"%d" % n, 1 + n % 2, n + 1) for n in range(40)])
    b.feed(data)
    same(payloads(b), [b"%d" % n for n in range(40)])
    same(b.out(), b"".join([ack(0x40 + 16 * (n % 2), n + 1) for n in range(40)]))
    b.feed(b"".join([ack(PUBREL, n + 1) for n in range(1, 40, 2)]))
    same(b.out(), b"".join([ack(PUBCOMP, n + 1) for n in range(1, 40, 2)]))
    same(b.reboot().tables, (0, 0))


def test_in_pieces():
    """set_stream() with a store: handed over piece by piece, and its id is durable."""

    def check(handler):
        b = Board(handler=handler).up()
        pieces = []
        b.run(b.client.disconnect)
        b.client.set_stream(lambda m: pieces.append(m.payload))
        b.up(RESUMED)
        data = publish(b"x", bytes(500), 2, 9)
        costs = cost(b, lambda b: b.feed(data, 50))
        same((b.out(), sum([len(x) for x in pieces]), costs), (ack(PUBREC, 9), 500, 1))
        b = b.reboot()
        b.client.set_stream(lambda m: pieces.append(m.payload))
        b.up(RESUMED)
        b.feed(data, 50)
        same((b.out(), sum([len(x) for x in pieces])), (ack(PUBREC, 9), 500))
        same(cost(b, lambda b: b.feed(ack(PUBREL, 9))), 1)
        b.feed(data, 50)
        same(sum([len(x) for x in pieces]), 1000)

    each(((True,), (False,)), check)


def test_pieces_cut_off():
    """A power cut within: it begins anew, and its id was not known."""
    b = Board().up()
    pieces = []
    b.client.set_stream(lambda m: pieces.append(m.offset))
    b.feed(publish(b"x", bytes(500), 2, 9)[:300], 50)
    b = b.reboot(999)
    same(b.tables[1], 0)
    b.client.set_stream(lambda m: pieces.append(m.offset))
    b.up(RESUMED)
    b.feed(publish(b"x", bytes(500), 2, 9, 8), 50)
    same((b.out(), pieces.count(0)), (ack(PUBREC, 9), 2))


def test_without_a_handler():
    """Nobody takes the messages: nothing of them is on file, and nothing comes twice."""
    b = Board(handler=False).up()
    b.lax = True  # so an id need not be durable, either
    down(b, 9)
    same((b.out(), b.durable.kinds), (ack(PUBREC, 9), [MARK]))
    b = b.reboot()
    same((b.got, b.tables[1]), ([], 0))
    b.up(RESUMED)
    b.feed(ack(PUBREL, 9))
    same((b.got, b.out()), ([], ack(PUBCOMP, 9)))


# -- a flash that is full or broken --------------------------------------------------------------


def failing():
    for n in range(0, 34):
        for part in (False, True):
            yield (n, part, ENOSPC)
    yield ("write", False, EIO)
    yield ("flush", False, EIO)


def fail(flash, how, part):
    if isinstance(how, int):
        flash.full = how
        flash.part = part
    else:
        flash.fail[how] = EIO


def mend(flash):
    flash.full = -1
    flash.fail.clear()


def test_message_on_a_full_flash():
    """Not handed over, not acknowledged, closed; it comes again, once."""

    def check(how, part, code, qos, inbox_qos, dead):
        b = Board(store={"inbox_qos": inbox_qos}).up()
        fail(b.flash, how, part)
        size = 9 if inbox_qos == 3 else 18
        before = b.tables
        if isinstance(how, int) and how >= size:
            down(b, 9, b"in", qos)
            same(b.out(), ack(0x30 + 16 * qos, 9))
            mend(b.flash)
        else:
            with raises(OSError, code):
                down(b, 9, b"in", qos)
            same((b.closed, b.out(), b.tables), (True, b"", before))
            same(len(b.got), 1 if inbox_qos == 3 else 0)
            mend(b.flash)
            b.got = []
            if dead:
                b = b.reboot(999)
                b.got = []  # it may be in the file, or not
            b.up(RESUMED)
            known = b.tables[1]
            assert not known or dead
            down(b, 9, b"in", qos, 8)
            same(b.out(), ack(0x30 + 16 * qos, 9))
            same(payloads(b), [] if known else [b"in"])
        if qos == 2:
            b.feed(ack(PUBREL, 9))
            same(b.out(), ack(PUBCOMP, 9))
        b.accept(b"t", b"", qos=1)
        same(b.durable.state, b.ram)
        same(b.tables[1], 0)

    table = []
    for row in failing():
        for qos, inbox_qos in ((2, 2), (1, 1), (2, 3)):
            table += [row + (qos, inbox_qos, dead) for dead in (0, 1)]
    each(table, check)


def test_pubrel_on_a_full_flash():
    """No PUBCOMP, closed; the PUBREL that comes again is answered."""

    def check(how, part, code, dead):
        b = Board().up()
        down(b, 9)
        b.out()
        fail(b.flash, how, part)
        if isinstance(how, int) and how >= 9:
            b.feed(ack(PUBREL, 9))
            mend(b.flash)
        else:
            with raises(OSError, code):
                b.feed(ack(PUBREL, 9))
            same((b.closed, b.out(), b.tables[1]), (True, b"", 1))
            mend(b.flash)
            if dead:
                b = b.reboot(999)
            b.up(RESUMED)
            b.feed(ack(PUBREL, 9))
        same((b.out(), b.tables[1]), (ack(PUBCOMP, 9), 0))
        same(b.durable.rx, [])
        b.got = []
        down(b, 9, b"new")
        same(payloads(b), [b"new"])

    each([row + (dead,) for row in failing() for dead in (0, 1)], check)


def test_full_flash_inside_the_handler():
    """The handler has dealt with it: acknowledged all the same, and not shown again once there
    is room; a handler that fails: it comes again."""

    def check(how, part, code, bad):
        b = Board().up()

        def now(b):
            fail(b.flash, how, part)
            if bad:
                boom(b)

        in_handler(b, now)
        if bad:
            with raises(KeyError):
                down(b, 9, b"in")
            mend(b.flash)
            b.up(RESUMED)
            down(b, 9, b"in", 2, 8)
            same((payloads(b), b.numbers), ([b"in"] * 2, [1, 2]))
        else:
            down(b, 9, b"in")
            mend(b.flash)
        same(b.out(), ack(PUBREC, 9))
        b.feed(ack(PUBREL, 9))
        b = b.reboot(0)
        same((b.got, b.tables[1], b.store.number), ([], 0, 1 + bad))

    each([row + (bad,) for row in failing() for bad in (0, 1)], check)


def test_what_waits_on_a_full_flash():
    """Handed over all the same; shown again when power is cut before there was room."""
    b = cut_inside(Board().up(), 9, b"first", handler=False)
    b.flash.full = 0
    b.handle()
    same(b.numbers, [1])
    b.flash.full = -1
    b = b.reboot()
    same(b.numbers, [1])
    same(b.file.records[-1:], record(USED, 9, b"", 1))
    same(b.reboot(999).numbers, [])
