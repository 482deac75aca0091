"""The outbox in the journal: what put() took is sent, over power cuts at any step and torn files.

World keeps a book of what put() was given and dropped() was told; the server's list of what came
is held against it.
"""

import sys

from flash import EIO, ENOSPC, NAME, Cut
from queue_world import World, later, letters, outbox, records
from util import Skip, each, few, raises, same


# -- what comes back ------------------------------------------------------------------------------


def test_put_is_durable():
    """One flush each; all of it comes back, in order, before a session was ever established."""
    w = World()
    before = w.store.flushes
    rows = (
        (b"t", b"m", True, 2),
        (b"t/2", b"", False, 0),
        ("t\xe9", "m\xe9", False, 1),
        (bytearray(b"long" * 3), bytearray(b"x" * 40), True, 1),
    )
    for topic, msg, retain, qos in rows:
        assert w.run(w.box.put, topic, msg, retain, qos) is True
    same(w.store.flushes - before, 4)
    was = records(w.box)
    for _ in range(3):
        w.boot()
        same(records(w.box), was)
    k = w.box.stats()
    same((k["accepted"], k["queued"], k["sent"]), (4, 4, 0))
    w.run(w.store.compact)
    w.boot()
    same(records(w.box), was)
    w.deliver()
    same(w.server.took, [(2, b"m"), (0, b""), (1, b"m\xc3\xa9"), (1, b"x" * 40)])
    w.boot()
    same((len(w.box), w.deliver()), (0, w.came))


def test_qos_1_and_2_move_with_one_flush():
    w = World()
    w.connect()
    for qos in (1, 2):
        w.put(b"%d" % qos, qos)
        before = w.store.flushes
        w.run(w.link.pump)
        same((w.store.flushes - before, len(w.box)), (1, 0))
        w.board.go()
        same(w.box.stats()["sent"], qos)
    w.check()


def test_at_any_cut_in_one_place_only():
    """Between PUT and the answer: never in the queue and in the table, never in neither."""

    def story(w):
        w.connect()
        for qos in (2, 1, 2, 0, 2):
            w.put(b"%d" % len(w.taken), qos)
        w.pump()
        w.lose()
        w.put(b"5", 2)
        w.put(b"6", 0)
        w.connect()
        w.pump()

    every_cut(story)


def test_at_any_cut_while_it_drops():
    """What goes for a new message goes with it, or not at all."""
    for policy in ("oldest", "newest"):
        for latest in (False, True):

            def story(w):
                for i in range(6):
                    w.put(b"%d" % i * (1 + 5 * (i == 4)), 2, b"a" if i & 1 else b"b")
                w.put(b"x", 2, b"a", latest=True)
                w.put(b"y", 2, b"a", latest=False)
                w.put(b"z", 2, b"c", latest=True)

            every_cut(story, max_bytes=70, max_count=4, policy=policy, latest=latest)


def every_cut(story, **box):
    """Cut the power at each step, and leave each number of bytes that were not flushed."""
    w = World(**box)
    before = w.flash.steps
    story(w)
    states = w.states
    count = w.flash.steps - before
    assert count > 20
    for cut in few(range(count)):
        keep = 0
        while True:
            w = World(**box)
            w.flash.cut = cut
            try:
                story(w)
                raise AssertionError("not cut at step %d" % cut)
            except Cut as cut_at:
                where = cut_at.args[0]
            node = w.flash.files[NAME]
            loose = len(node.data) - node.safe
            done = len(w.states)
            w.boot(keep)
            if w.server.session:
                w.deliver()
                w.check()
            else:
                queued = w.queued
                assert queued in states[done - 1 : done + 1], queued
                same(w.deliver(), queued)
            if keep == loose:
                break
            # each byte of what was to be flushed; elsewhere nothing and all
            keep = keep + 1 if where == "flush" else loose


# -- QoS 0 ----------------------------------------------------------------------------------------


def test_qos_0_is_written_down_before_it_is_sent():
    """One flush; a power cut behind it loses the message, and none sends it twice."""
    w = World()
    w.connect()
    w.put(b"a", 0)
    w.put(b"b", 1)
    before = w.store.flushes
    m = w.run(w.box.first)
    same((m[2], w.store.flushes - before), (b"a", 1))
    w.boot()
    same(w.queued, [b"b"])
    w.boot()
    same((w.queued, w.deliver()), ([b"b"], [b"b"]))


def test_qos_0_that_could_not_be_sent_is_durable_again():
    """Once the link is down, not while the socket takes no more: that would be a flush a look."""
    w = World()
    w.connect()
    w.board.link.space = 0
    for msg in letters(3):
        w.put(msg, 0)
    flushes = w.store.flushes
    for _ in range(9):
        w.pump()
    same((w.queued, w.store.flushes - flushes), ([b"b", b"c"], 2))  # a waits behind the socket
    w.lose()
    same(w.store.flushes - flushes, 3)
    w.pump()
    same(w.store.flushes - flushes, 3)
    w.boot()
    same(w.queued, [b"b", b"c"])
    same(w.deliver(), [b"b", b"c"])


def test_qos_0_in_a_file_that_is_written_anew():
    for down in (False, True):
        w = World()
        w.connect()
        w.put(b"a", 0)
        w.run(w.box.first)
        if down:
            w.lose()
        w.run(w.store.compact)
        w.boot()
        same(w.queued, [b"a"] if down else [])


def test_qos_0_and_a_full_box():
    """The message that may have been sent goes for a new one, and nothing else does."""
    w = World(max_count=2)
    w.connect()
    w.put(b"a", 0)
    w.put(b"b", 0)
    w.run(w.box.first)
    w.run(w.box.back)
    w.put(b"c", 0)
    same(w.told, {b"a": "oldest"})
    w.boot()
    same(w.queued, [b"b", b"c"])


# -- who else is there ----------------------------------------------------------------------------


def test_a_stranger_is_not_taken_for_the_message_that_is_lent():
    w = World()
    w.connect()
    w.put(b"a", 2)
    _, topic, msg, _, qos = w.run(w.box.first)
    w.board.accept(topic[:1] + b"/x", msg, qos=qos)
    w.boot()
    same(w.queued, [b"a"])
    same(w.deliver(), [b"a", b"a"])


def test_a_pump_of_ones_own():
    """publish() that waits, while messages are put: what was moved is gone at once."""
    w = World(max_count=2)
    w.connect()
    for msg in letters(2):
        w.put(msg, 2)
    n, topic, msg, retain, qos = w.run(w.box.first)
    w.board.accept(topic, msg, retain, qos)
    same(w.queued, [b"b"])
    w.put(b"c", 2)
    w.run(w.box.back)
    w.run(w.box.done, n)
    same(w.queued, [b"b", b"c"])
    w.boot()
    same((w.queued, w.deliver()), ([b"b", b"c"], [b"a", b"b", b"c"]))


def test_done_without_sending():
    """Then the topic is nothing special any more."""
    for last in ("done", "back", "clear"):
        w = World()
        w.connect()
        for msg in letters(2):
            w.put(msg, 1)
        n, topic, msg, retain, qos = w.run(w.box.first)
        w.run(getattr(w.box, last), *(n,) if last == "done" else ())
        w.board.accept(topic, msg, retain, qos)
        was = w.queued
        same(was, {"done": [b"b"], "back": [b"a", b"b"], "clear": []}[last])
        w.put(b"c")  # the flush
        w.boot()
        same(w.queued, was + [b"c"])


def test_what_the_client_never_takes_goes():
    w = World()
    w.put(b"x" * 60, 1)  # topic, msg: larger than buffer_size
    w.put(b"a", 1)
    same(w.deliver(), [b"a"])
    same(w.told, {b"x" * 60: "refused"})
    w.put(b"b", 0)
    w.boot()
    same(w.queued, [b"b"])


def test_dropped_may_raise_and_look():
    """What it raises keeps the new one out; and whatever it does, file and box agree again."""

    def check(action, queued):
        w = World(max_count=3)
        for msg in letters(3):
            w.put(msg)
        lent = w.run(w.box.first) if action == "done" else None

        def dropped(topic, msg, why):
            w.box.dropped = None
            if action == "raise":
                raise KeyError(msg)
            if action == "done":
                w.box.done(lent[0])
            elif action == "clear":
                w.box.clear()

        w.box.dropped = dropped
        try:
            w.put(b"d")
        except KeyError:
            same(action, "raise")
        same(w.queued, queued)
        w.put(b"e", topic=b"e")
        queued = w.queued
        w.boot()
        same(w.queued, queued)

    each(
        (
            ("raise", [b"b", b"c"]),
            ("done", [b"c", b"d"]),
            ("clear", [b"d"]),
            ("look", [b"b", b"c", b"d"]),
        ),
        check,
    )


# -- time -----------------------------------------------------------------------------------------


def test_what_expired_does_not_come_back_behind_the_next_flush():
    w = World()
    w.put(b"a", expire_ms=5000)
    w.put(b"b")
    w.put(b"c", expire_ms=5000)
    later(w, 7000)
    same(w.queued, [b"b"])
    w.boot()
    same(w.queued, [b"a", b"b", b"c"])  # once more
    later(w, 7000)
    w.put(b"d")
    w.boot()
    same(w.queued, [b"b", b"d"])


def test_the_life_of_a_message():
    """All of it after a reboot; behind compact() what was left of it. The longest one, too."""
    w = World(expire_ms=100000)
    w.put(b"a")
    w.put(b"b", expire_ms=0)
    w.put(b"c", expire_ms=1 << 38)
    later(w, 60000)
    w.boot()
    same([x[3] for x in records(w.box)], [101, 0, 274877907 + 1])
    later(w, 60000)
    w.run(w.store.compact)
    w.boot()
    same([x[3] for x in records(w.box)], [41, 0, 274877907 + 1 - 60])
    later(w, 39000)
    same(w.queued, [b"a", b"b", b"c"])
    later(w, 3000)
    same(w.queued, [b"b", b"c"])
    w.run(w.store.compact)


def test_reading_the_file_takes_time():
    """A clock that goes on meanwhile, and a box that is older than its store: no life is lost."""
    w = World(expire_ms=5000)
    for msg in letters(3):
        w.put(msg)
    board = w.board
    before = board._ticks_ms
    now = [0]

    def slow(self):
        now[0] += 3000
        return now[0]

    kind = type(board)
    kind._ticks_ms = slow
    try:
        w.boot()
    finally:
        del kind._ticks_ms
    same(w.queued, letters(3))
    assert before() == 1000
    old = outbox(expire_ms=5000)
    old._s = 100
    w.boot(old=old)
    same(([x[3] for x in records(old)], old._s), ([106] * 3, 100))


# -- the file fails -------------------------------------------------------------------------------


def test_a_put_that_cannot_be_written_changes_nothing():
    """What would have gone for it stays, in RAM and in the file."""

    def check(what, error, how, full):
        w = World(max_bytes=100, max_count=4)
        for msg in letters(4):
            w.put(msg, 1, msg)
        if full:
            w.run(w.store.compact)
            w.store._at = w.store.max_bytes
        was = records(w.box)
        k = w.box.stats()
        w.flash.fail = {what: error}
        with raises(OSError, error):
            w.put(b"e", 1, b"c", **how)
        same((records(w.box), w.box.stats(), w.told), (was, k, {}))
        w.flash.fail = {}
        other = w.flash.copy()
        w.boot()
        same(records(w.box), was)
        w.flash = other
        w.boot()
        assert w.queued[:2] == [b"a", b"b"] or w.queued[-1] == b"e"  # it may come to life
        w.put(b"f", 1, b"f")
        w.boot()
        same(w.queued[-1], b"f")

    each(
        [
            (what, error, how, full)
            for full in (False, True)
            for what in (("write", "flush", "open", "rename") if full else ("write", "flush"))
            for error in (EIO, ENOSPC)
            for how in ({}, {"latest": True})
        ],
        check,
    )


def test_qos_0_waits_for_a_file_that_fails():
    w = World()
    w.connect()
    w.put(b"a", 0)
    w.flash.fail = {"flush": EIO}
    w.pump()
    same((w.came, w.queued), ([], [b"a"]))
    w.flash.fail = {}
    same(w.deliver(), [b"a"])


def test_a_message_that_cannot_be_moved_stays():
    w = World()
    w.connect()
    for qos in (1, 2):
        w.put(b"%d" % qos, qos)
        w.flash.fail = {"flush": EIO}
        w.pump()
        same((w.queued, w.client.stats()["in_flight"]), ([b"%d" % qos], 0))
        w.flash.fail = {}
        w.deliver()
    w.check()


# -- heap -----------------------------------------------------------------------------------------


def test_put_allocates_nothing():
    if sys.implementation.name != "micropython":
        raise Skip("heap_lock() is MicroPython's")
    from micropython import heap_lock, heap_unlock

    w = World(max_bytes=100, max_count=4, dropped=None)

    class Null:
        def write(self, buf, i=0, n=9):
            return n

        def flush(self):
            pass

    w.store._f = Null()
    topic = b"t"
    msg = b"m"
    put = w.box.put
    put(topic, msg, False, 1)
    heap_lock()
    try:
        for _ in range(20):
            put(topic, msg, False, 1)
        put(topic, msg, False, 1, 1000, True)
    finally:
        heap_unlock()
    same(len(w.box), 1)
