"""Where instructions and bytes go: statement by statement, object by object. make profile

    --report         write tools/benchmarks/PROFILE.md
    --rows A,B       only these directions: publish0 publish1 publish2 window1 receive0 ...
    --no-heap        leave the heap out
    --package DIR    another umqtt_plus than this tree's

MICROPYTHON32=path names a 32-bit MicroPython for the heap. Needs valgrind, and a MicroPython with
symbols (the wheel has them). Some minutes; the figures of time want a quiet machine.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks import (
    counting,
    profile_heap,
    profile_kinds,
    profile_lines,
    profile_parts,
    profile_report,
    run,
)
from benchmarks.rows import ROWS
from benchmarks.sink import temporary
from umqtt_harness.micropython import Library, find_micropython

REPORT = Path(__file__).parent / "benchmarks" / "PROFILE.md"
SCRIPTS = {"floor": "floor", "umqtt_plus": "ours"}


def directions(wanted=None):
    """The first row of each direction."""
    found = {}
    for row in ROWS:
        if row.front == "sync" and row.mode[-1] in "012" and row.mode != "window2":
            found.setdefault(row.mode, row)
    return [row for mode, row in found.items() if not wanted or mode in wanted]


def times(rows, contenders, rounds=5, ms=150):
    """{(mode, name): us an operation, the best of all rounds}; on one CPU, as in the benchmark."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with temporary() as directory:
        run.pin()
        try:
            with run.Servers(directory, rows) as servers:
                table, problems = run.bench(contenders, servers, rows, rounds, ms, progress)
        finally:
            if cpus:
                os.sched_setaffinity(0, cpus)
    if problems:
        raise RuntimeError("\n".join(problems))
    names = {row.name: row.mode for row in rows}
    return {
        (names[row], name): 1e6 / max(cell["runs"])
        for row, cells in table.items()
        for name, cell in cells.items()
    }


def profile(row, contender, place, statements, port):
    """Everything about one contender in one direction, but its time."""
    found = profile_kinds.measure(contender, port, **row.settings())
    script = place / (SCRIPTS[contender.name] + ".py")
    marked = run.Contender(contender.name, None, [find_micropython(), script], [place])
    costs = profile_lines.measure(marked, place, statements, port, **row.settings())
    table = profile_parts.OURS if contender.name == "umqtt_plus" else profile_parts.FLOOR
    parts = profile_parts.of(costs, table)
    if found["frames"] >= 1:
        parts[profile_parts.FRAMES] = found["frames"]
    parts["not explained"] = found["total"] - sum(parts.values())
    found["parts"] = parts
    found["top"] = [
        (s.text, f"{s.module}.{s.function}", cost.instructions, cost.times)
        for s, cost in profile_parts.top(costs)
    ]
    return found


def profiles(rows, package=None):
    """[(row, {contender: what was found})], prices."""
    with temporary() as directory:
        contenders = [c for c in run.own(directory) if c.front == "sync"]
        if package:
            library = Library(Path(directory) / "other", package)
            contenders[1].path = [str(library.compiled())]
        spent = times(rows, contenders)
        place, statements = profile_lines.build(directory, package)
        found = []
        with counting.own_sink(directory) as port:
            for row in rows:
                cells = {}
                for contender in contenders:
                    progress(f"{row.name}: {contender.name}")
                    cell = profile(row, contender, place, statements, port)
                    cell["us"] = spent[row.mode, contender.name]
                    cells[contender.name] = cell
                found.append((row, cells))
            return found, profile_kinds.prices(port)


def heaps():
    """([figures of an interpreter], [what is missing])."""
    found = []
    missing = []
    with temporary() as directory, run.Sink(directory) as sink:
        found.append(profile_heap.measure(sink.port))
        program = os.environ.get("MICROPYTHON32")
        if program:
            found.append(profile_heap.measure(sink.port, program))
        elif found[0]["bits"] != 32:
            missing.append("heap on 32 bits: not measured (MICROPYTHON32=path)")
    return found, missing


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="\r", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--no-heap", action="store_true")
    parser.add_argument("--rows")
    parser.add_argument("--package")
    options = parser.parse_args()
    if not counting.valgrind():
        print("valgrind is not installed: nothing can be profiled")
        return 2
    wanted = options.rows.split(",") if options.rows else None
    rows, prices = profiles(directions(wanted), options.package)
    memory, missing = ([], []) if options.no_heap else heaps()
    found = {"rows": rows, "prices": prices, "heaps": memory, "missing": missing}
    text = "\n".join(profile_report.text(found)) + "\n"
    print(text)
    if options.report:
        REPORT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
