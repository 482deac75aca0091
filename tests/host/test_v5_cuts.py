"""Links of 5.0 that break at any packet: nothing lost, QoS 2 once, no rule broken."""

import random
from collections import Counter

import pytest
from umqtt_harness.broker import Fault

OUT, BACK = 90, 60
LIMITS = {"receive_maximum": 2, "topic_alias_maximum": 2, "maximum_packet_size": 200}
KINDS = ("PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP")

SCRIPT = f"""
    from umqtt_plus.properties import encode

    x = {{"topic_alias_maximum": 2, "receive_maximum": 3}}
    c = client(version=5, inflight=4, buffer_size=256, properties=x)
    kinds = (None, encode("PUBLISH", {{"content_type": "text"}}))
    got = []
    cuts = 0

    def message(m):
        if m.property(3) != (b"text" if int(m.payload) % 2 else None):
            raise SystemExit("wrong properties")
        got.append((m.qos, int(m.payload)))

    def up():
        global cuts
        for _ in range(40):
            try:
                if c.connect(False) != (cuts > 0) and c._ours:
                    print("session", c.session_present)
                cuts += 1
                return
            except OSError:
                pass
        raise SystemExit("no way back")

    def work(f, *args, **options):
        while True:
            try:
                return f(*args, **options)
            except OSError as e:
                up()

    c.set_message(message)
    up()
    work(c.subscribe, "back/#", 2)
    print("up")
    i = 0
    while i < {OUT}:
        topic = "out/%d" % (i % 3)
        p = work(c.publish_nowait, topic, str(i), qos=i % 3, properties=kinds[i % 2])
        if p:
            i += 1
        work(c.check_msg if p else c.wait_msg)
    end = ticks_add(ticks_ms(), 15000)
    while c.stats()["in_flight"] or c.stats()["awaiting_release"] or len(set(got)) < {BACK}:
        if ticks_diff(end, ticks_ms()) <= 0:
            raise SystemExit("not all: %r %d" % (c.stats(), len(set(got))))
        work(c.wait_msg, 200)
    print(c.unresolved, cuts)
    print(sorted(got))
    c.disconnect()
"""


@pytest.mark.parametrize("seed", range(4))
def test_cuts_at_any_packet(broker_factory, program, seed):
    """MQTT5-4.4.0-1, MQTT5-4.1.0-1, MQTT5-4.3.3-10, MQTT5-4.3.3-11, MQTT5-3.3.4-7, E16v5."""
    rng = random.Random(seed)
    broker = broker_factory(limits=LIMITS, quirks=["rotate_aliases"] if seed % 2 else [])
    child = program(broker, SCRIPT)
    child.expect("^up$")
    for _ in range(14):
        direction = rng.choice(("in", "out"))
        broker.fault(
            Fault(
                "kill",
                rng.choice(KINDS),
                direction=direction,
                client_id="c",
                nth=rng.randrange(1, 25),
                at=None if direction == "in" else rng.choice((None, 0, 1, 2, 3)),
                how=rng.choice(("rst", "fin")),
            )
        )
    for k in range(BACK):
        x = {"content_type": "text"} if k % 2 else None
        broker.publish(f"back/{k % 3}", str(k), 1 + k % 2, properties=x)
    lines = child.wait(25).stdout.splitlines()
    unresolved, cuts = lines[-2].split("] ")
    assert unresolved == "[" and int(cuts) > 5, lines[-2]
    counts = Counter(int(m.payload) for m in broker.messages("out/#"))
    for i in range(OUT):
        if i % 3 == 2:
            assert counts[i] == 1, f"QoS 2 number {i} came {counts[i]} times"
        elif i % 3 == 1:
            assert counts[i] >= 1, f"QoS 1 number {i} is lost"
    got = Counter(eval(lines[-1]))
    assert all(got[2, k] == 1 for k in range(1, BACK, 2)), "QoS 2 to us"
    assert all(got[1, k] >= 1 for k in range(0, BACK, 2)), "QoS 1 to us"
