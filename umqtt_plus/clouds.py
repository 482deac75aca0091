"""Servers in the cloud: what each wants at connect(), and what it does not take.

from umqtt_plus import MQTTClient
from umqtt_plus.clouds import azure, client
profile = azure("NAME.azure-devices.net", "device1", KEY, "root.der")
c = client(MQTTClient, profile, buffer_size=1024)        # or aio.MQTTClient

ca, cert, key of TLS as in tls_params.py: bytes, or the name of a file. A user name or password
may be a function: it is called at each connect() and gives it, or (it, for how many seconds it
holds); before that is over the link is given up with OSError(127), so that a reconnect.Link comes
back with a new one. tokens.py has such functions. All limits are the providers' published ones;
none was tried live.
"""

from .codec import limit, text


class Profile:
    """options: a dict of arguments for MQTTClient (secrets, too). The rest: what the server takes.

    Change what your contract says otherwise, before client().
    """

    name = ""
    qos = 2
    retain = True
    payload = 0  # bytes of a message at most; 0: no limit known
    topic = 65535  # bytes
    slashes = 65535  # in a topic
    filters = 999  # in one subscribe()
    publish = subscribe = ()  # how topics begin, as bytes; (): as they like
    per_minute = 0  # messages; 0: as many as one likes
    keepalive_least = 0  # seconds
    keepalive_most = 65535
    versions = (4, 5)
    headers = None  # f() -> dict, for a WebSocket: at each connect()

    def __init__(self, name, client_id, server, ca, user=None, password=None, **tls):
        if isinstance(server, str) and "/" in server:
            raise ValueError("server: a name, no URL")
        tls["cadata"] = ca
        self.name = name
        self.options = {
            "client_id": client_id,
            "server": server,
            "user": user,
            "password": password,
            "keepalive": 60,
        }
        self.options["ssl"] = True  # without a CA connect() raises ValueError
        self.options["ssl_params"] = tls


def client(front, profile, **more):
    """A client for the profile: front(**options), more of them or others in more.

    front: MQTTClient of umqtt_plus or of umqtt_plus.aio. Over WebSocket, where there is one:
    server=WebSocket(url, ssl_params={"cadata": ca}), ssl=None. ValueError: not with this server.
    """
    from .rules import Rules

    options = dict(profile.options)
    options.update(more)
    if options.get("version", 4) not in profile.versions:
        raise ValueError("version: one of %s with %s" % (profile.versions, profile.name))
    limit(
        "keepalive (%s)" % profile.name,
        options["keepalive"],
        profile.keepalive_most,
        profile.keepalive_least,
    )
    calls = {}
    for name, field in (("user", "user"), ("password", "pswd")):
        if callable(options[name]):
            calls[field] = options[name]
            options[name] = b""
    c = front(**options)
    Rules(c, profile, calls)
    return c


def _plain(what, x, others, most=128):
    """x if it is made of letters, digits and others only."""
    limit(what + " (length)", len(x), most, 1)
    for c in x:
        if c > "~" or not (c.isalpha() or c.isdigit() or c in others):
            raise ValueError("%s: letters, digits and %s" % (what, others))
    return x


def _aws(p):
    p.qos = 1  # QoS 2 is never answered
    p.payload = 131072
    p.topic = 256
    p.slashes = 7
    p.filters = 8
    p.keepalive_least = 30
    p.keepalive_most = 1200
    limit("client_id (bytes)", len(text("client_id", p.options["client_id"], 3)), 128, 1)
    return p


def aws(endpoint, client_id, ca, cert, key):
    """AWS IoT Core with a certificate of the device, at port 8883."""
    return _aws(Profile("AWS IoT Core", client_id, endpoint, ca, cert=cert, key=key))


class _Headers:
    def __init__(self, name, more):
        self.name = name
        self.more = more or {}

    def __call__(self):
        x = {"x-amz-customauthorizer-name": self.name}
        x.update(self.more() if callable(self.more) else self.more)
        if "\n" in "".join(x.values()):
            raise ValueError("headers: a line break")
        return x


def aws_authorizer(endpoint, client_id, ca, name, headers=None, user=None, password=None):
    """AWS IoT Core with a custom authoriser, over WebSocket at port 443.

    headers: {token key name: token, "x-amz-customauthorizer-signature": signature}, or a function
    that gives it at each connect(), when the authoriser checks signatures. Without them user and
    password.
    """
    from .ws import WebSocket

    p = Profile("AWS IoT Core", client_id, endpoint, ca, user, password)

    p.headers = _Headers(name, headers)
    p.options["server"] = WebSocket(
        "wss://%s/mqtt" % endpoint, ssl_params=p.options.pop("ssl_params")
    )
    del p.options["ssl"]
    return _aws(p)


def azure(hub, device_id, key, ca, module_id=None, policy=None, life_s=3600):
    """Azure IoT Hub, with tokens that the device makes of its key (base64), or of policy's."""
    from .tokens import SAS

    x = _plain("device_id", device_id, "-.%_*?!(),:=@$'")
    where = "%s/devices/%s" % (hub, x)
    if module_id:
        x += "/" + _plain("module_id", module_id, "-.%_*?!(),:=@$'")
        where += "/modules/" + module_id
    user = "%s/%s/?api-version=2021-04-12" % (hub, x)
    p = Profile("Azure IoT Hub", x, hub, ca, user, SAS(where, key, life_s, policy))
    where = where[len(hub) + 1 :] + "/"
    p.publish = ((where + "messages/events/").encode(), b"$iothub/")
    p.subscribe = (where.encode(), b"$iothub/")
    p.qos = 1  # QoS 2 closes the connection
    p.retain = False  # is taken, and not kept
    p.payload = 262144
    p.keepalive_most = 1767
    p.versions = (4,)
    p.options["keepalive"] = 240
    return p


def hivemq(host, client_id, user, password, ca):
    """HiveMQ Cloud."""
    p = Profile("HiveMQ Cloud", client_id, host, ca, user, password)
    p.payload = 5242880
    return p


def emqx(host, client_id, user, password, ca):
    """EMQX Cloud. password: also tokens.JWT({"username": user}, secret), if that is set up."""
    p = Profile("EMQX Cloud", client_id, host, ca, user, password)
    p.payload = 1048576
    return p


def thingsboard(host, token, client_id, ca=None):
    """ThingsBoard with an access token of the device. Without ca: in plain, at port 1883."""
    p = Profile("ThingsBoard", client_id, host, ca, token)
    if ca is None:
        p.options["ssl"] = None
    p.qos = 1
    p.retain = False
    p.payload = 65536
    p.publish = p.subscribe = (b"v1/", b"v2/", b"/provision")  # (): other ones in its profile
    return p


def adafruit(user, key, client_id, ca, per_minute=30):
    """Adafruit IO. per_minute: what the account may publish."""
    p = Profile("Adafruit IO", client_id, "io.adafruit.com", ca, user, key)
    p.qos = 1
    p.retain = False
    p.payload = 102400
    p.publish = ((user + "/").encode(),)
    p.subscribe = p.publish + (b"time/",)
    p.per_minute = limit("per_minute", per_minute, 1000, 1)
    p.versions = (4,)
    return p


def clearblade(region, project, registry, device_id, token, ca):
    """ClearBlade IoT Core. token: f() gives a JWT of RS256 or ES256, made elsewhere.

    MicroPython cannot sign with these; 24 hours is the longest such a token may hold.
    """
    from .tokens import Timed

    x = "projects/%s/locations/%s/registries/%s/devices/%s"
    x %= (project, region, registry, _plain("device_id", device_id, "-+.%_~", 255))
    p = Profile(
        "ClearBlade IoT Core",
        x,
        region + "-mqtt.clearblade.com",
        ca,
        "unused",
        Timed(token, 86400),
    )
    p.qos = 1  # QoS 2 closes the connection
    p.retain = False
    p.payload = 262144
    p.publish = p.subscribe = (("/devices/%s/" % device_id).encode(),)  # a gateway has more
    p.keepalive_most = 1200
    p.versions = (4,)
    return p


def discovery(component, node_id, object_id, prefix="homeassistant", **keys):
    """(topic, payload) by which Home Assistant finds a sensor, a switch ...; publish it retained.

    keys: those of its documentation (state_topic, command_topic, device_class ...); name,
    unique_id and device are filled in. Again when homeassistant/status says online.
    """
    from json import dumps

    for what, x in (("component", component), ("node_id", node_id), ("object_id", object_id)):
        _plain(what, x, "-_", 999)
    for what, x in (
        ("name", object_id),
        ("unique_id", node_id + "_" + object_id),
        ("device", {"identifiers": [node_id], "name": node_id}),
    ):
        if what not in keys:
            keys[what] = x
    x = keys["device"]
    if "identifiers" not in x and "connections" not in x:
        raise ValueError("device: identifiers or connections are missing")
    return "%s/%s/%s/%s/config" % (prefix, component, node_id, object_id), dumps(keys).encode()
