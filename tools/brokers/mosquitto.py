"""Mosquitto with a listener of each kind: TCP, TLS, mutual TLS, PSK, WebSocket, both."""

import os
import shutil
import subprocess

from umqtt_harness import mosquitto as harness

from . import common, debian


class Broker(common.Broker):
    name = "mosquitto"
    title = "Mosquitto"
    key = "0123456789abcdef"

    def fetch(self):
        program = harness.find_mosquitto()
        if not program or not shutil.which("mosquitto_passwd"):
            packages = ["mosquitto", "libmosquitto1"]
            tree, _ = debian.fetch(self.cache, self.name, packages)
            for name in ("usr/sbin/mosquitto", "usr/bin/mosquitto_passwd"):
                command = f'exec env LD_LIBRARY_PATH={tree.libraries()} {tree.find(name)} "$@"\n'
                made = debian.script(self.cache / "bin" / name.rpartition("/")[2], command)
            os.environ["PATH"] = f"{made.parent}:{os.environ['PATH']}"
            program = os.environ["MOSQUITTO"] = str(made.parent / "mosquitto")
        said = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=20).stdout
        return said.split()[2]

    def start(self):
        certs = self.certificates
        pair = f"certfile {certs}/server.crt\nkeyfile {certs}/server.key"
        (self.directory / "psk").write_text(f"device:{self.key}\n")
        ca = {"CA": certs / "ca.der"}
        device = {"CERT": certs / "device.der", "KEY": certs / "device.key.der"}
        kinds = (
            ("TLS", "mqtts", pair, ca),
            (
                "mutual TLS",
                "mqtts",
                f"{pair}\ncafile {certs}/ca.crt\nrequire_certificate true",
                {**ca, **device},
            ),
            (
                "TLS-PSK",
                "mqtts",
                f"psk_hint hint\npsk_file {self.directory}/psk",
                {"PSK": f"device:{self.key}"},
            ),
            ("WebSocket", "ws", "protocol websockets", {}),
            ("WebSocket, TLS", "wss", f"protocol websockets\n{pair}", ca),
        )
        ports = common.free_ports(len(kinds))
        extra = ["max_queued_messages 0"]
        for port, (_, _, lines, _) in zip(ports, kinds, strict=True):
            extra.append(f"listener {port} {common.HOST}\n{lines}")
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        self.process = harness.Mosquitto(self.directory, {"user": "pass"}, "\n".join(extra))
        self.process.start()
        found = [common.Endpoint("TCP", f"mqtt://{common.HOST}:{self.process.port}", **login)]
        for port, (name, scheme, _, env) in zip(ports, kinds, strict=True):
            path = "/mqtt" if scheme[0] == "w" else ""
            url = f"{scheme}://localhost:{port}{path}"
            found.append(common.Endpoint(name, url, **login, **env))
        return found

    def stop(self):
        if getattr(self, "process", None):
            self.process.stop()
