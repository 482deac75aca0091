"""ejabberd, an XMPP server that speaks MQTT: TCP, TLS and WebSocket."""

import os

from . import common, debian, erlang

_CONFIG = """\
hosts: [localhost]
loglevel: info
certfiles: ["{here}/pair.pem"]
auth_method: [internal]
auth_password_format: plain
listen:
  - {{port: {tcp}, ip: "{host}", module: mod_mqtt, backlog: 100}}
  - {{port: {tls}, ip: "{host}", module: mod_mqtt, backlog: 100, tls: true}}
  - port: {web}
    ip: "{host}"
    module: ejabberd_http
    request_handlers:
      /mqtt: mod_mqtt
modules:
  mod_mqtt: {{}}
"""
# registered before the ports are asked for an answer, since a suite would come too early
_USER = 'ejabberd_auth:try_register(<<"user">>, <<"localhost">>, <<"pass">>).'


class Broker(common.Broker):
    name = "ejabberd"
    title = "ejabberd"

    def fetch(self):
        self.tree, version = debian.fetch(self.cache, self.name, ["ejabberd"])
        return version

    def start(self):
        here, certs = self.directory, self.certificates
        tcp, tls, web, epmd = common.free_ports(4)
        path = erlang.wrapper(self.tree, here)
        settings = erlang.epmd(self, self.tree, epmd)
        pair = "".join((certs / f"server.{end}").read_text() for end in ("crt", "key"))
        (here / "pair.pem").write_text(pair)
        config = here / "ejabberd.yml"
        config.write_text(_CONFIG.format(host=common.HOST, tcp=tcp, tls=tls, web=web, here=here))
        settings.update(
            PATH=f"{path}:{os.environ['PATH']}",
            HOME=here,
            EJABBERD_CONFIG_PATH=config,
            EJABBERD_LOG_PATH=here / "ejabberd.log",
            ERL_CRASH_DUMP=here / "crash.dump",
            ERL_LIBS=self.tree.find("usr/lib/*/ejabberd-*/ebin/ejabberd.app").parents[2],
        )
        command = ["erl", "-sname", "interop@localhost", "-noinput"]
        command += ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
        command += ["-mnesia", "dir", f'"{here}/spool"', "-s", "ejabberd", "-eval", _USER]
        command[0] = path / "erl"
        process = self.run(command, [tcp], env=settings, cwd=here)
        process.wait_until(lambda: common.listens(web), 30)
        login = {"USER_NAME": "user@localhost", "PASSWORD": "pass"}
        ca = {"CA": certs / "ca.der"}
        return [
            common.Endpoint("TCP", f"mqtt://{common.HOST}:{tcp}", **login),
            common.Endpoint("TLS", f"mqtts://localhost:{tls}", **login, **ca),
            common.Endpoint("WebSocket", f"ws://{common.HOST}:{web}/mqtt", **login),
        ]
