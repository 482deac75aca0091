"""Hypothesis plays against the offline queue, with a plain list as its model.

Every message that put() took is once, and only once, sent, reported to dropped() with the right
reason, cleared or still queued; order, bytes and counts agree after each call.
"""

import pytest
from shims import ticks

import umqtt_plus.outbox as room
from umqtt_plus.outbox import Outbox

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

HEAD = 12  # what a record costs besides topic and msg
DAY = 86_400_000
TOPICS = st.sampled_from((b"a", b"b", b"ab", b"cb", b"long/topic"))
LIVES = st.sampled_from((0, 0, 1, 1000, 2500, 60_000, 40 * DAY))


class Entry:
    def __init__(self, topic, msg, retain, qos, ends):
        self.topic, self.msg, self.retain, self.qos, self.ends = topic, msg, retain, qos, ends
        self.size = HEAD + len(topic) + len(msg)
        self.number = None


class Model:
    def __init__(self, start, max_bytes, max_count, policy, latest, life):
        self.start, self.now = start, 0  # now never wraps
        room.ticks_ms = lambda: (start + self.now) % ticks.PERIOD
        self.max_bytes, self.max_count = max_bytes, max_count
        self.policy, self.latest, self.life = policy, latest, life
        self.box = Outbox(max_bytes, max_count, policy, latest, life, self.dropped)
        self.queue = []
        self.lent = None  # an entry
        self.expected = []  # what dropped() is to be told
        self.told = []
        self.count = dict.fromkeys(
            "accepted sent oldest newest replaced expired refused cleared".split(), 0
        )
        self.serial = 0
        self.numbers = set()

    def dropped(self, topic, msg, why):
        self.told.append((topic, msg, why))

    # -- the model -----------------------------------------------------------------------------

    def lose(self, entry, why):
        self.expected.append((entry.topic, entry.msg, why))
        self.count[why] += 1
        if entry in self.queue:
            self.queue.remove(entry)

    def expire(self):
        for entry in list(self.queue):
            if entry.ends and self.now // 1000 >= entry.ends and entry is not self.lent:
                self.lose(entry, "expired")

    def fits(self, entries, new):
        used = sum(entry.size for entry in entries)
        return used + new.size <= self.max_bytes and len(entries) < self.max_count

    def accept(self, new, latest):
        """True, False or 105, as put() answers."""
        self.expire()
        free = [entry for entry in self.queue if entry is not self.lent]
        same = [entry for entry in free if latest and entry.topic == new.topic]
        fixed = [entry for entry in self.queue if entry not in same]
        if self.policy == "oldest":
            possible = self.fits([self.lent] if self.lent else [], new)
        else:
            possible = self.fits(fixed, new)
        if not possible:
            if self.policy == "refuse":
                self.count["refused"] += 1
                return 105
            self.lose(new, "newest")
            return False
        for entry in reversed(same):
            self.lose(entry, "replaced")
        while not self.fits(self.queue, new):
            self.lose([e for e in self.queue if e is not self.lent][0], "oldest")
        self.queue.append(new)
        self.count["accepted"] += 1
        return True

    # -- the calls -----------------------------------------------------------------------------

    def put(self, topic, size, retain, qos, life, latest, kind):
        self.serial += 1
        msg = (b"%d " % self.serial).ljust(size, b"m")  # no two are the same
        ms = self.life if life is None else life
        ends = self.now // 1000 + -(-ms // 1000) + 1 if ms else 0
        new = Entry(topic, msg, retain, qos, ends)
        if new.size > self.max_bytes:
            with pytest.raises(ValueError, match="max_bytes"):
                self.box.put(kind(topic), kind(msg), retain, qos, life, latest)
            return
        wanted = self.accept(new, self.latest if latest is None else latest)
        try:
            got = self.box.put(kind(topic), kind(msg), retain, qos, life, latest)
        except OSError as error:
            got = error.args[0]
        assert got is wanted or got == wanted == 105

    def put_wrong(self, bad):
        topic, msg, qos, life = bad
        with pytest.raises(ValueError):
            self.box.put(topic, msg, False, qos, life)

    def first(self):
        self.lent = None
        self.expire()
        got = self.box.first()
        if not self.queue:
            assert got is None
            return
        self.lent = e = self.queue[0]
        assert got[1:] == (e.topic, e.msg, e.retain, e.qos)
        if e.number is None:
            assert got[0] not in self.numbers, "a number that was another message's"
            e.number = got[0]
            self.numbers.add(got[0])
        assert got[0] == e.number, "another number for the same message"

    def done(self):
        if self.lent:
            self.box.done(self.lent.number)
            self.queue.remove(self.lent)
            self.lent = None
            self.count["sent"] += 1

    def back(self):
        self.box.back()
        if self.lent:
            self.box.done(self.lent.number)
        self.lent = None

    def done_other(self, number):
        if not self.lent or number != self.lent.number:
            self.box.done(number)

    def tick(self, ms, given):
        self.now += ms
        self.expire()
        self.box.tick(room.ticks_ms() if given else None)

    def wait(self, ms):
        """Time passes and nobody tells. tick() is to come within 6 days: 100 such waits do."""
        self.now += ms

    def clear(self):
        self.box.clear()
        self.count["cleared"] += len(self.queue)
        self.queue = []
        self.lent = None

    def agree(self):
        assert self.told == self.expected
        used = sum(entry.size for entry in self.queue)
        assert len(self.box) == len(self.queue) <= self.max_count
        assert self.box.bytes == used <= self.max_bytes
        k = self.count
        assert self.box.stats() == {**k, "queued": len(self.queue), "bytes": used}
        gone = k["sent"] + k["oldest"] + k["replaced"] + k["expired"] + k["cleared"]
        assert k["accepted"] == gone + len(self.queue)


PUTS = st.tuples(
    st.just("put"),
    TOPICS,
    st.sampled_from((0, 1, 5, 9, 20, 40, 70, 130)),
    st.booleans(),
    st.integers(0, 2),
    st.one_of(st.none(), LIVES),
    st.sampled_from((None, None, False, True)),
    st.sampled_from((bytes, bytearray, memoryview)),
)
WRONG = st.tuples(
    st.just("put_wrong"),
    st.sampled_from(
        (("", b"x", 0, 0), ("a/#", b"x", 0, 0), ("a", b"x", 3, 0), ("a", b"x", 0, -1))
    ),
)
TICKS = st.tuples(
    st.just("tick"), st.sampled_from((1, 400, 999, 1000, 3000, 70_000, 6 * DAY)), st.booleans()
)
WAITS = st.tuples(st.just("wait"), st.sampled_from((1, 999, 2500, 60_000)))
FIRST = st.just(("first",))
BACK = st.just(("back",))
DONE = st.just(("done",))
OTHERS = st.one_of(
    WRONG, st.tuples(st.just("done_other"), st.integers(0, 20)), st.just(("clear",)), BACK
)
STEPS = st.lists(
    st.one_of(PUTS, PUTS, FIRST, TICKS, WAITS, DONE, OTHERS), min_size=20, max_size=60
)


@settings(
    max_examples=200,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.tuples(
        st.sampled_from((0, ticks.PERIOD - 1, ticks.PERIOD - 3000, ticks.PERIOD // 2)),
        st.integers(40, 160),
        st.sampled_from((1, 2, 3, 4, 9)),
        st.sampled_from(("oldest", "oldest", "newest", "refuse")),
        st.booleans(),
        LIVES,
    ),
    STEPS,
)
def test_any_calls(box, steps):
    before = room.ticks_ms
    try:
        model = Model(*box)
        for name, *args in steps:
            getattr(model, name)(*args)
            model.agree()
    finally:
        room.ticks_ms = before
