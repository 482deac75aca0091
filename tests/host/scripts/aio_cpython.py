"""Runs a script of the asyncio tests on CPython, with the modules of tests/shims."""

import sys
from pathlib import Path

scripts = Path(__file__).resolve().parent
sys.path[:0] = [str(scripts), str(scripts.parents[1]), str(scripts.parents[2])]

import shims  # noqa: E402

shims.install()
name = sys.argv[1]
exec(compile(Path(name).read_text(), name, "exec"), {"__name__": "__main__"})
