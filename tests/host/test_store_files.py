"""The journal on real file systems: littlefs and FAT with a power cut at each block that is
written, a file of the PC; what a message costs the flash; the shim that stands in for such files.
"""

import builtins
import sys
from pathlib import Path

import pytest
import shims
from shims import file

UNIT = Path(__file__).resolve().parent.parent / "unit"

# -- a file system whose power is cut ------------------------------------------------------------

# A block device that remembers what was written in which order, so that the device can be had as
# it was after each write. What the file said by then: see `known`.
CUTS = """
    import gc
    import os
    import sys
    import vfs
    from driver import OK, RESUMED, Driver, ack, publish
    from umqtt_plus.store import Store

    SIZE, COUNT = 512, 160
    TORN = {torn}

    class Device:
        def __init__(self, image):
            self.image = image
            self.log = []

        def readblocks(self, n, buf, off=0):
            at = n * SIZE + off
            buf[:] = memoryview(self.image)[at : at + len(buf)]

        def writeblocks(self, n, buf, off=0):
            self.put(n * SIZE + off, bytes(buf))

        def put(self, at, data):
            self.log.append((at, data))
            self.image[at : at + len(data)] = data

        def ioctl(self, op, arg):
            if op == 4:
                return COUNT
            if op == 5:
                return SIZE
            if op == 6:
                self.put(arg * SIZE, b"\\xff" * SIZE)
            return 0

    def made():
        d = Driver(handler=None, inflight=8, buffer_size=64)
        s = d.run(Store, d.client, "/ram/journal", 8000)
        s.max_bytes = {max_bytes}
        d.run(d.client.set_message, d._message)
        return d, s

    def state(d, s):
        t = d.client._tab
        out = [(t.ids[i], t.state[i] & 7 == 4) for i in range(t.slots) if t.state[i]]
        ids = sorted([p for p in t.ids_in.ids if p])
        return s.accepted, sorted(out), ids, s.number

    device = Device(bytearray(SIZE * COUNT))
    vfs.{fs}.mkfs(device)
    vfs.mount(vfs.{fs}(device), "/ram")
    device.log.clear()
    image = bytearray(device.image)
    d, s = made()
    known = [(0, True, None)]  # so many writes before; durable by then; state; None: no session

    def do(f, *args, flush=True, **options):
        f(*args, **options)
        known.append((len(device.log), flush, state(d, s) if s.established else None))

    do(d.connect, False)
    for n in range({rounds}):
        do(d.accept, b"t", b"one %d" % n, qos=1)
        p = d.client._tab.next_id - 1
        do(d.accept, b"t", b"two %d" % n, qos=2)
        do(d.feed, ack(0x50, p + 1))
        do(d.feed, publish(b"x", b"in", 2, 100 + n))
        do(d.feed, ack(0x40, p), flush=False)
        do(d.feed, ack(0x70, p + 1), flush=False)
        if n % 3:
            do(d.feed, ack(0x62, 100 + n))
    log = device.log
    s.close()
    log = log[: known[-1][0]]
    vfs.umount("/ram")
    print("writes", len(log), "flushes", s.flushes)
    bad = cuts = 0
    for k in range(len(log) + 1):
        images = [image]
        if k < len(log):
            at, data = log[k]
            if TORN and len(data) < SIZE:
                half = bytearray(image)
                half[at : at + len(data) // 2] = data[: len(data) // 2]
                images.append(half)
        last = [i for i in range(len(known)) if known[i][0] <= k and known[i][1]][-1]
        next = last
        while next + 1 < len(known) and known[next][0] <= k:
            next += 1
        wanted = [known[i][2] for i in range(last, next + 1)]
        for one in images:
            gc.collect()
            cuts += 1
            again = Device(bytearray(one))
            try:
                vfs.mount(vfs.{fs}(again), "/ram")
            except OSError as e:
                bad += 1
                print("cut", k, "cannot be mounted", e)
                continue
            d, s = made()
            got = state(d, s) if s.recovered == "session" else None
            if got not in wanted or s.recovered == "lost":
                bad += 1
                print("cut", k, s.recovered, got, wanted, os.listdir("/ram"))
            # and it goes on from there
            d.connect(False, RESUMED if got else OK)
            for p, rel in state(d, s)[1]:
                qos = d.client._tab.slab[p % 8 * 64] >> 1 & 3
                d.feed(ack(0x70 if rel else 0x30 + 16 * qos, p))
            d.accept(b"t", b"new", qos=1)
            n = s.accepted
            s.close()
            vfs.umount("/ram")
            vfs.mount(vfs.{fs}(again), "/ram")
            d, s = made()
            if (s.recovered, s.accepted) != ("session", n):
                bad += 1
                print("behind cut", k, s.recovered, s.accepted, n)
            s.close()
            vfs.umount("/ram")
            if bad > 5:
                raise SystemExit("too many")
        if k < len(log):
            image[at : at + len(data)] = data
    print("cuts", cuts, "bad", bad)
"""


@pytest.mark.parametrize("max_bytes", [8000, 150])
@pytest.mark.parametrize("fs", ["VfsLfs2", "VfsFat"])
def test_power_cut_at_each_block(micropython, fs, max_bytes):
    """What put() has returned for is there, whichever block was the last; with 150 bytes the file
    is written anew again and again. On FAT a block is written whole or not at all."""
    result = micropython.run(
        CUTS.format(fs=fs, max_bytes=max_bytes, torn=int(fs == "VfsLfs2"), rounds=7),
        path=[UNIT],
        heapsize="8m",
        timeout=120,
        mpy=True,
    )
    print(fs, max_bytes, result.stdout)
    assert result.stdout.splitlines()[-1].endswith(" bad 0")


# -- whose file it is ----------------------------------------------------------------------------


def test_a_token_in_the_url(micropython, tmp_path):
    """Another one each day: the session is the same, and no token gets into the flash."""
    result = micropython.run(
        """
        import sys
        from driver import OK, RESUMED, Driver
        from umqtt_plus.store import Store
        from umqtt_plus.ws import WebSocket

        for url in ("a/mqtt?token=A", "a/mqtt?token=B", "a/other?token=B"):
            d = Driver(handler=None)
            d.client.server = WebSocket("wss://" + url)
            s = d.run(Store, d.client, sys.argv[1])
            d.connect(False, RESUMED if s.recovered == "session" else OK)
            d.accept(b"t", b"x", qos=1)
            with open(sys.argv[1], "rb") as f:
                data = f.read()
            print(s.recovered, d.client._tab.used, b"@wss://a/" in data, b"token" in data)
            s.close()
        """,
        tmp_path / "journal",
        path=[UNIT],
    )
    assert result.stdout.splitlines() == [
        "new 1 True False",
        "session 2 True False",
        "lost 1 True False",
    ]


# -- what it costs -------------------------------------------------------------------------------

# littlefs as on an ESP32: blocks of 4096 bytes. It erases a block for almost every flush, and
# copies what is in the last one: that, and not the bytes of the record, is what wears the flash.
WEAR = """
    import os
    import vfs
    from driver import RESUMED, OK, Driver, ack, publish
    from umqtt_plus.store import Store

    SIZE, COUNT = 4096, 64
    topic = b"sensor/1"
    payload = b"0123456789abcdef"

    class Device:
        erased = programmed = 0

        def __init__(self):
            self.image = bytearray(SIZE * COUNT)

        def readblocks(self, n, buf, off=0):
            at = n * SIZE + off
            buf[:] = memoryview(self.image)[at : at + len(buf)]

        def writeblocks(self, n, buf, off=0):
            at = n * SIZE + off
            self.image[at : at + len(buf)] = buf
            self.programmed += len(buf)

        def ioctl(self, op, arg):
            if op == 6:
                self.erased += 1
            return COUNT if op == 4 else SIZE if op == 5 else 0

    def out(d, n, qos):
        p = d.accept(topic, payload, qos=qos)
        d.feed(ack(0x30 + 16 * qos, p))
        if qos == 2:
            d.feed(ack(0x70, p))

    def come(d, n, qos):
        p = n % 65535 + 1
        d.feed(publish(topic, payload, qos, p))
        if qos == 2:
            d.feed(ack(0x62, p))

    def now():
        return s.flushes, s.written, device.erased, device.programmed

    for name, verb in (("out", out), ("in", come)):
        for qos in (1, 2):
            for inbox_qos in (2,) if name == "out" else (1, 2, 3):
                device = Device()
                vfs.VfsLfs2.mkfs(device)
                vfs.mount(vfs.VfsLfs2(device), "/ram")
                d = Driver(handler=None, inflight=4, buffer_size=256)
                s = d.run(Store, d.client, "/ram/journal", inbox_qos=inbox_qos)
                d.run(d.client.set_message, d._message)
                d.connect(False)
                first = now()
                for n in range(10):
                    verb(d, n, qos)
                few = now()
                for n in range(10, {count}):
                    verb(d, n, qos)
                    d.got.clear()
                    d.done.clear()
                many = now()
                print(name, qos, inbox_qos, *[b - a for a, b in zip(first, few)], end=" ")
                print(*[b - a for a, b in zip(first, many)])
                assert os.stat("/ram/journal")[6] <= 16384
                s.close()
                vfs.umount("/ram")
"""


def test_wear(micropython):
    """What a message costs the flash: 16 bytes of payload, topic of 8, max_bytes as it is.

    First without, then with what writing the file anew adds."""
    count = 1000
    lines = micropython.run(
        WEAR.format(count=count), path=[UNIT], heapsize="4m", timeout=120, mpy=True
    ).stdout.splitlines()
    print(" " * 16, f"{'a message':>28} | {f'one of {count}':>28}")
    print("    QoS inbox_qos" + "  flushes  bytes erased  progr. |" * 2)
    found = {}
    for line in lines:
        name, qos, inbox_qos, *numbers = line.split()
        few = [int(n) / 10 for n in numbers[:4]]
        many = [int(n) / count for n in numbers[4:]]
        print(f"{name:>3} {qos:>3} {inbox_qos:>9}", end="")
        for row in (few, many):
            print("  {:7.3f} {:6.1f} {:6.2f} {:7.0f} |".format(*row), end="")
        print()
        found[name, int(qos), int(inbox_qos)] = tuple(few[:2])
        assert many[0] <= few[0] + 0.02 and many[1] <= few[1] + 1
    packet = 2 + 2 + 8 + 2 + 16
    body = packet - 2
    assert found == {
        ("out", 1, 2): (1, 9 + packet + 2 + 9),  # PUT, DEL
        ("out", 2, 2): (2, 9 + packet + 2 + 9 + 9),  # PUT, REL, DEL
        ("in", 1, 1): (1, 9 + body + 2 + 9),  # ADD, USED
        ("in", 2, 1): (2, 9 + body + 2 + 9 + 9),  # ADD, USED, END
        ("in", 1, 2): (0, 0),
        ("in", 2, 2): (2, 9 + body + 2 + 9 + 9),
        ("in", 1, 3): (0, 0),
        ("in", 2, 3): (2, 9 + 9),  # OWN, END
    }


# -- the shim ------------------------------------------------------------------------------------

# Runs on both, and must print the same. `open` is the real one there, the shim's here.
FILES = """
import os

PLACE = {place!r}
buf = bytearray(b"0123456789")


def error(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return "OSError", e.args[0]
    except Exception as e:
        return type(e).__name__


def content(name):
    f = open(PLACE + name, "rb")
    size = f.seek(0, 2)
    print(name, size, f.seek(0))
    data = bytearray(40)
    n = f.readinto(data)
    print(n, bytes(data[:n]))
    f.close()


print(error(open, PLACE + "none", "rb"), error(os.rename, PLACE + "none", PLACE + "x"))
print(error(os.remove, PLACE + "none"))
print(error(open, PLACE + "none/x", "wb"))
f = open(PLACE + "a", "wb")
print(f.write(buf), f.write(b"abc"), f.write(buf, 2), f.write(buf, 3, 4), f.write(buf, 9, 1))
print(f.write(b""), f.write(buf, 5, 0), f.write(memoryview(buf)[2:4]))
print(f.flush(), f.close(), f.close())
for verb in (lambda: f.write(buf), lambda: f.flush(), lambda: f.seek(0), lambda: f.readinto(buf)):
    print("closed", error(verb)[0] in ("OSError", "V"))
content("a")
f = open(PLACE + "a", "ab")
print(f.write(b"+++"), f.flush())
f.close()
content("a")
f = open(PLACE + "a", "rb")
print(f.seek(5), f.readinto(buf, 3), bytes(buf))
print(f.seek(-2, 2), f.readinto(buf), bytes(buf), f.readinto(buf))
print(f.seek(0, 1) == f.seek(0, 2), "no write", error(f.write, b"x")[0])
f.close()
f = open(PLACE + "b", "wb")
f.write(b"short")
f.close()
content("b")
old = open(PLACE + "a", "ab")
os.rename(PLACE + "b", PLACE + "a")  # over a file that is open
print(sorted(os.listdir(PLACE)))
old.write(b"lost")
old.close()
content("a")
f = open(PLACE + "a", "wb")  # truncates
f.close()
content("a")
for name in ("__len__", "getvalue", "truncate"):
    print(name, hasattr(f, name))
"""


def test_shim(micropython, tmp_path, capsys):
    """tests/shims/file.py answers as MicroPython's files do."""
    place = []
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
        place.append(str(tmp_path / name) + "/")
    wanted = micropython.run(FILES.format(place=place[0])).stdout
    assert "truncate False" in wanted
    names = dict(vars(builtins), __import__=shims._import, open=file.open)
    capsys.readouterr()
    exec(compile(FILES.format(place=place[1]), "script", "exec"), {"__builtins__": names})
    assert capsys.readouterr().out.replace(place[1], place[0]) == wanted


STORE = """
import sys

sys.path.append({unit!r})
from driver import OK, RESUMED, Driver, ack, publish
from umqtt_plus.store import Store

PATH = {place!r} + "journal"
for boot in range(3):
    d = Driver(handler=None, inflight=8, buffer_size=64)
    s = d.run(Store, d.client, PATH)
    d.run(d.client.set_message, d._message)
    print(s.recovered, s.number, s.accepted, d.tables, d.got)
    d.connect(False, RESUMED if boot else OK)
    print(d.out())
    d.accept(b"t", b"one", qos=1)
    p = d.accept(b"t", b"two", qos=2)
    d.feed(ack(0x50, p) + publish(b"x", b"in", 2, 9 + boot) + publish(b"x", b"in", 1, 7))
    print(d.out(), d.got, s.flushes, s.written)
    if boot == 1:
        d.run(s.compact)
    s.close()
    f = open(PATH, "rb")
    data = bytearray(1000)
    n = f.readinto(data)
    f.close()
    print(bytes(data[:n]))
"""


def test_same_file_on_both(micropython, tmp_path, capsys):
    """A store writes the same bytes on MicroPython and on CPython, and finds them again."""
    place = []
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
        place.append(str(tmp_path / name) + "/")
    wanted = micropython.run(STORE.format(place=place[0], unit=str(UNIT))).stdout
    assert wanted.count("session") == 2
    names = dict(vars(builtins), open=file.open)
    capsys.readouterr()
    path = list(sys.path)
    try:
        source = STORE.format(place=place[1], unit=str(UNIT))
        exec(compile(source, "script", "exec"), {"__builtins__": names})
    finally:
        sys.path[:] = path
    assert capsys.readouterr().out == wanted
    assert (tmp_path / "here/journal").read_bytes() == (tmp_path / "there/journal").read_bytes()


def test_no_file_object_is_left_open(tmp_path):
    """The shim closes what is forgotten, as MicroPython's collector does."""
    f = file.open(str(tmp_path / "x"), "wb")
    fd = f._fd
    del f
    with pytest.raises(OSError):
        file.os.fstat(fd)
