"""Every example as a real MicroPython process, with umqtt_plus compiled as for a board.

Each test starts the file as it is and asserts what its docstring promises; the broker's log says
what happened on the wire, and `violations` that no rule of the standard was broken.
"""

import hashlib
import itertools
import json
import random
import time
from pathlib import Path

import pytest
from umqtt_harness.broker import Fault

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def start(micropython, broker, tmp_path):
    """Starts an example in an empty directory; `rounds` as on a PC, 0 for ever.

    A heap of 128 KB holds here about what 64 KB hold on a board, whose objects are half as large.
    """

    def run(name, rounds=0, heapsize="64k", **env):
        settings = {"MQTT_HOST": broker.host, "MQTT_PORT": broker.port, "ROUNDS": rounds, **env}
        child = micropython.start(
            EXAMPLES / f"{name}.py", env=settings, mpy=True, heapsize=heapsize, cwd=tmp_path
        )
        return child

    yield run
    assert broker.violations == []


def taken(broker, topic):
    return [m.payload for m in broker.messages(topic)]


def wait_subscribed(broker, client_id):
    broker.wait_for(client_id=client_id, direction="out", type="SUBACK")


def test_every_example_has_a_test():
    """Each test names its example as a string."""
    files = Path(__file__).parent.glob("test_*example*.py")
    tests = "".join(file.read_text(encoding="utf-8") for file in files)
    for file in EXAMPLES.glob("*.py"):
        assert f'"{file.stem}"' in tests or f'"{file.name}"' in tests, file.name


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
    child.expect("connected, granted QoS 1")
    for state in ("on", "no such state", "off"):
        broker.publish("board/led/set", state.encode(), qos=1)
    child.expect("led on")
    child.expect("led off")
    child.wait()
    assert taken(broker, "board/led") == [b"on", b"off"]
    answers = broker.packets(direction="in", type="PUBLISH", topic="board/led")
    assert all(e.qos == 1 and e.retain for e in answers)
    assert len(broker.packets(direction="in", type="PUBACK")) == 3


def test_commands_qos1_reports_the_newest_and_obeys_what_waited(broker, start):
    child = start("commands_qos1", 9)
    child.expect("connected, granted QoS 1")
    broker.hold_acks()  # four reports fill the table, the others come to the outbox
    for n in range(8):
        broker.publish("board/led/set", (b"on", b"off")[n % 2], qos=1)
        child.expect(("led on", "led off")[n % 2])
    broker.release()
    broker.wait_until(lambda: len(taken(broker, "board/led")) > 4)
    broker.refuse_tcp("close")
    broker.kill("commands_qos1", "rst")
    child.expect("link lost")
    broker.publish("board/led/set", b"on", qos=1)
    broker.accept_tcp()
    child.expect("connected")
    child.expect("led on")
    child.wait()
    sent = broker.packets(direction="in", type="PUBLISH", topic="board/led", dup=False)
    assert [e.payload for e in sent] == [b"on", b"off", b"on", b"off", b"off", b"on"]
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


def test_commands_qos1_ends_when_all_is_reported(broker, start):
    child = start("commands_qos1", 6)
    child.expect("connected, granted QoS 1")
    broker.hold_acks()
    for n in range(6):
        broker.publish("board/led/set", (b"on", b"off")[n % 2], qos=1)
        child.expect(("led on", "led off")[n % 2])
    broker.release()
    child.wait()
    assert taken(broker, "board/led") == [b"on", b"off", b"on", b"off", b"off"]


def test_actuator_qos2_moves_once_for_a_step_that_came_twice(broker, start):
    child = start("actuator_qos2", 4, heapsize="128k")
    broker.wait_for(direction="in", type="PUBLISH", topic="board/motor/position", payload="0")
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
    positions = [int(p) for p in taken(broker, "board/motor/position")]
    # 25 is not told by itself when the steps behind it are there first
    assert list(dict.fromkeys(p for p in positions if p != 25)) == [0, 5, 325]
    assert set(positions) <= {0, 5, 25, 325}


def test_actuator_qos2_moves_once_over_a_reset(broker, start):
    """Killed with a step on its way; that one and one that came meanwhile count once."""
    child = start("actuator_qos2", heapsize="128k")
    wait_subscribed(broker, "actuator_qos2")
    broker.fault(Fault("drop", type="PUBREC", direction="in", client_id="actuator_qos2"))
    mark = broker.mark()
    broker.publish("board/motor/step", b"7", qos=2)
    broker.wait_for(fault="drop", type="PUBREC", since=mark)
    child.kill()
    broker.wait_gone("actuator_qos2")
    broker.publish("board/motor/step", b"100", qos=2)
    mark = broker.mark()
    child = start("actuator_qos2", heapsize="128k")
    broker.wait_for(
        direction="in", type="PUBLISH", topic="board/motor/position", payload="107", since=mark
    )
    # anew, since the power might have gone between CONNACK and SUBSCRIBE
    assert len(broker.packets(direction="in", type="SUBSCRIBE", since=mark)) == 1
    child.kill()


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


def test_availability_will_lost_link(broker, start):
    child = start("availability_will")
    child.expect("online")
    broker.wait_for(direction="in", type="PUBLISH", topic="board/status")
    mark = broker.mark()
    broker.kill("availability_will", "rst")
    child.expect("link lost")
    child.expect("online", timeout=20)
    broker.wait_for(direction="in", type="PUBLISH", topic="board/status", since=mark)
    told = [state for state, _ in itertools.groupby(taken(broker, "board/status"))]
    assert told == [b"online", b"offline", b"online"]  # one may come twice, not acknowledged


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
    broker.drop("PUBACK", client_id="resume_session", nth=2)
    child = start("resume_session", 4)
    child.expect("connected, session new")
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


def test_sensor_publishes_and_obeys(broker, start):
    child = start("sensor", INTERVAL_MS=50)
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
    for qos, names in enumerate((("load", "uptime_s"), ("memory_kb",), ("temperature", "count"))):
        wait_published(broker, tuple(f"demo/sensor/{name}" for name in names))
        topic = one_topic(broker, *names)
        wait_published(broker, topic, count=25)  # one may come twice
        assert list(dict.fromkeys(numbers(broker, topic)))[:20] == list(range(1, 21))
        assert {m.qos for m in broker.messages(topic)} == {qos}
    child.kill()
    broker.wait_gone("sensor")
    assert taken(broker, "demo/sensor/status") == [b"online", b"offline"]
    assert not broker.packets(direction="in", type="DISCONNECT")


def test_sensor_says_goodbye(broker, start):
    start("sensor", 3, INTERVAL_MS=10).wait()
    assert taken(broker, "demo/sensor/status") == [b"online", b"offline"]
    assert broker.packets(direction="in", type="DISCONNECT")


@pytest.mark.parametrize("keep", [True, False], ids=["sessions_kept", "sessions_lost"])
def test_sensor_outage(broker, start, keep):
    """No QoS 1 reading is lost, no QoS 2 reading is lost or doubled, commands work again."""
    broker.fault(Fault("hold", "PUBREC", count=None))
    broker.fault(Fault("hold", "PUBACK", nth=2, count=None))  # behind the one for "online"
    child = start("sensor", INTERVAL_MS=50)
    child.expect("connected, session new")
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


def counts(broker, topic):
    """The numbers at the beginning of the payloads, without repetitions."""
    return list(dict.fromkeys(int(payload.split()[0]) for payload in taken(broker, topic)))


def wait_published(broker, topic, **fields):
    return broker.wait_for(direction="in", type="PUBLISH", topic=topic, timeout=15, **fields)


@pytest.mark.parametrize("keep", [True, False], ids=["sessions_kept", "sessions_lost"])
def test_asyncio_tasks_outage(broker, start, keep):
    """The lamp blinks on, no reading is lost, commands work again."""
    child = start("asyncio_tasks", heapsize="128k", INTERVAL_MS=50, TIMEOUT_MS=1000)
    child.expect("connected, session new")
    wait_subscribed(broker, "asyncio_tasks")
    broker.publish("board/lamp/ms", b"30", qos=1)
    wait_published(broker, "board/lamp", payload="30", retain=True)
    broker.hold_acks()
    broker.wait_for(direction="held", type="PUBACK")
    broker.stop(keep_sessions=keep, how="rst")
    child.expect("link lost")
    for _ in range(40):  # 2400 ms: the patience of publish() ends more than once
        child.expect("lamp 1")
        child.expect("lamp 0")
    broker.clear_faults()
    mark = broker.mark()
    broker.start()
    child.expect("connected, session resumed" if keep else "connected, session new", 40)
    wait_published(broker, "board/reading", dup=True, since=mark)
    wait_published(broker, "board/reading", count=4, since=mark)
    for order, answer in ((b"40", "40"), (b"no number", "40"), (b"3", "20")):
        mark = broker.mark()
        broker.publish("board/lamp/ms", order, qos=1)
        wait_published(broker, "board/lamp", payload=answer, since=mark)
    readings = counts(broker, "board/reading")
    assert readings == list(range(1, len(readings) + 1))


def test_asyncio_tasks_says_goodbye(broker, start):
    start("asyncio_tasks", 3, heapsize="128k", INTERVAL_MS=10).wait()
    assert taken(broker, "board/reading") == [b"1", b"2", b"3"]
    assert broker.packets(direction="in", type="DISCONNECT")


def test_mqtt_as_style(broker, start):
    child = start("mqtt_as_style", heapsize="128k", INTERVAL_MS=50)
    child.expect("up")
    wait_subscribed(broker, "mqtt_as_style")
    broker.publish("board/in/a", b"one", qos=1)
    child.expect("message board/in/a one False")
    wait_published(broker, "board/status", payload="online", retain=True)
    broker.stop(how="rst")
    child.expect("down: ")
    mark = broker.mark()
    broker.start()
    child.expect("up")
    wait_published(broker, "board/status", payload="online", since=mark)
    broker.publish("board/in/b", b"two", qos=1)
    child.expect("message board/in/b two False")
    wait_published(broker, "board/result", count=4, since=mark)
    results = counts(broker, "board/result")
    assert results == list(range(len(results)))
    child.kill()
    broker.wait_gone("mqtt_as_style")
    assert taken(broker, "board/status")[-1] == b"offline"


def test_mqtt_as_style_says_goodbye(broker, start):
    start("mqtt_as_style", 2, heapsize="128k", INTERVAL_MS=10).wait()
    assert taken(broker, "board/result") == [b"0", b"1"]
    assert broker.packets(direction="in", type="DISCONNECT")


def logged(broker):
    """n -> time, in the order of arrival."""
    entries = [json.loads(payload) for payload in taken(broker, "board/log")]
    return {entry["n"]: entry["time"] for entry in entries}


def test_offline_logger_keeps_order_and_times(broker, start):
    began = time.time()
    child = start("offline_logger", 90, heapsize="128k", INTERVAL_MS=50)
    wait_published(broker, "board/log", count=3)
    broker.stop(how="rst")
    child.expect("link lost")
    child.expect("^25 waiting")  # 1.2 seconds later
    back = time.time()
    known = max(logged(broker))
    broker.start()
    assert int(child.expect(r"connected, (\d+) waiting, 0 dropped", 40).group(1)) >= 25
    child.wait()
    log = logged(broker)
    assert list(log) == list(range(1, 91))
    assert int(began) <= log[1]
    assert log[known + 1] <= back - 1  # when it was measured, not when it was sent
    assert log[90] <= time.time()
    assert list(log.values()) == sorted(log.values())


def test_offline_logger_drops_the_oldest(broker, start):
    child = start("offline_logger", heapsize="128k", INTERVAL_MS=20, BOX_BYTES=400)
    wait_published(broker, "board/log", count=3)
    broker.stop(how="rst")
    child.expect("link lost")
    for _ in range(20):
        child.expect("waiting")
    mark = broker.mark()
    broker.start()
    said = child.expect(r"connected, (\d+) waiting, (\d+) dropped", 40)
    waiting, dropped = map(int, said.groups())
    assert 3 < waiting < 8 and dropped >= 12
    wait_published(broker, "board/log", count=waiting + 5, since=mark)
    log = list(logged(broker))
    assert log == sorted(log)
    # a slow broker may lose some more, later
    gap = [n for n in range(1, log[-1]) if n not in log][:dropped]
    assert gap == list(range(gap[0], gap[0] + dropped)) and gap[-1] + 1 in log


ON_ESP32 = """
    import sys
    from fakes.machine import Machine
    sys.modules["machine"] = Machine("esp32", path="rtc.bin")
    exec(open({example!r}).read())
"""


@pytest.fixture(params=["file", "rtc_memory"])
def battery(request, start, micropython, broker, tmp_path):
    """Starts one wake of battery_node: each is a new process, which knows what was saved."""
    if request.param == "file":
        return lambda **env: start("battery_node", 1, heapsize="128k", **env)
    script = ON_ESP32.format(example=str(EXAMPLES / "battery_node.py"))
    tests = Path(__file__).resolve().parents[1]

    def run(**env):
        settings = {"MQTT_HOST": broker.host, "MQTT_PORT": broker.port, "ROUNDS": 1, **env}
        return micropython.start(
            script, env=settings, mpy=True, heapsize="128k", cwd=tmp_path, path=[tests]
        )

    return run


def test_battery_node_resumes_and_obeys_once(broker, battery):
    """It subscribes once in its life; what was queued while it slept arrives once, at QoS 2."""
    said = battery().wait().stdout.splitlines()
    assert said == ["connected, session new"]
    for wake in range(2, 6):
        broker.publish("board/battery/sleep_ms", b"%d500" % wake, qos=2)
        broker.publish("board/battery/blink", b"%d" % wake, qos=2)
        broker.publish("board/battery/sleep_ms", b"1", qos=2)  # too short: passed over
        said = battery().wait().stdout.splitlines()
        assert said == [
            "connected, session resumed",
            f"will sleep {wake}500 ms",
            f"blink {str(wake).encode()}",
        ]
    assert counts(broker, "board/battery") == [1, 2, 3, 4, 5]
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1
    assert len(broker.packets(direction="in", type="DISCONNECT")) == 5
    assert len(broker.packets(direction="in", type="PUBCOMP")) == 12
    assert not broker.packets(type="PUBLISH", dup=True)


def test_battery_node_keeps_what_it_cannot_send(broker, battery):
    battery().wait()
    broker.stop()
    assert "1 kept for the next time" in battery().wait().stdout
    assert "2 kept for the next time" in battery().wait().stdout
    broker.start()
    assert battery().wait().stdout == "connected, session resumed\n"
    assert counts(broker, "board/battery") == [1, 2, 3, 4]
    assert {m.qos for m in broker.messages("board/battery")} == {1}
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


def test_battery_node_keeps_thirty_readings(broker, battery):
    battery().wait()
    broker.stop()
    for _ in range(2, 34):
        said = battery().wait().stdout
    assert "30 kept for the next time" in said
    broker.start()
    battery().wait()
    assert counts(broker, "board/battery") == [1, *range(5, 35)]


def test_battery_node_finishes_after_the_sleep_what_it_began_before(broker, battery):
    """Each half of a QoS 2 handshake may be cut; the command is obeyed once all the same."""
    battery().wait()
    for cut in ("PUBREC", "PUBREL", "PUBCOMP"):
        direction = "out" if cut == "PUBREL" else "in"
        broker.fault(Fault("kill", type=cut, direction=direction, client_id="battery_node"))
        broker.publish("board/battery/blink", cut.encode(), qos=2)
        said = battery().wait().stdout
        assert said.count(f"blink {cut.encode()}") == 1 and "link lost" in said
        broker.clear_faults()
        said = battery().wait().stdout
        assert said == "connected, session resumed\n"
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


def test_battery_node_sends_again_what_was_not_acknowledged(broker, battery):
    """The table sleeps, too: the same packet id, with DUP, in another process."""
    battery().wait()
    broker.drop("PUBACK", client_id="battery_node")
    battery(AWAKE_MS=300).wait()
    broker.clear_faults()
    battery().wait()
    first, again = broker.packets(direction="in", type="PUBLISH")[1:3]
    assert not first.dup and again.dup
    assert (first.packet_id, first.payload) == (again.packet_id, again.payload)
    assert counts(broker, "board/battery") == [1, 2, 3]


def test_battery_node_subscribes_later_when_it_could_not(broker, battery):
    broker.fault(Fault("kill", type="SUBSCRIBE", direction="in", client_id="battery_node"))
    assert "link lost" in battery().wait().stdout
    broker.clear_faults()
    battery().wait()
    broker.publish("board/battery/blink", b"1", qos=2)
    assert "blink b'1'" in battery().wait().stdout


def test_battery_node_plugged_out_while_awake_begins_anew(broker, battery):
    """What it had saved before it woke up is older than what the server knows: not used again."""
    battery().wait()
    broker.hold_acks()
    child = battery(AWAKE_MS=20000)
    broker.wait_for(direction="held", type="PUBACK")
    child.kill()
    broker.clear_faults()
    assert "session new" in battery().wait().stdout
    assert [int(p.split()[0]) for p in taken(broker, "board/battery")] == [1, 2, 1]
    broker.publish("board/battery/blink", b"11", qos=2)
    assert "blink b'11'" in battery().wait().stdout


def test_battery_node_sleeps_though_commands_keep_coming(broker, battery):
    battery().wait()
    broker.publish("board/battery/sleep_ms", b"5000", qos=2)
    child = battery(AWAKE_MS=300)
    for _ in range(200):
        mark = broker.mark()
        broker.publish("board/battery/sleep_ms", b"5000", qos=2)
        try:
            broker.wait_for(direction="in", type="PUBREC", since=mark, timeout=1)
        except TimeoutError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it stays awake")
    child.wait()


def test_battery_node_wakes_in_a_loop_on_a_pc(broker, start):
    start("battery_node", 3, heapsize="128k", SLEEP_MS=10).wait()
    assert counts(broker, "board/battery") == [1, 2, 3]
    assert len(broker.packets(direction="in", type="CONNECT")) >= 3
    assert len(broker.packets(direction="in", type="SUBSCRIBE")) == 1


def test_durable_logger_survives_resets(broker, start):
    """Killed while the broker is away, and while it is there: each reading once, in order."""
    broker.stop()
    child = start("durable_logger", heapsize="128k", INTERVAL_MS=20)
    child.expect("^0 taken so far")
    child.expect("^12 waiting")
    child.kill()
    child = start("durable_logger", heapsize="128k", INTERVAL_MS=20)
    assert int(child.expect(r"taken so far, (\d+) of them waiting").group(1)) >= 12
    child.expect(r"^([2-9]\d|\d{3}) waiting")
    broker.start()
    child.expect(r"connected, \d+ waiting")
    wait_published(broker, "board/log", count=25)
    broker.drop("PUBCOMP", client_id="durable_logger")
    broker.wait_for(direction="lost", type="PUBCOMP")
    child.kill()
    broker.stop()
    broker.start()
    child = start("durable_logger", 60, heapsize="128k", INTERVAL_MS=20)
    before = int(child.expect(r"^(\d+) taken so far").group(1))
    child.wait()
    assert numbers(broker, "board/log") == list(range(1, max(60, before) + 1))
    assert {m.qos for m in broker.messages("board/log")} == {2}


def test_light_sleep_pings_in_time_and_obeys(broker, start):
    """A server that gives up after 1.5 times keepalive never does, and it sleeps in between."""
    child = start("light_sleep", 2, KEEPALIVE=2, PERIOD_MS=6000)
    wait_subscribed(broker, "light_sleep")
    broker.publish("board/led", b"on", qos=1)
    child.expect("led on")
    broker.wait_for(direction="in", type="PINGREQ", count=3, timeout=15)
    broker.publish("board/led", b"off", qos=1)
    child.expect("led off")
    counted = child.expect(r"2 readings, (\d+) wakes, (\d+) pings", timeout=15)
    child.wait()
    assert len(taken(broker, "board/heap")) == 2
    assert len(broker.packets(direction="in", type="CONNECT")) == 1
    wakes, pings = map(int, counted.groups())
    assert 4 <= pings <= 8 and wakes <= 3 * pings


def test_light_sleep_comes_back(broker, start):
    child = start("light_sleep", PERIOD_MS=200)
    wait_published(broker, "board/heap")
    broker.stop(how="rst")
    child.expect("link lost")
    mark = broker.mark()
    broker.start()
    wait_published(broker, "board/heap", count=2, since=mark)
    broker.publish("board/led", b"on", qos=1)
    child.expect("led on")


@pytest.mark.parametrize("keep", [True, False], ids=["sessions_kept", "sessions_lost"])
def test_wifi_sensor_without_wifi(broker, start, keep):
    """On a PC there is none. No reading is lost while the outbox of 512 bytes holds them."""
    child = start("wifi_sensor", heapsize="72k", INTERVAL_MS=2000)
    child.expect("connected, session new")
    wait_published(broker, "board/wifi/link", payload="no Wi-Fi here", retain=True)
    broker.hold_acks()
    broker.wait_for(direction="held", type="PUBACK")
    broker.stop(keep_sessions=keep, how="rst")
    child.expect("link lost")
    broker.clear_faults()
    mark = broker.mark()
    broker.start()
    child.expect("connected, session resumed" if keep else "connected, session new", 20)
    wait_published(broker, "board/wifi/reading", count=3, since=mark)
    readings = counts(broker, "board/wifi/reading")
    assert readings == list(range(1, len(readings) + 1))


def test_wifi_sensor_says_goodbye(broker, start):
    start("wifi_sensor", 2, heapsize="72k", INTERVAL_MS=10).wait()
    assert counts(broker, "board/wifi/reading") == [1, 2]
    assert broker.packets(direction="in", type="DISCONNECT")
