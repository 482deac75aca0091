"""The unit tests (tests/unit) on an attached board, read from here as it needs them.

Tests and package go compiled into a directory that mpremote mounts; nothing is written to the
board. A package that is frozen, or in lib, is the one that is tested.
"""

import tempfile
import time
from pathlib import Path

from firmware import packaging
from umqtt_harness.micropython import MicroPythonError, compile_mpy

from board import deploy, ports
from board.chips import ROOT
from board.problem import Problem
from board.target import BoardError, Target

TESTS = ROOT / "tests"
FILE_S = 300  # without a line of output
_BEFORE = """\
import gc, sys
sys.path[:] = ["", ".frozen", "/lib"]
known = set(sys.modules)
"""
_ONE = """\
for name in list(sys.modules):
    if name not in known:
        del sys.modules[name]
gc.collect()
sys.path[:] = ["", ".frozen", "/lib", "tests/unit"]
import run
run.main([{name!r}])
"""
_OURS = """\
try:
    import umqtt_plus
    print(repr(umqtt_plus.__version__))
except ImportError:
    print("None")
"""


def all_files():
    return sorted(file.name for file in (TESTS / "unit").glob("test_*.py"))


def run(files=(), port=None, dry=False, patience=3):
    names = [Path(name).name for name in files] or all_files()
    for name in names:
        if name not in all_files():
            raise Problem(f"{name} is no unit test; there are {', '.join(all_files())}")
    try:
        port = ports.find(port)
    except Problem as problem:
        if not dry:
            raise
        print(problem)
        port = "PORT"
    if dry:
        print(f"would run on the board at {port}: {', '.join(names)}")
        return 0
    with tempfile.TemporaryDirectory() as directory, Target(port, patience) as target:
        facts = target.facts()
        if facts.mpy != deploy.mpy_version():
            raise Problem(f"the board loads .mpy version {facts.mpy}, not that of mpy-cross here")
        ours = version(target)
        prepare(Path(directory), with_package=ours is None)
        where = "umqtt_plus as it is on the board" if ours else "umqtt_plus of here"
        print(f"{facts.machine}, MicroPython {facts.release}, {where}")
        return on(target, directory, names)


def version(target):
    """Of the umqtt_plus on the board, None without one."""
    return target.value(_OURS)


def prepare(place, with_package):
    """tests/unit and what it needs, compiled, as a tree like the project's."""
    sources = [*(TESTS / "unit").glob("*.py")]
    for name in ("fakes", "vectors"):
        sources += (TESTS / name).glob("*.py")
    levels = {source: 0 for source in sources}
    if with_package:
        levels.update({source: 3 for source in packaging.PACKAGE.glob("*.py")})
    for source, level in levels.items():
        target = place / source.relative_to(ROOT).with_suffix(".mpy")
        try:
            compile_mpy(source, target, source.name, level)
        except MicroPythonError as error:
            raise Problem(str(error)) from None


def mount(target, directory):
    """The board imports from this directory, and drops its modules when told to."""
    try:
        target.link.mount_local(str(directory))
    except Exception as error:
        raise Problem(f"the board cannot read from here: {error}") from None
    target.link.is_pty = False  # else mpremote reads there without an end
    target.run(_BEFORE)


def on(target, directory, names):
    """Run them and print what they print; 1 when one failed."""
    mount(target, directory)
    counts = [0, 0, 0]
    broken = 0
    for name in names:
        begin = time.monotonic()
        try:
            lines = target.run(_ONE.format(name=name), FILE_S).splitlines()
            numbers = [int(word) for word in lines[-1].split() if word.isdigit()]
            counts = [a + b for a, b in zip(counts, numbers, strict=True)]
            print("\n".join(lines[:-1]), f"({time.monotonic() - begin:.1f} s)", flush=True)
        except (BoardError, ValueError, IndexError) as error:
            broken += 1
            print(f"FAIL {name}: {getattr(error, 'text', error)}", flush=True)
    passed, failed, skipped = counts
    print(f"{passed} passed, {failed + broken} failed, {skipped} skipped on the board")
    return int(failed + broken > 0 or passed == 0)
