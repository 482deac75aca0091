"""iotcore (rumqttd within a Python wheel), from PyPI: TCP for each version, WebSocket."""

import sys

from . import common, python

_CONFIG = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
"""
_LISTENER = """
[{kind}.1]
name = "{kind}"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[{kind}.1.connections]
connection_timeout_ms = 5000
max_payload_size = 204800
max_inflight_count = 100
dynamic_filters = true
[{kind}.1.connections.auth]
user = "pass"
"""


class Broker(common.Broker):
    name = "iotcore"
    title = "iotcore"

    def fetch(self):
        self.place, version = python.fetch(self.cache, self.name, "iotcore==0.4.0")
        return version

    def start(self):
        ports = dict(zip(("v4", "v5", "ws"), common.free_ports(3), strict=True))
        config = self.directory / "rumqttd.toml"
        parts = [_LISTENER.format(kind=k, host=common.HOST, port=p) for k, p in ports.items()]
        config.write_text(_CONFIG + "".join(parts))
        command = [sys.executable, "-m", "iotcore", "--config", config]
        env = {"PYTHONPATH": self.place}
        self.run(command, ports.values(), 30, common.listens, env=env)
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        at = common.HOST
        return [
            common.Endpoint("TCP", f"mqtt://{at}:{ports['v4']}", (4,), **login),
            common.Endpoint("TCP", f"mqtt://{at}:{ports['v5']}", (5,), **login),
            common.Endpoint("WebSocket", f"ws://{at}:{ports['ws']}/mqtt", (4,), **login),
        ]
