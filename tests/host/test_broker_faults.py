"""Every fault of the bundled broker, seen from the client's side of the socket."""

import time

import pytest
from peer import PINGREQ, Peer, connect, publish, subscribe
from umqtt_harness.broker import Fault
from umqtt_harness.faults import ACTIONS


def _forward(broker, payloads=(b"0", b"1", b"2"), qos=0):
    for payload in payloads:
        broker.publish("t", payload, qos)


def _forward_together(broker, payloads=(b"0", b"1", b"2")):
    """All in one turn of the broker's loop."""
    with Peer.online(broker) as other:
        other.send(*(publish("t", payload) for payload in payloads))
        other.quiet()


def _writes(broker, peer):
    """What the broker writes to peer from now on, write by write: TCP may join what comes late."""
    connection = broker.broker.connection_of(peer.client_id)
    pieces = []
    write = connection._write

    def note(data):
        pieces.append(bytes(data))
        write(data)

    connection._write = note
    return pieces


def test_drop_outgoing(broker):
    with Peer.online(broker) as peer:
        fault = broker.drop("PUBACK", client_id=peer.client_id)
        peer.send(publish("t", b"m", 1, packet_id=1), publish("t", b"m", 1, packet_id=2))
        peer.expect("PUBACK", packet_id=2)
        assert fault.hits == 1
        lost = broker.wait_for(direction="lost", type="PUBACK", fault="drop")
        assert lost.packet_id == 1
        assert b"\x40\x02\x00\x01" not in broker.wire(peer.client_id).sent


def test_drop_the_second_and_third_of_one_client_only(broker):
    with Peer.online(broker) as one, Peer.online(broker) as two:
        broker.drop("PUBACK", client_id=one.client_id, nth=2, count=2)
        for peer, wanted in ((two, (1, 2, 3, 4)), (one, (1, 4))):
            peer.send(*(publish("t", b"m", 1, packet_id=n) for n in (1, 2, 3, 4)))
            for packet_id in wanted:
                peer.expect("PUBACK", packet_id=packet_id)


def test_drop_incoming(broker):
    with Peer.online(broker) as peer:
        broker.drop("PUBLISH", direction="in", topic="lost")
        peer.send(publish("lost", b"m", 1, packet_id=1), publish("kept", b"m", 1, packet_id=2))
        peer.expect("PUBACK", packet_id=2)
        assert [m.topic for m in broker.messages()] == ["kept"]
        event = broker.wait_for(direction="in", fault="drop")
        assert (event.type, event.topic, event.packet_id) == ("PUBLISH", "lost", 1)


def test_delay_keeps_the_order(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 0))
        broker.delay("PUBLISH", 80, nth=2)
        started = time.monotonic()
        _forward(broker)
        for payload in (b"0", b"1", b"2"):
            peer.expect_message("t", payload)
        assert time.monotonic() - started > 0.06


def test_delay_of_one_packet_that_others_overtake(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 0))
        broker.delay("PUBLISH", 50, overtake=True)
        _forward_together(broker)
        for payload in (b"1", b"2", b"0"):
            peer.expect_message("t", payload)


def test_delay_incoming_keeps_the_order_of_the_stream(broker):
    with Peer.online(broker) as peer:
        broker.delay("PUBLISH", 50, direction="in")
        stream = b"".join(publish("t", b"%d" % n, 1, packet_id=n) for n in range(1, 5)) + PINGREQ
        started = time.monotonic()
        peer.send(stream[:25])  # ends inside a packet
        broker.wait_until(lambda: len(broker.wire(peer.client_id).received) > 25, what="25 bytes")
        peer.send(stream[25:])
        for packet_id in range(1, 5):
            peer.expect("PUBACK", packet_id=packet_id)
        peer.expect("PINGRESP")
        assert time.monotonic() - started > 0.04
        assert broker.violations == []


def test_split_everything_into_single_bytes(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 0))
        whole = publish("t", b"abcd")
        pieces = _writes(broker, peer)
        broker.split(1, pause_ms=30)
        _forward(broker, [b"abcd"])
        peer.expect_message("t", b"abcd")
        assert pieces == [bytes((byte,)) for byte in whole]
        broker.split(0)
        peer.quiet()


def test_split_pieces_cross_the_borders_of_packets(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 0))
        pieces = _writes(broker, peer)
        broker.split(7, pause_ms=20, client_id=peer.client_id)
        broker.delay("PUBLISH", 20)  # so that all three are there when the first is written
        _forward_together(broker)
        for payload in (b"0", b"1", b"2"):
            peer.expect_message("t", payload)
        whole = b"".join(publish("t", payload) for payload in (b"0", b"1", b"2"))
        assert pieces == [whole[:7], whole[7:14], whole[14:]]


def test_split_one_packet_at_a_byte(broker):
    with Peer.online(broker) as peer:
        pieces = _writes(broker, peer)
        broker.fault(Fault("split", "PINGRESP", at=1, ms=20))
        peer.quiet()
        assert pieces == [b"\xd0", b"\x00"]


def test_split_one_packet_into_pieces(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 0))
        pieces = _writes(broker, peer)
        broker.fault(Fault("split", "PUBLISH", size=3, ms=20))
        _forward(broker, [b"abcd"])
        peer.expect_message("t", b"abcd")
        assert [len(piece) for piece in pieces] == [3, 3, 3]


def test_garble_replaces_or_flips(broker):
    with Peer.online(broker) as peer:
        broker.fault(Fault("garble", "PINGRESP", data=b"\xd0\x01"))
        broker.fault(Fault("garble", "PINGRESP", flip=8))
        broker.fault(Fault("garble", "PUBLISH", direction="in", data=publish("t", b"other")))
        peer.send(PINGREQ, PINGREQ)
        assert peer._exactly(4, time.monotonic() + 5) == b"\xd0\x01\xd0\x01"
        peer.send(publish("t", b"mine"))
        peer.quiet()
        assert [m.payload for m in broker.messages()] == [b"other"]


def test_duplicate_outgoing_has_dup(broker):
    with Peer.online(broker) as peer:
        peer.subscribe(("t", 1))
        broker.fault(Fault("duplicate", "PUBLISH"))
        _forward(broker, [b"m"], qos=1)
        first = peer.expect_message("t", b"m", 1, False, dup=False)
        peer.expect_message("t", b"m", 1, dup=True, packet_id=first.packet_id)
        peer.quiet()


def test_duplicate_incoming(broker):
    with Peer.online(broker) as peer:
        broker.fault(Fault("duplicate", "PUBLISH", direction="in"))
        peer.send(publish("t", b"m", 1, packet_id=4))
        peer.expect("PUBACK", packet_id=4)
        peer.expect("PUBACK", packet_id=4)
        assert len(broker.messages("t")) == 2


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_kill_now(broker, how):
    with Peer.online(broker, will=("will", b"gone", 0, False)) as peer:
        broker.kill(peer.client_id, how)
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                peer.sock.recv(1)
        else:
            assert peer.sock.recv(1) == b""
        broker.wait_gone(peer.client_id)
        assert [m.topic for m in broker.messages()] == ["will"]


@pytest.mark.parametrize("at, wanted", [(0, b""), (2, b"\x40\x02"), (None, b"\x40\x02\x00\x07")])
@pytest.mark.parametrize("how", ["rst", "fin"])
def test_kill_around_a_packet(broker, at, wanted, how):
    with Peer.online(broker) as peer:
        broker.fault(Fault("kill", "PUBACK", at=at, how=how))
        peer.send(publish("t", b"m", 1, packet_id=7))
        got = b""
        try:
            while piece := peer.sock.recv(10):
                got += piece
            assert how == "fin"
        except ConnectionResetError:
            assert how == "rst"
        assert got == wanted
        assert len(broker.messages("t")) == 1


@pytest.mark.parametrize("at, routed", [(0, 0), (None, 1)])
def test_kill_at_an_incoming_packet(broker, at, routed):
    with Peer.online(broker) as peer:
        broker.fault(Fault("kill", "PUBLISH", direction="in", at=at, how="fin"))
        peer.send(publish("t", b"m"))
        peer.expect_eof()
        assert len(broker.messages("t")) == routed


def test_silence_is_a_half_open_link(broker):
    with Peer.online(broker, will=("will", b"gone", 0, False), keep_alive=1) as peer:
        broker.silence(peer.client_id)
        peer.send(PINGREQ)
        # The broker gives the client up, yet the client's socket hears nothing of it.
        broker.wait_for(type="CLOSE", client_id=peer.client_id, note="keep alive")
        assert len(broker.messages("will")) == 1
        peer.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.sock.recv(1)
        with Peer.online(broker, peer.client_id) as again:
            again.quiet()
        with pytest.raises(BlockingIOError):
            peer.sock.recv(1)


def test_silence_from_a_packet_on(broker):
    with Peer.online(broker) as peer:
        broker.fault(Fault("silence", "PINGRESP", nth=2))
        peer.quiet()
        peer.send(PINGREQ)
        broker.wait_for(direction="lost", fault="silence", type="PINGRESP")
        peer.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.sock.recv(1)


def test_silence_of_writing_only_still_hears(broker):
    with Peer.online(broker) as peer:
        broker.silence(peer.client_id, read=False)
        peer.send(publish("t", b"m", 1, packet_id=1))
        broker.wait_for(type="PUBACK", direction="lost", fault="silence")
        assert b"\x40\x02\x00\x01" not in broker.wire(peer.client_id).sent


def test_hold_acks_until_release(broker):
    with Peer.online(broker) as peer:
        broker.hold_acks(peer.client_id)
        peer.send(publish("t", b"m", 1, packet_id=1), subscribe(2, ("t", 1)), PINGREQ)
        broker.wait_for(direction="held", type="PINGRESP")
        broker.publish("t", b"passes", 0)
        peer.expect_message("t", b"passes")
        broker.release()
        peer.expect("PUBACK", packet_id=1)
        peer.expect("SUBACK", packet_id=2)
        peer.expect("PINGRESP")
        peer.quiet()


def test_stall_connack_holds_what_follows_and_nobody_else(broker):
    with Peer.online(broker) as other, Peer(broker) as peer:
        with Peer.online(broker, "slow", clean=False) as before:
            before.subscribe(("t", 1))
            before.disconnect()
        broker.publish("t", b"queued", 1)
        broker.stall_connack()
        peer.send(connect("slow", clean=False))
        broker.wait_for(direction="held", type="PUBLISH", client_id="slow")
        other.quiet()
        broker.release()
        peer.expect("CONNACK", body=b"\1\0")
        peer.expect_message("t", b"queued", 1)


def test_insert_after_a_packet(broker):
    with Peer.online(broker) as peer:
        broker.fault(Fault("insert", "PINGRESP", data=b"\x40\x02\x00\x63"))
        peer.send(PINGREQ)
        peer.expect("PINGRESP")
        peer.expect("PUBACK", packet_id=99)


def test_raw(broker):
    with Peer.online(broker) as peer:
        broker.raw(peer.client_id, b"\xf0\x01\x02")
        assert peer._exactly(3, time.monotonic() + 5) == b"\xf0\x01\x02"
        assert broker.wait_for(type="RAW").raw == b"\xf0\x01\x02"


def test_refuse(broker):
    broker.refuse(3, count=2)
    for code in (3, 3, 0):
        with Peer(broker) as peer:
            peer.send(connect("c"))
            assert peer.expect("CONNACK").body == bytes((0, code))
            if code:
                peer.expect_eof()


def test_subscribe_result(broker):
    with Peer.online(broker) as peer:
        broker.subscribe_result([0x80, 1])
        peer.subscribe(("no", 2), ("yes", 2), codes=[0x80, 1])
        assert broker.sessions[peer.client_id].subscriptions == {"yes": 1}
        broker.subscribe_result([0, 0, 3])
        peer.subscribe(("a", 0), codes=[0, 0, 3])


@pytest.mark.parametrize("mode", ["close", "reset", "hang"])
def test_refuse_tcp(broker, mode):
    broker.refuse_tcp(mode, count=1)
    # A reset may come before connect() returns, so all of it is one attempt.
    with pytest.raises((TimeoutError, EOFError, ConnectionError)) as raised:
        with Peer(broker, timeout=0.1 if mode == "hang" else 5) as peer:
            peer.send(connect("c"))
            peer.receive()
    assert raised.errisinstance(TimeoutError) == (mode == "hang")
    Peer.online(broker).disconnect()
    broker.refuse_tcp("close")
    broker.accept_tcp()
    Peer.online(broker).disconnect()


def test_paused_reading_makes_the_clients_writes_partial(broker_factory):
    broker = broker_factory(receive_buffer=1)
    with Peer.online(broker) as peer:
        broker.pause_reading(peer.client_id)
        peer.sock.setblocking(False)
        sent = 0
        data = publish("t", bytes(60_000)) * 200
        with pytest.raises(BlockingIOError):
            while sent < len(data):
                sent += peer.sock.send(data[sent:])
        assert 0 < sent < len(data)
        assert broker.messages() == []
        broker.resume_reading(peer.client_id)
        peer.sock.settimeout(30)
        peer.sock.sendall(data[sent:])
        peer.quiet()
        assert len(broker.messages("t")) == 200


def test_clear_faults(broker):
    with Peer.online(broker) as peer:
        broker.drop("PINGRESP", count=None)
        broker.hold_acks()
        broker.split(1)
        broker.refuse_tcp()
        broker.clear_faults()
        peer.quiet()
        Peer.online(broker).disconnect()


def test_only_the_first_fault_hits_but_all_count(broker):
    with Peer.online(broker) as peer:
        first = broker.drop("PINGRESP")
        second = broker.fault(Fault("garble", "PINGRESP", nth=2, data=b"\xd0\x01"))
        peer.send(PINGREQ, PINGREQ)
        assert peer._exactly(2, time.monotonic() + 5) == b"\xd0\x01"
        assert (first.hits, first.seen, second.hits, second.seen) == (1, 2, 1, 2)


@pytest.mark.parametrize(
    "fields", [{"action": "lose"}, {"action": "hold", "direction": "in"},
               {"action": "kill", "how": "hard"}],
)  # fmt: skip
def test_faults_that_make_no_sense(fields):
    with pytest.raises(ValueError):
        Fault(**fields)


def test_direction_follows_from_the_type():
    assert Fault("drop", "PUBACK").direction == "out"
    assert Fault("drop", ("PINGREQ", "SUBSCRIBE")).direction == "in"
    assert Fault("refuse", code=1).direction == "in"
    assert all(directions for directions in ACTIONS.values())
