"""Proves the durable session by exploring it: every order of events, every cut, small bounds.

    python tools/prove.py                    full bounds: two link cuts, two power cuts; minutes
    python tools/prove.py --quick            one of each, as the tests do
    python tools/prove.py --scenario out     one scenario, or one mutation; may be given again
    python tools/prove.py --scenario mutations

The real client runs against a model of a server; tests/prover/__init__.py tells how. Prints a
table of scenarios and one of the faults that were built in on purpose, with the invariant that
caught each. Nothing is random: the same call finds the same. Ends with status 1 if an invariant
broke, a mutation was not caught or a scenario was not finished within --seconds.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import shims  # noqa: E402

shims.install()

from prover import report, scenarios  # noqa: E402


def main(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scenario", action="append", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3600, help="for each scenario")
    parser.add_argument("--list", action="store_true", help="what the scenarios are")
    options = parser.parse_args(words)
    full = not options.quick
    if options.list:
        for one in scenarios.LIST:
            one = scenarios.named(one.name, full)
            print(
                f"{one.name:<10}{one.links}+{one.powers}  out {one.out} in {one.inn}  {one.about}"
            )
        return 0
    begun = time.monotonic()
    kinds = []
    failed = 0

    def say(kind, found):
        nonlocal failed
        if kind not in kinds:
            kinds.append(kind)
            if kind == "scenario":
                print(report.head())
            elif kind == "mutation":
                more = "   what comes of it" if full else ""
                print(f"{'mutation':<58}caught  runs  scenario{more}")
        print(report.line(kind, found), flush=True)
        failed += report.bad(kind, found)

    found = report.prove(full, options.seconds, options.jobs, options.scenario, say)
    print("\n".join(report.total(found)))
    print(
        f"{time.monotonic() - begun:.0f} s, {failed} failed"
        if failed
        else f"{time.monotonic() - begun:.0f} s, all hold"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
