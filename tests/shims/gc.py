"""MicroPython's gc, as far as the package asks: CPython counts references and has nothing to do,
but a real collect() would take longer than a whole test.
"""


def collect():
    pass


def mem_free():
    return 1 << 20
