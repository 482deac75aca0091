"""Every example as a real MicroPython process, with umqtt_plus compiled as for a board.

Each test starts the file as it is and asserts what its docstring promises; the broker's log says
what happened on the wire, and `violations` that no rule of the standard was broken.
"""

import hashlib
import json
import random
from pathlib import Path

import pytest
from umqtt_harness.broker import Fault

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TESTED = {
    "sensor.py sensor_qos0.py commands_qos1.py actuator_qos2.py availability_will.py",
    "large_download.py upload_stream.py callback_reply.py resume_session.py",
}


@pytest.fixture
def start(micropython, broker, tmp_path):
    """Starts an example in an empty directory; `rounds` as on a PC, 0 for ever."""

    def run(name, rounds=0, **env):
        settings = {"MQTT_HOST": broker.host, "MQTT_PORT": broker.port, "ROUNDS": rounds, **env}
        child = micropython.start(
            EXAMPLES / f"{name}.py", env=settings, mpy=True, heapsize="64k", cwd=tmp_path
        )
        return child

    yield run
    assert broker.violations == []


def taken(broker, topic):
    return [m.payload for m in broker.messages(topic)]


def wait_subscribed(broker, client_id):
    broker.wait_for(client_id=client_id, direction="out", type="SUBACK")


def test_every_example_has_a_test_here():
    names = {name for line in TESTED for name in line.split()}
    assert names == {file.name for file in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda f: f.stem)
def test_its_docstring_says_how_to_run_it(file):
    text = file.read_text(encoding="utf-8").split('"""')[1]
    assert f"mpremote mount . run examples/{file.name} " in text
    assert f"MICROPYPATH=.:.frozen micropython examples/{file.name} " in text


def test_sensor_qos0(broker, start):
    start("sensor_qos0", 2).wait()
    readings = broker.packets(client_id="sensor_qos0", direction="in", type="PUBLISH")
    assert [(e.qos, e.topic) for e in readings] == [(0, "board/reading")] * 2
    assert all(int(e.payload) > 0 for e in readings)
    assert broker.packets(client_id="sensor_qos0", direction="in", type="DISCONNECT")


def test_commands_qos1(broker, start):
    child = start("commands_qos1", 2)
    child.expect("granted QoS 1")
    for state in ("on", "no such state", "off"):
        broker.publish("board/led/set", state.encode(), qos=1)
    child.expect("led on")
    child.expect("led off")
    child.wait()
    assert taken(broker, "board/led") == [b"on", b"off"]
    answers = broker.packets(direction="in", type="PUBLISH", topic="board/led")
    assert all(e.qos == 1 and e.retain for e in answers)
    assert len(broker.packets(direction="in", type="PUBACK")) == 3


def test_actuator_qos2_moves_once_for_a_step_that_came_twice(broker, start):
    child = start("actuator_qos2", 3)
    wait_subscribed(broker, "actuator_qos2")
    broker.publish("board/motor/step", b"5", qos=2)
    broker.wait_for(direction="in", type="PUBLISH", topic="board/motor/position", payload="5")
    # The step arrives, its PUBREC does not, the link breaks: the server sends the step again.
    broker.fault(Fault("drop", type="PUBREC", direction="in", client_id="actuator_qos2"))
    mark = broker.mark()
    broker.publish("board/motor/step", b"20", qos=2)
    broker.wait_for(fault="drop", type="PUBREC", since=mark)
    broker.kill("actuator_qos2", "rst")
    broker.wait_for(direction="out", type="PUBLISH", topic="board/motor/step", dup=True)
    broker.publish("board/motor/step", b"12345", qos=2)  # too long: passed over
    broker.publish("board/motor/step", b"300", qos=2)
    child.wait()
    positions = dict.fromkeys(int(p) for p in taken(broker, "board/motor/position"))
    assert list(positions) == [5, 25, 325]


def test_availability_will_goodbye(broker, start):
    start("availability_will", 1).wait()
    assert taken(broker, "board/status") == [b"online", b"offline"]
    assert broker.packets(direction="in", type="DISCONNECT")


def test_availability_will_power_cut(broker, start):
    child = start("availability_will")
    child.expect("online")
    child.kill()
    broker.wait_gone("availability_will")
    messages = broker.messages("board/status")
    assert [(m.payload, m.qos, m.retain) for m in messages] == [
        (b"online", 1, True),
        (b"offline", 1, True),
    ]
    assert not broker.packets(direction="in", type="DISCONNECT")


def test_large_download_in_a_heap_of_64_kb(broker, start, tmp_path):
    child = start("large_download", 2)
    wait_subscribed(broker, "large_download")
    for size in (1025, 400_000):  # one is just too large for the buffers
        content = random.Random(size).randbytes(size)
        broker.publish("board/file", content, qos=1)
        digest = hashlib.sha256(content).hexdigest()
        broker.wait_for(
            direction="in", type="PUBLISH", topic="board/file/sha256", payload=digest, timeout=15
        )
        assert (tmp_path / "download.bin").read_bytes() == content
    child.wait()
    assert not (tmp_path / "download.bin.part").exists()


def test_upload_stream_in_a_heap_of_64_kb(broker, start, tmp_path):
    content = random.Random(1).randbytes(400_000)
    (tmp_path / "upload.bin").write_bytes(content)
    child = start("upload_stream", 1)
    child.expect("400000 bytes sent and acknowledged")
    child.wait()
    assert taken(broker, "board/upload") == [content]


def test_upload_stream_makes_its_file(broker, start, tmp_path):
    start("upload_stream", 1).wait()
    assert taken(broker, "board/upload") == [(tmp_path / "upload.bin").read_bytes()]


def test_callback_reply_answers_more_than_the_table_holds(broker, start):
    child = start("callback_reply", 14)
    wait_subscribed(broker, "callback_reply")
    broker.hold_acks()  # so that the four places fill
    questions = [b"uptime", b"memory"] + [b"number %d" % n for n in range(12)]
    for question in questions:
        broker.publish("board/ask", question, qos=1)
    broker.wait_for(direction="in", type="PUBLISH", topic="board/answer", count=4)
    broker.release()
    child.wait()
    answers = taken(broker, "board/answer")
    assert answers[0].startswith(b"uptime ") and answers[1].endswith(b" bytes free")
    assert answers[2:] == [question + b"?" for question in questions[2:]]


def test_resume_session_counts_on_after_a_restart(broker, start):
    child = start("resume_session", 4)
    child.expect("connected, session new")
    broker.wait_for(direction="in", type="PUBLISH", payload="1")
    broker.drop("PUBACK", client_id="resume_session")
    lost = broker.wait_for(direction="lost", type="PUBACK")
    broker.stop(how="rst")
    child.expect("link lost")
    broker.start()
    child.expect("connected, session resumed")
    again = broker.wait_for(direction="in", type="PUBLISH", dup=True)
    assert (again.packet_id, again.payload) == (lost.packet_id, b"2")
    child.expect("resent 1")
    child.wait()
    assert list(dict.fromkeys(taken(broker, "board/count"))) == [b"1", b"2", b"3", b"4"]


def numbers(broker, topic):
    return [json.loads(payload)["n"] for payload in taken(broker, topic)]


def one_topic(broker, *names):
    """The readings' topic: which one depends on what this machine can tell."""
    topics = [f"demo/sensor/{name}" for name in names]
    found = {e.topic for e in broker.packets(direction="in", type="PUBLISH", topic=tuple(topics))}
    assert len(found) == 1, f"wanted one of {topics}, there are {found}"
    return found.pop()


def test_sensor_publishes_obeys_and_says_goodbye(broker, start):
    child = start("sensor", 30, INTERVAL_MS=50)
    child.expect("connected, session new")
    for verb, value, reply in (
        ("interval_ms", "20", "interval_ms is 20"),
        ("blink", "2", "blinked 2 times"),
        ("blink", "many", "blink: not understood"),
        ("jump", "1", "jump: not understood"),
    ):
        broker.publish(f"demo/sensor/set/{verb}", value.encode(), qos=2)
        broker.wait_for(
            direction="in", type="PUBLISH", topic="demo/sensor/answer", payload=reply, qos=2
        )
    child.wait()
    for qos, names in enumerate((("load", "uptime_s"), ("memory_kb",), ("temperature", "count"))):
        topic = one_topic(broker, *names)
        assert numbers(broker, topic)[:20] == list(range(1, 21))
        assert {m.qos for m in broker.messages(topic)} == {qos}
    assert taken(broker, "demo/sensor/status") == [b"online", b"offline"]


@pytest.mark.parametrize("keep", [True, False], ids=["sessions_kept", "sessions_lost"])
def test_sensor_outage(broker, start, keep):
    """No QoS 1 reading is lost, no QoS 2 reading is lost or doubled, commands work again."""
    child = start("sensor", INTERVAL_MS=50)
    child.expect("connected, session new")
    broker.hold_acks()
    broker.wait_for(direction="held", type="PUBACK")
    broker.wait_for(direction="held", type="PUBREC")
    broker.stop(keep_sessions=keep, how="rst")
    child.expect("link lost")
    broker.clear_faults()
    broker.start()
    child.expect("connected, session resumed" if keep else "connected, session new")
    broker.publish("demo/sensor/set/blink", b"1", qos=2)
    broker.wait_for(direction="in", type="PUBLISH", payload="blinked 1 times")
    exactly_once = numbers(broker, one_topic(broker, "temperature", "count"))
    assert exactly_once == list(range(1, len(exactly_once) + 1))
    at_least_once = sorted(set(numbers(broker, "demo/sensor/memory_kb")))
    assert at_least_once == list(range(1, len(at_least_once) + 1))
    assert broker.packets(direction="in", type="PUBLISH", dup=True)
