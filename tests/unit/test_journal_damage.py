"""A journal file that is damaged, cut off or somebody else's: what is believed of it."""

import sys

from driver import OK, RESUMED, parse
from flash import (
    ADD,
    DEL,
    END,
    MARK,
    NAME,
    OWN,
    PUT,
    REL,
    UNDO,
    USED,
    WHO,
    Board,
    Flash,
    encode,
    mark,
    read_journal,
    record,
)
from store_world import boot, down, off, saved
from util import each, raises, same


def test_each_kind_of_content():
    """rich() has all there is, and all of it comes back."""
    data = saved()
    now = read_journal(data)
    same(sorted(set(now.kinds)), [MARK, PUT, REL, DEL, ADD, OWN, USED, UNDO, END])
    same([x[0] for x in now.out], [1, 6, 3, 2])
    same((sorted(now.rx), len(now.items)), ([11, 12, 300], 1))
    b = boot(data, handler=False, inflight=8)
    same(b.store.recovered, "session")
    same(b.ram, now.state)
    assert b.flash.get() == data
    b.compact()
    same(read_journal(b.flash.get()).state, now.state)
    b = b.reboot(handler=False)
    same(b.ram, now.state)


def test_cut_off_at_each_byte():
    """What was whole counts. The next record goes where it can be read."""
    data = saved()

    def check(n):
        b = boot(data[:n], handler=False, inflight=8)
        now = read_journal(data[:n])
        same(b.store.recovered, "session" if now.established else "new")
        same(b.ram, now.state)
        same(b.file.state, now.state)
        same(b.file.established, now.established)
        same(list(b.flash.files), [NAME])
        p = b.client._tab.next_id
        assert p, "packet id 0"
        same(p, now.next_id or 1)
        if now.established:
            b.up(RESUMED)
            if len(now.out) < 8:
                same(b.accept(b"t", b"new", qos=1) > 0, True)
                same(b.file.out[-1][1][-3:], b"new")

    each([(n,) for n in range(len(data) + 1)], check)


def lost(b):
    """The file was not believed: it is a new one by now, and nothing of the old one is known."""
    same(b.store.recovered, "lost")
    same(b.ram, ([], [], []))
    same((b.got, b.numbers), ([], []))
    same(b.file.kinds, [MARK])
    same(b.file.established, 0)
    same(b.durable.who, WHO)


def cleaned(b):
    """A server that still has the session: three steps, and nothing old is sent."""
    b.connect(False, (RESUMED, OK, OK))
    same(b.links, 3)
    same(b.durable.established, 1)
    same([first for first, _ in parse(b.out())], [0x10])
    same(b.accept(b"t", b"new", qos=2) > 0, True)
    same(parse(b.out())[0][1][5:], b"new")
    b = b.reboot()
    same((b.store.recovered, b.tables), ("session", (1, 0)))


def test_each_bit_flipped():
    data = saved()
    marks = []
    at = 0
    while at < len(data):
        marks.append(at)
        n = data[at + 5] << 8 | data[at + 6]
        at += 9 + (n + 2 if n else 0)

    def check(i, x):
        wrong = bytearray(data)
        if wrong[i] == x:
            return
        wrong[i] = x
        b = boot(wrong, inflight=8)
        lost(b)
        if i in marks and wrong[i] == data[i] ^ 1:
            cleaned(b)

    table = []
    for i in range(len(data)):
        bits = range(8) if sys.implementation.name == "cpython" else ((i + i // 8) % 8,)
        table += [(i, data[i] ^ 1 << k) for k in bits]
        table += [(i, (0, 255, data[i] ^ 0x55)[i % 3])]
    each(table, check)


def test_other_files():
    """Not ours: of another client, server, port, format; garbage; records that make no sense."""
    data = saved()
    all = read_journal(data).records
    rest = all[1:]
    one = record(PUT, 1, b"\x32\x05\0\1t\0\1")
    hot = record(ADD, 9, b"\0\1x\0\x09", 0x34)
    ours = encode(mark())
    table = (
        (mark(who=b"d@server:1883") + rest, "lost"),
        (mark(who=b"c@servant:1883") + rest, "lost"),
        (mark(who=b"c@server:8883") + rest, "lost"),
        (mark(who=b"") + rest, "lost"),
        (mark(form=5) + rest, "lost"),
        (mark(form=0) + rest, "lost"),
        (rest, "lost"),  # no mark
        (one, "lost"),
        (hot, "lost"),
        (record(MARK), "lost"),  # no body
        (mark() + all, "lost"),  # two marks
        (all + mark(), "lost"),
        (mark() + record(5, 1), "lost"),
        (mark() + record(0, 1), "lost"),
        (mark() + record(31, 1), "lost"),
        (mark() + record(DEL, 0), "lost"),  # no id
        (mark() + record(PUT, 1), "lost"),  # no packet
        (mark() + record(USED, 1), "lost"),  # of nothing
        (mark() + record(UNDO, 1), "lost"),
        (mark(epoch=1) + rest, "lost"),
        (all + record(OWN, 77, epoch=1), "lost"),
        (data + data, "lost"),
        (ours + data, "lost"),
        (ours + encode(one), "lost"),  # whole, but not written behind this mark
        (bytes(100), "lost"),
        (b"\xff" * 100, "lost"),
        (b"Hello, this is a text and not a journal.\n", "lost"),
        (data[1:], "lost"),
        (data + bytes(9), "lost"),
        (data + b"\xff" * 9, "lost"),
        (b"", "new"),
        (b"\xff", "new"),
        (mark(0), "new"),
        (mark(), "session"),
        (all, "session"),
    )

    def check(data, wanted):
        b = boot(data, inflight=8)
        same(b.store.recovered, wanted)
        if wanted == "lost":
            lost(b)
            cleaned(b)
        else:
            same(b.file.who, WHO)
            b.up(RESUMED if wanted == "session" else OK)
            n = b.tables[0]
            b.accept(b"t", b"1", qos=1)
            b = b.reboot()
            same((b.store.recovered, b.tables[0]), ("session", n + 1))

    each(table, check)


def test_records_out_of_place():
    """Each is whole, and all are of this session; one is missing, twice there, or elsewhere."""
    data = saved()
    ends = [0]
    while ends[-1] < len(data):
        at = ends[-1]
        n = data[at + 5] << 8 | data[at + 6]
        ends.append(at + 9 + (n + 2 if n else 0))
    parts = [data[ends[i] : ends[i + 1]] for i in range(len(ends) - 1)]

    def check(i, what):
        now = parts[:]
        one = now.pop(i)
        if what == 1:
            now.insert(i, one + one)
        elif what == 2:
            now.insert(i + 1, one)
            if i + 1 == len(parts):
                return
        if what == 0 and i == len(parts) - 1:
            return  # cut off
        lost(boot(b"".join(now), inflight=8))

    each([(i, what) for i in range(len(parts)) for what in (0, 1, 2)], check)


def test_ids_begin_at_one():
    """A file that was lost leaves no packet id 0 behind (MQTT-2.3.1-1)."""

    def check(data):
        b = boot(data)
        b.up()
        same(b.accept(b"t", b"", qos=1), 1)

    each(
        (
            (record(MARK),),
            (record(ADD, 9, b"\0\0\0\0", 0x34),),
            (b"",),
            (bytes(50),),
        ),
        check,
    )


def test_an_empty_file_gets_a_mark():
    """Power was cut before the first byte. What comes next must be found again."""
    b = boot(b"")
    b.connect(True)
    b.then = off
    down(b, 9, b"first")
    b = boot(b.saved)
    same((b.store.recovered, b.numbers), ("new", [1]))


def test_swapped_files():
    """Two clients, and each finds the other's file."""
    flash = Flash()
    names = ("a", "b")
    for name in names:
        b = Board(flash, name=name, client_id=name).up()
        b.accept(b"t", name.encode(), qos=2)
    flash.files["a"], flash.files["b"] = flash.files["b"], flash.files["a"]
    for name in names:
        b = Board(flash, name=name, client_id=name)
        same((b.store.recovered, b.tables), ("lost", (0, 0)))
        b.connect(False, (RESUMED, OK, OK))
        same([first for first, _ in parse(b.out())], [0x10])


def test_the_new_file_that_was_left():
    """Without the old one it is the file: FAT was between removing and renaming. Else it goes."""
    data = saved()
    table = (
        (None, data, "session"),
        (None, data[:-1], "session"),
        (None, encode(mark(0)), "new"),
        (None, data[:20], "new"),
        (None, b"", "new"),
        (None, b"garbage!!", "lost"),
        (data, encode(mark(0)), "session"),
        (data, data[:50], "session"),
        (data, b"", "session"),
        (encode(mark(0)), data, "new"),
        (b"garbage!!", data, "lost"),
    )

    def check(old, new, wanted):
        flash = Flash()
        if old is not None:
            flash.put(old)
        flash.put(new, NAME + ".new")
        b = Board(flash, handler=False, inflight=8)
        same(b.store.recovered, wanted)
        same(list(flash.files), [NAME])
        if wanted == "session":
            same(b.ram, read_journal(data[:-1] if new == data[:-1] else data).state)
        b.up(RESUMED if wanted == "session" else OK)
        assert b.durable.established

    each(table, check)


def test_tables_that_are_too_small():
    """ValueError says so, and the file is as it was; larger ones are fine."""
    data = saved()
    most = max([len(x[1]) for x in read_journal(data).out if x[1]])
    long = encode(mark() + record(PUT, 1, b"\x32\x64\0\1t\0\1" + bytes(95)))

    def check(data, inflight, buffer_size, fits):
        flash = Flash()
        flash.put(data)
        flash.put(b"", NAME + ".new")
        if fits:
            b = Board(flash, handler=False, inflight=inflight, buffer_size=buffer_size)
            same(b.ram, read_journal(data).state)
            return
        with raises(ValueError) as caught:
            Board(flash, handler=False, inflight=inflight, buffer_size=buffer_size)
        text = str(caught.error)
        assert "inflight" in text and "buffer_size" in text and NAME in text, text
        assert flash.get() == data
        b = Board(flash, handler=False, inflight=8, buffer_size=128)
        same((b.store.recovered, b.ram), ("session", read_journal(data).state))

    assert most < 64
    table = [(data, n, 64, False) for n in (1, 2, 3)]
    table += [(data, n, 64, True) for n in (8, 9, 100)]
    table += [(data, 8, n, True) for n in (64, 65, 500)]
    table += [(long, 8, 64, False), (long, 8, 101, False), (long, 8, 102, True)]
    add = record(ADD, 9, b"\0\1x" + bytes(200), 0x34)
    table += [(encode(mark() + add), 8, 64, False)]
    each(table, check)


def test_a_long_name():
    """What the mark needs is checked when the store is made, not after the first power cut."""
    b = Board(client_id="c" * 60)
    same(b.reboot().store.recovered, "new")
    try:
        b = Board(client_id="c" * 125)
    except ValueError:
        return
    same(b.up().reboot().store.recovered, "session")
