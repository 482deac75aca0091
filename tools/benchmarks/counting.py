"""Instructions, counted by callgrind: the same on a busy machine.

A MicroPython script calls gc.isenabled() before and after what is counted, and callgrind cuts its
counts there. Where the interpreter has no symbols, and for libmosquitto, the difference of two
runs is taken.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from .rows import ROWS
from .sink import Sink

COUNT = 300  # operations


def valgrind():
    return shutil.which("valgrind")


@contextlib.contextmanager
def own_sink(directory):
    """Port of a sink that may use every CPU: answers are there at once, the count is steady."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    sink = Sink(directory)
    if mine:
        os.sched_setaffinity(0, range(os.cpu_count()))
    try:
        sink.__enter__()
    finally:
        if mine:
            os.sched_setaffinity(0, mine)
    with contextlib.ExitStack() as stack:
        stack.push(sink)
        yield sink.port


def rows(contenders, port, say=lambda text: None):
    """({row name: {contender: instructions an operation}}, problems)."""
    found = {}
    problems = []
    for row in ROWS:
        if row.server != "sink" or row.size > 64 or row.mode == "link" or row.nodelay:
            continue
        cells = found[row.name] = {}
        for contender in contenders:
            if contender.program == sys.executable or not contender.knows(row):
                continue  # CPython takes minutes there
            say(f"instructions: {row.name}, {contender.name}")
            try:
                cells[contender.name] = each(contender, row, port)
            except RuntimeError as error:
                problems.append(str(error))
    return found, problems


def each(contender, row, port):
    """Instructions an operation."""
    label = f"instructions, {row.name}"
    totals = between_marks(contender, label, port, count=COUNT, **row.settings())
    if totals:
        return totals[0] / COUNT
    one, three = (
        sum(parts(contender, label, port, count=n, **row.settings())) for n in (COUNT, 3 * COUNT)
    )
    return (three - one) / (2 * COUNT)


def between_marks(contender, label, port, **settings):
    """What was counted between the first mark and the second, the third and the fourth ..."""
    return parts(contender, label, port, **settings)[1:-1:2]


def parts(contender, label, port, **settings):
    """callgrind's counts from mark to mark, and to the end."""
    with tempfile.TemporaryDirectory(prefix="umqtt-bench-") as directory:
        out = Path(directory) / "part"
        words = [valgrind(), "--tool=callgrind", "--dump-before=gc_isenabled"]
        counted = contender.within([*words, f"--callgrind-out-file={out}"])
        counted.answer(label, "", port, timeout=300, **settings)
        files = [file for file in out.parent.glob("part.*") if file.suffix[1:].isdigit()]
        files.sort(key=lambda file: int(file.suffix[1:]))
        return [total(file) for file in [*files, out]]


def total(file):
    for line in file.read_text().splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise RuntimeError(f"callgrind wrote no totals into {file.name}")
