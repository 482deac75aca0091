"""Programs written for umqtt.simple run with nothing but their import line changed."""

import ast
import re
from pathlib import Path

import pytest
from peer import Peer

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("umqtt_*.py"))
SIMPLE = (
    "set_callback set_last_will connect disconnect ping publish subscribe wait_msg check_msg "
    "sock server port cb keepalive DEBUG"
).split()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_only_the_import_line_is_ours(script):
    text = script.read_text()
    lines = [line for line in text.splitlines() if "umqtt_plus" in line]
    assert len(lines) == 1 and re.match(
        r"from umqtt_plus import MQTTClient(, MQTTExc\w+)?$", lines[0]
    )
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "c":
            assert node.attr in SIMPLE


def test_pub(any_broker, program):
    with Peer.online(any_broker, "peer") as peer:
        peer.subscribe(("house/#", 1))
        program(any_broker, "umqtt_pub.py").wait()
        peer.expect_message("house/temp", b"21.5")
        peer.expect_message("house/state", b"on")
        peer.expect_message("house/count", b"3", 1)
        peer.quiet()
    with Peer.online(any_broker, "late") as peer:
        peer.subscribe(("house/#", 1))
        peer.expect_message("house/state", b"on", retain=True)
        peer.quiet()


@pytest.mark.parametrize("blocking", [0, 1])
def test_sub(broker, program, blocking):
    child = program(broker, "umqtt_sub.py", env={"BLOCKING": blocking, "COUNT": 5})
    child.expect("subscribed")
    for i in range(5):
        broker.publish("news", str(i))
    lines = child.wait().stdout.splitlines()
    assert lines[1:] == [str((b"news", b"%d" % i)) for i in range(5)]
    assert broker.packets(type="DISCONNECT")


def test_led(broker, program):
    child = program(broker, "umqtt_led.py")
    child.expect("Connected, subscribed to b'led' topic")
    for msg, state in (("on", 1), ("toggle", 0), ("toggle", 1), ("off", 0), ("other", 0)):
        broker.publish("led", msg)
        child.expect(f"^b'led' {state}$")


def test_button(broker, program):
    child = program(broker, "umqtt_button.py")
    child.expect("ready")
    for i in range(3):
        child.send_line("")
        broker.wait_for(type="PUBLISH", topic="foo_topic", payload="toggle", count=i + 1)
    child.send_line("end")
    child.wait()
    assert broker.packets(type="PINGREQ")


def test_robust(broker, program):
    child = program(broker, "umqtt_robust.py")
    child.expect("New session being set up")
    child.expect("ready")
    broker.publish("foo_topic", "1", 1)
    child.expect("foo_topic' b'1'")
    broker.kill("lasting")
    child.expect("again True")
    broker.publish("foo_topic", "2", 1)
    child.expect("foo_topic' b'2'")
    broker.stop(how="rst")
    broker.start()
    broker.publish("foo_topic", "end", 1)
    child.expect("again True")
    child.expect("foo_topic' b'end'")
    child.wait()
    assert len(broker.packets(type="SUBSCRIBE")) == 1


def test_every_call(broker_factory, program):
    broker = broker_factory(users={"user": "secret"})
    lines = program(broker, "umqtt_all.py").wait().stdout.splitlines()
    assert lines == [
        "True True 30 None True",
        "False",
        "100 True",
        "another b'u' b'x'",
        "refused 5",
        "not connected",
        "nobody there",
    ]


def test_a_burst_behind_a_poller_of_ones_own(broker, program):
    """check_msg() leaves no message that came lying in the client, where no poller sees it."""
    child = program(
        broker,
        """
        import select
        got = []
        c = client(buffer_size=2048)
        c.set_callback(lambda topic, msg: got.append(int(msg)))
        c.connect()
        c.subscribe("t", 2)
        poller = select.poll()
        poller.register(c.sock, select.POLLIN)
        print("ready")
        go()
        for i in range(200):
            if len(got) == 20 or not poller.poll(5000):
                break
            c.check_msg()
        print(got == list(range(20)), len(got))
        """,
    )
    child.expect("ready")
    for i in range(20):
        broker.publish("t", str(i), 1)
    broker.wait_for(type="PUBLISH", direction="out", count=20)
    child.send_line("")
    assert child.wait().stdout.splitlines()[-1] == "True 20"
