"""The soak in short: each kind of trouble once, and the books balance. `make soak` is longer.

What a soak finds wrong must make it fail, so the books are tested with wrong entries, too, and
one sensor dies on purpose.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from soak import KINDS, Books

ROOT = Path(__file__).resolve().parents[2]


def soak(*words):
    command = [sys.executable, ROOT / "tools" / "soak.py", "--verbose", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=150)


def test_each_kind_of_trouble_once():
    done = soak("--seconds", "12", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    times = {line[0]: int(line[1]) for line in words if len(line) == 2 and line[0] in KINDS}
    assert set(times) == set(KINDS) and min(times.values()) > 0
    assert "passed" in done.stdout and "PROBLEM" not in done.stdout


def test_a_task_that_dies_is_a_failure():
    done = soak("--seconds", "12", "--seed", "1", "--sabotage", "die")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PROBLEM: died" in done.stdout and "on purpose" in done.stdout
    assert "--seconds 12 --seed 1" in done.stdout  # how to see it again


def balanced():
    books = Books("up")
    for qos in range(3):
        books.sent[qos] = 3
        for number in (1, 2, 3):
            books.arrive(qos, number)
    assert list(books.problems()) == []
    return books


def lose(books, qos):
    del books.arrived[qos][2]


def double(books, qos):
    books.arrive(qos, 2)


def swap(books, qos):
    books.sent[qos] = 5
    books.arrive(qos, 5)
    books.arrive(qos, 4)


def invent(books, qos):
    books.arrive(qos, 9)


@pytest.mark.parametrize(
    "do, wrong_for",
    [(lose, {1, 2}), (double, {0, 2}), (swap, {0, 1, 2}), (invent, {0, 1, 2})],
)
def test_what_the_books_notice(do, wrong_for):
    found = set()
    for qos in range(3):
        books = balanced()
        do(books, qos)
        if any(f"QoS {qos}" in problem for problem in books.problems()):
            found.add(qos)
    assert found == wrong_for
