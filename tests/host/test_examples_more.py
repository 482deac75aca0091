"""More examples as real MicroPython processes, as test_examples.py runs the others: those that
need a cloud before the broker, a radio, a watchdog, or whose payloads are their point.
"""

import hashlib
import json
import os
import random
import re
import struct
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import certs
import pytest
from fakes.gateway import Gateway, server_context
from umqtt_harness.micropython import MicroPythonError

TESTS = Path(__file__).resolve().parents[1]
EXAMPLES = TESTS.parent / "examples"
ON_A_BOARD = """
    import sys
    {before}
    exec(open({example!r}).read(), {{"__name__": "__main__"}})
"""


@pytest.fixture
def start(micropython, broker, tmp_path):
    """Starts an example; `before` is what happens first, such as installing fakes."""

    def run(name, rounds=0, heapsize="128k", before=None, **env):
        settings = {"MQTT_HOST": broker.host, "MQTT_PORT": broker.port, "ROUNDS": rounds, **env}
        script = EXAMPLES / f"{name}.py"
        if before:
            script = ON_A_BOARD.format(before="; ".join(before), example=str(script))
        return micropython.start(
            script, env=settings, mpy=True, heapsize=heapsize, cwd=tmp_path, path=[TESTS]
        )

    yield run
    assert broker.violations == []


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A directory with ca.der and servers that have, had, or never had a good certificate."""
    if not certs.find_openssl():
        pytest.skip(certs.MISSING)
    made = certs.Authority(tmp_path_factory.mktemp("cloud"))
    past = datetime.now(timezone.utc) - timedelta(days=9)
    made.issue("server", "localhost", ["localhost"])
    made.issue("expired", "localhost", ["localhost"], past, past + timedelta(days=8))
    made.issue("other", "other.example", ["other.example"])
    return made.directory


def gateway(broker, place, name="server", **options):
    context = server_context(place / f"{name}.crt", place / f"{name}.key")
    return Gateway(broker.port, context=context, **options)


def taken(broker, topic):
    return [m.payload for m in broker.messages(topic)]


def wait_published(broker, topic, **fields):
    return broker.wait_for(direction="in", type="PUBLISH", topic=topic, timeout=15, **fields)


def wait_subscribed(broker, client_id, **fields):
    broker.wait_for(client_id=client_id, direction="out", type="SUBACK", timeout=15, **fields)


# -- tls_cloud ---------------------------------------------------------------------------------


def cloud(cloud, place, **more):
    return {"MQTT_HOST": "localhost", "MQTT_PORT": cloud.port, "CA": place / "ca.der", **more}


def test_tls_cloud(broker_factory, micropython, tmp_path, authority):
    """Over TLS with a CA, name and password; readings at QoS 1, then a goodbye."""
    broker = broker_factory(users={"board": "secret"})
    with gateway(broker, authority) as tls:
        env = cloud(tls, authority, MQTT_USER="board", MQTT_PASSWORD="secret")
        settings = {**env, "INTERVAL_MS": 10, "ROUNDS": 3}
        child = micropython.start(EXAMPLES / "tls_cloud.py", env=settings, mpy=True, cwd=tmp_path)
        child.expect("connected to localhost")
        child.wait()
        broker.wait_for(direction="in", type="DISCONNECT")  # the gateway passes it on
    readings = broker.packets(direction="in", type="PUBLISH", topic="board/reading")
    assert [e.qos for e in readings] == [1, 1, 1]
    assert broker.violations == []


@pytest.mark.parametrize(
    "name, said", [("expired", "has expired, if the clock"), ("other", "is not for localhost")]
)
def test_tls_cloud_says_what_is_wrong_with_a_server(broker, start, authority, name, said):
    """Nothing of MQTT is sent to it, not even the password."""
    with gateway(broker, authority, name) as tls:
        start("tls_cloud", **cloud(tls, authority)).expect(f"link lost: .*TLS: .*{said}")
    assert broker.packets() == []


def test_tls_cloud_comes_back(broker, start, authority):
    with gateway(broker, authority) as tls:
        child = start("tls_cloud", INTERVAL_MS=50, **cloud(tls, authority))
        wait_published(broker, "board/reading")
        broker.kill("tls_cloud", "rst")
        child.expect("link lost")
        mark = broker.mark()
        child.expect("connected to localhost", timeout=20)
        wait_published(broker, "board/reading", since=mark)
        child.kill()


WRONG_TIME = """
    import time
    class Time:
        year = 2000
        def localtime(self):
            return (self.year,) + time.localtime()[1:]
        def __getattr__(self, name):
            return getattr(time, name)
    class Ntp:
        tries = 0
        def settime(self):
            self.tries += 1
            if self.tries == 1:
                raise OSError(110)
            Time.year = time.localtime()[0]
            print("clock set")
    import sys
    sys.modules["ntptime"] = Ntp()
    sys.modules["time"] = Time()
    exec(open({example!r}).read(), {{"__name__": "__main__"}})
"""


def test_tls_cloud_sets_the_clock_first(broker, micropython, tmp_path, authority):
    with gateway(broker, authority) as tls:
        script = WRONG_TIME.format(example=str(EXAMPLES / "tls_cloud.py"))
        env = cloud(tls, authority, ROUNDS=1, INTERVAL_MS=0)
        child = micropython.start(script, env=env, mpy=True, cwd=tmp_path)
        said = child.wait().stdout.splitlines()
    assert re.match("no time yet: .*ETIMEDOUT", said[0])
    assert said[1:] == ["clock set", "connected to localhost"]


# -- websocket ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websocket(request, broker, start, scheme):
    place = request.getfixturevalue("authority") if scheme == "wss" else None
    cloud = gateway(broker, place, websocket=True) if place else Gateway(broker.port, True)
    with cloud:
        url = f"{scheme}://localhost:{cloud.port}/mqtt"
        ca = place / "ca.der" if place else ""
        child = start("websocket", MQTT_URL=url, CA=ca, INTERVAL_MS=50)
        child.expect(f"connected to {url}")
        wait_subscribed(broker, "websocket")
        for text in (b"hello", b"x" * 300):  # the second one has a long frame
            broker.publish("board/say", text, qos=1)
            child.expect(f"told {text.decode()}$")
        wait_published(broker, "board/reading", count=3)
        broker.kill("websocket", "rst")
        child.expect("link lost")
        child.expect("connected to")
        child.kill()
        assert set(cloud.paths) == {"/mqtt"} and len(cloud.paths) >= 2


def test_websocket_says_goodbye(broker, start):
    with Gateway(broker.port, websocket=True) as cloud:
        url = f"ws://127.0.0.1:{cloud.port}/mqtt"
        start("websocket", 2, MQTT_URL=url, INTERVAL_MS=10).wait()
        broker.wait_for(direction="in", type="DISCONNECT")
        assert cloud.errors == []
    assert len(taken(broker, "board/reading")) == 2


# -- ota_file ----------------------------------------------------------------------------------


def send_file(broker, name, content, digest=None):
    digest = digest or hashlib.sha256(content).hexdigest()
    broker.publish(f"board/ota/{name}/{digest}", content, qos=1)


def wait_told(broker, text, **fields):
    wait_published(broker, "board/ota", payload=text, retain=True, **fields)


def test_ota_file_larger_than_the_heap(broker, start, tmp_path):
    """Small and large files take their place; nothing is left beside them."""
    child = start("ota_file", 3, heapsize="128k")
    wait_subscribed(broker, "ota_file")
    for size in (100, 1025, 300_000):
        content = random.Random(size).randbytes(size)
        mark = broker.mark()
        send_file(broker, "app.mpy", content)
        wait_told(broker, "app.mpy is new", since=mark)
        assert (tmp_path / "app.mpy").read_bytes() == content
    child.wait()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["app.mpy"]


def test_ota_file_keeps_the_old_one(broker, start, tmp_path):
    """A wrong digest, a name that is not allowed, a flash that takes no more: told, and no more;
    the server does not send it again."""
    (tmp_path / "app.mpy").write_bytes(b"old")
    (tmp_path / "table.bin.new").mkdir()  # opening it fails
    child = start("ota_file", 5)
    wait_subscribed(broker, "ota_file")
    content = random.Random(7).randbytes(9000)
    for name, digest, told in (
        ("app.mpy", "0" * 64, "app.mpy came damaged, the old one stays"),
        ("main.py", None, "main.py is not one of mine"),
        ("..", None, ".. is not one of mine"),
        ("table.bin", None, "table.bin failed, [Errno 21] EISDIR"),
    ):
        send_file(broker, name, content, digest)
        wait_told(broker, told)
        assert (tmp_path / "app.mpy").read_bytes() == b"old"
    send_file(broker, "app.mpy", content)
    wait_told(broker, "app.mpy is new")
    child.wait()
    assert (tmp_path / "app.mpy").read_bytes() == content
    assert not list(tmp_path.glob("main*")) and not (tmp_path / "table.bin").exists()
    assert not broker.packets(direction="out", type="PUBLISH", dup=True)


def test_ota_file_cut_off_begins_again(broker, start, tmp_path):
    """The link breaks in the middle, the board is reset in the middle: the file comes whole."""
    (tmp_path / "app.mpy").write_bytes(b"old")
    child = start("ota_file")
    wait_subscribed(broker, "ota_file")
    content = random.Random(8).randbytes(8_000_000)
    half = tmp_path / "app.mpy.new"

    def wait_half():
        deadline = time.monotonic() + 15
        while not half.exists() or not half.stat().st_size:
            assert time.monotonic() < deadline, "nothing arrives"
        assert half.stat().st_size < len(content)

    send_file(broker, "app.mpy", content)
    wait_half()
    broker.kill("ota_file", "rst")
    broker.wait_gone("ota_file")
    os.truncate(half, 0)
    broker.wait_for(direction="out", type="PUBLISH", dup=True, timeout=30)
    wait_half()
    child.kill()
    broker.wait_gone("ota_file")
    assert (tmp_path / "app.mpy").read_bytes() == b"old"
    child = start("ota_file", 1)  # the server still has it
    wait_told(broker, "app.mpy is new")
    child.wait()
    assert (tmp_path / "app.mpy").read_bytes() == content
    assert not half.exists()


# -- home_assistant ----------------------------------------------------------------------------


def test_home_assistant(broker, start):
    """What it announces is enough for Home Assistant to use it; then it does as announced."""
    child = start("home_assistant", INTERVAL_MS=50)
    child.expect("connected")
    wait_published(broker, "board/status", payload="online", retain=True)
    found = {}
    for message in broker.messages("homeassistant/#"):
        prefix, kind, node, name, last = message.topic.split("/")
        assert (prefix, node, last, message.retain) == ("homeassistant", "board", "config", True)
        found[kind] = json.loads(message.payload)
    assert len({config["unique_id"] for config in found.values()}) == len(found) == 2
    for config in found.values():
        assert config["availability_topic"] == "board/status"
        assert config["device"] == found["switch"]["device"]
        assert config["device"]["identifiers"] == ["board"]
    assert found["sensor"]["unit_of_measurement"] == "°C"
    wait_published(broker, found["sensor"]["state_topic"], retain=True)
    assert float(taken(broker, "board/temperature")[-1]) > 0
    switch = found["switch"]
    for order in ("ON", "off", "OFF"):
        broker.publish(switch["command_topic"], order.encode(), qos=switch["qos"])
    child.expect("switch on")
    child.expect("switch off")
    wait_published(broker, switch["state_topic"], payload="OFF", count=2)
    assert taken(broker, switch["state_topic"]) == [b"OFF", b"ON", b"OFF"]
    child.kill()
    broker.wait_gone("board")
    assert taken(broker, "board/status")[-1] == b"offline"


def test_home_assistant_tells_a_broker_that_forgot(broker, start):
    child = start("home_assistant", INTERVAL_MS=50)
    child.expect("connected")
    wait_published(broker, "board/status", payload="online")
    broker.stop(keep_sessions=False, how="rst")
    mark = broker.mark()
    broker.start()
    child.expect("connected", timeout=40)
    wait_published(broker, "board/status", payload="online", since=mark, dup=False)
    told = {m.topic for m in broker.packets(direction="in", type="PUBLISH", since=mark)}
    assert {f"homeassistant/{kind}/config" for kind in KINDS} <= told
    broker.publish("board/switch/set", b"ON", qos=1)
    child.expect("switch on")


KINDS = ("switch/board/switch", "sensor/board/temperature")


def test_home_assistant_says_goodbye(broker, start):
    start("home_assistant", 2, INTERVAL_MS=200).wait()
    assert taken(broker, "board/status") == [b"online", b"offline"]
    assert broker.packets(direction="in", type="DISCONNECT")


# -- binary_packing ----------------------------------------------------------------------------


def test_binary_packing(broker, start):
    """What its docstring says reads it; both forms tell the same, in a sixth of the bytes."""
    child = start("binary_packing", INTERVAL_MS=20, heapsize="64k")
    wait_published(broker, "board/packed", count=2, qos=1)
    (first, second, *_) = taken(broker, "board/packed")
    assert len(first) == 100
    unpacked = list(struct.iter_unpack(">BIhHb", first + second))
    texts = [json.loads(text) for text in taken(broker, "board/json")][:20]
    assert abs(unpacked[0][1] - time.time()) < 60
    for (version, seconds, t, mv, dbm), text in zip(unpacked, texts, strict=True):
        assert version == 1
        assert text == {"time": seconds, "temperature": t / 100, "mv": mv, "dbm": dbm}
    assert 5 < sum(map(len, taken(broker, "board/json")[:10])) / len(first) < 7
    for order in (b"", b"\x01\x00", b"\x02\x00\x00\x00\x64", b"\x01\x00\x00\x00\x64\x00"):
        broker.publish("board/packed/set", order, qos=1)
        child.expect(f"not understood: {len(order)} bytes")
    broker.publish("board/packed/set", struct.pack(">BI", 1, 15), qos=1)
    child.expect("a reading every 15 ms")
    child.kill()


def test_binary_packing_says_goodbye(broker, start):
    start("binary_packing", 20, INTERVAL_MS=10).wait()
    assert [len(payload) for payload in taken(broker, "board/packed")] == [100, 100]
    assert broker.packets(direction="in", type="DISCONNECT")


# -- roaming -----------------------------------------------------------------------------------


def test_roaming_leaves_for_the_stronger_one(broker, start, tmp_path):
    """It stays while the signal is good, and while nothing better is there; then it goes."""

    def heard(**dbm):
        for name, value in dbm.items():
            new = tmp_path / "new.dbm"
            new.write_text(str(value))
            new.rename(tmp_path / f"{name}.dbm")

    names = ("hall", "yard", "gate")
    heard(hall=-60, yard=-50, gate=-90)
    passwords = dict.fromkeys(names, "its password")
    fakes = ["from fakes.places import walk", f"walk('rp2', {passwords!r})"]
    child = start("roaming", before=fakes, INTERVAL_MS=200, LOOK_MS=300)
    topic = "board/roaming"

    def wait_at(name, since):
        where = f" connected to {name}, 10.0.0.7, ".encode()
        wait_published(broker, topic, predicate=lambda e: where in e.payload, since=since, count=3)

    wait_at("hall", 0)  # the first one of the list, though another is stronger
    mark = broker.mark()
    heard(yard=-76)  # before hall is weak: it may look at any time
    heard(hall=-80)  # weak, and the others hardly better
    wait_at("hall", mark)
    mark = broker.mark()
    heard(gate=-70)
    child.expect("leaving for gate")
    wait_at("gate", mark)
    assert broker.packets(direction="in", type="DISCONNECT", since=mark)
    child.kill()
    counted = list(dict.fromkeys(int(payload.split()[0]) for payload in taken(broker, topic)))
    assert counted == list(range(1, len(counted) + 1))
    assert len(broker.packets(direction="in", type="CONNECT")) == 2


def test_roaming_without_wifi_says_goodbye(broker, start):
    start("roaming", 2, INTERVAL_MS=10).wait()
    assert taken(broker, "board/roaming") == [b"1 wire", b"2 wire"]
    assert broker.packets(direction="in", type="DISCONNECT")


# -- watchdog ----------------------------------------------------------------------------------


def watched(cause):
    """The fakes of a board that was started by cause, whose watchdog says when it is fed."""
    return [
        "import fakes.dog",
        f"sys.modules['machine'] = fakes.dog.Machine(fakes.dog.{cause})",
    ]


def test_watchdog_is_fed_while_the_broker_answers(broker, start):
    """The broker falls silent and the link stays: fed for PATIENCE_MS and no longer. After the
    bite (here: it is killed) it says why it starts."""
    env = {"INTERVAL_MS": 50, "PATIENCE_MS": 1000}
    child = start("watchdog", before=watched("PWRON_RESET"), **env)
    wait_published(broker, "board/watchdog", payload="power or reset", retain=True)

    def fed(timeout=10):
        """When, in ms, by the clock of the program."""
        return int(child.expect(r"^fed (\d+)\n", timeout)[1])

    began = fed()
    while fed() - began < 1500:  # longer than PATIENCE_MS
        pass
    broker.hold_acks()
    silent = last = fed()
    with pytest.raises(MicroPythonError, match="no .* within 3 s"):
        while last - silent < 10_000:
            last = fed(3)
    assert 500 < last - silent
    assert child.running and "link lost" not in child.stdout
    child.kill()
    broker.clear_faults()
    broker.wait_gone("watchdog")
    mark = broker.mark()
    child = start("watchdog", before=watched("WDT_RESET"), **env)
    wait_published(broker, "board/watchdog", payload="watchdog", retain=True, since=mark)
    child.expect("^fed")
    child.kill()


def test_watchdog_lives_through_a_short_outage(broker, start):
    """Fed all the while: 8 s of a board's watchdog are never over between two meals."""
    env = {"INTERVAL_MS": 50, "PATIENCE_MS": 20000}
    child = start("watchdog", before=watched("PWRON_RESET"), **env)
    wait_published(broker, "board/reading")
    broker.stop(how="rst")
    child.expect("link lost")
    child.expect("link lost")
    for _ in range(3):
        child.expect("fed", timeout=8)
    mark = broker.mark()
    broker.start()
    wait_published(broker, "board/reading", since=mark)
    child.kill()


def test_watchdog_is_fed_in_time_while_a_server_is_silent(broker, start):
    """A connect() that nobody answers ends before the 8 s of the watchdog do."""
    broker.stall_connack()
    child = start("watchdog", before=watched("PWRON_RESET"), INTERVAL_MS=50)
    child.expect("fed")
    child.expect("link lost", timeout=8)
    child.expect("fed", timeout=8)
    child.kill()


def test_watchdog_on_a_pc_says_goodbye(broker, start):
    start("watchdog", 3, INTERVAL_MS=10).wait()
    assert taken(broker, "board/watchdog") == [b"no watchdog here"]
    assert broker.packets(direction="in", type="DISCONNECT")
