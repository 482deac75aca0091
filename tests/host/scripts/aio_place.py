"""Fixtures of the asyncio tests, which name this file in pytest_plugins."""

import contextlib
import os
import socket
import sys
import textwrap
from pathlib import Path

import pytest
from umqtt_harness.micropython import Child

SCRIPTS = Path(__file__).resolve().parent


class Place:
    """A server, and an interpreter for scripts that talk to it."""

    def __init__(self, server, run):
        self.server = server
        self.run = run


@pytest.fixture(params=["bundled", "mosquitto", "bundled-cpython"])
def place(request, tmp_path):
    """MicroPython with both brokers, CPython with the bundled one."""
    server = request.getfixturevalue("mosquitto" if request.param == "mosquitto" else "broker")
    if request.param != "bundled-cpython":
        program = request.getfixturevalue("run")
        yield Place(server, lambda script: program(server, script))
        return
    children = []

    def run(script):
        file = tmp_path / "script.py"
        file.write_text("from world import *\n" + textwrap.dedent(script))
        command = [sys.executable, "-W", "error", str(SCRIPTS / "aio_cpython.py"), str(file)]
        env = {**os.environ, "MQTT_HOST": server.host, "MQTT_PORT": str(server.port)}
        children.append(Child("script.py on CPython", command, env, None))
        result = children[-1].wait(20)
        assert server.violations == []
        assert result.stderr == ""
        return result.stdout.splitlines()

    yield Place(server, run)
    for child in children:
        child.kill()


class Silent:
    """An address whose SYNs nobody answers: a full backlog."""

    def __init__(self, stack):
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.host, self.port = listener.getsockname()
        for _ in range(8):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex((self.host, self.port))


@pytest.fixture
def silent():
    with contextlib.ExitStack() as stack:
        yield Silent(stack)
