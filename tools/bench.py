"""Messages a second, against bare sockets (the floor) and other clients. make bench

    --quick          fewer rows and rounds, under 40 seconds
    --json FILE      write all figures
    --markdown       print tables for a README
    --instructions   count instructions per operation, too (needs valgrind, some minutes)
    --growth         how cost grows with topic, payload, subscriptions, window, table and clients
                     (in instructions where valgrind is, else in time; two minutes)
    --peers          fetch other clients from PyPI into .cache/peers and measure them, too;
                     PEERS=FOLDER in the environment names one with umqtt.simple, umqtt.robust
                     and mqtt_as, which are in no registry
    --report         write tools/benchmarks/RESULTS.md and its plots; with growth, too
    --python-sink    the Python sink although there is a C compiler

Ends with status 1 when a row with a bar is below it, 2 when umqtt_plus or the floor failed.
"""

import argparse
import json
import os
import sys
import time

import size
from arguments import at_least, new_file, programs
from benchmarks import counting, footprint, growth, latency, machine, peers, report, results, run
from benchmarks.rows import DEFINITIONS, ROWS
from benchmarks.sink import temporary
from umqtt_harness.micropython import find_micropython, find_mpy_cross


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("quick", "markdown", "instructions", "growth", "peers", "report", "python-sink"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--json", metavar="FILE", type=new_file)
    parser.add_argument("--rounds", type=at_least(1), help="5, with --quick 3")
    return parser.parse_args()


def main():
    options = arguments()
    programs(find_micropython, find_mpy_cross, MICROPYTHON32="micropython")
    rows = [row for row in ROWS if row.quick or not options.quick]
    rounds = options.rounds or (3 if options.quick else 5)
    ms = 100 if options.quick else 250
    with temporary() as directory:
        others, missing = peers.find(directory, options.peers)
        contenders = run.own(directory) + others
        cpu = run.pin()  # before the servers start: they inherit it
        with run.Servers(directory, rows, options.python_sink) as servers:
            header = DEFINITIONS.format(sink=f"in {servers.sink}", cpu=cpu, rounds=rounds, ms=ms)
            print(header)
            start = time.monotonic()
            table, problems = run.bench(contenders, servers, rows, rounds, ms, progress)
            delays, late = latency.measure(
                run.ours(contenders), servers.ports["paced"], rounds, 20 if options.quick else 60
            )
            held, failed = footprint.measure(contenders, servers.ports["sink"])
        counts, grown = more(options, directory, contenders, problems, missing)
    found = {
        "machine": machine.describe(),
        "definitions": header,
        "rows": table,
        "latency": delays,
        "footprint": held,
        "instructions": counts,
        "growth": grown,
        "missing": missing + servers.missing,
        "problems": problems + late + failed,
        "seconds": round(time.monotonic() - start),
    }
    print("\n".join((report.markdown if options.markdown else report.plain)(found)))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)
    if options.report:
        sizes = size.collect(os.environ.get("MICROPYTHON32"))
        for name in results.write(found, list(size.lines(sizes)), sizes["flash"]):
            print("written: " + name)
    return report.status(found, rows)


def more(options, directory, contenders, problems, missing):
    """(instructions, growth), or None for what is not asked for or cannot be."""
    counts = grown = None
    if (options.instructions or options.growth or options.report) and not counting.valgrind():
        missing.append("valgrind is not installed: no instruction counts, growth in time")
    with counting.own_sink(directory) as port:
        if options.instructions and counting.valgrind():
            counts, failed = counting.rows(contenders, port, progress)
            problems += failed
        if options.growth or options.report:
            grown, failed = growth.measure(run.ours(contenders), port, progress)
            problems += failed
    return counts, grown


def progress(name):
    if sys.stderr.isatty():
        print(f"\r{name:<60}", end="\r", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
