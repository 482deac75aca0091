"""Help for unit tests that run on CPython, on the unix port and on boards alike."""


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


def each(table, check):
    """Call check(*row) for each row; a failure names the row.

    With no check it is a plain loop over nothing: an empty table fails.
    """
    number = 0
    for row in table:
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
