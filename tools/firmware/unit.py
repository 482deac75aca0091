"""The unit tests (tests/unit) on the emulated chip: umqtt_plus and they are frozen into it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from umqtt_harness.micropython import MicroPythonError

from firmware import build
from firmware.emulate import Chip
from firmware.packaging import ROOT

TESTS = ROOT / "tests"
TIMEOUT_S = 1200  # of one file: a PC needs a second for what takes the emulated chip minutes
# The tests keep their asserts, umqtt_plus is at -O3 as always.
MANIFEST = """\
freeze("{tests}/unit", opt=0)
freeze("{tests}", ({fakes}), opt=0)
freeze("{root}", ({vectors}), opt=0)
"""
SCRIPT = """\
import run
run.main([{name!r}])
"""


def files():
    return sorted(file.name for file in (TESTS / "unit").glob("test_*.py"))


def manifest():
    def listed(directory, base):
        paths = sorted(directory.glob("*.py"))
        return "".join(f'"{path.relative_to(base)}", ' for path in paths)

    more = MANIFEST.format(
        root=ROOT,
        tests=TESTS,
        fakes=listed(TESTS / "fakes", TESTS),
        vectors=listed(TESTS / "vectors", ROOT),
    )
    return build.frozen("all", more)


def image():
    also = [TESTS / name for name in ("unit", "fakes", "vectors")]
    return build.build("unit", manifest(), also)


def one(firmware, name, timeout_s):
    """Lines to print, [passed, failed, skipped] of one file; a chip is booted for it."""
    begin = time.monotonic()
    try:
        with Chip(firmware) as chip:
            lines = chip.execute(SCRIPT.format(name=name), timeout_s).splitlines()
        counts = [int(word) for word in lines.pop().split() if word.isdigit()]
        if len(counts) != 3:
            raise MicroPythonError("no closing count")
    except (MicroPythonError, IndexError) as error:
        lines, counts = [f"FAIL {name}: {error}"], [0, 1, 0]
    return [*lines, f"     {time.monotonic() - begin:.0f} s"], counts


def run(names=(), timeout_s=TIMEOUT_S, jobs=None):
    """Run unit files, each on a chip of its own, a few at a time; 1 when one failed, else 0."""
    firmware = image()
    total = [0, 0, 0]
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        done = pool.map(lambda name: one(firmware, name, timeout_s), names or files())
        for lines, counts in done:
            total = [a + b for a, b in zip(total, counts, strict=True)]
            print("\n".join(lines), flush=True)
    passed, failed, skipped = total
    print(f"{passed} passed, {failed} failed, {skipped} skipped on an emulated RP2040")
    return int(failed > 0 or passed == 0)
