"""The bundled broker as a tool: its log and waits, restarts, limits, command line, $CONTROL."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import umqtt_harness
from peer import PINGREQ, Peer, ack, connect, publish, subscribe
from umqtt_harness import packets
from umqtt_harness.broker import Broker, BrokerThread

# The log and the waits


def test_log_has_each_packet_in_order(broker):
    with Peer.online(broker, "c") as peer:
        peer.publish("t", b"m", 2, retain=True, packet_id=9)
        peer.disconnect()
    broker.wait_for(type="CLOSE")
    assert [(e.direction, e.type) for e in broker.log] == [
        ("conn", "OPEN"), ("in", "CONNECT"), ("out", "CONNACK"), ("in", "PUBLISH"),
        ("out", "PUBREC"), ("in", "PUBREL"), ("out", "PUBCOMP"), ("in", "DISCONNECT"),
        ("conn", "CLOSE"),
    ]  # fmt: skip
    (event,) = broker.packets(client_id="c", type="PUBLISH")
    assert (event.packet_id, event.qos, event.dup, event.retain) == (9, 2, False, True)
    assert (event.topic, event.payload, event.connection) == ("t", b"m", 1)
    assert event.raw == publish("t", b"m", 2, True, 9)
    assert broker.log[-1].note == "DISCONNECT"
    assert "PUBLISH q2 retain t b'm' id=9" in broker.log.tail()


def test_packets_select(broker):
    with Peer.online(broker, "c") as peer:
        peer.publish("a", b"1", 1, packet_id=1)
        mark = broker.mark()
        peer.publish("b", b"2", 2, packet_id=2)
        assert len(broker.packets(direction="in", type="PUBLISH")) == 2
        assert len(broker.packets(type="PUBLISH", since=mark)) == 1
        assert len(broker.packets(type=("PUBACK", "PUBREC"))) == 2
        assert len(broker.packets(payload="2")) == 1
        assert len(broker.packets(lambda e: e.qos > 0 and e.topic == "a")) == 1
        with pytest.raises(TypeError, match="no field typo"):
            broker.packets(typo=1)


def test_wait_for_the_past_and_for_the_future(broker):
    with Peer.online(broker, "c") as peer:
        mark = broker.mark()
        timer = threading.Timer(0.05, peer.send, [PINGREQ + PINGREQ])
        timer.start()
        second = broker.wait_for(type="PINGREQ", count=2, since=mark)
        assert second is broker.wait_for(type="PINGREQ", count=2, timeout=0)
        assert second is broker.packets(type="PINGREQ")[1]
        timer.join()


def test_wait_says_what_it_wanted_and_what_it_saw(broker):
    with Peer.online(broker, "c"):
        with pytest.raises(TimeoutError) as raised:
            broker.wait_for(type="PUBLISH", topic="t", timeout=0.01)
        assert "type='PUBLISH' topic='t', saw 0" in str(raised.value)
        assert "CONNACK" in str(raised.value)
        with pytest.raises(TimeoutError, match="c to go"):
            broker.wait_gone("c", timeout=0.01)


def test_wait_until_and_connected(broker):
    peers = []
    timer = threading.Timer(0.05, lambda: peers.append(Peer.online(broker, "late")))
    timer.start()
    broker.wait_connected("late")
    assert broker.wait_until(lambda: broker.sessions["late"], what="late").connected
    timer.join()
    with peers[0]:
        pass
    broker.wait_gone("late")


def test_log_is_bounded(broker_factory):
    broker = broker_factory(log_limit=40)
    with Peer.online(broker, "c") as peer:
        for n in range(100):
            peer.publish("t", b"%d" % n, 1)
        assert len(broker.log) <= 40
        assert broker.mark() == 3 + 200
        assert broker.packets(type="PUBLISH")[-1].payload == b"99"
        assert broker.wait_for(type="PUBACK", since=202).type == "PUBACK"


def test_log_can_be_off(broker_factory):
    broker = broker_factory(log_limit=0)
    with Peer.online(broker, "c") as peer:
        peer.subscribe(("t", 0))
        peer.send(publish("t", b"m"))
        peer.expect_message("t", b"m")
    assert len(broker.log) == 0


def test_wire_has_the_bytes_of_each_connection(broker):
    for n in range(2):
        with Peer.online(broker, "c") as peer:
            for _ in range(n):
                peer.quiet()
            peer.disconnect()
    assert broker.wire("c", 0).received == connect("c") + b"\xe0\x00"
    assert broker.wire("c").received == connect("c") + PINGREQ + b"\xe0\x00"
    assert broker.wire("c").sent == b"\x20\x02\x00\x00\xd0\x00"
    with pytest.raises(LookupError, match="never connected"):
        broker.wire("nobody")


def test_sessions_snapshot(broker):
    with Peer.online(broker, "c", clean=False) as peer:
        peer.subscribe(("t", 2))
        broker.publish("t", "text", 1)
        got = peer.expect_message("t", b"text", 1, acknowledge=False)
        broker.publish("t", b"two", 2)
        two = peer.expect_message("t", b"two", 2, acknowledge=False)
        peer.send(publish("x", b"", 2, packet_id=8), ack(0x50, two.packet_id))
        peer.expect("PUBREC")
        peer.expect("PUBREL")
        info = broker.sessions["c"]
        assert info.connected and not info.clean_session
        assert info.subscriptions == {"t": 2}
        assert info.inflight == {got.packet_id: "PUBACK", two.packet_id: "PUBCOMP"}
        assert info.received == [8]
    with pytest.raises(LookupError, match="'d' is not connected"):
        broker.kill("d")


# Life


def test_restart_keeps_port_and_sessions(broker):
    port = broker.port
    broker.publish("kept", b"m", retain=True)
    with Peer.online(broker, "c", clean=False, will=("will", b"", 0, False)) as peer:
        peer.subscribe(("t", 1))
        broker.stop()
        peer.expect_eof()
        with pytest.raises(ConnectionRefusedError):
            Peer(broker)
    broker.start()
    assert broker.port == port
    with Peer.online(broker, "c", clean=False) as peer:
        assert peer.session_present
        broker.publish("t", b"m", 1)
        peer.expect_message("t", b"m", 1)
        peer.subscribe(("kept", 0))
        peer.expect_message("kept", b"m", retain=True)
    assert broker.messages("will") == []  # a broker that dies publishes no wills


def test_restart_may_lose_everything(broker):
    broker.publish("kept", b"m", retain=True)
    with Peer.online(broker, "c", clean=False) as peer:
        broker.stop(keep_sessions=False, how="rst")
        with pytest.raises(ConnectionResetError):
            peer.sock.recv(1)
    broker.start()
    with Peer.online(broker, "c", clean=False) as peer:
        assert not peer.session_present
        peer.subscribe(("kept", 0))
        peer.quiet()


def test_many_restarts_with_clients_on(broker):
    for _ in range(10):
        with Peer.online(broker), Peer.online(broker):
            broker.stop()
        broker.start()


def test_no_thread_and_no_socket_is_left():
    before = set(threading.enumerate())
    with BrokerThread() as broker:
        silenced = Peer.online(broker, "s")
        broker.silence("s")
        held = Peer.online(broker, "h")
        broker.split(1, client_id="h", pause_ms=10_000)
        held.send(PINGREQ)
        broker.wait_for(type="PINGRESP")
    assert set(threading.enumerate()) <= before
    for peer in (silenced, held):
        with peer, pytest.raises((EOFError, ConnectionError)):
            while True:
                peer.receive()


def test_port_taken(broker):
    with pytest.raises(OSError):
        BrokerThread(port=broker.port).start()


def test_an_error_inside_comes_out(monkeypatch):
    def broken(self, *_):
        raise ZeroDivisionError

    monkeypatch.setattr(Broker, "_publish", broken)
    with pytest.raises(RuntimeError, match="inside the broker"):
        with BrokerThread() as broker, Peer.online(broker) as peer:
            peer.send(publish("t"))
            peer.expect_eof()


# Limits


def test_offline_queue_is_bounded(broker_factory):
    broker = broker_factory(max_queued=5)
    with Peer.online(broker, "c", clean=False) as peer:
        peer.subscribe(("t", 1))
        peer.disconnect()
    for n in range(8):
        broker.publish("t", b"%d" % n, 1)
    assert broker.sessions["c"].queued == 5
    assert broker.sessions["c"].dropped == 3
    with Peer.online(broker, "c", clean=False) as peer:
        for n in range(5):
            peer.expect_message("t", b"%d" % n, 1)
        peer.quiet()


def test_window_of_one(broker_factory):
    broker = broker_factory(window=1)
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 2))
        for n in range(3):
            broker.publish("t", b"%d" % n, 2)
        for n in range(3):
            got = peer.expect_message("t", b"%d" % n, 2, acknowledge=False)
            peer.quiet()
            peer.send(ack(0x50, got.packet_id))
            peer.expect("PUBREL")
            peer.quiet()
            peer.send(ack(0x70, got.packet_id))


def test_packet_ids_wrap_and_skip_those_in_flight(broker):
    with Peer.online(broker, "c") as peer:
        peer.subscribe(("t", 1))
        broker.publish("t", b"open", 1)
        assert peer.expect_message("t", b"open", 1, acknowledge=False).packet_id == 1
        broker.broker.client_sessions["c"].last_id = 65534
        for wanted in (65535, 2):
            broker.publish("t", b"m", 1)
            assert peer.expect_message("t", b"m", 1).packet_id == wanted


def test_small_packets_are_not_kept_back_by_nagle(broker):
    with Peer.online(broker, "c"):
        sock = broker.broker.connection_of("c").transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_packet_too_large(broker_factory):
    broker = broker_factory(max_packet_size=1000)
    with Peer.online(broker) as peer:
        peer.send(publish("t", bytes(990)))
        peer.quiet()
        peer.send(publish("t", bytes(1000))[:10])
        peer.expect_eof()


def test_a_client_that_never_sends_connect(broker_factory):
    broker = broker_factory(connect_timeout_s=0.5)
    with Peer.online(broker) as good, Peer(broker) as silent:
        silent.expect_eof()
        broker.wait_for(type="CLOSE", note="no CONNECT")
        good.quiet()  # its own time was over before


def test_sys_topics_are_sent_again_and_again(broker_factory):
    broker = broker_factory(sys_interval_s=0.1)
    with Peer.online(broker) as peer:
        peer.subscribe(("$SYS/broker/uptime", 0))
        peer.expect("PUBLISH", retain=True)
        for _ in range(2):
            assert peer.expect("PUBLISH", retain=False).payload.endswith(b"seconds")


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 2097151, 2097152])
def test_remaining_length_borders(size):
    raw = b"\x30" + packets.remaining_length(size + 3) + b"\0\1t" + bytes(size)
    assert packets.publish("t", bytes(size)) == raw
    framer = packets.Framer(4 << 20)
    cuts = [raw[:1], raw[1:3], raw[3:]]
    ((whole, at),) = [found for piece in cuts for found in framer.feed(piece)]
    assert whole == raw
    assert packets.parse(whole, at).payload == bytes(size)


# The program


class Program:
    def __init__(self, *arguments):
        tools = str(Path(umqtt_harness.__file__).resolve().parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "umqtt_harness.broker", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": tools},
        )  # fmt: skip

    def server(self):
        host, port = self.process.stdout.readline().split()[-1].split(":")
        return SimpleNamespace(host=host, port=int(port))

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.communicate(timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_program_prints_connections_and_messages(number):
    with Program("--port", "0", "--verbose", "--user", "ann:secret") as program:
        server = program.server()
        with Peer(server) as peer:
            peer.send(connect("c"))
            assert peer.expect("CONNACK").body == b"\0\5"
        with Peer.online(server, "me", user="ann", password="secret") as peer:
            peer.publish("a/b", b"hello", 1)
            out, err = program.end(number)
        assert (program.process.returncode, err) == (0, "")
        assert "refused with code 5" in out
        assert "PUBLISH q1 a/b b'hello' id=1" in out


def test_program_says_that_the_port_is_taken(broker):
    with Program("--port", str(broker.port)) as program:
        out, err = program.process.communicate(timeout=10)
        assert program.process.returncode == 1
        assert err == (
            f"cannot listen on 127.0.0.1:{broker.port}: the port is taken; "
            "stop the other broker or choose another --port\n"
        )


@pytest.mark.parametrize("arguments", [["--user", "nocolon"], ["--quirk", "typo"]])
def test_program_refuses_wrong_arguments(arguments):
    with Program(*arguments) as program:
        _, err = program.process.communicate(timeout=10)
        assert program.process.returncode == 2
        assert arguments[0] in err


# $CONTROL


def _ask(peer, command, **arguments):
    peer.send(publish(f"$CONTROL/{command}", json.dumps({"id": 5, **arguments}).encode()))
    answer = json.loads(peer.expect("PUBLISH", topic="$CONTROL/answer", retain=False).payload)
    assert answer.pop("id", 5) == 5
    return answer


def test_control_over_mqtt():
    with Program("--port", "0", "--control") as program:
        server = program.server()
        with Peer.online(server, "boss") as boss, Peer.online(server, "c") as peer:
            boss.subscribe(("$CONTROL/answer", 0))
            assert _ask(boss, "drop", type="PUBACK", client_id="c")["ok"]
            peer.send(publish("t", b"m", 1, packet_id=1))
            peer.publish("t", b"m", 1, packet_id=2)
            garble = {"action": "garble", "type": "PINGRESP", "data": "d001", "client_id": "c"}
            assert _ask(boss, "fault", **garble)["ok"]
            peer.send(PINGREQ)
            assert peer.sock.recv(10) == b"\xd0\x01"
            assert _ask(boss, "raw", client_id="c", data="f0ff")["ok"]
            assert peer.sock.recv(10) == b"\xf0\xff"
            sessions = _ask(boss, "sessions")["result"]
            assert sessions["c"]["connected"] is True
            log = _ask(boss, "log", direction="lost")["result"]
            assert [(e["type"], e["packet_id"]) for e in log] == [("PUBACK", 1)]
            assert _ask(boss, "violations") == {"ok": True, "result": []}
            assert _ask(boss, "kill", client_id="c")["ok"]
            with pytest.raises(ConnectionResetError):
                peer.sock.recv(1)


@pytest.mark.parametrize(
    "command, payload, error",
    [
        ("typo", b"{}", "no command 'typo'"),
        ("drop", b"[]", "not a JSON object"),
        ("drop", b"{", "Expecting"),
        ("drop", b"\xff", "utf-8"),
        ("drop", b'{"kind": 1}', "argument"),
        ("kill", b'{"client_id": "x"}', "'x' is not connected"),
        ("raw", b"{}", "client_id"),
        ("fault", b'{"action": "lose"}', "no fault 'lose'"),
    ],
)
def test_control_answers_what_was_wrong(broker_factory, command, payload, error):
    broker = broker_factory(control=True)
    with Peer.online(broker) as boss:
        boss.subscribe(("$CONTROL/answer", 0))
        boss.send(publish(f"$CONTROL/{command}", payload, 1, True, 6))
        got = {p.type: p for p in (boss.receive(), boss.receive())}
        answer = json.loads(got["PUBLISH"].payload)
        assert answer["ok"] is False and error in answer["error"]
        assert got["PUBACK"].packet_id == 6


def test_without_control_the_topics_do_nothing(broker):
    with Peer.online(broker) as peer:
        peer.send(subscribe(1, ("$CONTROL/#", 0)))
        peer.expect("SUBACK")
        peer.send(publish("$CONTROL/refuse_tcp"))
        peer.quiet()
        Peer.online(broker).disconnect()


def test_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    with BrokerThread(host="::1") as broker:
        with socket.create_connection(("::1", broker.port), timeout=5) as sock:
            sock.sendall(connect("c"))
            assert sock.recv(4) == b"\x20\x02\x00\x00"
