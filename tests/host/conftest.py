"""For tests of the client: `program` runs one on MicroPython, and the broker is its witness."""

import textwrap
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent / "scripts"


@pytest.fixture
def program(micropython):
    """program(server, script, ...): a running MicroPython with everything of scripts/world.py.

    script is source text, or the name of a file in scripts/. At the end of the test each server
    that keeps a list of violations must have an empty one: the client never broke a rule.
    """
    servers = []

    def start(server, script, **options):
        if server not in servers:
            servers.append(server)
        env = {"MQTT_HOST": server.host, "MQTT_PORT": server.port, **options.pop("env", {})}
        if "\n" in script:
            script = "from world import *\n" + textwrap.dedent(script)
        else:
            script = SCRIPTS / script
        return micropython.start(script, env=env, path=[SCRIPTS], **options)

    yield start
    for server in servers:
        assert getattr(server, "violations", []) == []


@pytest.fixture
def run(program):
    """As program(), but waits for the end; the lines that the script printed."""

    def run(server, script, timeout=20, **options):
        return program(server, script, **options).wait(timeout).stdout.splitlines()

    return run
