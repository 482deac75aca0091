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
import signal
import sys
import time
from pathlib import Path

from arguments import at_least

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
    parser.add_argument("--jobs", type=at_least(1), default=2)
    parser.add_argument("--seconds", type=at_least(0), default=3600, help="for each scenario")
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so end the processes, too
    begun = time.monotonic()

    def say(kind, found):
        words = "FAILED" if report.bad(kind, found) else "holds"
        if kind == "mutation":
            words = found["caught"].invariant or "NOT CAUGHT"
        print(f"  {found['name']}: {words}, {found['seconds']:.0f} s", file=sys.stderr, flush=True)

    found = report.prove(full, options.seconds, options.jobs, options.scenario, say)
    print("\n".join(report.tables(found, full)))
    failed = sum(report.bad(kind, one) for kind, results in found.items() for one in results)
    end = f"{failed} failed" if failed else "all hold"
    print(f"{time.monotonic() - begun:.0f} s, {end}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
