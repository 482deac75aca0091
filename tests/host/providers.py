"""Clouds as their documentation describes them: the bundled broker, with the rules of each.

Each rule names its source in words. `refused` lists what a client was refused, `expired` how often
the server itself had to end a connection because its token was too old. Nobody asked a real one.
"""

import base64
import hashlib
import hmac
import json
import re
import ssl
import subprocess
import time
import urllib.parse

import pytest
from fakes.gateway import Gateway, server_context
from umqtt_harness.broker import BrokerThread
from umqtt_harness.core import Broker

WRONG = 5  # not authorized


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Provider(Broker):
    """login(connect) -> None or (a reason); until when the token holds is left in self.until."""

    retain = False
    payload = 262144
    filters = 999
    places = None  # of what is published
    heard = None  # of what is subscribed

    def __init__(self, **options):
        super().__init__(**options)
        self.refused = []
        self.tokens = []
        self.expired = 0
        self.until = None

    def login(self, connect):
        return None

    def _judge(self, connect, fault):
        self.until = None
        code = super()._judge(connect, fault)
        why = self.login(connect)
        if why:
            self.refused.append(why)
        return code or (WRONG if why else 0)

    def _judge5(self, connect):
        self.until = None
        code = super()._judge5(connect)
        why = self.login(connect)
        if why:
            self.refused.append(why)
        return code or (0x87 if why else 0)

    def _connect(self, connection, connect, fault):
        super()._connect(connection, connect, fault)
        if self.until:
            self.loop.call_later(self.until - time.time(), self._expire, connection)

    def _expire(self, connection):
        if not connection.closed:
            self.expired += 1
            connection.close("the token has expired")

    def against(self, packet):
        """Why this PUBLISH is refused, or None."""
        if packet.qos == 2:
            return "QoS 2"
        if len(packet.payload) > self.payload:
            return "payload"
        if self.places and not re.match(self.places, packet.topic):
            return "topic"
        return None

    def handle(self, connection, packet, fault):
        why = None
        if connection.session is not None and packet.type == "PUBLISH":
            why = self.against(packet)
            if not why and packet.retain and not self.retain:
                packet.retain = False
                self.refused.append("retain")
        elif connection.session is not None and packet.type == "SUBSCRIBE":
            why = self.against_filters(packet)
        if why:
            self.refused.append(why)
            self.punish(connection, why)
        else:
            super().handle(connection, packet, fault)

    def against_filters(self, packet):
        if len(packet.filters) > self.filters:
            return "filters"
        for name, options in packet.filters:
            if options & 3 == 2:
                return "QoS 2 filter"
            if self.heard and not re.match(self.heard, name):
                return "filter"
        return None

    def punish(self, connection, why):
        connection.close(why)


class Aws(Provider):
    """Developer guide, "differences from MQTT specifications": QoS 2 is neither acknowledged nor
    granted in MQTT 3. Quotas, "message broker and protocol limits": payload 128 KB, topic 256
    bytes, 7 slashes, 8 subscriptions in a request, client id 128 bytes, keep alive 30 to 1200 s.
    """

    retain = True
    payload = 128 * 1024
    filters = 8

    def login(self, connect):
        if len(connect.client_id.encode()) > 128:
            return "client id"
        return None

    def against(self, packet):
        if packet.topic.count("/") > 7 or len(packet.topic.encode()) > 256:
            return "topic"
        return super().against(packet)

    def punish(self, connection, why):
        if "QoS" not in why:
            super().punish(connection, why)


class Azure(Provider):
    """Its guide, "Communicate with an IoT hub using the MQTT protocol": the client id is the
    device id, the user name {hub}/{device id}/?api-version=, the password a SAS token; QoS 2
    closes the connection; retain is not kept; topics of its own. "Control access with shared
    access signatures": sr, sig, se; the connection ends with the token. Quotas: 256 KB.
    """

    key = b"a device's own key, not to be seen"
    user = r"(?P<hub>[^/]+)/(?P<device>[^/]+)(/(?P<module>[^/]+))?/\?api-version=20\d\d-\d\d-\d\d"
    places = r"(devices/[^/]+/(modules/[^/]+/)?messages/events/|\$iothub/)"
    heard = r"(devices/[^/]+/(modules/[^/]+/(inputs|messages)/|messages/devicebound/)|\$iothub/)"

    def login(self, connect):
        found = re.fullmatch(self.user, connect.user or "")
        if not found:
            return "user name"
        hub, device, module = found["hub"], found["device"], found["module"]
        if connect.client_id != device + (f"/{module}" if module else ""):
            return "client id"
        kind, _, fields = (connect.password or b"").decode().partition(" ")
        fields = urllib.parse.parse_qs(fields, strict_parsing=True)
        if kind != "SharedAccessSignature" or not {"sr", "sig", "se"} <= fields.keys():
            return "no SAS token"
        (where,), (sign,), (end,) = fields["sr"], fields["sig"], fields["se"]
        if where != f"{hub}/devices/{device}" + (f"/modules/{module}" if module else ""):
            return "resource"
        text = urllib.parse.quote(where, safe="") + "\n" + end
        right = hmac.new(self.key, text.encode(), hashlib.sha256).digest()
        if base64.b64encode(right).decode() != sign:
            return "signature"
        if int(end) <= time.time():
            return "expired"
        self.until = int(end)
        self.tokens.append(connect.password)
        return None


class Hivemq(Provider):
    """Documentation of HiveMQ Cloud: user name and password, all of QoS and retain; 5 MB."""

    retain = True
    payload = 5 * 1024 * 1024

    def login(self, connect):
        return None if (connect.user, connect.password) == ("board", b"hidden") else "password"

    def against(self, packet):
        return "payload" if len(packet.payload) > self.payload else None

    def against_filters(self, packet):
        return None


class Emqx(Hivemq):
    """Documentation of EMQX Platform, "JWT authentication": HS256 in the password field, exp is
    checked, a claim can be compared with the user name; a client is disconnected when its token
    has expired. 1 MB.
    """

    payload = 1024 * 1024
    secret = b"a secret for tokens"

    def login(self, connect):
        try:
            head, body, sign = connect.password.decode().split(".")
            claims = json.loads(decoded(body))
        except (AttributeError, ValueError):
            return "no JWT"
        right = hmac.new(self.secret, f"{head}.{body}".encode(), hashlib.sha256).digest()
        if json.loads(decoded(head))["alg"] != "HS256" or decoded(sign) != right:
            return "signature"
        if claims["username"] != connect.user:
            return "user name"
        if claims["exp"] <= time.time() or claims["iat"] > time.time() + 1:
            return "expired"
        self.until = claims["exp"]
        self.tokens.append(connect.password)
        return None

    def _accept5(self, connection, *more):
        super()._accept5(connection, *more)
        if self.until:
            self.loop.call_later(self.until - time.time(), self._expire, connection)


class Thingsboard(Provider):
    """Its "MQTT device API reference": the access token is the user name, code 5 if it is wrong;
    QoS 0 and 1; its own topics. Its configuration: 65536 bytes.
    """

    payload = 65536
    places = heard = r"(v1/(devices/me|gateway)/|v2/|/provision)"

    def login(self, connect):
        return None if connect.user == "ACCESSTOKEN" else "token"


class Adafruit(Provider):
    """Its "MQTT API": user name and key; QoS 2 is not supported, neither is retain; topics begin
    with the user name; 30 data points a minute, more give a message at {user}/throttle, and are
    lost.
    """

    payload = 100 * 1024
    places = r"somebody/(f|feeds|g|groups)/"
    heard = r"(somebody|time)/"
    per_minute = 30

    def __init__(self, **options):
        super().__init__(**options)
        self.times = []

    def login(self, connect):
        return None if (connect.user, connect.password) == ("somebody", b"aio_key") else "key"

    def handle(self, connection, packet, fault):
        if packet.type == "PUBLISH":
            now = time.monotonic()
            self.times = [t for t in self.times if now - t < 60] + [now]
            if len(self.times) > self.per_minute:
                self.refused.append("throttle")
                self.route("somebody/throttle", b"data rate limit reached")
                return
        super().handle(connection, packet, fault)


class Clearblade(Provider):
    """Its guide, "Publish over MQTT": client id with project, region, registry and device; any
    user name; QoS 2 closes the connection. "Use JSON Web Tokens": RS256 or ES256, aud is the
    project, at most 24 hours from iat to exp.
    """

    place = "projects/proj/locations/us-central1/registries/reg/devices/dev1"
    places = heard = r"/devices/dev1/"

    def __init__(self, public_key, **options):
        super().__init__(**options)
        self.public_key = public_key

    def login(self, connect):
        if connect.client_id != self.place:
            return "client id"
        head, body, sign = (connect.password or b"..").decode().split(".")
        claims = json.loads(decoded(body))
        sign_file = self.public_key.with_name("signature")
        sign_file.write_bytes(decoded(sign))
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", self.public_key, "-signature", sign_file],
            input=f"{head}.{body}".encode(),
            capture_output=True,
            timeout=20,
        )
        if json.loads(decoded(head))["alg"] != "RS256" or done.returncode:
            return "signature"
        if claims["aud"] != "proj" or claims["exp"] - claims["iat"] > 86400:
            return "claims"
        if claims["exp"] <= time.time():
            return "expired"
        self.tokens.append(connect.password)
        return None


class Cloud(BrokerThread):
    """A provider in a thread, behind TLS: port is that of TLS. device_ca: of mutual TLS."""

    def __init__(self, provider, certs, device_ca=None, websocket=False):
        super().__init__()
        self.broker = provider
        self.log = provider.log
        context = server_context(certs / "server.crt", certs / "server.key")
        if device_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(device_ca)
        self.context = context
        self.websocket = websocket
        self.front = None

    def __enter__(self):
        super().__enter__()
        self.front = Front(self.broker.port, self.websocket, self.context).__enter__()
        return self

    def __exit__(self, *error):
        self.front.__exit__()
        super().__exit__(*error)

    @property
    def port(self):
        return self.front.port


class Front(Gateway):
    """Keeps the requests of WebSocket clients, too."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.requests = []

    def _shake(self, client):
        heard = bytearray()
        self.requests.append(heard)
        super()._shake(_Heard(client, heard))


class _Heard:
    def __init__(self, client, heard):
        self.client = client
        self.heard = heard

    def recv(self, n):
        data = self.client.recv(n)
        self.heard += data
        return data

    def sendall(self, data):
        self.client.sendall(data)


# what does not depend on the interpreter
one = pytest.mark.parametrize("machine", ["default"], indirect=True)
AZURE_KEY = base64.b64encode(Azure.key).decode()
HEAD = """
    import umqtt_plus.clouds as clouds, umqtt_plus.tokens as tokens
    from umqtt_plus.reconnect import Link
    CA = DIR + "/ca.der"
    HERE = {"server": "localhost", "port": PORT}
    AZURE = os.getenv("AZURE_KEY")

    def error(f, *args, **options):
        try:
            return "none: %r" % (f(*args, **options),)
        except Exception as e:
            return "%s %s" % (type(e).__name__, e)
"""
