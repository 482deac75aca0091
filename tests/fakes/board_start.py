"""What runs before boot.py on a board that tests/host/serial_board.py makes of the unix port.

    micropython -i board_start.py '{"tests": ..., "disk": ..., "blocks": ..., ...}'

Its only file system is a littlefs in one file, as on a chip's flash: it can be full, and a write
that was not made is not there. machine, network and what sys says are fakes. With "cut": n the
power is gone at the n-th write to flash.
"""

import builtins
import json
import os
import sys
from collections import namedtuple

import vfs

BLOCK = 4096
given = json.loads(sys.argv[1])
sys.path[:] = ["", ".frozen", "/lib"]


class Flash:
    """A block device, as littlefs wants it, in a file. Unbuffered."""

    def __init__(self, path, blocks, cut):
        self.blocks = blocks
        self.cut = cut
        self.file = open(path, "r+b")

    def readblocks(self, number, buf, offset=0):
        self.file.seek(number * BLOCK + offset)
        self.file.readinto(buf)

    def writeblocks(self, number, buf, offset=None):
        if self.cut:
            self.cut -= 1
            if not self.cut:
                os.system("kill -9 $PPID")
        self.file.seek(number * BLOCK + (offset or 0))
        self.file.write(buf)

    def ioctl(self, what, argument):
        if what == 4:
            return self.blocks
        if what == 5:
            return BLOCK
        return 0


def implementation():
    kind = namedtuple("implementation", ("name", "version", "_machine", "_mpy"))
    return kind("micropython", tuple(given["version"]), given["machine"], given["mpy"])


def freeze(source):
    """Modules of this directory count as frozen: .frozen stands for it."""
    original = builtins.__import__

    def take(name, *more):
        old = sys.path[:]
        sys.path[:] = [source if place == ".frozen" else place for place in old]
        try:
            return original(name, *more)
        finally:
            sys.path[:] = old

    builtins.__import__ = take


def start():
    sys.path.insert(0, given["tests"])
    import fakes.board

    world = fakes.board.Board(given["chip"])
    sys.path.pop(0)
    for name in [name for name in sys.modules if name.startswith("fakes")]:
        del sys.modules[name]
    sys.modules["sys"].implementation = implementation()
    flash = Flash(given["disk"], given["blocks"], given["cut"])
    frozen = given["frozen"]
    if frozen:
        other = vfs.VfsPosix(frozen)
    vfs.umount("/")
    try:
        vfs.mount(flash, "/")
    except OSError:
        vfs.VfsLfs2.mkfs(flash)
        vfs.mount(flash, "/")
    if frozen:
        vfs.mount(other, "/frozen")
        freeze("/frozen")
    os.chdir("/")
    return world


def run(name):
    """As at the start of a board: what goes wrong is printed, and the prompt comes."""
    try:
        os.stat(name)
    except OSError:
        return
    try:
        with open(name) as file:
            exec(compile(file.read(), name, "exec"), {"__name__": "__main__"})
    except BaseException as error:
        sys.print_exception(error)


world = start()
for name in given["starts"]:
    run(name)
