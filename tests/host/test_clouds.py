"""The profiles of clouds.py, over TLS, against servers that keep the rules of the providers.

Each rule is broken twice: by the client of a profile, which must say so before anything is sent,
and by a bare client with the same login, so that it is seen that the server would have minded.
"""

import providers
import pytest
from providers import one

pytest_plugins = ["secure", "cloud_place"]

# How a profile is made, a topic, a filter, and what is not to be done: a call with c, part of what
# the ValueError says, and what the provider calls it
TABLE = {
    "aws": (
        "clouds.aws('x-ats.iot.eu-west-1.amazonaws.com', 'd1', CA, DIR + '/device.der',"
        " DIR + '/device.key.der')",
        "dt/d1/t",
        "cmd/d1/#",
        (
            ("c.publish(T, b'x', qos=2)", "qos: AWS IoT Core takes 1 at most", "QoS 2"),
            ("c.subscribe(F, 2)", "qos: AWS IoT Core takes 1 at most", "QoS 2 filter"),
            ("c.subscribe([('a', 1), ('b', 2)])", "qos: ", "QoS 2 filter"),
            ("c.publish(T, bytes(131073))", "msg: AWS IoT Core takes 131072 bytes", "payload"),
            ("c.publish('1/2/3/4/5/6/7/8/9', b'')", "topic: AWS IoT Core takes 7 slash", "topic"),
            ("c.publish(b't' * 257, b'')", "topic: AWS IoT Core takes 256 bytes", "topic"),
            ("c.subscribe(['f%d' % i for i in range(9)])", "takes 8 at once", "filters"),
        ),
    ),
    "azure": (
        "clouds.azure('hub.azure-devices.net', 'd1', AZURE, CA)",
        "devices/d1/messages/events/",
        "devices/d1/messages/devicebound/#",
        (
            ("c.publish(T, b'x', qos=2)", "qos: Azure IoT Hub takes 1 at most", "QoS 2"),
            ("c.subscribe(F, 2)", "qos: Azure IoT Hub takes 1 at most", "QoS 2 filter"),
            ("c.publish(T, b'x', True, 1)", "takes no retained messages", "retain"),
            ("c.publish('dt/d1', b'')", "takes devices/d1/messages/events/..., $io", "topic"),
            ("c.publish('devices/d2/x', b'')", "takes devices/d1/messages/", "topic"),
            ("c.subscribe('a/#')", "topic filter: Azure IoT Hub takes devices/d1/", "filter"),
            ("c.publish(T, bytes(262145))", "msg: Azure IoT Hub takes 262144 bytes", "payload"),
        ),
    ),
    "azure module": (
        "clouds.azure('hub.azure-devices.net', 'd1', AZURE, CA, 'm1')",
        "devices/d1/modules/m1/messages/events/",
        "devices/d1/modules/m1/inputs/#",
        (("c.publish('dt/d1', b'')", "takes devices/d1/modules/m1/messages/events/", "topic"),),
    ),
    "hivemq": (
        "clouds.hivemq('x.s1.eu.hivemq.cloud', 'd1', 'board', 'hidden', CA)",
        "a/b",
        "a/#",
        (("c.publish_stream(T, 5242881, fill)", "takes 5242880 bytes at most", "payload"),),
    ),
    "emqx": (
        "clouds.emqx('x.emqxsl.com', 'd1', 'board',"
        " tokens.JWT({'username': 'board'}, 'a secret for tokens'), CA)",
        "a/b",
        "a/#",
        (("c.publish_stream(T, 1048577, fill)", "takes 1048576 bytes at most", "payload"),),
    ),
    "thingsboard": (
        "clouds.thingsboard('mqtt.eu.thingsboard.cloud', 'ACCESSTOKEN', 'd1', CA)",
        "v1/devices/me/telemetry",
        "v1/devices/me/rpc/request/+",
        (
            ("c.publish(T, b'x', qos=2)", "qos: ThingsBoard takes 1 at most", "QoS 2"),
            ("c.publish(T, b'x', True)", "retain: ThingsBoard takes no retained", "retain"),
            ("c.publish('a/b', b'x')", "topic: ThingsBoard takes v1/..., v2/", "topic"),
            ("c.publish(T, bytes(65537))", "msg: ThingsBoard takes 65536 bytes", "payload"),
        ),
    ),
    "adafruit": (
        "clouds.adafruit('somebody', 'aio_key', 'd1', CA)",
        "somebody/feeds/t",
        "time/seconds",
        (
            ("c.publish(T, b'x', qos=2)", "qos: Adafruit IO takes 1 at most", "QoS 2"),
            ("c.publish(T, b'x', True)", "retain: Adafruit IO takes no retained", "retain"),
            ("c.publish('feeds/t', b'x')", "topic: Adafruit IO takes somebody/...", "topic"),
            ("c.subscribe('other/#')", "takes somebody/..., time/...", "filter"),
            ("c.publish(T, bytes(102401))", "msg: Adafruit IO takes 102400 bytes", "payload"),
        ),
    ),
    "clearblade": (
        "clouds.clearblade('us-central1', 'proj', 'reg', 'dev1', lambda: os.getenv('TOKEN'), CA)",
        "/devices/dev1/events",
        "/devices/dev1/commands/#",
        (
            ("c.publish(T, b'x', qos=2)", "qos: ClearBlade IoT Core takes 1", "QoS 2"),
            ("c.publish('a', b'x')", "takes /devices/dev1/...", "topic"),
            ("c.publish(T, b'x', True)", "takes no retained", "retain"),
        ),
    ),
}


def login(name, request):
    return {"TOKEN": request.getfixturevalue("signer")()} if name == "clearblade" else {}


@pytest.mark.parametrize("name", TABLE)
def test_profile(cloud, told, request, name):
    """It is let in, publishes and subscribes; what breaks a rule is not even sent."""
    make, topic, topic_filter, bad = TABLE[name]
    server = cloud(name)
    calls = "\n".join(f"    print(error(lambda: {call}))" for call, _, _ in bad)
    said = told(
        server,
        f"""
    T, F = {topic!r}, {topic_filter!r}
    fill = lambda buf, at: len(buf)
    c = clouds.client(MQTTClient, {make}, buffer_size=1024, **HERE)
    print(c.connect(False), c.publish(T, b"x", qos=1), c.publish(T, b"y"), c.subscribe(F, 1))
    print(c.publish_nowait(T, b"z", qos=1) > 0, c.wait_msg(3000), c.subscribe([F, (F, 0)], 1))
{calls}
    c.disconnect()
    """,
        login(name, request),
    )
    server.wait_for(direction="in", type="DISCONNECT", timeout=10)  # the TLS end passes it on
    assert said[:2] == ["False 1 -1 1", "True True b'\\x01\\x00'"]
    assert len(said) == 2 + len(bad)
    for line, (call, text, _) in zip(said[2:], bad, strict=True):
        assert line.startswith("ValueError ") and text in line, (call, line)
    sent = server.packets(direction="in", type=("PUBLISH", "SUBSCRIBE"))
    assert [e.type for e in sent] == ["PUBLISH"] * 2 + ["SUBSCRIBE", "PUBLISH", "SUBSCRIBE"]
    assert server.broker.refused == [] and server.violations == []


@one
@pytest.mark.parametrize("name", TABLE)
def test_what_the_profile_prevents(cloud, told, request, name):
    """The same calls of a bare client: the server hangs up, or never answers."""
    make, topic, topic_filter, bad = TABLE[name]
    server = cloud(name)
    calls = "\n".join(f"    run(lambda c: {call})" for call, _, _ in bad)
    told(
        server,
        f"""
    T, F = {topic!r}, {topic_filter!r}
    fill = lambda buf, at: len(buf)
    p = {make}
    def run(f):
        options = dict(p.options)
        options.update(HERE)
        if callable(options["password"]):
            options["password"] = options["password"]()[0]
        c = MQTTClient(buffer_size=1024, timeout_ms=1500, **options)
        c.connect()
        print(error(f, c), error(c.wait_msg, 300))
        c._close()
{calls}
    """,
        login(name, request),
    )
    refused = server.broker.refused  # it may still read what a client that has gone sent
    server.wait_until(lambda: len(refused) >= len(bad), 20, "the refusals")
    assert refused == [why for _, _, why in bad]


@one
def test_wills_have_rules_too(cloud, told):
    server = cloud("azure")
    said = told(
        server,
        """
    c = clouds.client(MQTTClient, clouds.azure("h.azure-devices.net", "d1", AZURE, CA), **HERE)
    T = "devices/d1/messages/events/"
    print(error(c.set_last_will, T, "x", qos=2))
    print(error(c.set_last_will, T, "x", True))
    print(error(c.set_last_will, "status", "x"))
    print(error(c.set_last_will, T, "gone", qos=1), c.connect())
    c._close()
    """,
    )
    assert [line[:6] for line in said[:3]] == ["ValueE"] * 3
    assert said[3] == "none: None False"
    server.wait_until(lambda: server.messages("devices/d1/messages/events/"))


def test_aws_wants_a_certificate(cloud, told):
    server = cloud("aws")
    said = told(
        server,
        """
    p = clouds.aws("x", "d1", CA, None, None)
    print(error(clouds.client(MQTTClient, p, **HERE).connect))
    for seconds in (0, 29, 1201):
        print(error(clouds.client, MQTTClient, p, keepalive=seconds))
    print(error(clouds.client, MQTTClient, p, version="auto"))
    """,
    )
    assert "wants a client certificate" in said[0]
    assert said[1:4] == [
        f"ValueError keepalive (AWS IoT Core): {n}, limits 30 to 1200" for n in (0, 29, 1201)
    ]
    assert said[4] == "ValueError version: one of (4, 5) with AWS IoT Core"


def test_aws_authorizer(certs, told):
    """Over WebSocket: name, token and signature in the request, a new token for each."""
    with providers.Cloud(providers.Aws(), certs, websocket=True) as server:
        said = told(
            server,
            """
    n = 0
    def fields():
        global n
        n += 1
        return {"token": "T%d" % n, "x-amz-customauthorizer-signature": "S"}
    at = "localhost:%d" % PORT
    c = clouds.client(MQTTClient, clouds.aws_authorizer(at, "d1", CA, "mine", fields))
    for i in range(2):
        print(c.connect(), c.publish("t", "x", qos=1), str(c.server).split(":")[0])
        c.disconnect()
    p = clouds.aws_authorizer(at, "d2", CA, "mine", user="u", password="p")
    c = clouds.client(MQTTClient, p)
    print(c.connect(), error(c.publish, "t", "x", qos=2))
    c.disconnect()
    p = clouds.aws_authorizer(at, "d3", CA, "mine", {"token": "T\\nHost: x"})
    print(error(clouds.client(MQTTClient, p).connect))
    """,
        )
        requests = [bytes(x).decode() for x in server.front.requests]
        connects = server.packets(direction="in", type="CONNECT")
    assert said[:2] == ["False 1 wss", "False 2 wss"]
    assert said[2].startswith("False ValueError qos: AWS IoT Core")
    assert said[3] == "ValueError headers: a line break"
    assert [e.client_id for e in connects] == ["d1", "d1", "d2"]
    for request, token in zip(requests, ("T1", "T2", None), strict=True):
        assert request.startswith("GET /mqtt HTTP/1.1\r\n")
        assert "\r\nx-amz-customauthorizer-name: mine\r\n" in request
        assert ("x-amz-customauthorizer-signature: S\r\n" in request) == bool(token)
        assert not token or f"\r\ntoken: {token}\r\n" in request


@one
def test_another_way_to_the_server(certs, told):
    """Over WebSocket, where a provider has it, with all the rest of its profile."""
    with providers.Cloud(providers.Azure(), certs, websocket=True) as server:
        said = told(
            server,
            """
    from umqtt_plus.ws import WebSocket
    w = WebSocket("wss://localhost:%d/$iothub/websocket" % PORT, ssl_params={"cadata": CA})
    c = clouds.client(MQTTClient, clouds.azure("h", "d1", AZURE, CA), server=w, ssl=None)
    print(c.connect(), c.publish("devices/d1/messages/events/", "x", qos=1))
    print(error(c.publish, "a", "x"))
    c.disconnect()
    """,
        )
        assert server.front.paths == ["/$iothub/websocket"]
    assert said[0] == "False 1" and said[1].startswith("ValueError topic: Azure IoT Hub takes")
    assert len(server.broker.tokens) == 1


@one
@pytest.mark.parametrize("front", ["sync", "asyncio", "asyncio-5.0"])
def test_adafruit_is_not_flooded(cloud, told, front):
    """30 a minute and no more: publish() waits, publish_nowait() says 0. As published, the server
    counts them over all connections."""
    server = cloud("adafruit")
    if front == "sync":
        script = """
    c = clouds.client(MQTTClient, clouds.adafruit("somebody", "aio_key", "d1", CA), **HERE)
    c.connect()
    got = [c.publish("somebody/f/t", b"x") for i in range(15)]
    got += [c.publish_nowait("somebody/f/t", b"x", qos=1) for i in range(4)]
    c.wait_msg(2000)
    c.disconnect()
    c.connect()
    got += [c.publish("somebody/f/t", b"x", qos=1) > 0 for i in range(11)]
    t = ticks_ms()
    print(len(got), 0 in got, c.publish_nowait("somebody/f/t", b"x"))
    print(error(c.publish, "somebody/f/t", b"x", False, 1, 400))
    print(400 <= ticks_diff(ticks_ms(), t) < 2000)
    print(error(c.publish_stream, "somebody/f/t", 9, lambda b, i: len(b)))
    c.disconnect()
    """
    else:
        more = "version=5, " if "5" in front else ""
        script = f"""
    import asyncio
    from umqtt_plus.aio import MQTTClient
    async def main():
        p = clouds.adafruit("somebody", "aio_key", "d1", CA)
        p.versions = (4, 5)
        c = clouds.client(MQTTClient, p, {more}**HERE)
        await c.connect()
        got = []
        for i in range(30):
            got.append(await c.publish("somebody/f/t", b"x", qos=i & 1))
        t = ticks_ms()
        print(len(got), 0 in got, c.publish_nowait("somebody/f/t", b"x"))
        try:
            await c.publish("somebody/f/t", b"x", False, 1, 400)
        except OSError as e:
            print("OSError", e)
        print(400 <= ticks_diff(ticks_ms(), t) < 2000)
        try:
            await c.publish_stream("somebody/f/t", 9, lambda b, i: len(b))
        except OSError as e:
            print("OSError", e)
        await c.disconnect()
    asyncio.run(main())
    """
    said = told(server, script)
    assert said[0] == "30 False 0" and said[2] == "True"
    assert said[1].startswith("OSError") and "105" in said[1], said
    assert said[3].startswith("OSError") and "105" in said[3], said
    assert server.broker.refused == []
    assert len(server.messages("somebody/f/t")) == 30


@one
def test_adafruit_minds(cloud, told):
    """A bare client of the same account: the 31st is throttled."""
    server = cloud("adafruit")
    told(
        server,
        """
    c = MQTTClient("d1", "localhost", PORT, "somebody", "aio_key", ssl=True, ssl_params=params())
    c.connect()
    for i in range(31):
        c.publish("somebody/f/t", b"x")
    c.disconnect()
    """,
    )
    server.wait_gone("d1")
    assert server.broker.refused == ["throttle"]
