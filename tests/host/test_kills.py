"""Processes killed for real, in short: nothing is lost, no QoS 2 message has its effect twice.

What goes wrong must make it fail: the books are tested with wrong entries, too, the witness with
a broker that breaks the rules, and one sensor publishes what it has published. `tools/kills.py`
alone is longer.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from kills import Books
from kills_wire import Witness
from umqtt_harness import packets
from umqtt_harness.mosquitto import MISSING, find_mosquitto

ROOT = Path(__file__).resolve().parents[2]


def kills(*words):
    command = [sys.executable, ROOT / "tools" / "kills.py", "--seed", "1", "--seconds", "60"]
    return subprocess.run([*command, *words], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("broker, client", [("bundled", "sync"), ("mosquitto", "aio")])
def test_kills_cost_nothing(broker, client):
    if broker == "mosquitto" and not find_mosquitto():
        pytest.skip(MISSING)
    words = ("--messages", "30", "--kills", "25", "--cuts", "3")
    done = kills("--broker", broker, "--client", client, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout and "PROBLEM" not in done.stdout


def test_a_message_published_twice_is_a_failure():
    done = kills("--sabotage", "twice", "--messages", "60", "--kills", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PROBLEM: up   QoS 2: " in done.stdout and " more than once: " in done.stdout
    assert "--seed 1" in done.stdout  # how to see it again


def books(exact=True):
    b = Books("up", exact)
    b.sent = 3
    for number in (1, 2, 3):
        b.arrive(number)
    assert list(b.problems()) == []
    return b


def test_what_the_books_notice():
    b = books()
    del b.arrived[2]
    assert [*b.problems()] == ["up: 1 of 3 lost: [2]"]
    b = books()
    b.arrive(2)
    assert [*b.problems()] == ["up: 1 more than once: [2]"]
    assert [*b.problems(excused={2})] == []
    b = books(exact=False)
    b.arrive(2)
    assert [*b.problems()] == []
    b = books()
    b.sent = 5
    b.arrive(5)
    b.arrive(4)
    assert [*b.problems()] == ["up: 1 first arrivals out of order"]
    assert [*b.problems(disorder=1)] == []
    b = books()
    b.arrive(4)
    assert [*b.problems()] == ["up: arrived, but never sent: [4]"]


def test_what_the_witness_sees():
    """MQTT-4.3.3-1: no PUBLISH again once its PUBREL went out."""
    witness = Witness()

    def publish(number, packet_id, dup=False):
        witness.see(packets.publish("kills/down/2", b"%08d..." % number, 2, False, packet_id, dup))

    publish(1, 7)
    publish(2, 8)
    publish(1, 7, dup=True)  # fair: not released yet
    witness.see(packets.ack(packets.PUBREL, 7))
    publish(3, 7)  # fair: the id is free again
    assert (witness.twice, witness.disorder) == (set(), 0)
    publish(2, 8, dup=True)
    witness.see(packets.ack(packets.PUBREL, 8))
    publish(2, 8, dup=True)
    assert witness.twice == {2}
    publish(6, 9)
    publish(5, 10)
    assert witness.disorder == 1
