"""Files onto a board, all of them or none.

What is new goes to deploy/ there, under numbers, and its digests are compared. Then deploy.todo
is written: from that moment the new files count, and boards/common/boot.py gives them their names;
at once, or after a power cut, when the board starts.
"""

import hashlib

from board.chips import BOARDS
from board.problem import Bar, Problem
from board.target import BoardError

STAGE = "deploy"
TODO = "deploy.todo"
SPARE_BLOCKS = 6  # for directories, and what the file system needs to rename
_ENOSPC = 28
_DIGESTS = """\
import hashlib
from binascii import hexlify
b = bytearray(512)
m = memoryview(b)
for p in {paths!r}:
    h = hashlib.sha256()
    try:
        with open(p, "rb") as f:
            while True:
                n = f.readinto(b)
                if not n:
                    break
                h.update(m[:n])
        print(p, hexlify(h.digest()).decode())
    except OSError:
        print(p, "-")
"""
_CLEAR = """\
import os
try:
    for p in os.listdir({stage!r}):
        os.remove({stage!r} + "/" + p)
    os.rmdir({stage!r})
except OSError as e:
    if e.errno != 2:
        raise
try:
    os.remove({todo!r})
except OSError:
    pass
"""
_LIST = """\
import os
try:
    print([(x[0], x[1]) for x in os.ilistdir({path!r})])
except OSError:
    print([])
"""
_CONTENT = """\
try:
    with open({path!r}, "rb") as f:
        print(f.read())
except OSError:
    print(b"")
"""
_PROGRAMS = """\
for p in {paths!r}:
    with open(p, "rb") as f:
        for x in f:
            x = x.strip()
            if x and x[:1] != b"#":
                print(p)
                break
"""


def digest(data):
    return hashlib.sha256(data).hexdigest()


def finisher():
    """boot.py as text: running it finishes what was begun."""
    return (BOARDS / "common" / "boot.py").read_text()


class Files:
    """The files of a target."""

    def __init__(self, target):
        self.target = target

    def digests(self, paths):
        """{path: digest, or "-" for a file that is not there}."""
        found = {}
        for at in range(0, len(paths), 16):
            text = self.target.run(_DIGESTS.format(paths=paths[at : at + 16]))
            found.update(line.rsplit(" ", 1) for line in text.splitlines())
        return found

    def names(self, path):
        """[(name, kind)] in a directory; nothing when there is none."""
        return self.target.value(_LIST.format(path=path))

    def content(self, path):
        """Of a small file; nothing when there is none."""
        return self.target.value(_CONTENT.format(path=path))

    def programs(self, paths):
        """Of these files those that hold more than comments."""
        return self.target.run(_PROGRAMS.format(paths=paths)).splitlines() if paths else []

    def finish(self):
        """What an earlier one began; then nothing is left of it."""
        try:
            self.target.run(finisher())
            if not all(name.isdigit() for name, _ in self.names(STAGE)):
                raise Problem(
                    f"{STAGE}/ on the board holds other files, which would be deleted: rename it"
                )
            self._clear()
        except BoardError as error:
            raise Problem(f"an earlier deploy cannot be finished: {error}") from None

    def changes(self, wanted):
        """Of {path: bytes} what differs on the board."""
        there = self.digests(list(wanted))
        return {path: data for path, data in wanted.items() if there[path] != digest(data)}

    def install(self, changed, removed=(), facts=None):
        """Copy, compare, rename. Until the renames every old file is as it was."""
        if not changed and not removed:
            return
        if facts:
            enough(changed, facts)
        bar = Bar("copying", sum(map(len, changed.values())))
        try:
            self._stage(changed, removed, bar.add)
        except BoardError as error:
            self._drop()
            if error.errno == _ENOSPC:
                raise Problem(f"no space is left on the board. {_MAKE_ROOM}") from None
            raise
        finally:
            bar.close()
        try:
            self.target.run(finisher(), timeout=60)
        except Problem as problem:
            raise Problem(f"{problem}. The new files are all there: a reset finishes it") from None
        bad = self.changes(changed)
        if bad:
            raise Problem(f"not as they should be on the board: {', '.join(bad)}. Deploy again")

    def _stage(self, changed, removed, advanced):
        self.target.run(f"import os\nos.mkdir({STAGE!r})")
        lines = []
        for number, (path, data) in enumerate(changed.items()):
            self.target.write(f"{STAGE}/{number}", data, advanced)
            lines.append(f"{number} {path}")
        staged = self.digests([f"{STAGE}/{number}" for number in range(len(changed))])
        for number, (path, data) in enumerate(changed.items()):
            if staged[f"{STAGE}/{number}"] != digest(data):
                self._drop()
                raise Problem(f"{path} was damaged on its way; nothing was changed. Deploy again")
        for directory in directories(changed):
            self.target.run(
                f"try:\n    os.mkdir({directory!r})\n"
                "except OSError as e:\n    if e.errno != 17: raise"
            )
        lines += [f"- {path}" for path in removed]
        self.target.write(TODO, "\n".join([*lines, "end"]).encode())

    def _drop(self):
        if self.target.alive:
            self._clear()

    def _clear(self):
        self.target.run(_CLEAR.format(stage=STAGE, todo=TODO))


def directories(paths):
    """That they need, parents first."""
    found = set()
    for path in paths:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[: n + 1]) for n in range(len(parts)))
    return sorted(found)


_MAKE_ROOM = (
    "Make room (mpremote ls :, mpremote rm :FILE), or freeze umqtt_plus into the firmware "
    "(boards/README.md). Nothing was changed"
)


def enough(changed, facts):
    """Problem when the copies cannot all be there beside the old files."""
    blocks = sum(-(-len(data) // facts.block) for data in changed.values()) + SPARE_BLOCKS
    if blocks * facts.block > facts.free:
        raise Problem(
            f"{blocks * facts.block // 1024} KB are needed on the board, and "
            f"{facts.free // 1024} KB are free. {_MAKE_ROOM}"
        )
