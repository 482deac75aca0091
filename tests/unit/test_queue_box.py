"""The outbox in the journal: other boxes than the file was written with, damage, and limits."""

from flash import Board, Flash
from queue_world import World, letters
from umqtt_plus.outbox import Outbox
from util import each, raises, same


def test_a_file_without_its_box():
    """Said clearly, and nothing is lost; also when all there is is a message on its way."""
    w = World()
    w.put(b"a", 2)
    for places in ((1, 0), (0, 1)):
        data = w.flash.get()
        with raises(ValueError) as caught:
            Board(w.flash, False)
        assert "outbox" in caught.error.args[0]
        same(w.flash.get(), data)
        w.boot()
        same((len(w.box), w.client.stats()["in_flight"]), places)
        w.connect()
        w.run(w.link.pump)
        w.flash.power()


def test_a_box_for_a_file_without_one():
    flash = Flash()
    b = Board(flash).up()
    b.accept(b"t", b"a", qos=2)
    flash.power()
    w = World(flash)
    w.server.session = True
    w.put(b"b", 2)
    w.boot()
    same(w.queued, [b"b"])
    same(w.deliver(), [b"a", b"b"])


def test_a_box_that_is_not_empty():
    box = Outbox()
    box.put(b"t", b"m")
    with raises(ValueError) as caught:
        Board(Flash(), False, store={"outbox": box})
    assert "outbox" in caught.error.args[0]
    same(len(box), 1)


def test_another_size():
    """A larger one, a smaller one that holds what waits, and one that does not."""

    def check(before, after, good):
        w = World(max_bytes=before[0], max_count=before[1])
        for msg in letters(9):
            w.put(msg)
        was = w.queued
        file = w.flash.get()
        if not good:
            with raises(ValueError) as caught:
                w.boot(max_bytes=after[0], max_count=after[1])
            assert "outbox" in caught.error.args[0]
            same(w.flash.get(), file)
            w.boot(max_bytes=before[0], max_count=before[1])
            same(w.queued, was)
            return
        w.boot(max_bytes=after[0], max_count=after[1])
        same(w.queued, was)
        for msg in letters(12)[9:]:
            w.put(msg)
        w.run(w.box.first)
        was = w.queued
        w.boot()
        same(w.queued, was)

    each(
        (
            ((100, 4), (200, 9), True),
            ((100, 4), (100, 9), True),
            ((60, 9), (100, 9), True),
            ((200, 4), (56, 4), True),
            ((200, 4), (55, 4), False),
            ((200, 4), (200, 3), False),
            ((30, 4), (100, 4), True),
        ),
        check,
    )


def test_a_damaged_file_leaves_an_empty_box():
    w = World()
    for msg in letters(3):
        w.put(msg)
    data = bytearray(w.flash.get())
    data[-20] ^= 1
    w.flash.put(data)
    w.boot()
    same((w.store.recovered, len(w.box), w.box.bytes), ("lost", 0, 0))
    w.put(b"x")
    w.boot()
    same(w.queued, [b"x"])


def test_records_that_make_no_sense():
    """Rather nothing than another queue."""

    def check(kind, head, packet_id, n):
        w = World()
        for msg in letters(n):
            w.put(msg)
        w.run(w.store.put, kind, head, packet_id)
        w.boot()
        same((w.store.recovered, len(w.box), w.box.bytes), ("lost", 0, 0))

    each(
        (
            (35, 0, 2, 3),  # gone: from the middle of a message
            (35, 0, 43, 3),  # behind the last one
            (35, 0, 1, 0),
            (35, 255, 1, 1),
            (34, 0, 0x8000, 0),  # a message without its topic
            (38, 0, 1, 1),  # no such kind
            (47, 0, 1, 1),
        ),
        check,
    )


def test_too_large():
    w = World()
    for topic, msg in ((b"t", b"x" * 191), (b"t" * 191, b"")):
        with raises(ValueError) as caught:
            w.put(msg, 0, topic)
        assert "buffer_size" in caught.error.args[0]
    w.put(b"x" * 190, 0)
    w.put(b"", 0, b"t" * 190)
    w.boot()
    same([len(x) for x in w.queued], [190, 0])
    with raises(ValueError):
        w.put(b"x", 3)
    with raises(ValueError):
        w.put(b"x", topic=b"+")
    same(len(w.box), 2)
    same(sorted(w.came), [])


def test_the_file_stays_within_its_limit():
    """A full queue in the smallest file that may hold it."""
    w = World(max_bytes=1000, max_count=90)
    w.max_bytes = 6523
    with raises(ValueError):
        w.boot()
    w.max_bytes = 6524
    w.boot()
    most = 0
    opened = w.flash.count("open")
    for i in range(400):
        w.run(w.box.put, b"t", b"%d" % i)
        most = max(most, len(w.flash.get()))
    assert 5000 < most <= 6524, most
    assert w.flash.count("open") - opened < 20
    was = w.queued
    w.boot()
    same(w.queued, was)
