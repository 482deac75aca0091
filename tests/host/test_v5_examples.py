"""The examples of MQTT 5.0 as test_examples.py runs the others, and the servers they talk to."""

import base64
import hashlib
import hmac
import os
import select
from pathlib import Path

import pytest
from peer5 import CORRELATION, RESPONSE_TOPIC, Peer5, ack, publish
from umqtt_harness.broker import AuthRefused

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def b64(x):
    return base64.b64encode(x)


class Scram:
    """The server's side of SCRAM-SHA-256 (RFC 5802, 7677): a method for the broker's auth."""

    def __init__(self, user=b"board", password=b"correct horse", rounds=4096):
        self.user = user
        self.rounds = rounds
        self.salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac("sha256", password, self.salt, rounds)
        self.stored = hashlib.sha256(self.mac(salted, b"Client Key")).digest()
        self.server_key = self.mac(salted, b"Server Key")
        self.nonces = []

    @staticmethod
    def mac(key, message):
        return hmac.digest(key, message, "sha256")

    def __call__(self, client_id, data):
        gs2, bare = data[:3], data[3:]
        fields = dict(part.split(b"=", 1) for part in bare.split(b","))
        nonce = fields[b"r"] + b64(os.urandom(9))
        self.nonces.append(fields[b"r"])
        first = b"r=%s,s=%s,i=%d" % (nonce, b64(self.salt), self.rounds)
        last = yield first
        unproven, proof = last.rsplit(b",p=", 1)
        signed = b",".join((bare, first, unproven))
        key = self.mac(self.stored, signed)
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), key, strict=True))
        right = (
            gs2 == b"n,,"
            and unproven == b"c=biws,r=" + nonce
            and fields[b"n"] == self.user
            and hashlib.sha256(key).digest() == self.stored
        )
        if not right:
            raise AuthRefused(0x87)
        return b"v=" + b64(self.mac(self.server_key, signed))


@pytest.fixture
def start(micropython, tmp_path):
    servers = []

    def run(server, name, rounds=0, **env):
        servers.append(server)
        settings = {"MQTT_HOST": server.host, "MQTT_PORT": server.port, "ROUNDS": rounds, **env}
        return micropython.start(
            EXAMPLES / f"{name}.py", env=settings, mpy=True, heapsize="128k", cwd=tmp_path
        )

    yield run
    for server in servers:
        assert getattr(server, "violations", []) == []


def test_request_response(any_broker, start):
    """Asks and is answered, answers others: no more properties than the question (X5-4.10-a)."""
    with Peer5.online(any_broker, "oven") as oven:
        oven.subscribe(("oven/temperature", 1))
        oven.subscribe(("oven/answers", 1))
        child = start(any_broker, "request_response", 2, INTERVAL_MS=0)
        seen = []
        for degrees in (b"180", b"181"):
            asked = oven.expect("PUBLISH", topic="oven/temperature", payload=b"celsius")
            to, key = asked.prop(RESPONSE_TOPIC), asked.prop(CORRELATION)
            seen.append(key)
            assert to == "board/answers"
            if len(seen) == 1:
                # while it waits it answers
                for question in (b"uptime", b"memory", b"?"):
                    more = ((RESPONSE_TOPIC, "oven/answers"), (CORRELATION, question))
                    oven.send(oven_publish("board/ask", question, *more))
                    got = oven.expect("PUBLISH", topic="oven/answers")
                    assert got.props == [(CORRELATION, question)]
                    assert got.payload[-2:] in (b" s", b"ee", b"ry")
            oven.send(oven_publish(to, b"0", (CORRELATION, b"not asked")))
            oven.send(oven_publish(to, degrees, (CORRELATION, key)))
            oven.send(ack(0x40, asked.packet_id))
        assert child.wait().stdout.splitlines() == ["oven 180", "oven 181"]
        assert len(set(seen)) == 2


def oven_publish(topic, payload, *properties):
    return publish(topic, payload, 0, False, 0, False, *properties)


def test_request_response_without_an_answer(broker, start):
    """Says that nobody listens (0x10), and that no answer came; goes on."""
    child = start(broker, "request_response", 1, INTERVAL_MS=0, TIMEOUT_MS=500)
    child.expect("nobody listens to oven/temperature")
    with Peer5.online(broker, "oven") as oven:
        oven.subscribe(("oven/temperature", 0))
        late = oven.expect("PUBLISH").prop(CORRELATION)
        key = oven.expect("PUBLISH").prop(CORRELATION)  # so the first one was given up
        oven.send(oven_publish("board/answers", b"late", (CORRELATION, late)))
        while child.running:
            oven.send(oven_publish("board/answers", b"new", (CORRELATION, key)))
            if select.select([oven.sock], [], [], 0.05)[0]:  # it may have been too slow once more
                key = oven.expect("PUBLISH").prop(CORRELATION)
    said = child.wait().stdout.splitlines()
    assert any(line.startswith("no answer: ") and "ETIMEDOUT" in line for line in said)
    assert said[-1] == "oven new" and "oven late" not in said


def test_request_response_takes_its_place_from_the_server(broker_factory, start):
    """Response Information goes in front of the response topic."""
    broker = broker_factory(limits={"response_information": "for/board/"})
    with Peer5.online(broker, "oven") as oven:
        oven.subscribe(("oven/temperature", 0))
        child = start(broker, "request_response", 1, INTERVAL_MS=0)
        asked = oven.expect("PUBLISH")
        to, key = asked.prop(RESPONSE_TOPIC), asked.prop(CORRELATION)
        assert to == "for/board/board/answers"
        oven.send(oven_publish(to, b"200", (CORRELATION, key)))
        assert child.wait().stdout.splitlines() == ["oven 200"]


def scram_broker(broker_factory, method):
    return broker_factory(auth={"SCRAM-SHA-256": method})


def test_scram_login(broker_factory, start):
    """Logged in and proved again twice, each with a nonce of its own; the password never on the
    wire (MQTT5-4.12.0-2, MQTT5-4.12.0-3, MQTT5-4.12.0-5, MQTT5-4.12.1-1)."""
    method = Scram()
    broker = scram_broker(broker_factory, method)
    child = start(broker, "scram_login", 2, INTERVAL_MS=0)
    assert child.wait().stdout.splitlines() == ["logged in", "proved again", "proved again"]
    assert len(set(method.nonces)) == 3
    assert all(len(nonce) == 24 for nonce in method.nonces)
    sent = broker.wire("scram_login").received
    assert b"correct" not in sent and b"horse" not in sent
    codes = [e.reason_code for e in broker.packets(direction="in", type="AUTH")]
    assert codes == [0x18, 0x19, 0x18, 0x19, 0x18]
    assert [m.payload for m in broker.messages("board/reading")] == [b"1", b"2"]


def test_scram_login_wrong_password(broker_factory, start):
    broker = scram_broker(broker_factory, Scram())
    result = start(broker, "scram_login", 1, PASSWORD="horse correct").wait(check=False)
    assert "MQTTException" in result.stderr + result.stdout
    assert "135" in result.stderr + result.stdout  # 0x87, not authorized
    assert broker.messages("board/#") == []


def silent_server(client_id, data):
    return None


def server_without_proof(client_id, data):
    yield b"r=%s1,s=c2FsdA==,i=4096" % data.split(b"r=")[1]
    return None


def server_that_skips_the_proof(client_id, data):
    return b"r=%s1,s=c2FsdA==,i=4096" % data.split(b"r=")[1]


def server_with_a_wrong_proof(client_id, data):
    yield b"r=%s1,s=c2FsdA==,i=4096" % data.split(b"r=")[1]
    return b"v=" + b64(bytes(32))


def server_with_few_rounds(client_id, data):
    yield b"r=%s1,s=c2FsdA==,i=1" % data.split(b"r=")[1]


def server_with_another_nonce(client_id, data):
    yield b"r=hello,s=c2FsdA==,i=4096"


@pytest.mark.parametrize(
    "method",
    [
        silent_server,
        server_without_proof,
        server_that_skips_the_proof,
        server_with_a_wrong_proof,
        server_with_few_rounds,
        server_with_another_nonce,
    ],
)
def test_scram_login_refuses_a_server_that_does_not_know_the_password(
    broker_factory, start, method
):
    """E123: DISCONNECT 83, and nothing is published."""
    broker = scram_broker(broker_factory, method)
    result = start(broker, "scram_login", 1).wait(check=False)
    assert result.returncode and "MQTTException: 131" in result.stderr + result.stdout
    broker.wait_gone("scram_login")
    ends = broker.packets(direction="in", type="DISCONNECT")
    assert [e.reason_code for e in ends] == [0x83]
    assert broker.messages("board/#") == []


def test_scram_login_refuses_at_the_second_proof(broker_factory, start):
    """MQTT5-4.12.1-2: a re-authentication that fails closes the connection."""
    method = Scram()
    calls = []

    def then_wrong(client_id, data):
        calls.append(client_id)
        answer = yield from method(client_id, data)
        return answer if len(calls) == 1 else b"v=" + b64(bytes(32))

    broker = scram_broker(broker_factory, then_wrong)
    result = start(broker, "scram_login", 1).wait(check=False)
    assert "logged in" in result.stdout and "proved again" not in result.stdout
    assert result.returncode
    broker.wait_for(direction="in", type="DISCONNECT", reason_code=0x83)
