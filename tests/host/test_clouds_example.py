"""The example of a sensor in the cloud, against a server that checks its tokens."""

import base64
import json
from pathlib import Path

import providers
import pytest

pytest_plugins = ["secure"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def azure(certs):
    with providers.Cloud(providers.Azure(), certs) as server:
        yield server


@pytest.fixture
def start(micropython, azure, certs, tmp_path):
    def start(**env):
        settings = {
            "MQTT_HOST": "localhost",
            "MQTT_PORT": azure.port,
            "CA": certs / "ca.der",
            "KEY": base64.b64encode(providers.Azure.key).decode(),
            **env,
        }
        script = EXAMPLES / "cloud_sensor.py"
        return micropython.start(script, env=settings, mpy=True, heapsize="256k", cwd=tmp_path)

    return start


def test_cloud_sensor(azure, start):
    """Who it is, then readings, each of them once; a command; all of it with a token."""
    child = start(ROUNDS=5, INTERVAL_MS=800)
    child.expect("connected as device1")
    azure.publish("devices/device1/messages/devicebound/x", b"blink", qos=1)
    child.expect("told to b'blink'")
    child.wait()
    sent = [json.loads(m.payload) for m in azure.messages("devices/device1/messages/events/")]
    assert [x["n"] for x in sent if "n" in x] == [0, 1, 2, 3, 4]
    (who,) = [x for x in sent if "n" not in x]
    assert who["firmware"] == "1.0" and who["id"] and who["system"].startswith("micropython ")
    assert azure.broker.refused == [] and azure.violations == []


def test_cloud_sensor_renews(azure, start):
    """Over the end of its tokens nothing gets lost, and the server never has to hang up."""
    child = start(ROUNDS=40, INTERVAL_MS=200, LIFE_S=10)
    child.expect("link lost: .*127.* connect\\(\\) makes a new one", timeout=20)
    child.wait(30)
    provider = azure.broker
    assert len(provider.tokens) == len(set(provider.tokens)) >= 2
    assert provider.expired == 0 and provider.refused == []
    sent = [json.loads(m.payload) for m in azure.messages("devices/device1/messages/events/")]
    assert {x["n"] for x in sent if "n" in x} == set(range(40))
