"""Where instructions and bytes go: statement by statement, object by object. make profile

    --report         write tools/benchmarks/PROFILE.md
    --rows A,B       only these directions: publish0 publish1 publish2 window1 receive0 ...
    --no-heap        leave the heap out
    --package DIR    another umqtt_plus than this tree's

MICROPYTHON32=path names a 32-bit MicroPython for the heap. Needs valgrind, and a MicroPython with
symbols (the wheel has them). Some minutes. Rates are those of RESULTS.md, not measured here.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from arguments import programs
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
from umqtt_harness.micropython import Library, find_micropython, find_mpy_cross

REPORT = Path(__file__).parent / "benchmarks" / "PROFILE.md"
RESULTS = REPORT.with_name("RESULTS.md")
SCRIPTS = {"floor": "floor", "umqtt_plus": "ours"}


def directions(wanted=None):
    """The first row of each direction."""
    found = {}
    for row in ROWS:
        if row.front == "sync" and row.mode[-1] in "012" and row.mode != "window2":
            found.setdefault(row.mode, row)
    return [row for mode, row in found.items() if not wanted or mode in wanted]


def benchmark():
    """({row: (floor, umqtt_plus) in us}, {row: the same in instructions}, date) of RESULTS.md.

    Rates are not measured here: this runs for minutes, on machines that are busy.
    """
    us, counts, date = {}, {}, ""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")[1:4]]
        if line.startswith("- date: "):
            date = line[8:]
        figures = [re.match(r"([\d,]+)( \(\+-|$)", cell) for cell in cells[1:]]
        if len(figures) == 2 and all(figures):
            one, two = (int(figure[1].replace(",", "")) for figure in figures)
            if figures[0][2]:
                us[cells[0]] = 1e6 / one, 1e6 / two
            else:
                counts.setdefault(cells[0], (one, two))
    return us, counts, date


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
        place, statements = profile_lines.build(directory, package)
        found = []
        with counting.own_sink(directory) as port:
            for row in rows:
                cells = {}
                for contender in contenders:
                    progress(f"{row.name}: {contender.name}")
                    cells[contender.name] = profile(row, contender, place, statements, port)
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
    programs(find_micropython, find_mpy_cross, MICROPYTHON32="micropython")
    if options.package and not Path(options.package, "__init__.py").exists():
        parser.error(f"{options.package} is no umqtt_plus")
    wanted = options.rows.split(",") if options.rows else None
    modes = [row.mode for row in directions()]
    for name in wanted or ():
        if name not in modes:
            parser.error(f"there is no row {name}; there are {', '.join(modes)}")
    rows, prices = profiles(directions(wanted), options.package)
    memory, missing = ([], []) if options.no_heap else heaps()
    found = {"rows": rows, "prices": prices, "heaps": memory, "missing": missing}
    found["benchmark"] = benchmark()
    text = "\n".join(profile_report.text(found)) + "\n"
    print(text)
    if options.report:
        REPORT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
