"""pytest fixtures for MQTT firmware. Loaded by itself once the harness is pip-installed.

broker          a fresh bundled broker for one test (umqtt_harness.broker.BrokerThread)
broker_factory  makes more of them, with options: broker_factory(port=0, users={...})
scripted        makes servers that play exact bytes (umqtt_harness.scripted.Scripted)
mosquitto       a real Mosquitto; the test is skipped, with the reason, where there is none
any_broker      the test runs twice: with the bundled broker and with Mosquitto
micropython     runs scripts on MicroPython's unix port (umqtt_harness.micropython.Runner)

Everything a fixture started is ended with its test.
"""

import contextlib

import pytest

from umqtt_harness import micropython as _micropython
from umqtt_harness import mosquitto as _mosquitto

_CHILDREN = pytest.StashKey()
_FAILED = pytest.StashKey()


def pytest_report_header(config):
    try:
        line = _micropython.find_micropython()
    except _micropython.MicroPythonError as error:
        line = str(error)
    found = _mosquitto.find_mosquitto() or f"none ({_mosquitto.MISSING})"
    return [f"micropython: {line}", f"mosquitto: {found}"]


@pytest.fixture
def broker_factory():
    # Imported late: a project that only runs scripts need not load a broker.
    from umqtt_harness.broker import BrokerThread

    with contextlib.ExitStack() as stack:

        def make(**options):
            return stack.enter_context(BrokerThread(**options))

        yield make


@pytest.fixture
def broker(broker_factory):
    return broker_factory()


@pytest.fixture
def scripted(request):
    from umqtt_harness.scripted import Scripted

    servers = []

    def make(steps, **options):
        servers.append(Scripted(steps, **options).start())
        return servers[-1]

    yield make
    # After a failure nobody plays the rest of the script: do not wait for its end.
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            if not request.node.stash.get(_FAILED, False):
                stack.callback(server.finish)


@pytest.fixture
def mosquitto(tmp_path):
    if not _mosquitto.find_mosquitto():
        pytest.skip(_mosquitto.MISSING)
    with _mosquitto.Mosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture(params=["bundled", "mosquitto"])
def any_broker(request):
    return request.getfixturevalue("broker" if request.param == "bundled" else "mosquitto")


@pytest.fixture(scope="session")
def _board_library(tmp_path_factory):
    # One for the session, so that umqtt_plus is compiled once.
    return _micropython.Library(tmp_path_factory.mktemp("board"))


@pytest.fixture
def micropython(request, tmp_path, _board_library):
    runner = _micropython.Runner(tmp_path / "scripts", _board_library)
    request.node.stash[_CHILDREN] = runner.children
    yield runner
    runner.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its scripts printed, as it shows what the test itself printed."""
    report = (yield).get_result()
    if call.when == "call" and report.failed:
        item.stash[_FAILED] = True
        for child in item.stash.get(_CHILDREN, ()):
            report.sections.append(("MicroPython", repr(child.result())))
