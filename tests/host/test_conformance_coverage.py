"""Every client statement and every error case has a test or a reason.

Of the versions in COMPLETE of tools/coverage.py.
"""

import importlib.util
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "coverage.py"


def test_nothing_is_left_out():
    spec = importlib.util.spec_from_file_location("statement_coverage", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.check()[3] == []
