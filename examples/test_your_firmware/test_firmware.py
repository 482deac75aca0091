"""The firmware as it is, on MicroPython's unix port, against a broker that can be made to fail."""

from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parent / "firmware.py"


@pytest.fixture
def start(micropython):
    """Starts the firmware for a broker, with the heap of a small board."""

    def run(broker):
        settings = {
            "MQTT_HOST": broker.host,
            "MQTT_PORT": broker.port,
            "INTERVAL_MS": 20,
            "TIMEOUT_MS": 1000,
        }
        return micropython.start(FIRMWARE, env=settings, mpy=True, heapsize="64k")

    return run


def readings(broker):
    """The numbers the broker took, in order, copies of a resent one left out."""
    taken = broker.packets(direction="in", type="PUBLISH", topic="sensor/reading")
    return list(dict.fromkeys(int(event.payload) for event in taken))


def assert_no_gap(broker):
    numbers = readings(broker)
    assert numbers == list(range(1, len(numbers) + 1))


def test_readings_arrive(broker, start):
    start(broker)
    for number in range(1, 6):
        broker.wait_for(type="PUBLISH", topic="sensor/reading", payload=str(number))
    assert broker.violations == []


def test_command(broker, start):
    firmware = start(broker)
    firmware.expect("connected")
    broker.publish("sensor/lamp/set", b"on", qos=1)
    firmware.expect("lamp on")
    broker.wait_for(direction="in", type="PUBLISH", topic="sensor/lamp", payload="on", retain=True)


def test_last_will_when_the_plug_is_pulled(broker, start):
    firmware = start(broker)
    firmware.expect("connected")
    firmware.kill()
    broker.wait_gone("sensor")
    status = [m.payload for m in broker.messages("sensor/status")]
    assert status == [b"online", b"offline"]


def test_broker_restarts(any_broker, start):
    """Runs with the bundled broker and, where it is installed, with Mosquitto."""
    firmware = start(any_broker)
    firmware.expect("connected")
    any_broker.stop()
    firmware.expect("link lost")
    any_broker.start()
    firmware.expect("connected")


def test_no_reading_is_lost_in_a_restart(broker, start):
    start(broker)
    broker.wait_for(type="PUBLISH", topic="sensor/reading", payload="5")
    broker.stop(how="rst")
    before = len(readings(broker))
    broker.start()
    broker.wait_for(type="PUBLISH", topic="sensor/reading", payload=str(before + 5))
    assert_no_gap(broker)


def test_a_lost_puback(broker, start):
    """The reading is sent again, marked as a copy, and the next ones follow."""
    start(broker)
    broker.wait_for(type="PUBLISH", topic="sensor/reading", payload="3")
    broker.drop("PUBACK", client_id="sensor")
    lost = broker.wait_for(direction="lost", type="PUBACK")
    again = broker.wait_for(direction="in", type="PUBLISH", dup=True)
    assert again.packet_id == lost.packet_id
    broker.wait_for(
        direction="in",
        type="PUBLISH",
        topic="sensor/reading",
        payload=str(int(again.payload) + 3),
    )
    assert_no_gap(broker)
    assert broker.violations == []


def test_a_bad_line_to_the_broker(broker, start):
    """Every byte arrives by itself, and a PUBACK comes late: slower, and still right."""
    broker.split(1)
    broker.delay("PUBACK", 200)
    start(broker)
    broker.wait_for(type="PUBLISH", topic="sensor/reading", payload="5", timeout=10)
    assert_no_gap(broker)
