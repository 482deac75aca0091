"""A flash whose files lose what was not flushed when power is cut: any suffix of it, or nothing.

Stands in for open() and os in the client's modules. Every change is reported with the whole
content, as ((name, durable bytes, bytes still at risk), ...). kind "atomic" (littlefs) replaces a
file at once, "fat" removes the old name first.
"""


class Inode:
    def __init__(self, durable=b""):
        self.durable = durable
        self.pending = b""


class File:
    def __init__(self, flash, inode, mode):
        self.flash, self.inode, self.mode = flash, inode, mode
        self.at = 0
        self.closed = False

    def write(self, buf, *args):
        assert not self.closed and self.mode != "rb"
        i, n = args if len(args) == 2 else (0, *args) if args else (0, len(buf))
        assert i + n <= len(buf)
        error = self.flash.fails()
        if error:
            n //= 2
        self.inode.pending += bytes(memoryview(buf)[i : i + n])
        self.flash.changed()
        if error == 1:
            raise OSError(28)
        return n

    def flush(self):
        assert not self.closed
        if self.mode != "close" and self.flash.fails():
            raise OSError(28)
        if self.inode.pending:
            if self.flash.kind == "fat" and self.inode not in self.flash.files.values():
                self.flash.report("fault", "flash: a replaced file had unwritten data")
            self.inode.durable += self.inode.pending
            self.inode.pending = b""
        self.flash.changed()

    def close(self):
        if not self.closed:
            if self.mode != "rb":
                self.mode = "close"
                self.flush()
            self.closed = True

    def readinto(self, buf, n=-1):
        assert not self.closed and self.mode == "rb"
        data = self.inode.durable[self.at :]
        n = min(len(data), len(buf) if n < 0 else n)
        buf[:n] = data[:n]
        self.at += n
        return n

    def seek(self, offset, whence=0):
        self.at = offset + (len(self.inode.durable) if whence == 2 else 0)
        return self.at


class Flash:
    """report(event, data) is told of each change; see freeze() for the data."""

    def __init__(self, kind, report, frozen=()):
        self.kind = kind
        self.report = report
        self.operations = 0
        # (i, how): operation i fails, and only that. how 0: at once, 1: a write after the half of
        # it, 2: a write says that it took the half
        self.full = None
        self.files = {}
        for name, durable, pending in frozen:
            self.files[name] = inode = Inode(durable)
            inode.pending = pending

    def freeze(self):
        files = self.files
        return tuple((name, files[name].durable, files[name].pending) for name in sorted(files))

    def changed(self):
        self.report("flash", self.freeze())

    def fails(self):
        """Count an operation; how it fails if it is one that does so in the middle."""
        self.operations += 1
        i, how = self.full or (-1, 0)
        if self.operations - 1 == i and how:
            return how
        if self.operations - 1 == i:
            raise OSError(28)
        return 0

    def open(self, name, mode):
        if mode != "rb" and self.fails():
            raise OSError(28)
        if mode == "wb":
            self.files[name] = Inode()
            self.changed()
        elif name not in self.files:
            raise OSError(2)
        return File(self, self.files[name], mode)

    def append(self, name):
        """A handle as it was before a snapshot."""
        return File(self, self.files[name], "ab")

    # -- what the client's modules call `os` -----------------------------------------------------

    def rename(self, old, new):
        if old not in self.files:
            raise OSError(2)
        if self.fails():
            raise OSError(28)
        self.report("rename", None)
        if self.kind == "fat" and new in self.files:
            self.remove(new)
        self.files[new] = self.files.pop(old)
        self.changed()

    def remove(self, name):
        if name not in self.files:
            raise OSError(2)
        del self.files[name]
        self.changed()


def images(frozen, main, new):
    """What a power cut can leave of a flash, as frozen flashes with nothing at risk."""
    files = {name: (durable, pending) for name, durable, pending in frozen}
    name = main if main in files else new
    if name not in files:
        yield ()
        return
    durable, pending = files[name]
    rest = ()
    if name == main and new in files:
        rest = ((new, files[new][0] + files[new][1], b""),)
    for k in range(len(pending) + 1):
        yield ((name, durable + pending[:k], b""), *rest)
