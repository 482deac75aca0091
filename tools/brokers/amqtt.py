"""aMQTT, a broker in Python, from PyPI: TCP, TLS and WebSocket."""

import sys

from . import common, python

_CONFIG = """\
listeners:
  default: {{type: tcp, bind: "{host}:{tcp}"}}
  secure: {{type: tcp, bind: "{host}:{tls}", ssl: true, certfile: "{certs}/server.crt",
    keyfile: "{certs}/server.key"}}
  web: {{type: ws, bind: "{host}:{web}"}}
plugins:
  amqtt.plugins.authentication.FileAuthPlugin: {{password_file: "{here}/passwords"}}
"""
_HASH = (
    "from pwdlib.hashers.argon2 import Argon2Hasher as A; print(A(memory_cost=64).hash('pass'))"
)


class Broker(common.Broker):
    name = "amqtt"
    title = "aMQTT"

    def fetch(self):
        self.place, version = python.fetch(self.cache, self.name, "amqtt==0.12.1")
        return version

    def start(self):
        here = self.directory
        env = {"PYTHONPATH": self.place}
        hashed = common.command_output([sys.executable, "-c", _HASH], env=env, cwd=here)
        (here / "passwords").write_text(f"user:{hashed}")
        tcp, tls, web = common.free_ports(3)
        config = here / "amqtt.yaml"
        ports = {"tcp": tcp, "tls": tls, "web": web}
        config.write_text(
            _CONFIG.format(host=common.HOST, here=here, certs=self.certificates, **ports)
        )
        program = "from amqtt.scripts.broker_script import main; main()"
        self.run([sys.executable, "-c", program, "-c", config], [tcp], 30, env=env, cwd=here)
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        ca = {"CA": self.certificates / "ca.der"}
        return [
            common.Endpoint("TCP", f"mqtt://{common.HOST}:{tcp}", (4,), **login),
            common.Endpoint("TLS", f"mqtts://localhost:{tls}", (4,), **login, **ca),
            common.Endpoint("WebSocket", f"ws://{common.HOST}:{web}/mqtt", (4,), **login),
        ]
