"""For tests of the client: `program` runs one on MicroPython, and the broker is its witness."""

import signal
import textwrap
from pathlib import Path

import pytest
from umqtt_harness.micropython import compile_mpy

SCRIPTS = Path(__file__).resolve().parent / "scripts"

# A shell starts what runs in the background deaf to Ctrl-C, and so would our children be.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def compiled_scripts(tmp_path_factory, _board_library):
    """world.py as .mpy: compiling it in a heap of 40 KB would leave holes. The package, too,
    before the time of any server runs."""
    _board_library.compiled()
    place = tmp_path_factory.mktemp("scripts")
    compile_mpy(SCRIPTS / "world.py", place / "world.mpy", "world.py")
    return place


@pytest.fixture
def program(micropython, compiled_scripts):
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
        place = compiled_scripts if options.get("mpy") else SCRIPTS
        return micropython.start(script, env=env, path=[place], **options)

    yield start
    for server in servers:
        assert getattr(server, "violations", []) == []


@pytest.fixture
def run(program):
    """As program(), but waits for the end; the lines that the script printed."""

    def run(server, script, timeout=20, **options):
        return program(server, script, **options).wait(timeout).stdout.splitlines()

    return run
