"""For tests of `deploy`: boards on a serial port, the command, and what a board gets.

A test module loads it with pytest_plugins.
"""

import pytest
from board import chips, deploy
from board.__main__ import main
from firmware import packaging
from serial_board import SerialBoard


@pytest.fixture
def board(tmp_path):
    """board(...): a SerialBoard; by default a Pico W without files, that runs boot.py only."""
    boards = []

    def make(**facts):
        boards.append(SerialBoard(tmp_path, **facts))
        return boards[-1]

    yield make
    for each in boards:
        each.close()


@pytest.fixture
def tool(capsys):
    """tool(command, port, ...): (status, what was printed, what was complained of)."""

    def call(command, port, *words, name="RPI_PICO_W"):
        named = ["--board", name] if command == "deploy" else []
        status = main([command, *named, *(["--port", port] if port else []), *words])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def fresh():
    """{path: bytes} that a Pico W gets."""
    return deploy.wanted(chips.ALL["RPI_PICO_W"], sorted(packaging.modules(deploy.SLICE)))
