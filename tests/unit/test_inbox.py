"""Received messages in the journal: what is durable when, what a power cut shows again."""

from driver import OK, RESUMED, ack, publish
from flash import ADD, END, MARK, OWN, USED, Board, Cut
from store_world import boom, cost, cut_inside, down, in_handler, payloads, power
from umqtt_plus.errors import MQTTException
from util import each, raises, same

PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70


# -- what it costs -------------------------------------------------------------------------------


def test_flushes_of_receiving():
    """2 for QoS 2, whoever takes it; QoS 1 one with inbox_qos=1 and none else; QoS 0 none."""

    def check(inbox_qos, handler, wanted, numbered):
        b = Board(handler=handler == "message", store={"inbox_qos": inbox_qos})
        if handler == "callback":
            b.run(b.client.set_callback, b._callback)
        b.up()
        for n in range(2):
            costs = [cost(b, down, b, 5 + qos, b"%d" % qos, qos) for qos in (0, 1, 2)]
            same(b.out(), ack(PUBACK, 6) + ack(PUBREC, 7))
            costs.append(cost(b, down, b, 7, b"2", 2, 8))
            same(b.out(), ack(PUBREC, 7))
            costs.append(cost(b, b.feed, ack(PUBREL, 7)))
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
        costs = cost(b, b.feed, data, 50)
        same((b.out(), sum([len(x) for x in pieces]), costs), (ack(PUBREC, 9), 500, 1))
        b = b.reboot()
        b.client.set_stream(lambda m: pieces.append(m.payload))
        b.up(RESUMED)
        b.feed(data, 50)
        same((b.out(), sum([len(x) for x in pieces])), (ack(PUBREC, 9), 500))
        same(cost(b, b.feed, ack(PUBREL, 9)), 1)
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
