"""aedes, from npm: TCP, TLS and WebSocket in a few lines of JavaScript."""

import fcntl
import json
import shutil

from . import common

_PACKAGES = ("aedes@1.2.0", "ws@8.18.3")
_SERVER = """\
const {{ Aedes }} = require('aedes')
const fs = require('fs')
const ws = require('ws')
const [tcp, tls, web] = process.argv.slice(2).map(Number)
Aedes.createBroker().then(broker => {{
  broker.authenticate = (client, user, password, done) => {{
    const error = new Error('refused')
    error.returnCode = 4
    const right = user === 'user' && password && password.toString() === 'pass'
    done(right ? null : error, right)
  }}
  const pair = {{ key: fs.readFileSync('{certs}/server.key'),
    cert: fs.readFileSync('{certs}/server.crt') }}
  const web_server = require('http').createServer()
  new ws.Server({{ server: web_server, handleProtocols: () => 'mqtt' }}).on('connection',
    socket => broker.handle(ws.createWebSocketStream(socket)))
  require('net').createServer(broker.handle).listen(tcp, '127.0.0.1')
  require('tls').createServer(pair, broker.handle).listen(tls, '127.0.0.1')
  web_server.listen(web, '127.0.0.1')
}})
"""


class Broker(common.Broker):
    name = "aedes"
    title = "aedes"

    def fetch(self):
        for program in ("node", "npm"):
            if not shutil.which(program):
                raise common.Unavailable(f"no {program} here")
        self.place = self.cache / "npm"
        self.place.mkdir(parents=True, exist_ok=True)
        found = self.place / "node_modules" / "aedes" / "package.json"
        with open(self.place / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not found.exists() or not (self.place / "node_modules" / "ws").exists():
                options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", self.place]
                common.command_output(["npm", "install", *options, *_PACKAGES], cwd=self.place)
        return json.loads(found.read_text())["version"]

    def start(self):
        tcp, tls, web = ports = common.free_ports(3)
        program = self.directory / "server.js"
        program.write_text(_SERVER.format(certs=self.certificates))
        env = {"NODE_PATH": self.place / "node_modules"}
        process = self.run(["node", program, *ports], [tcp], env=env)
        process.wait_until(lambda: common.listens(web), 20)
        login = {"USER_NAME": "user", "PASSWORD": "pass"}
        ca = {"CA": self.certificates / "ca.der"}
        return [
            common.Endpoint("TCP", f"mqtt://{common.HOST}:{tcp}", (4,), **login),
            common.Endpoint("TLS", f"mqtts://localhost:{tls}", (4,), **login, **ca),
            common.Endpoint("WebSocket", f"ws://{common.HOST}:{web}/mqtt", (4,), **login),
        ]
