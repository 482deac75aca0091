"""Bytes on flash and in the heap, against the budgets of tests/budgets.ini. make size

    --json FILE      write the figures, too
    --lower          lower the budgets to what was measured; never raises one
    --fetch-32bit    get a 32-bit MicroPython (Debian) into .cache/ and measure with it, too;
                     MICROPYTHON32=path names one that is there

Ends with status 1 when a figure is above its bar or its budget.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from arguments import new_file, programs
from benchmarks import budgets, sizes, wheel32
from benchmarks.sink import Sink, temporary
from firmware import table
from umqtt_harness.micropython import find_micropython, find_mpy_cross

FIRMWARE = Path(__file__).resolve().parent.parent / "build" / "firmware.json"  # of make firmware
BARS = {"qos0": 7168, "qos2": 10240}  # bytes of .mpy at -O3
FILES = {"store.py": 2560, "v5.py": 5120}  # of one module


def measure(program=None, full=True):
    """Everything that depends on the interpreter, as a dict for JSON."""
    with temporary() as directory, sizes.interpreter(program):
        bits, version = sizes.machine_bits(directory)
        found = {"bits": bits, "version": version, "heap": sizes.heap_held(directory)}
        found["imports"] = sizes.heap_of_imports(directory)
        if full:
            with Sink(directory) as sink:
                found["operations"] = sizes.heap_per_operation(directory, sink.port)
                found["smallest"] = sizes.smallest_heap(directory, sink.port)
    return found


def flash():
    """Bytes of the modules, and the modules of each path."""
    with temporary() as directory:
        modules = sizes.module_sizes(directory)
        loaded = sizes.path_modules(directory)
    paths = {}
    for path, names in {**loaded, "all": list(modules)}.items():
        paths[path] = {
            "O0": sum(modules[name][0] for name in names),
            "O3": sum(modules[name][1] for name in names),
            "modules": names,
        }
    return {"modules": modules, "paths": paths}


def collect(program32=None):
    found = {"flash": flash(), "runs": [measure()]}
    if program32:
        found["runs"].append(measure(program32))
    return found


def flash_lines(found):
    yield "Bytes of .mpy (mpy-cross -s umqtt_plus/NAME)          -O0    -O3"
    for name, (o0, o3) in found["modules"].items():
        more = ""
        if name in FILES:
            over = o3 - FILES[name]
            more = f"   bar {FILES[name]}: " + (f"ABOVE by {over}" if over > 0 else "ok")
        yield f"  {name:<48}{o0:>6} {o3:>6}{more}"
    yield "Paths: the modules that a program really loads        -O0    -O3"
    base = set(found["paths"]["qos2"]["modules"])
    for path, sums in found["paths"].items():
        title = sizes.PATHS.get(path, path)
        names = [name[:-3] for name in sums["modules"] if name not in base]
        more = f"   QoS 2 publisher with {', '.join(names)}" if title[0] == "+" else ""
        bar = BARS.get(path)
        if bar:
            over = sums["O3"] - bar
            more = f"   bar {bar}: " + (f"ABOVE by {over}" if over > 0 else "ok")
        yield f"  {title:<48}{sums['O0']:>6} {sums['O3']:>6}{more}"


def run_lines(run):
    yield f"Heap on {run['bits']} bits ({run['version']}), bytes held after   " + "  ".join(
        sizes.STEPS
    )
    for path, steps in run["heap"].items():
        inflight, front = sizes.HEAPS[path]
        title = f"{inflight=}, buffer_size=256, {front}"
        yield f"  {title:<48}" + " ".join(f"{n:>8}" for n in steps)
    yield "Heap of each import: " + ", ".join(f"{n} {used}" for n, used in run["imports"].items())
    if "smallest" in run:
        yield "Heap bytes per operation: " + ", ".join(
            f"{name} {used:g}" for name, used in run["operations"].items()
        )
        yield f"Smallest heap, connect + 1000 QoS 1 out + 1000 in: {run['smallest']} bytes"


def lines(found):
    yield from flash_lines(found["flash"])
    for run in found["runs"]:
        yield from run_lines(run)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", type=new_file)
    parser.add_argument("--lower", action="store_true")
    parser.add_argument("--fetch-32bit", action="store_true")
    options = parser.parse_args()
    programs(find_micropython, find_mpy_cross, MICROPYTHON32="micropython")
    program32 = os.environ.get("MICROPYTHON32")
    if options.fetch_32bit:
        program32 = wheel32.fetch()
    found = collect(program32)
    print("\n".join(lines(found)))
    if FIRMWARE.exists():
        print("\n".join(table.lines(json.loads(FIRMWARE.read_text()))))
    else:
        print("frozen: not measured (make firmware)")
    if not program32:
        print("32 bit: not measured (MICROPYTHON32=path, or --fetch-32bit)")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    figures = budgets.figures(found["flash"]["paths"], found["runs"][0])
    if options.lower:
        for line in budgets.lower(figures):
            print(line)
    above = budgets.above(figures)
    print("\n".join(above) or "Budgets (tests/budgets.ini): kept")
    paths = found["flash"]["paths"]
    modules = found["flash"]["modules"]
    return bool(
        above
        or any(paths[path]["O3"] > bar for path, bar in BARS.items())
        or any(modules[name][1] > bar for name, bar in FILES.items())
    )


if __name__ == "__main__":
    sys.exit(main())
