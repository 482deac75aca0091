"""The profiler's figures add up, and each statement is found."""

import profiler
import pytest
from benchmarks import counting, profile_heap, profile_lines, profile_parts, profile_report, run
from benchmarks.sink import Sink, temporary

SOURCE = '''"""Doc."""


def f(n):
    """Doc."""
    total = 0
    while n:
        n -= 1
        if n & 1:
            total += n
        elif n > 4:
            continue
        else:
            total -= 1
    return total
'''


def test_marks_change_nothing():
    statements = [None] * 3  # start, stop, empty
    text = profile_lines.marked(SOURCE, "m", statements)
    seen = []
    text = text.replace("from profile_mark import mark as _mark_", "")
    space = {"_mark_": seen.append}
    exec(compile(text, "marked", "exec"), space)
    plain = {}
    exec(compile(SOURCE, "plain", "exec"), plain)
    for n in range(9):
        assert space["f"](n) == plain["f"](n)
    texts = [s.text for s in statements[3:]]
    assert texts[:3] == ["total = 0", "while n:", "n -= 1"] and "if n > 4:" in texts
    assert set(seen) == set(range(2, len(statements)))


def test_sums():
    """Mark 2 is the empty one; 3 is a statement of module a, 4 of b, where a mark costs more."""
    statements = [profile_lines.Statement("", "", 0, x) for x in "012"]
    statements += [profile_lines.Statement(x, "f", 1, x) for x in "ab"]
    marks = [0, 2, 3, 2, 4, 2, 3, 2, 4, 1]
    costs = [5, 10, 120, 20, 115, 10, 120, 20, 115]  # from each mark to the next
    found = profile_lines.sums(marks, costs, statements, 2)
    assert {s.text: cost for s, cost in found.items()} == {"a": (100, 1), "b": (102.5, 1)}


@pytest.mark.parametrize("mode", ["receive1"])
def test_parts_add_up(mode):
    if not counting.valgrind():
        pytest.skip("valgrind is not installed: nothing is profiled")
    (row,) = profiler.directions([mode])
    with temporary() as directory:
        ours = run.ours(run.own(directory))
        place, statements = profile_lines.build(directory)
        with counting.own_sink(directory) as port:
            if len(counting.parts(ours, mode, port, count=1, **row.settings())) < 3:
                pytest.skip("this MicroPython has no symbols: nothing is profiled")
            found = profiler.profile(row, ours, place, statements, port)
    parts = found["parts"]
    assert sum(parts.values()) == pytest.approx(found["total"])
    assert sum(found["kinds"].values()) == pytest.approx(found["total"])
    # the marks fill the tables in which names are looked for, so those take longer there
    assert abs(parts.pop("not explained")) < 0.15 * found["total"]
    assert parts.get("the rest", 0) < 0.05 * found["total"]
    assert all(cost > -5 for cost in parts.values()), parts
    for name in ("the application", "handing over", "topic", "framing", "answers"):
        assert profile_report.share(found, name) > 0, parts


def test_each_statement_has_a_row():
    cost = profile_lines.Cost(10, 1)
    costs = {
        profile_lines.Statement("ours", "message", 1, "count += 1"): cost,
        profile_lines.Statement("nowhere", "f", 1, "x = 1"): cost,
    }
    parts = profile_parts.of(costs, profile_parts.OURS)
    assert sum(parts.values()) == 20 and parts["the rest"] == 10


def test_heap(monkeypatch):
    monkeypatch.setattr(profile_heap, "STAGES", ("import",))
    with temporary() as directory, Sink(directory, force_python=True) as sink:
        found = profile_heap.measure(sink.port)
    assert sum(found["hollow"].values()) < sum(found["imports"].values())
    assert dict(found["objects"]["qos2"])["table.slab"] >= 4 * 256
    found["smallest"] = dict.fromkeys(("import", "construct", "connect", "all"), 1)
    assert any("table.slab" in line for line in profile_report.heap(found))
