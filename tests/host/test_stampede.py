"""A fleet whose broker restarts comes back without a stampede: tools/stampede.py shows it."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import stampede

ROOT = Path(__file__).resolve().parents[2]
PLOT = ROOT / "tools" / "benchmarks" / "stampede.svg"
DOWN, AT_ONCE = range(2)


@pytest.fixture(scope="module")
def found():
    return stampede.simulate()


@pytest.mark.parametrize("scenario", [DOWN, AT_ONCE], ids=["down", "at_once"])
def test_no_stampede(found, scenario):
    """Once the broker is there, no second sees more than a part of the fleet."""
    without, with_ = (world.figures() for world in found[scenario][2:])
    assert without["peak_back"] == stampede.CLIENTS  # else there is nothing to be spared
    assert with_["peak_back"] < without["peak_back"] / 4
    assert with_["all_up_s"] < without["all_up_s"]
    assert with_["wasted"] < without["wasted"]


def test_a_broker_that_was_down_is_met_by_few(found):
    """The waits of half a minute spread the fleet about as thin as the broker likes it."""
    figures = found[DOWN][3].figures()
    assert figures["peak_back"] < 2 * stampede.RATE
    assert figures["wasted_back"] == 0


def test_all_come_back(found):
    for _, down_ms, *worlds in found:
        for world in worlds:
            assert len(world.ups) == stampede.CLIENTS
            assert world.ups[0] >= down_ms
            failed = sum(1 for _, error in world.attempts if error)
            assert len(world.attempts) == failed + stampede.CLIENTS
            assert world.up_each_second()[-1] == stampede.CLIENTS
            assert sum(world.per_second()) == len(world.attempts)


def test_the_broker_takes_no_more_than_it_can(found):
    for _, down_ms, *worlds in found:
        for world in worlds:
            last = 0
            for s, up in enumerate(world.up_each_second()):
                assert up - last <= stampede.RATE, f"second {s}"
                last = up
            least = -(-stampede.CLIENTS // stampede.RATE) * 1000
            assert world.ups[-1] >= down_ms + least


def test_who_finds_the_backlog_full_waits_in_vain():
    broker = stampede.Broker(0)
    now = stampede.QUIET_MS
    answers = [broker.answer(now) for _ in range(stampede.BACKLOG + 3)]
    step = 1000 // stampede.RATE
    assert answers[:3] == [(step, 0), (2 * step, 0), (3 * step, 0)]
    assert [error for _, error in answers] == [0] * stampede.BACKLOG + [110] * 3
    assert broker.answer(now + step) == (stampede.BACKLOG * step, 0)


def test_nothing_of_it_stays_behind():
    names = ("ticks_ms", "sleep_ms", "random", "collect")
    before = [getattr(stampede.reconnect, name) for name in names]
    stampede.World(0, 3, True)
    assert [getattr(stampede.reconnect, name) for name in names] == before


def test_the_plot_is_up_to_date(found):
    """And it is well-formed."""
    drawn = stampede.draw(found)
    assert PLOT.read_text() == drawn, f"run: python tools/stampede.py --svg {PLOT}"
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    width, height = int(root.get("width")), int(root.get("height"))
    words = [element.text for element in root.iter() if element.tag.endswith("}text")]
    for _, _, *worlds in found:
        for world in worlds:
            assert str(world.figures()["wasted"]) in words
    for element in root.iter():
        if element.tag.endswith("polyline"):
            for x, y in (place.split(",") for place in element.get("points").split()):
                assert 0 <= float(x) <= width and 0 <= float(y) <= height


def test_command(tmp_path):
    file = tmp_path / "small.svg"
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "stampede.py", "--clients", "30", "--svg", file],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("30 clients")
    assert re.search(r"seconds until all are up +[\d.]+ +[\d.]+\n", done.stdout)
    assert len(ElementTree.parse(file).getroot()) > 20
