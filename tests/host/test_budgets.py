"""What the client costs in bytes stays within tests/budgets.ini, measured as `make size` does."""

import pytest
import size
from benchmarks import budgets, sizes
from umqtt_harness.micropython import MicroPythonError, find_mpy_cross


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    try:
        find_mpy_cross()
    except MicroPythonError as error:
        pytest.skip(str(error))
    place = tmp_path_factory.mktemp("sizes")
    modules = sizes.module_sizes(place)
    loaded = {**sizes.path_modules(place), "all": list(modules)}
    return {
        path: {"O3": sum(modules[name][1] for name in names), "modules": names}
        for path, names in loaded.items()
    }


def test_flash(paths):
    lines = budgets.above(budgets.figures(paths, None))
    assert not lines, "\n".join(lines)


def test_rooms(tmp_path):
    """What store.py and v5.py may have; what their users load besides is in the paths."""
    modules = sizes.module_sizes(tmp_path)
    assert all(modules[name][1] <= bar for name, bar in size.FILES.items()), modules


def test_heap_on_64_bits(tmp_path):
    bits, _ = sizes.machine_bits(tmp_path)
    if bits != 64:
        pytest.skip(f"the budgets are for a 64-bit MicroPython; this one has {bits} bits")
    run = {"bits": bits, "heap": sizes.heap_held(tmp_path)}
    lines = budgets.above(budgets.figures({}, run))
    assert not lines, "\n".join(lines)


def test_a_publisher_does_not_load_what_it_does_not_use(paths):
    """The paths are seen from outside: a module that everybody loads would show here."""
    qos0 = set(paths["qos0"]["modules"])
    assert {"__init__.py", "client.py", "protocol.py"} <= qos0
    assert not qos0 & {"inflight.py", "receive.py", "stream.py", "subscribe.py", "tls.py"}
    assert "receive.py" not in paths["qos2"]["modules"]
    assert "stream.py" in paths["streams"]["modules"]


def test_above_and_lower(tmp_path, monkeypatch):
    """One byte more is seen, 2 % more heap is not; lower() never raises."""
    file = tmp_path / "budgets.ini"
    file.write_text("; why\n[mpy]\nqos0 = 100\n\n[heap]\nqos0_import = 1000\n")
    monkeypatch.setattr(budgets, "FILE", file)
    mpy, heap = ("mpy", "qos0"), ("heap", "qos0_import")
    assert budgets.above({mpy: 100, heap: 1020}) == []
    assert "only goes down" in budgets.above({mpy: 101})[0]
    assert len(budgets.above({mpy: 101, heap: 1021})) == 2
    assert "no budget" in budgets.above({("mpy", "new"): 1})[0]
    assert len(budgets.lower({mpy: 90, heap: 1010})) == 1
    assert budgets.read() == {mpy: 90, heap: 1000}
    assert file.read_text().startswith("; why")
