"""RabbitMQ: TCP, TLS, WebSocket, and a JWT as password (its OAuth 2 plugin)."""

import base64
import hashlib
import hmac
import json
import os
import time

from . import common, debian, erlang

_PLUGINS = "[rabbitmq_mqtt,rabbitmq_web_mqtt,rabbitmq_auth_backend_oauth2]."
_KEY = b"the key of the test, 32 bytes..."
_SERVER = "rabbitmq"


def token(expires_s, key=_KEY):
    """A JWT (HS256) with which the suite may do everything."""

    def part(x):
        return base64.urlsafe_b64encode(x).rstrip(b"=")

    rights = [f"{_SERVER}.{right}:*/*/*" for right in ("configure", "read", "write")]
    claims = {"aud": [_SERVER], "scope": rights, "exp": int(time.time()) + expires_s}
    head = {"alg": "HS256", "typ": "JWT", "kid": "key"}
    text = b".".join(part(json.dumps(x).encode()) for x in (head, claims))
    return (text + b"." + part(hmac.digest(key, text, hashlib.sha256))).decode()


class Broker(common.Broker):
    name = "rabbitmq"
    title = "RabbitMQ 3"
    versions = (4,)
    most = {"QOS": "1"}  # it has no QoS 2, and does not say so

    def fetch(self):
        self.tree, version = debian.fetch(self.cache, self.name, ["rabbitmq-server"])
        return version

    def start(self):
        here, certs = self.directory, self.certificates
        tcp, tls, ws, wss, jwt, distribution, epmd = common.free_ports(7)
        program = self.tree.find("usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server")
        path = erlang.wrapper(self.tree, here)
        settings = erlang.epmd(self, self.tree, epmd)
        key = base64.b64encode(_KEY).decode()
        (here / "plugins").write_text(_PLUGINS)
        (here / "rabbitmq.conf").write_text(
            "listeners.tcp = none\n"
            f"mqtt.listeners.tcp.1 = {common.HOST}:{tcp}\n"
            f"mqtt.listeners.tcp.2 = {common.HOST}:{jwt}\n"
            f"mqtt.listeners.ssl.1 = {common.HOST}:{tls}\n"
            f"web_mqtt.tcp.listener = {common.HOST}:{ws}\n"
            f"web_mqtt.ssl.listener = {common.HOST}:{wss}\n"
            f"web_mqtt.ssl.cacertfile = {certs}/ca.crt\n"
            f"web_mqtt.ssl.certfile = {certs}/server.crt\n"
            f"web_mqtt.ssl.keyfile = {certs}/server.key\n"
            f"ssl_options.cacertfile = {certs}/ca.crt\n"
            f"ssl_options.certfile = {certs}/server.crt\n"
            f"ssl_options.keyfile = {certs}/server.key\n"
            "mqtt.allow_anonymous = false\n"
            "auth_backends.1 = internal\n"
            "auth_backends.2 = rabbit_auth_backend_oauth2\n"
            f"auth_oauth2.resource_server_id = {_SERVER}\n"
            "log.console = true\nlog.console.level = info\n"
        )
        # a key that is no file can be given in the older format only
        (here / "advanced.config").write_text(
            '[{rabbitmq_auth_backend_oauth2, [{key_config, [{default_key, <<"key">>}, '
            '{signing_keys, #{<<"key">> => {map, #{<<"kty">> => <<"oct">>, '
            f'<<"alg">> => <<"HS256">>, <<"k">> => <<"{key}">>}}}}}}}}]}}]}}].\n'
        )
        settings.update(
            PATH=f"{path}:{os.environ['PATH']}",
            HOME=here,
            RABBITMQ_NODENAME="interop@localhost",
            RABBITMQ_MNESIA_BASE=here / "mnesia",
            RABBITMQ_LOG_BASE=here / "log",
            RABBITMQ_CONFIG_FILE=here / "rabbitmq.conf",
            RABBITMQ_ADVANCED_CONFIG_FILE=here / "advanced.config",
            RABBITMQ_CONF_ENV_FILE=here / "none",
            RABBITMQ_ENABLED_PLUGINS_FILE=here / "plugins",
            RABBITMQ_DIST_PORT=distribution,
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
        )
        # not asked, for a refusal takes it seconds
        ports = (tcp, tls, ws, wss, jwt)
        self.run([program], ports, 90, common.listens, env=settings, cwd=here)
        login = {"USER_NAME": "guest", "PASSWORD": "guest", **self.most}
        ca = {"CA": certs / "ca.der"}
        bearer = {
            "USER_NAME": "anybody",
            "PASSWORD": token(3600),
            "WRONG_PASSWORD": token(-10),
            "SHORT_PASSWORD": lambda: token(4),
            **self.most,
        }
        at = common.HOST
        return [
            common.Endpoint("TCP", f"mqtt://{at}:{tcp}", self.versions, **login),
            common.Endpoint("TLS", f"mqtts://localhost:{tls}", self.versions, **login, **ca),
            common.Endpoint("WebSocket", f"ws://{at}:{ws}/ws", self.versions, **login),
            common.Endpoint(
                "WebSocket, TLS", f"wss://localhost:{wss}/ws", self.versions, **login, **ca
            ),
            common.Endpoint("JWT (OAuth 2)", f"mqtt://{at}:{jwt}", self.versions, **bearer),
        ]
