"""The unit tests (tests/unit) on the emulated chip: umqtt_plus and they are frozen into it."""

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
import sys
sys.argv[:] = ["run.py", {name!r}]
try:
    import run
except SystemExit:
    pass
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


def run(names=(), timeout_s=TIMEOUT_S):
    """Run unit files, each on a chip booted for it; 1 when one failed, else 0."""
    firmware = image()
    counts = [0, 0, 0]
    broken = 0
    for name in names or files():
        try:
            with Chip(firmware) as chip:
                lines = chip.execute(SCRIPT.format(name=name), timeout_s).splitlines()
            numbers = [int(word) for word in lines[-1].split() if word.isdigit()]
            counts = [a + b for a, b in zip(counts, numbers, strict=True)]
        except (MicroPythonError, ValueError, IndexError) as error:
            broken += 1
            lines = [f"FAIL {name}: {error}", ""]
        print("\n".join(lines[:-1]), flush=True)
    passed, failed, skipped = counts
    print(f"{passed} passed, {failed + broken} failed, {skipped} skipped on an emulated RP2040")
    return int(failed + broken > 0 or passed == 0)
