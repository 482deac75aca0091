"""The durable session, proven within small bounds: one cut of each kind. `make prove` is longer.

Each scenario is explored whole, by the real client against a model of a server, and each fault of
tests/prover/mutations.py must be caught, or the proof would prove nothing.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from prover import damage, explore, machine, mutations, report, rooms, scenarios
from prover.books import REL, Now
from prover.device import NEW, PATH
from prover.flash import images
from prover.reading import read

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300  # for each scenario, on a slow machine


@pytest.mark.parametrize("name", [scenario.name for scenario in scenarios.LIST])
def test_scenario(name):
    """S1 to S19 and L1 to L3 in every order of events, with one cut of each kind."""
    found = report.explore(name, False, SECONDS)
    assert not found["problem"], found["problem"]
    assert found["ends"] > 0  # else nothing was ever asked about liveness
    scenario = scenarios.named(name)
    assert found["power_cuts"] >= 100 * scenario.powers
    assert found["link_cuts"] >= 100 * scenario.links


@pytest.mark.parametrize("name", mutations.LIST)
def test_mutation(name):
    caught = mutations.check(name, seconds=SECONDS)
    assert caught.invariant, caught


def test_mutations_leave_nothing_behind():
    """The client is as before: else all that follows proves something else."""
    codes = {}
    for name in mutations.LIST:
        for room, function, _, _ in mutations.changes(name):
            codes[room, function] = code_of(room, function)
    name = next(iter(mutations.LIST))
    mutations.check(name)
    with pytest.raises(LookupError), rooms.recoded((("store", "Store.must", "no such", ""),)):
        pass
    assert codes == {(room, function): code_of(room, function) for room, function in codes}


def code_of(room, name):
    found = rooms.ROOMS[room]
    for part in name.split("."):
        found = getattr(found, part)
    return found.__code__


@pytest.mark.parametrize("version", [4, 5])
def test_damaged_journals(version):
    """S16: flipped bits, records left out, doubled and exchanged; and another client's file."""
    assert damage.check(version) > 5000


def test_cap_of_open_ids():
    """S12: the message too many closes the connection, with 0x97, and nothing is forgotten."""
    assert damage.cap() == 256


def test_checksums_are_those_of_the_oracle():
    """The two are written apart; binascii has the third."""
    from binascii import crc_hqx

    from umqtt_plus.journal import crc16

    for start in range(0, 65536, 257):
        data = bytes((start + i * 7) & 255 for i in range(start & 15))
        assert crc16(start, data, 0, len(data)) == crc_hqx(data, start)
        assert crc16(start, bytes((start >> 8,)), 0, 1) == crc_hqx(bytes((start >> 8,)), start)


def test_a_failure_tells_the_way_there():
    with rooms.recoded((("store", "Store._control", "self.must(_REL, p)", "pass"),)):
        world = explore.World(scenarios.named("out"))
        with pytest.raises(explore.Failure) as caught:
            world.search()
    words = str(caught.value)
    assert words.startswith("S14: PUBREL 1") and "verb='publish', m=0" in words.replace(
        "data=b'', ", ""
    )


class Apart(machine.Machine):
    """Takes no two states for one: every byte of RAM and file counts."""

    def key(self):
        return repr(self.save())

    def off(self, frozen):
        return self.number(frozen, ("off", frozen))

    def tail(self, pending, found):
        return pending

    def number(self, key, value):
        return super().number(key + value[2] if key[:1] == ("on",) else key, value)

    def cuts(self, frozen):
        return tuple(self.off(left) for left in images(frozen, PATH, NEW))


MERGED = [("out", 0, 1), ("in", 1, 0), ("in1", 1, 1), ("window5", 0, 1)]


@pytest.mark.parametrize("name, links, powers", MERGED)
def test_merging_states_loses_nothing(name, links, powers, monkeypatch):
    """With each state for itself there are more worlds, and the same books."""
    merged = explore.World(scenarios.named(name, links=links, powers=powers))
    assert merged.search()
    monkeypatch.setattr(explore, "Machine", Apart)
    apart = explore.World(scenarios.named(name, links=links, powers=powers))
    assert apart.search()
    assert apart.counts["states"] > 2 * merged.counts["states"]
    assert set(apart.books) == set(merged.books)


def test_behind_s4_stands_s1(monkeypatch):
    """S4 sees a PUBLISH after PUBREL first; without it the message is counted twice."""
    strict = Now.wrote_publish

    def lax(self, first, packet):
        self.row(packet[7] - 65, REL, 0)
        strict(self, first, packet)

    monkeypatch.setattr(Now, "wrote_publish", lax)
    caught = mutations.check("P2: no REL", deep=True)
    assert caught.invariant == "S1", caught


def test_a_circle_is_found():
    """What can go on for ever is no end."""
    world = explore.World(scenarios.named("out", links=0, powers=0))
    step = machine.Step("boot")

    def twice(node, n):
        now = Now.thaw(world.sc, world.listed[n])
        yield step, node, now

    world.successors = twice
    world.trying = step
    with pytest.raises(explore.Failure, match="circles"):
        world.search()


def test_a_journal_without_records_is_new():
    assert read(b"", b"c", 2)[0][1] is False
    assert read(b"\1\0\0", b"c", 2)[:2] == (read(b"", b"c", 2)[0], True)


@pytest.mark.parametrize("words, status", [(("--scenario", "in12"), 0), (("--scenario", "x"), 1)])
def test_command(words, status):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "prove.py", "--quick", "--jobs", "1", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout + done.stderr
    if not status:
        assert "all hold" in done.stdout and "1+1" in done.stdout
