"""One 5.0 program against each broker that people run, as measured ones behave.

The bundled broker plays them back (`like=`). The program is the same for all: it asks what the
server has announced, and takes what is left. What differs is in the table.
"""

import pytest
from umqtt_harness.profiles import PROFILES

PROGRAM = """
from umqtt_plus.properties import decode

got = []
def take(m):
    got.append((m.topic, m.payload, m.qos, m.retain))

c = client(version="auto", keepalive=30, inflight=4, buffer_size=256)
c.set_message(take)
c.set_last_will(b"p/will", b"gone", qos=1)
print("session", c.connect(False))
limits = decode(c.connack) if hasattr(c, "connack") else {}
most = limits.get("maximum_qos", 2)
print("filter", c.subscribe([("p/x", 2), ("p/y/#", 1)])[0])

# each QoS, larger windows than some servers have, the same topic and topics in turn
sent = 0
for i in range(12):
    for qos in range(most + 1):
        while not c.publish_nowait(b"p/x" if i % 3 else b"p/y/1", b"%d" % sent, False, qos):
            c.wait_msg(1000)
        sent += 1
until(c, lambda: len(got) == sent and not c.stats()["in_flight"])
print("received", len(got), len(set(x[1] for x in got)))
for what, call in (
    ("qos 2", lambda: c.publish("p/z", "x", qos=2)),
    ("300 bytes", lambda: c.publish("p/z", bytes(300))),
    ("shared", lambda: c.subscribe("$share/g/p/s")),
):
    try:
        call()
        print(what, "ok")
    except ValueError:
        print(what, "ValueError")
    except MQTTException as e:
        print(what, e.args[0])

# the link breaks with messages on their way: they go out again, and what came meanwhile comes
got.clear()
c.publish_nowait(b"p/x", b"cut", False, min(1, most))
c.sock.close()
try:
    while True:
        c.publish(b"p/other", b"is it down?")
except OSError:
    print("down", c.sock)
print("session", c.connect(False))
until(c, lambda: not c.stats()["in_flight"])
c.ping()
until(c, lambda: any(x[1] == b"cut" for x in got))
print("again", len(set(x[1] for x in got)))
c.disconnect()
"""

# what is printed where it is not the usual
DIFFERENT = {
    "rabbitmq_4": {"filter": "1", "qos 2": "ValueError", "shared": "ValueError"},
    "ejabberd": {"shared": "ValueError"},
    "paho": {"300 bytes": "ValueError"},
    # the session is there all the same: what waits in it comes
    "activemq": {"session": ["False", "False"]},
    # 3.1.1: no such limits, and a $share filter is one like any other
    "only_3_1_1": {"shared": "ok"},
}


@pytest.mark.parametrize("like", sorted(PROFILES))
def test_each_broker(like, broker_factory, run):
    """Nothing is lost, nothing is asked that the server has ruled out, and the link lives on."""
    broker = broker_factory(like=like)
    found = {}
    for line in run(broker, PROGRAM):
        what, _, said = line.rpartition(" ") if line[:8] != "received" else line.partition(" ")
        found.setdefault(what, []).append(said)
    usual = {
        "session": ["False", "True"],
        "filter": "2",
        "qos 2": "ok",
        "300 bytes": "ok",
        "shared": "ok",
        "down": "None",
        "again": "1",
        "received": "24 24" if like == "rabbitmq_4" else "36 36",
    }
    usual.update(DIFFERENT.get(like, {}))
    assert {k: v if len(v) > 1 else v[0] for k, v in found.items()} == usual
    # the program was let in with the version that the server speaks
    levels = [e.raw[8] for e in broker.packets(direction="in", type="CONNECT")]
    assert levels[-1] == (4 if like == "only_3_1_1" else 5)
