"""Fuzz target: the file of a durable session, damaged in any way, and the store that reads it.

Input: what kind of damage (1 byte), how many steps of a history follow (1), the steps, then what
the damage is. The history is lived by a real client with a store, in a flash of RAM, so the file
is one that the writer writes. What comes of the damaged file must be a state that was true at some
time (where it is cut off: the last whole record's), or nothing at all, or ValueError, which says
that the tables are too small and leaves the file alone. Then the client connects and works.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit"))

import records  # noqa: E402
from driver import OK, RESUMED, ack, parse, publish  # noqa: E402
from flash import NAME, Board, Flash  # noqa: E402

from umqtt_plus.errors import MQTTException  # noqa: E402

MEMORY = 400_000  # bytes; most of it are the boards of the test
MAX_LEN = 300
SIZE, SLOTS = 80, 4
MOST = 40  # steps of a history
WHO = b"c@server:1883"
MARK = (records.MARK, 0, 0, 0, b"\4\1\0\1" + bytes(8) + WHO)
TOKENS = (
    b"\x10\x51\x40",  # QoS 1: accept and PUBACK
    b"\x20\x22\x52\x72",
    b"\x60\x61\x80\x81",
    *(
        records.record(*record)[0]
        for record in (
            MARK,
            (records.PUT, 0, 0, 1, b"\x32\x06\0\1t\0\1x"),
            (records.DEL, 0, 0, 1, b""),
        )
    ),
)
(
    BYTES,  # the file is the rest of the input
    RECORDS,  # ... are records, each with a good CRC
    CUT,
    FLIP,
    INSERT,
    REMOVE,
    OVERWRITE,
    MOVE,  # records dropped, doubled, swapped
    FOREIGN,  # a record of another epoch
    OTHER,  # a mark of another client or format, or of no session
    SMALLER,  # another client's tables
    RENAMED,  # power was cut between two renames
) = range(12)


def seeds():
    """Each damage to a history with each kind of step."""
    steps = bytes((0x10, 0x20, 0x21, 0x51, 0x52, 0x60, 0x61, 0x62, 0x72, 0x81, 0x90, 0x10, 0xB0))
    more = bytes((0x20, 0x20, 0x52, 0xC0, 0x60, 0x60, 0x81, 0xD0, 0x10, 0x40))
    found = []
    for kind in range(12):
        for history in (steps, steps + more, b""):
            found.append(bytes((kind, len(history))) + history + bytes((0, 77, 5, 200, 9)))
    file = records.join((MARK, *LIFE))
    found += [bytes((BYTES, 0)) + file[: len(file) * i // 9] for i in range(10)]
    found += [bytes((RECORDS, 0, 0)) + bytes(range(i, i + 40)) for i in range(0, 200, 7)]
    return found


LIFE = (
    (records.PUT, 0, 0, 1, b"\x32\x06\0\1t\0\1x"),
    (records.PUT, 0, 0, 2, b"\x34\x06\0\1t\0\2x"),
    (records.REL, 0, 0, 2, b""),
    (records.ADD, 0, 0x34, 9, b"\0\1t\0\x09x"),
    (records.DEL, 0, 0, 1, b""),
    (records.USED, 0, 0, 9, b""),
    (records.ADD, 0, 0x34, 10, b"\0\1t\0\x0ax"),
    (records.UNDO, 0, 0, 10, b""),
    (records.END, 0, 0, 9, b""),
)


def fails(board):
    raise KeyError("the handler")


def leaves(board):
    board.client.disconnect()


def lazy(board, packet_id):
    """Whether an id is done with, and the file may not know it: no server answers once more."""
    known = [p for p, _ in board.durable.out]
    return packet_id in known and packet_id not in [p for p, _ in board.ram[0]]


def live(board, steps):
    """A history: each byte is a step."""
    for step in steps:
        what, n = step >> 4, step & 15
        if board.closed and what != 13:
            board.connect(False, RESUMED)
        try:
            if what < 4:
                board.accept(b"t", b"%d" % n * (2 * n + 2), qos=1 + (what > 1))
            elif what < 6 and not lazy(board, n):
                board.feed(ack(0x50 if what == 5 else 0x40, n))
            elif what < 8:
                board.then = (None, fails, leaves, None)[n >> 2]
                # one id is of one QoS
                board.feed(publish(b"x", b"in%d" % n, 2 - (n & 1), 8 + n, 8 * (n & 2) >> 1))
            elif what == 8 and (8 + n in content(board)[1] or 8 + n not in board.durable.rx):
                # not before PUBREC, which is what no server does
                board.feed(ack(0x62, 8 + n))
            elif what == 9:
                board.feed(ack(0x70, n))
            elif what == 10:
                board.run(board.store.compact)
            elif what == 11:
                board.lose()
            elif what == 12:
                board.run(board.client.disconnect)
            elif what == 13:
                board = again(board, 0 if n & 1 else 1 << 20)
                board.connect(False, RESUMED)
            elif what == 14:
                board.connect(n > 7, OK)
                if n > 7:
                    board.connect(False, OK)
            else:
                board.client._tab.next_id = 65535 - n
        except (MQTTException, KeyError):
            pass
        except OSError as error:
            assert error.args[0] == 107 and board.closed, error  # the handler has closed it
        board.then = None
    return board


def again(board, keep=1 << 20, handler=True):
    """Power is cut, and comes again. keep: bytes that were not flushed and are there all the
    same."""
    return board.reboot(keep, handler=handler)


def run(data):
    """One input."""
    if len(data) < 3:
        return
    kind = data[0] % 12
    if kind in (BYTES, RECORDS):
        flash = Flash()
        file = data[2:] if kind == BYTES else crafted(data[2:])
        flash.put(file)
        damaged(flash, file, None, data[1])
        return
    board = Board(store={"inbox_qos": 1 + (data[0] >> 7)}, inflight=SLOTS, buffer_size=SIZE)
    board.connect(False, OK)
    board = live(board, data[2 : 2 + data[1] % (MOST + 1)])
    file = board.flash.get()
    history = records.states(file)
    assert history[-1][1].content == content(board), (history[-1][1].content, content(board))
    flash = Flash(fat=bool(data[0] & 0x40))
    damage = data[2 + data[1] % (MOST + 1) :]
    damage = (damage + bytes(6)) if len(damage) < 6 else damage
    if kind == SMALLER:
        smaller(flash, file, history, damage)
    elif kind == RENAMED:
        flash.put(file, NAME + ".new")
        if damage[0] & 1:
            flash.put(file)
            flash.put(damage[1:], NAME + ".new")
        damaged(flash, file, history, damage[1], [history[-1][1]])
    else:
        broken, expected = apply_damage(kind, file, history, damage)
        flash.put(broken)
        damaged(flash, broken, history, damage[1], expected)


def content(board):
    """What the client knows, as State.content says it."""
    out, ids, items = board.ram
    return [tuple(x) for x in out], ids, items


def crafted(data):
    """Records of five bytes each: kind, flags, id, length of the body, what it is made of."""
    kinds = (1, 2, 3, 4, 16, 17, 18, 19, 20, 0, 5, 21, 64, 255)
    parts = [] if data[0] & 1 else [MARK]
    for i in range(1, len(data) - 4, 5):
        kind, flags, packet_id, n, what = data[i : i + 5]
        kind = kinds[kind % len(kinds)]
        if what & 1:
            body = bytes((what,)) * (n % 80)
        else:
            body = b"\0\1t" + packet_id.to_bytes(2, "big") + bytes((what,)) * (n % 20)
            if kind == records.PUT:
                body = bytes((0x34 if what & 2 else 0x32, len(body))) + body
            elif kind != records.ADD:
                body = b""
        parts.append((kind, what >> 7, flags, packet_id, body))
    return records.join(parts)


def apply_damage(kind, file, history, d):
    """(the damaged file, the states that may come of it; None stands for nothing at all)"""
    ends = [end for end, _ in history]
    at = (d[0] << 8 | d[1]) % (len(file) + 1)
    whole = [state for end, state in history]
    if kind == CUT:
        kept = [state for end, state in history if end <= at]
        return file[:at], [kept[-1] if kept else None]
    which = d[2] % len(ends)
    start = ends[which - 1] if which else 0
    one = file[start : ends[which]]
    if kind == FLIP:
        broken = bytearray(file)
        bits = {(d[i] << 8 | d[i + 1]) % (8 * len(one)) for i in range(3, min(len(d) - 1, 6))}
        for bit in bits:
            broken[start + (bit >> 3)] ^= 128 >> (bit & 7)
        # up to three wrong bits in what a CRC covers are always seen
        return bytes(broken), [None]
    if kind == INSERT:
        return file[:at] + d[2:] + file[at:], [None, *whole]
    if kind == REMOVE:
        return file[:at] + file[at + d[2] + 1 :], [None, *whole]
    if kind == OVERWRITE:
        return file[:at] + d[2:] + file[at + len(d) - 2 :], [None, *whole]
    parts = [part for _, part in records.split(file)[0]]
    if kind == MOVE:
        pieces = [file[i:j] for i, j in zip([0, *ends], ends, strict=False)]
        other = d[4] % len(ends)
        if d[3] % 3 == 0:
            del pieces[which]
        elif d[3] % 3 == 1:
            pieces.insert(other, one)
        else:
            pieces[which], pieces[other] = pieces[other], pieces[which]
        return b"".join(pieces), [None, *whole]
    if kind == FOREIGN:
        kind, epoch, flags, packet_id, body = parts[which]
        place = d[4] % len(ends) + 1
        parts.insert(place, (kind, epoch + 1 + d[3] % 255 & 255, flags, packet_id, body))
        return records.join(parts), [None]
    body = parts[0][4]
    if d[3] & 3 == 0:
        body = bytes((d[4],)) + body[1:]
    elif d[3] & 3 == 1:
        body = body[:-1] + bytes((d[4],))
    elif d[3] & 3 == 2:
        body = body[: d[4] % (len(body) + 1)]
    else:
        body = body[:1] + b"\0" + body[2:]
    good = body == parts[0][4]
    parts[0] = (*parts[0][:4], body)
    file = records.join(parts if d[3] & 3 < 3 else parts[:1])
    return file, [whole[-1] if good and d[3] & 3 < 3 else None]


ANY = None  # what comes of it is not said


def smaller(flash, file, history, d):
    """A client with other tables: all of it fits, or ValueError and the file as it was."""
    flash.put(file)
    options = {"inflight": d[0] % 6 + 1, "buffer_size": (64, 80, 200)[d[1] % 3]}
    try:
        board = Board(flash, handler=False, **options)
    except ValueError:
        # all that the file holds counts, what is done with, too
        longest = max(len(x or b"") for _, s in history for x in s.out.values())
        assert options["inflight"] != SLOTS or longest > options["buffer_size"], "it fits"
        assert flash.get() == file, "refused, and changed"
        board = Board(flash, handler=False, inflight=SLOTS, buffer_size=SIZE)
    assert content(board) == history[-1][1].content, (content(board), history[-1][1].content)


def damaged(flash, file, history, n, expected=ANY):
    """Recover from what is in flash, and go on from there."""
    try:
        board = Board(flash, handler=False, inflight=SLOTS, buffer_size=SIZE)
    except ValueError as error:
        # the records that the target makes up may ask for more than there is room for
        assert expected is ANY and ("smaller" in str(error) or "outbox" in str(error)), error
        return
    store, t = board.store, board.client._tab
    assert store.recovered in ("new", "lost", "session"), store.recovered
    assert store.established == (store.recovered == "session") == board.client._ours
    assert 1 <= t.next_id <= 65535, t.next_id
    assert t.used == sum(1 for s in t.state if s) and not t.todo, (t.used, t.todo)
    assert all(t.ids[i] % SLOTS == i for i in range(SLOTS) if t.state[i])
    found = content(board)
    if store.recovered != "session":
        assert not found[0] and not found[1], found
    if store.recovered == "lost":
        assert not found[2], found
    if expected is not ANY:
        wanted = [State.content if State and State.established else NOTHING for State in expected]
        seen = found if store.recovered == "session" else NOTHING
        assert seen in wanted, (store.recovered, found, wanted)
    work(board, found, n)


NOTHING = ([], [], [])


def work(board, found, n):
    """The store is read a second time with the same result, connects, sends, receives."""
    established = board.store.established
    board = again(board)
    assert board.store.established == established
    assert board.numbers == [item[0] for item in found[2]], (board.numbers, found[2])
    out, ids, items = content(board)
    assert (out, ids) == found[:2] and not items, (out, ids, items, found)
    if not established:
        # a session of somebody else is cleaned away first
        answers = (RESUMED, OK, OK) if n & 1 else OK
        board.connect(False, answers)
        assert board.store.established
        board.out()
    else:
        board.connect(False, RESUMED if n & 1 else OK)
        sent = [(first, body) for first, body in parse(board.out()) if first != 0x10]
        want = [(0x62, p.to_bytes(2, "big")) for p, packet in out if packet is None]
        want += [(x[0] | 8, x[2:]) for p, x in out if x is not None]
        if all(x is None or x[1] < 128 and len(x) == x[1] + 2 for p, x in out):
            assert sent == want, (sent, want)
    t = board.client._tab
    if t.used == SLOTS:
        return
    p = board.accept(b"t", b"new", qos=2)
    assert p and p not in [x[0] for x in out]
    board.feed(ack(0x50, p))
    board.feed(ack(0x70, p))
    fresh = 20000 + n
    count = len(board.got)
    board.feed(publish(b"x", b"next", 2, fresh))
    board.feed(publish(b"x", b"next", 2, fresh, 8))
    assert len(board.got) == count + 1, board.got
    last = content(again(board))
    kept = out if established else []
    assert last[0] == kept, (last, kept)
    assert fresh in last[1] and not last[2], last
