"""The doctor finds the cause: each failure is staged, and has a name and words of its own."""

import contextlib
import socket

import doctor
import pytest
from umqtt_harness.broker import Fault
from umqtt_harness.scripted import accept, expect_type, send, wait_eof

pytest_plugins = ["secure", "ws_bridge"]

CHECK = """
import umqtt_plus.doctor as doctor
said = []
found = doctor.check({arguments}, say=said.append)
print(found)
print("|".join(said))
"""


@pytest.fixture
def check(micropython):
    """check(arguments of the call): what was found, and the last line that was said."""

    def check(arguments, before=""):
        script = before + CHECK.format(arguments=arguments)
        lines = micropython.run(script, timeout=30).stdout.splitlines()
        return lines[-2], lines[-1].split("|")[-1]

    return check


def at(server, **more):
    """Arguments for a server with host and port."""
    return ", ".join([f"{server.host!r}, {server.port}"] + [f"{k}={v!r}" for k, v in more.items()])


def test_all_is_well(any_broker, check):
    for version in (4, 5):
        assert check(at(any_broker, version=version)) == ("None", "all is well")


def test_dns(check):
    found, said = check("'no-such-host.invalid'")
    assert found == "dns" and "the name no-such-host.invalid is unknown" in said


def test_refused(check):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        found, said = check(f"'127.0.0.1', {port}")
    assert found == "tcp" and "nobody listens at 127.0.0.1:" in said and "8883 with TLS" in said


@pytest.fixture
def filtered():
    """A port that does not answer: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_filtered(filtered, check):
    found, said = check(f"'127.0.0.1', {filtered}, timeout_ms=500")
    assert found == "tcp" and "does not answer: a firewall" in said


TLS = {
    # listener, arguments, step, words
    "plain to a TLS port": ("server", "", "tls", "speaks TLS: ssl=True with ssl_params"),
    "TLS to a plain port": ("plain", "ssl=True, ssl_params={'cadata': CA}", "plain", "plain MQTT"),
    "wrong CA": ("foreign", "ssl=True, ssl_params={'cadata': CA}", "ca", "Foreign CA"),
    "wrong name": (
        "other_name",
        "ssl=True, ssl_params={'cadata': CA}",
        "name",
        "is not for",
    ),
    "expired": ("expired", "ssl=True, ssl_params={'cadata': CA}", "dates", "has expired"),
    "self-signed": ("self_signed", "ssl=True, ssl_params={'cadata': CA}", "ca", "self-signed"),
    "no CA": ("server", "ssl=True", "ca", "no CA to verify the server"),
    "no such CA file": (
        "server",
        "ssl=True, ssl_params={'cadata': 'none.der'}",
        "ca",
        "a file that ssl_params names (cadata, cert, key) is not here",
    ),
    "no certificate": (
        "mtls",
        "ssl=True, ssl_params={'cadata': CA}",
        "client certificate",
        "wants a client certificate",
    ),
}


@pytest.mark.parametrize("name", TLS)
def test_tls(listeners, certs, check, name):
    listener, options, step, words = TLS[name]
    port = listeners.port(listener)
    arguments = f"'localhost', {port}, {options}".rstrip(", ")
    found, said = check(arguments, f"CA = {str(certs / 'ca.der')!r}\n")
    assert found == step and words in said, said


def test_over_tls(listeners, certs, check):
    arguments = f"'localhost', {listeners.port('server')}, ssl=True, ssl_params={{'cadata': CA}}"
    assert check(arguments, f"CA = {str(certs / 'ca.der')!r}\n") == ("None", "all is well")


def test_clock(broker, check):
    """A board that has not asked for the time is in the year 2000."""
    before = "import umqtt_plus.doctor as doctor\ndoctor.localtime = lambda: (2000, 1, 1, 0, 0)\n"
    found, said = check(at(broker, ssl=True), before)
    assert found == "clock" and "the clock says 2000" in said and "ntptime.settime()" in said


@pytest.mark.parametrize("params", ["{'psk': (b'device', b'key')}", "{'cert_reqs': 0}"])
def test_no_clock_is_needed(broker, check, params):
    """Where nobody looks at dates; with a CA beside it somebody does."""
    before = "import umqtt_plus.doctor as doctor\ndoctor.localtime = lambda: (2000, 1, 1, 0, 0)\n"
    found, said = check(at(broker, ssl=True) + f", ssl_params={params}", before)
    assert found in ("plain", "arguments") and "clock" not in said  # no PSK before 1.29
    params = params.replace("{", "{'cadata': b'0', ")
    assert check(at(broker, ssl=True) + f", ssl_params={params}", before)[0] == "clock"


@pytest.mark.parametrize("version", [4, 5])
def test_wrong_password(broker_factory, check, version):
    broker = broker_factory(users={"u": "right"})
    found, said = check(at(broker, version=version, user="u", password="sesame"))
    assert found == "password" and "user or password is wrong" in said and "sesame" not in said


@pytest.mark.parametrize(("version", "code"), [(4, 2), (5, 0x85)])
def test_client_id_refused(broker, check, version, code):
    broker.refuse(code)
    found, said = check(at(broker, version=version))
    assert found == "client_id" and "is it in the form the server asks for" in said


def test_subscribing_not_permitted(broker, check):
    broker.answer("SUBACK", 0x87)
    found, said = check(at(broker, version=5, topic="mine"))
    assert found == "subscribe" and "may not subscribe to mine" in said


def test_publishing_not_permitted(broker, check):
    """5.0 says so; in 3.1.1 it only does not come back."""
    broker.answer("PUBACK", 0x87)
    found, said = check(at(broker, version=5))
    assert found == "publish" and "may not publish to doctor/umqtt_plus_doctor" in said
    broker.fault(Fault("drop", "PUBLISH", direction="out", count=9))
    found, said = check(at(broker, timeout_ms=2000))
    assert found == "publish" and "does not come back" in said


def test_a_topic_that_is_no_utf_8(broker, check):
    """An argument that does not do, and no connection is left behind."""
    found, _ = check(at(broker, topic=b"\xff"))
    assert found == "arguments"
    broker.wait_for(direction="in", type="DISCONNECT")


WS = "from umqtt_plus.ws import WebSocket\n"


def test_over_websocket(broker, bridge, check):
    """As the client takes it; steps of one's own, too, of which less is known."""
    url = f"ws://localhost:{bridge(broker.port).port}/mqtt?token=sesame"
    assert check(f"WebSocket({url!r}), version=5", WS) == ("None", "all is well")
    before = WS + f"ws = WebSocket({url!r})\nsteps = lambda *a: ws(*a)\n"
    assert check("steps", before) == ("None", "all is well")
    broker.refuse(5)
    assert check(f"WebSocket({url!r})", WS)[0] == "password"


@pytest.mark.parametrize(
    ("listener", "url", "step", "words"),
    [
        ("", "ws://no-such-host.invalid/mqtt", "dns", "no-such-host.invalid is unknown"),
        ("", "ws://localhost:1/?sesame", "tcp", "nobody listens at localhost:1"),
        ("", "ws://localhost:x/", "arguments", "x"),
        ("foreign", "wss://localhost:%d/", "ca", "Foreign CA"),
        ("ws", "wss://localhost:%d/", "tls", "does not speak TLS"),
        ("plain", "ws://localhost:%d/?sesame", "server", "is it an MQTT server?"),
    ],
)
def test_a_websocket_that_fails(listeners, certs, check, listener, url, step, words):
    """No part of the URL behind the port is said: a token may be in it."""
    url = url % listeners.port(listener) if listener else url
    ca = str(certs / "ca.der")
    found, said = check(f"WebSocket({url!r}, ssl_params={{'cadata': {ca!r}}})", WS)
    assert found == step and words in said and "sesame" not in said, said


def test_a_websocket_that_is_refused(broker, bridge, check):
    there = bridge(broker.port, answer=b"HTTP/1.1 403 expired\r\n\r\n")
    found, said = check(f"WebSocket('ws://localhost:{there.port}/mqtt')", WS)
    assert found == "server" and "WebSocket: the server answers b'HTTP/1.1 403 expired'" in said


def test_another_version(broker_factory, check):
    found, said = check(at(broker_factory(like="only_3_1_1"), version=5))
    assert found == "version" and "4 is MQTT 3.1.1" in said


def test_no_mqtt_server(scripted, check):
    """It is asked twice: whether it is one of TLS, perhaps."""
    web = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    answer = [accept(), expect_type("CONNECT"), send(web), wait_eof()]
    server = scripted([wait_eof(), *answer, *answer])
    found, said = check(at(server))
    assert found == "server"


def test_command(broker_factory, capsys, monkeypatch):
    """make doctor: the same from a PC, with a status, and no password in sight."""
    broker = broker_factory(users={"u": "sesame"})
    where = f"{broker.host}:{broker.port}"
    monkeypatch.setenv("MQTT_PASSWORD", "sesame")
    assert doctor.main([where, "--user", "u", "--topic", "a/b"]) == 0
    out = capsys.readouterr().out
    assert "all is well" in out and "subscribed to a/b" in out and "sesame" not in out
    monkeypatch.setenv("MQTT_PASSWORD", "wrong")
    assert doctor.main([where, "--user", "u"]) == 1
    assert "user or password is wrong" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        doctor.main([where, "--cafile", "no-such-file"])
    assert "no such file" in capsys.readouterr().err
