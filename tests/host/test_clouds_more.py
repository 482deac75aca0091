"""Profiles of clouds.py: nothing allocated, nothing secret shown, topics for Home Assistant."""

import base64
import json

import providers
import pytest
from providers import AZURE_KEY, HEAD

pytest_plugins = ["secure", "cloud_place"]

SECRETS = """
    from io import StringIO
    from umqtt_plus.store import Store
    import umqtt_plus.client as core

    KEY, TOKEN, WORD = os.getenv("AZURE_KEY"), os.getenv("TOKEN"), "hush-hush"

    def show(*what):
        for x in what:
            print(x, repr(x), [x])
            if isinstance(x, BaseException):
                sys.print_exception(x)
                print(x.args)

    def fails(make, **more):
        options = dict(HERE)
        options.update(more)
        try:
            c = clouds.client(MQTTClient, make(), timeout_ms=2000, **options)
            show(c, c.connect, c._timers, c.publish)
            print("none:", c.connect(), c.stats(), c.stats)
            link = Link(c)
            show(link, link.why)
            c.disconnect()
        except Exception as e:
            show(e)

    def azure(key=KEY, **more):
        p = clouds.azure("h", "d1", key, CA, **more)
        show(p, p.options["password"])
        return p

    emqx = lambda x: lambda: clouds.emqx("h", "d1", "board", x, CA)
    clearblade = lambda f: lambda: clouds.clearblade("us-central1", "proj", "reg", "dev1", f, CA)

    fails(azure)                                        # let in
    fails(lambda: azure("aHVzaC1odXNo"))                # refused; "hush-hush"
    fails(azure, buffer_size=64)                        # no room for CONNECT
    fails(azure, version=5)
    fails(azure, client_id="\\0")
    fails(azure, port=1)                                # nobody there
    fails(azure, server="no.such.host.invalid")
    fails(azure, ssl_params={"cadata": DIR + "/foreign_ca.der"})
    fails(azure, ssl_params={})
    fails(emqx(WORD))
    fails(emqx(lambda: WORD))
    fails(emqx(lambda: WORD * 10000))                   # too long
    fails(emqx(lambda: (WORD, "soon")))                 # no number
    fails(emqx(lambda: 5))
    for alg in ("RS256", "ES256"):
        fails(lambda: emqx(tokens.JWT({"sub": WORD}, WORD, alg=alg))())
    for x in (WORD, "a.%s.b" % WORD, {WORD: WORD}):
        fails(clearblade(lambda: x))
    fails(clearblade(lambda: TOKEN))                    # refused: another audience
    fails(lambda: clouds.thingsboard("h", WORD, "d1", CA))
    fails(lambda: clouds.adafruit("somebody", WORD, "d1", CA))
    at = "localhost:%d" % PORT                          # not a WebSocket server
    f = {"token": WORD, "x-amz-customauthorizer-signature": WORD}
    for x in (f, lambda: f):
        try:
            p = clouds.aws_authorizer(at, "d1", CA, "mine", x, "u", WORD)
            c = clouds.client(MQTTClient, p, timeout_ms=1000)
            show(p, c.server, c, p.headers)
            c.connect()
        except Exception as e:
            show(e)
    tokens.gmtime = lambda *x: (2000, 1, 1)             # no clock
    fails(azure)
    fails(emqx(tokens.JWT({}, WORD)))
    print("end")
"""


def test_secrets_are_not_shown(cloud, start, signer, certs):
    """Whatever fails: no message, repr, traceback or counter has a key or a token in it."""
    server = cloud("azure")
    token = signer(aud="other")
    env = {"AZURE_KEY": AZURE_KEY, "TOKEN": token}
    result = start(server.port, HEAD + SECRETS, env=env).wait(90)
    said = result.stdout + result.stderr
    assert said.splitlines()[-1] == "end" or "\nend\n" in said
    assert server.broker.tokens, "it was never let in"
    hidden = [AZURE_KEY, providers.Azure.key.decode(), "hush", "aHVzaC1odXNo", token]
    hidden += token.split(".")[1:] + [x.decode() for x in server.broker.tokens]
    hidden += [x.decode().split("sig=")[1].split("&")[0] for x in server.broker.tokens]
    for secret in hidden:
        assert secret not in said, said
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in said
    for text in ("Errno", "MQTTException", "clock: it says 2000", "cannot sign with ES256"):
        assert text in said


@pytest.mark.parametrize("version", [4, 5])
def test_nothing_is_allocated(cloud, told, version):
    """Publishing at each QoS with rules, a rate and a token, under a locked heap."""
    server = cloud("emqx")
    said = told(
        server,
        f"""
    from micropython import heap_lock, heap_unlock
    p = clouds.emqx("h", "d1", "board", tokens.JWT({{"username": "board"}},
        "a secret for tokens"), CA)
    p.publish = (b"a/", b"b/")
    p.slashes = 3
    p.per_minute = 700
    c = clouds.client(
        MQTTClient, p, version={version}, ssl=None, server="127.0.0.1", port={server.broker.port}
    )
    topic = b"b/t"
    msg = b"0123456789"
    c.connect()
    def run(n):
        for i in range(n):
            c.publish(topic, msg)
            c.publish(topic, msg, False, 1)
            while not c.publish_nowait(topic, msg, False, 2):
                c.check_msg()
            c.check_msg()
    run(5)
    heap_lock()
    try:
        run(100)
    finally:
        heap_unlock()
    while c.stats()["in_flight"]:
        c.wait_msg(1000)
    c.disconnect()
    print("done")
    """,
    )
    assert said == ["done"]
    assert len(server.messages("b/t")) == 315


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("version", [4, 5])
def test_asyncio_waits_its_turn(broker, run, version, qos):
    """With nothing else going on publish() goes on when the minute is over, not at its end."""
    lines = run(
        broker,
        f"""
        from aio_world import *
        from umqtt_plus.clouds import Profile
        from umqtt_plus.rules import Rules

        @start
        async def main():
            c = client(version={version})
            p = Profile("It", "c", "server", None)
            p.per_minute = 3
            rules = Rules(c, p, {{}})
            await c.connect()
            rules.sent = [ticks_add(ticks_ms(), -60600)] * 3
            print(c.publish_nowait("t", b"0"))
            print(await took(200, 5000, c.publish("t", b"1", False, {qos}, 5000)))
            await c.disconnect()
        """,
    )
    assert lines == ["0", f"none: {qos or -1}"]
    assert [m.payload for m in broker.messages("t")] == [b"1"]


def test_identity(broker, run):
    """Who the board is, in the CONNECT of 5.0 and in the topic of its will."""
    lines = run(
        broker,
        """
        from umqtt_plus.identity import client_id, device_id, topic, user_properties

        who = {"user_property": user_properties(firmware="1.4")}
        c = client(client_id("pump-"), version=5, properties=who)
        c.set_last_will(topic("pumps", "state"), b"offline", retain=True)
        c.connect()
        print(device_id())
        c._close()
        """,
    )
    (who,) = lines
    connect = broker.wait_for(type="CONNECT")
    assert connect.client_id == f"pump-{who}"
    found = dict(connect.properties["user_property"])
    assert found["id"] == who and found["firmware"] == "1.4"
    broker.wait_until(lambda: broker.messages(f"pumps/{who}/state"))


def test_discovery(micropython):
    """Topic and payload as Home Assistant's documentation of MQTT discovery has them."""
    result = micropython.run(
        """
        from umqtt_plus.clouds import discovery

        print(*discovery("sensor", "barn-1", "temperature", state_topic="barn/t"))
        device = {"connections": [["mac", "24:0a:c4:00:01:10"]], "sw_version": "1.4"}
        t, p = discovery("switch", "barn-1", "fan", "ha", command_topic="barn/fan",
                         device=device, unique_id="u", name="Fan", retain=True)
        print(t, str(p, "utf-8"))
        for args, keys in (
            (("sensor", "barn 1", "t"), {}),
            (("sensor", "barn", "t/x"), {}),
            (("sensor", "", "t"), {}),
            (("sens/or", "barn", "t"), {}),
            (("sensor", "b\\u00e4rn", "t"), {}),
            (("sensor", "barn", "t"), {"device": {"name": "barn"}}),
        ):
            try:
                discovery(*args, **keys)
                print("none")
            except ValueError as e:
                print(e)
        """
    )
    one, two, *bad = result.stdout.splitlines()
    topic, payload = one.split(" ", 1)
    assert topic == "homeassistant/sensor/barn-1/temperature/config"
    assert json.loads(payload[2:-1]) == {
        "name": "temperature",
        "unique_id": "barn-1_temperature",
        "state_topic": "barn/t",
        "device": {"identifiers": ["barn-1"], "name": "barn-1"},
    }
    topic, payload = two.split(" ", 1)
    assert topic == "ha/switch/barn-1/fan/config"
    assert json.loads(payload) == {
        "name": "Fan",
        "unique_id": "u",
        "command_topic": "barn/fan",
        "retain": True,
        "device": {"connections": [["mac", "24:0a:c4:00:01:10"]], "sw_version": "1.4"},
    }
    assert bad == [
        "node_id: letters, digits and -_",
        "object_id: letters, digits and -_",
        "node_id (length): 0, limits 1 to 999",
        "component: letters, digits and -_",
        "node_id: letters, digits and -_",
        "device: identifiers or connections are missing",
    ]


def test_it_loads_only_when_used(micropython):
    """A profile without tokens loads none; without any profile nothing of this is there."""
    result = micropython.run(
        """
        import sys
        import umqtt_plus.client

        def loaded():
            names = ("clouds", "rules", "tokens", "ws")
            return [x for x in names if "umqtt_plus." + x in sys.modules]

        print(loaded())
        import umqtt_plus.clouds as clouds
        print(loaded())
        p = clouds.hivemq("h", "d", "u", "p", None)
        print(loaded())
        c = clouds.client(umqtt_plus.client.MQTTClient, p)
        print(loaded())
        """
    )
    assert result.stdout.splitlines() == ["[]", "['clouds']", "['clouds']", "['clouds', 'rules']"]


def test_without_a_ca(broker, run):
    """No password goes out in plain by accident; ThingsBoard without a CA is asked for so."""
    lines = run(
        broker,
        """
        import os
        import umqtt_plus.clouds as clouds
        from umqtt_plus.client import MQTTClient

        where = {"server": os.getenv("MQTT_HOST"), "port": int(os.getenv("MQTT_PORT"))}
        for p in (
            clouds.Profile("It", "one", "host", None, "u", "p"),
            clouds.hivemq("host", "two", "u", "p", None),
            clouds.thingsboard("host", "token", "home"),
        ):
            c = clouds.client(MQTTClient, p, **where)
            try:
                print(c.ssl, c.connect(timeout=5))
                c.disconnect()
            except ValueError as e:
                print(c.ssl, e.args[0][:23])
        """,
    )
    assert lines == ["True ssl: no CA to verify th"] * 2 + ["False False"]
    came = broker.packets(direction="in", type="CONNECT")
    assert [packet.client_id for packet in came] == ["home"]


def test_profiles_name_the_documented_places(micropython):
    """Server, port, client id and user name as each provider's documentation has them."""
    result = micropython.run(
        """
        import umqtt_plus.clouds as clouds
        from umqtt_plus.client import MQTTClient

        key = "bm8ga2V5"
        for p in (
            clouds.aws("a-ats.iot.eu-west-1.amazonaws.com", "d", "ca", "cert", "key"),
            clouds.aws_authorizer("a-ats.iot.eu-west-1.amazonaws.com", "d", "ca", "auth"),
            clouds.azure("hub.azure-devices.net", "d", key, "ca"),
            clouds.azure("hub.azure-devices.net", "d", key, "ca", "m"),
            clouds.hivemq("a.s1.eu.hivemq.cloud", "d", "u", "p", "ca"),
            clouds.emqx("a.ala.eu-central-1.emqxsl.com", "d", "u", "p", "ca"),
            clouds.thingsboard("thingsboard.cloud", "t", "d", "ca"),
            clouds.thingsboard("192.168.1.5", "t", "d"),
            clouds.adafruit("u", "k", "d", "ca"),
            clouds.clearblade("europe-west1", "p", "r", "d", lambda: "", "ca"),
        ):
            c = clouds.client(MQTTClient, p)
            print(c.server, c.port, c.client_id, c.user, bool(c.ssl), c.keepalive)
        for f in (
            lambda: clouds.aws("https://a", "d", "ca", "cert", "key"),
            lambda: clouds.aws("a", "d" * 129, "ca", "cert", "key"),
            lambda: clouds.aws("a", "", "ca", "cert", "key"),
            lambda: clouds.azure("h", "d/1", key, "ca"),
            lambda: clouds.azure("h", "d" * 129, key, "ca"),
            lambda: clouds.azure("h", "d", key, "ca", "m 1"),
            lambda: clouds.azure("h", "d", "", "ca"),
            lambda: clouds.adafruit("u", "k", "d", "ca", 0),
            lambda: clouds.clearblade("e", "p", "r", "d/1", None, "ca"),
            lambda: clouds.client(MQTTClient, clouds.azure("h", "d", key, "ca"), keepalive=1800),
        ):
            try:
                f()
                print("none")
            except ValueError as e:
                print(e)
        """
    )
    lines = result.stdout.splitlines()
    assert lines[:10] == [
        "a-ats.iot.eu-west-1.amazonaws.com 8883 b'd' None True 60",
        "wss://a-ats.iot.eu-west-1.amazonaws.com/mqtt 1883 b'd' None True 60",
        "hub.azure-devices.net 8883 b'd' b'hub.azure-devices.net/d/?api-version=2021-04-12'"
        " True 240",
        "hub.azure-devices.net 8883 b'd/m' b'hub.azure-devices.net/d/m/?api-version=2021-04-12'"
        " True 240",
        "a.s1.eu.hivemq.cloud 8883 b'd' b'u' True 60",
        "a.ala.eu-central-1.emqxsl.com 8883 b'd' b'u' True 60",
        "thingsboard.cloud 8883 b'd' b't' True 60",
        "192.168.1.5 1883 b'd' b't' False 60",
        "io.adafruit.com 8883 b'd' b'u' True 60",
        "europe-west1-mqtt.clearblade.com 8883 b'projects/p/locations/europe-west1/registries/r"
        "/devices/d' b'unused' True 60",
    ]
    assert lines[10:] == [
        "server: a name, no URL",
        "client_id (bytes): 129, limits 1 to 128",
        "client_id (bytes): 0, limits 1 to 128",
        "device_id: letters, digits and -.%_*?!(),:=@$'",
        "device_id (length): 129, limits 1 to 128",
        "module_id: letters, digits and -.%_*?!(),:=@$'",
        "key: not base64",
        "per_minute: 0, limits 1 to 1000",
        "device_id: letters, digits and -+.%_~",
        "keepalive (Azure IoT Hub): 1800, limits 0 to 1767",
    ]
