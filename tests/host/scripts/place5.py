"""Fixtures of the 5.0 tests, which name this file in pytest_plugins."""

import pytest
from umqtt_harness.mosquitto import MISSING, Mosquitto, find_mosquitto

# limits of a server as lines of Mosquitto's configuration
_LINES = {
    "receive_maximum": "max_inflight_messages",
    "maximum_qos": "max_qos",
    "retain_available": "retain_available",
    "maximum_packet_size": "max_packet_size",
    "topic_alias_maximum": "max_topic_alias",
}


@pytest.fixture(params=["bundled", "mosquitto"])
def limited(request, tmp_path):
    """limited(receive_maximum=2, ...): a server that announces these limits, of both kinds."""
    running = []

    def start(**limits):
        if request.param == "bundled":
            return request.getfixturevalue("broker_factory")(limits=limits)
        if not find_mosquitto():
            pytest.skip(MISSING)
        lines = []
        for name, value in limits.items():
            if name == "retain_available":
                value = "true" if value else "false"
            lines.append(f"{_LINES[name]} {value}\n")
        running.append(Mosquitto(tmp_path / "limited", extra="".join(lines)).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__(None, None, None)
