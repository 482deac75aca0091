"""Help for unit tests that run on CPython, on the unix port and on boards alike."""

import sys
import time

# A board needs seconds for what takes a PC milliseconds, and an emulated one minutes.
BOARD = sys.platform not in ("linux", "darwin", "win32")
TEST_MS = 4000  # after so long a test takes no more rows there

began = 0  # when the test did, on a board
left_out = 0  # rows, since run.py asked last


def begin():
    """A test begins; run.py says so."""
    global began
    if BOARD:
        began = time.ticks_ms()


def few(rows):
    """rows; on a board so many as there is time for, from all over them, the first one always.

    run.py prints how many it left out.
    """
    global left_out
    if not BOARD:
        yield from rows
        return
    rows = list(rows)
    n = len(rows)
    step = n * 5 // 8 | 1
    while any(n % d == 0 == step % d for d in range(3, step + 1, 2)):
        step += 2  # until it meets each row
    for i in range(n):
        if i and time.ticks_diff(time.ticks_ms(), began) > TEST_MS:
            left_out += n - i
            return
        yield rows[i * step % n]


class Skip(Exception):
    """raise Skip("why") in a test that this interpreter cannot run. The reason is printed."""


class raises:
    """with raises(ValueError) as caught: ...   Then caught.error is the exception.

    Give arguments to compare, too: raises(OSError, 110) wants error.args[0] == 110.
    """

    def __init__(self, kind, *args):
        self.kind = kind
        self.args = args
        self.error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None:
            raise AssertionError("no %s was raised" % self.kind.__name__)
        if not isinstance(error, self.kind):
            return False
        if error.args[: len(self.args)] != self.args:
            raise AssertionError(
                "%s%r was raised, not one with %r" % (self.kind.__name__, error.args, self.args)
            )
        self.error = error
        return True


def each(table, check, in_turn=False):
    """Call check(*row) for each row of few(table); a failure names the row. An empty table fails.

    in_turn: a row goes on where the one before has ended, so it takes all, in their order.
    """
    number = 0
    for row in table if in_turn else few(table):
        try:
            check(*row)
        except Exception as error:
            raise AssertionError("row %d %r: %r" % (number, row, error)) from error
        number += 1
    assert number, "the table is empty"


def same(got, wanted, what=""):
    """Assert equality with a message that shows both; bytes are shown in hex."""
    if got != wanted:
        raise AssertionError("%s got %s, wanted %s" % (what, show(got), show(wanted)))


def show(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return " ".join("%02X" % byte for byte in value) or "(nothing)"
    return repr(value)
