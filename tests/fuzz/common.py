"""What the fuzz targets share: where their inputs lie, and the check of the memory they need.

corpus/TARGET.txt: one input a line, in hex. crashes/TARGET-NAME.hex: an input that once failed,
made small, behind comments that say how. Both are run as tests, see tests/host/test_fuzz_*.py.
"""

import importlib
import tracemalloc
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGETS = ("decoder", "engine", "journal")
_warm = set()


def load(name):
    """The module of a target: run(data), seeds(), MAX_LEN, MEMORY, TOKENS."""
    target = importlib.import_module("target_" + name)
    if name not in _warm:
        _warm.add(name)
        for data in target.seeds():  # loads what is loaded on first use
            try:
                target.run(data)
            except Exception:
                pass  # it will be found
    return target


def inputs(path):
    """The inputs in a file of hex lines; # begins a comment."""
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else ()
    return [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]


def corpus(name):
    return inputs(HERE / "corpus" / (name + ".txt"))


def crashes(name):
    """(name of the file, input) of all that once failed."""
    found = []
    for path in sorted((HERE / "crashes").glob(name + "-*.hex")):
        found += [(path.stem, data) for data in inputs(path)]
    return found


def replay(name):
    """Run all inputs of a target that are known; a failure names the input."""
    target = load(name)
    known = [("a seed", data) for data in target.seeds()]
    known += [("corpus", data) for data in corpus(name)]
    for origin, data in known + crashes(name):
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"{origin}: {data.hex()}: {error!r}") from error
    # measured when all modules are loaded
    for _, data in known[::29] + crashes(name):
        measured(target, data)


def measured(target, data):
    """run(data), with a limit on the memory it may have at once: a length that is only announced
    must cost none."""
    tracemalloc.start()
    try:
        target.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= target.MEMORY, f"{peak} bytes of memory for an input of {len(data)}"
