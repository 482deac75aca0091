"""For every test here: MicroPython's shims on CPython, and each unit file run twice.

tests/unit/test_X.py is collected by pytest as usual (CPython) and, as the items `micropython` and
`micropython-mpy`, run whole by tests/unit/run.py on real MicroPython.
"""

import sys
from pathlib import Path

import pytest
import shims

shims.install()

from umqtt_harness import micropython as _micropython  # noqa: E402

pytest_plugins = ["umqtt_harness.plugin"]

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests" / "unit"
_SKIPPED = pytest.StashKey()

if ROOT / "tools" not in Path(_micropython.__file__).resolve().parents:
    raise pytest.UsageError(
        f"an installed umqtt_harness ({_micropython.__file__}) hides the one of this tree: "
        "run make test, or set PYTHONPATH=tools"
    )


def pytest_collect_file(file_path, parent):
    if file_path.parent == UNIT and file_path.match("test_*.py"):
        return OnMicroPython.from_parent(parent, path=file_path)
    return None


class OnMicroPython(pytest.File):
    def collect(self):
        for name, mpy in (("micropython", False), ("micropython-mpy", True)):
            yield UnitFile.from_parent(self, name=name, mpy=mpy)


class UnitFile(pytest.Item):
    """One unit file on the unix port; `mpy` imports umqtt_plus compiled with -O3, as on boards.

    The two items of a file run side by side: the first one starts both.
    """

    def __init__(self, *, mpy, **kwargs):
        super().__init__(**kwargs)
        self.mpy = mpy
        self.runner = None

    def start(self):
        if not self.runner:
            self.runner = _micropython.Runner(_library_directory(self.config))
            self.child = self.runner.start(
                UNIT / "run.py",
                self.path.name,
                heapsize="1m",
                mpy=self.mpy,
                cwd=self.config._tmp_path_factory.mktemp("files"),  # of its own
            )

    def runtest(self):
        for item in self.session.items:
            if item.parent is self.parent:
                item.start()
        result = self.child.wait(120)
        skipped = [line[5:] for line in result.stdout.splitlines() if line.startswith("SKIP ")]
        self.config.stash.setdefault(_SKIPPED, []).extend(f"{self.name}: {s}" for s in skipped)

    def teardown(self):
        self.close()

    def close(self):
        if self.runner:
            self.runner.close()

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, _micropython.MicroPythonError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, f"{self.path.name} on MicroPython ({self.name})"


def pytest_sessionfinish(session):
    for item in getattr(session, "items", ()):
        if isinstance(item, UnitFile):
            item.close()  # it was started, and then not reached


def pytest_terminal_summary(terminalreporter, config):
    """Skips within a unit file that passed on MicroPython; pytest cannot see them by itself."""
    for line in sorted(config.stash.get(_SKIPPED, ())):
        terminalreporter.write_line(f"SKIPPED on {line}")


_library = []


def _library_directory(config):
    """One directory a session, so that umqtt_plus is compiled once."""
    if not _library:
        _library.append(config._tmp_path_factory.mktemp("unit"))
    return _library[0]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A unit test that raises util.Skip("why") is skipped here as it is on MicroPython."""
    try:
        return (yield)
    except Exception as error:
        util = sys.modules.get("util")
        if util and isinstance(error, util.Skip):
            pytest.skip(str(error))
        raise
