"""Random calls, faults and power cuts against the outbox in the journal, with a book of it all."""

from driver import Random
from flash import EIO, ENOSPC, Cut
from queue_world import NO_END, World, later
from util import few, same


def test_random():
    for seed in few(range(40)):
        try:
            play(Random(seed))
        except Exception as error:
            raise AssertionError("seed %d: %r" % (seed, error)) from error


def play(random):
    def of(*choices):
        return choices[random.below(len(choices))]

    w = World(
        max_bytes=of(60, 100, 200),
        max_count=of(1, 2, 4, 9),
        policy=of("oldest", "oldest", "newest", "refuse"),
        latest=of(False, False, True),
        expire_ms=of(0, 0, 5000),
    )
    for serial in range(120):
        w.flash.cut = of(-1, -1, -1, random.below(25))
        w.flash.fail = of({}, {}, {}, {of("write", "flush", "open", "rename"): of(EIO, ENOSPC)})
        was = w.queued
        try:
            act(w, random.below(16), b"%d " % serial * of(1, 1, 2, 5), of)
        except Cut:
            keep = of(0, NO_END, random.below(60))
            w.flash.fail = {}
            w.boot(keep)
            for msg, was in w.failed + [(w.trying, was)]:
                if msg in w.queued:  # it came to life, and others have gone for it
                    w.loose += [msg] + [x for x in was if x not in w.queued]
            w.trying = None
            w.failed.clear()
        except OSError:
            pass
    w.flash.cut = -1
    w.flash.fail = {}
    w.deliver()
    w.check()


def act(w, what, msg, of):
    up = w.client.sock
    if what < 6:
        was = w.queued
        how = {"latest": of(None, False, True), "expire_ms": of(None, None, 3000, 0)}
        try:
            w.put(msg, of(0, 1, 2), of(b"a", b"b", b"long"), **how)
        except OSError as error:
            if error.args[0] != 105:
                w.failed.append((msg, was))
            same(w.queued, [x for x in was if w.told.get(x) != "expired"])
            w.trying = None
    elif what < 9:
        if not up:
            w.connect()
        w.board.link.space = of(-1, -1, 0, 30)
        w.pump()
    elif what == 9 and up:
        w.lose()
    elif what == 10:
        later(w, of(900, 2000, 4000))
    elif what == 11:
        w.clear()
    elif what == 12:
        w.run(w.store.compact)
    elif what == 13:
        w.run(w.box.first)
    elif what == 14:
        part = w.store._parts[2]
        w.flash.fail = {}
        w.run(w.store.room, 1)  # writes the file anew if it is behind
        was = w.queued[part.off == w.box._no :]
        w.boot(NO_END)
        same(w.queued, was)
