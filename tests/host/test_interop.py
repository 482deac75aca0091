"""The interop suite (tests/interop) against the bundled broker, playing each broker as measured,
and against Mosquitto. `make brokers` runs the same suite against real ones of all kinds.

The programs wait more than they work, so all of them are started before the first is judged.
"""

import pytest
from brokers.common import Endpoint
from brokers.deviations import DEVIATIONS, judge
from brokers.interop import Run
from umqtt_harness import mosquitto
from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import Runner
from umqtt_harness.profiles import PROFILES

LOGIN = {"USER_NAME": "user", "PASSWORD": "pass"}
USERS = {"user": "pass"}
CASES = [(name, 5) for name in sorted(PROFILES) if name != "only_3_1_1"]
CASES = [x for x in CASES if x[0] != "activemq"]  # it speaks 3.1.1 only
CASES += [("only_3_1_1", 4), ("nanomq", 4), ("activemq", 4), ("mosquitto", 4), ("mosquitto", 5)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(name, version): the run, and the broker it talks to."""
    place = tmp_path_factory.mktemp("interop")
    runner = Runner(place / "library")
    servers, found = [], {}
    try:
        for name, version in CASES:
            if name == "mosquitto":
                if not mosquitto.find_mosquitto():
                    continue
                extra = "max_queued_messages 0"
                server = mosquitto.Mosquitto(place / f"{name}{version}", USERS, extra)
            else:
                server = BrokerThread(like=name, users=USERS, drain_interval_s=0.05)
            servers.append(server)
            server.start()
            endpoint = Endpoint("TCP", f"mqtt://{server.host}:{server.port}", **LOGIN)
            found[name, version] = (Run(runner, endpoint, version), server)
        yield found
    finally:
        runner.close()
        for server in servers:
            server.__exit__(None, None, None)


@pytest.mark.parametrize(("name", "version"), CASES)
def test_each_broker(runs, name, version):
    """Every row passes, or differs as the table of deviations says; no rule was broken."""
    if (name, version) not in runs:
        pytest.skip(mosquitto.MISSING)
    run, server = runs[name, version]
    facts, rows = run.wait(60)
    assert len(rows) > 20
    verdicts = {row: (*judge(name, version, row, said), said) for row, (said, _) in rows.items()}
    failed = {row: x for row, x in verdicts.items() if x[0] == "FAIL"}
    assert not failed, server.log if name == "mosquitto" else failed
    assert getattr(server, "violations", []) == []
    assert (version == 4) == (facts == {} and not any("expiry" in row for row in rows))


def test_the_table():
    """Each deviation says what the client does and why; one that is not there is noticed."""
    for entries in DEVIATIONS.values():
        for versions, row, seen, reaction, why in entries:
            assert set(versions) <= {4, 5} and row and seen and reaction and why
    assert judge("mosquitto", 5, "takeover", "closed without a DISCONNECT")[0] == "deviation"
    assert judge("mosquitto", 5, "takeover", "ok")[0] == "FAIL"
    assert judge("mosquitto", 5, "takeover", "both stay")[0] == "FAIL"
    assert judge("mosquitto", 4, "takeover", "ok") == ("ok", None)
    assert judge("emqx", 5, "session", "ok, nearly")[0] == "FAIL"
    assert judge("none", 4, "will", "no will")[0] == "FAIL"
