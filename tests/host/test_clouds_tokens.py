"""Tokens that the device makes, or gets from elsewhere: servers check them, and end with them."""

import time

import pytest
from providers import one

pytest_plugins = ["secure", "cloud_place"]


@one
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("p.options['user'] = 'd1'", "user name"),
        ("p.options['client_id'] = 'd2'", "client id"),
        ("p.options['password'] = ''", "no SAS token"),
        ("p = clouds.azure('h', 'd1', 'bm90IHRoZSBrZXk=', CA)", "signature"),
        ("p.options['password'] = tokens.SAS('h/devices/d2', AZURE)", "resource"),
        ("p.options['password'] = tokens.SAS('h/devices/d1', AZURE, -60)", "expired"),
    ],
)
def test_azure_minds(cloud, told, change, why):
    """The server checks the token with its own HMAC: what is wrong with it is refused."""
    server = cloud("azure")
    said = told(
        server,
        f"""
    p = clouds.azure("h", "d1", AZURE, CA)
    {change}
    print(error(clouds.client(MQTTClient, p, **HERE).connect))
    """,
    )
    assert said[0].startswith("MQTTException 5 ")
    assert server.broker.refused == [why]


RENEWING = {
    "azure": "clouds.azure('h', 'd1', AZURE, CA, life_s=6)",
    "emqx": "clouds.emqx('h', 'd1', 'board',"
    " tokens.JWT({'username': 'board'}, b'a secret for tokens', 6), CA)",
}
TOPIC = "devices/d1/messages/events/"
SYNC = """
    c = clouds.client(MQTTClient, {make}, {more}**HERE)
    c.set_last_will("{topic}", "gone")
    errors = []
    ups = []
    link = Link(c, on_down=errors.append, on_up=ups.append, first_ms=10)
    end = ticks_add(ticks_ms(), 20000)
    while len(ups) < 3 and ticks_diff(end, ticks_ms()) > 0:
        link.poll(100)
        if link.up:
            try:
                c.publish("{topic}", "x", qos=1)
            except OSError as e:
                assert e.args[0] == 127  # the same end of the link; poll() has a 107 then
    print(ups, [e.args for e in errors])
    c.disconnect()
"""
ASYNC = """
    import asyncio
    from umqtt_plus.aio import MQTTClient

    async def main():
        c = clouds.client(MQTTClient, {make}, {more}**HERE)
        c.set_last_will("{topic}", "gone")
        errors = []
        ups = []
        async with Link(c, on_down=errors.append, on_up=ups.append, first_ms=10) as link:
            end = ticks_add(ticks_ms(), 20000)
            while len(ups) < 3 and ticks_diff(end, ticks_ms()) > 0:
                await c.publish("{topic}", "x", qos=1)
                await asyncio.sleep_ms(100)
            print(ups, [e.args for e in errors])

    asyncio.run(main())
"""


@one
@pytest.mark.parametrize(
    ("name", "version", "script"),
    [("azure", 4, SYNC), ("azure", 4, ASYNC), ("emqx", 5, SYNC), ("emqx", 5, ASYNC)],
    ids=["azure", "azure-asyncio", "emqx-5.0", "emqx-5.0-asyncio"],
)
def test_tokens_renew(cloud, told, name, version, script):
    """A new token for each connection; the link is given up in time, so the server never has to,
    and with a goodbye, so no will is published. The session lives on."""
    server = cloud(name)
    more = f"version={version}, " if version == 5 else ""
    text = script.format(make=RENEWING[name], more=more, topic=TOPIC)
    (said,) = told(server, text)
    text = "(127, 'the token expires, connect() makes a new one')"
    assert said.startswith("[False, True, True] [")
    assert said.count(text) + (said.count("(107,)") if script is SYNC else 0) == 2, said
    server.wait_for(direction="in", type="DISCONNECT", count=3, timeout=10)
    provider = server.broker
    assert len(provider.tokens) == len(set(provider.tokens)) == 3
    assert provider.expired == 0 and provider.refused == []
    assert len(server.packets(direction="in", type="DISCONNECT")) == 3
    assert {m.payload for m in server.messages("#")} == {b"x"}
    assert server.violations == []


def test_tokens_from_elsewhere(cloud, told, signer):
    """RS256: what the device cannot sign is checked before it is sent; ClearBlade's limit, too."""
    server = cloud("clearblade")
    now = int(time.time())
    env = {
        "GOOD": signer(),
        "OLD": signer(iat=now - 7200, exp=now - 60),
        "LONG": signer(iat=now, exp=now + 90000),
        "NONE": "<html>no token today</html>",
        "OTHER": signer(aud="other"),
    }
    said = told(
        server,
        """
    for name in ("OLD", "LONG", "NONE", "OTHER", "GOOD"):
        f = lambda: os.getenv(name)
        p = clouds.clearblade("us-central1", "proj", "reg", "dev1", f, CA)
        print(p.options["server"], error(clouds.client(MQTTClient, p, **HERE).connect))
    """,
        env,
    )
    host = "us-central1-mqtt.clearblade.com "
    assert said[0].startswith(host + "OSError") and "token: it expired 6" in said[0]
    assert "token: exp is 90000 s after iat, 86400 at most" in said[1]
    assert "token: no JWT with exp" in said[2]
    assert "MQTTException 5 " in said[3] and said[4] == host + "none: False"
    assert server.broker.refused == ["claims"]
    assert len(server.packets(direction="in", type="CONNECT")) == 2
