"""Hypothesis damages the journal of a durable session; see tests/fuzz/target_journal.py.

Bounded to some seconds and derandomized: the same inputs each time. `make fuzz` looks further.
"""

import sys
from pathlib import Path

import pytest

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "fuzz"))

import common  # noqa: E402
import target_journal as target  # noqa: E402
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

QUICK = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
# publishes, their answers, messages and their PUBRELs, mostly; then all that there is
STEPS = st.lists(
    st.one_of(
        st.sampled_from((0x10, 0x20, 0x21, 0x41, 0x51, 0x52, 0x60, 0x61, 0x70, 0x80, 0x81, 0x91)),
        st.integers(0, 255),
    ),
    max_size=target.MOST,
).map(bytes)
DAMAGE = st.binary(min_size=6, max_size=24)


@pytest.mark.parametrize(
    "kind", (target.CUT, target.FLIP, target.INSERT, target.REMOVE, target.OVERWRITE)
)
@QUICK
@given(STEPS, DAMAGE, st.integers(0, 20))
def test_damaged_file(kind, steps, damage, more):
    """A file that is cut off holds what was whole; any other damage leaves nothing."""
    target.run(bytes((kind + 12 * more, len(steps))) + steps + damage)


@pytest.mark.parametrize(
    "kind", (target.MOVE, target.FOREIGN, target.OTHER, target.SMALLER, target.RENAMED)
)
@QUICK
@given(STEPS, DAMAGE, st.integers(0, 20))
def test_other_records(kind, steps, damage, more):
    """Records that are missing, doubled, moved, of another epoch or client; smaller tables."""
    target.run(bytes((kind + 12 * more, len(steps))) + steps + damage)


@pytest.mark.parametrize("kind", (target.BYTES, target.RECORDS))
@QUICK
@given(st.binary(min_size=1, max_size=120), st.integers(0, 1))
def test_any_file(kind, data, present):
    """Any bytes, and any records with a good CRC: no error but those that are documented."""
    target.run(bytes((kind, present)) + data)


def test_known_inputs():
    """Seeds, what the fuzzer found worth keeping, and what once failed."""
    common.replay("journal")
