"""The scripted server: that it accepts the right client and explains the wrong one."""

import threading

import pytest
from peer import PINGREQ, Peer, connect, publish
from umqtt_harness.scripted import (
    Scripted,
    ScriptError,
    accept,
    call,
    close,
    expect,
    expect_type,
    send,
    wait_eof,
)

CONNACK = b"\x20\x02\x00\x00"


def test_a_whole_conversation():
    seen = []
    script = [
        expect(connect("c")),
        send(CONNACK, pieces=1),
        expect_type("PUBLISH", "PINGREQ"),
        call(lambda server: seen.append(server.received[-1])),
        send(b"\xd0\x00" + publish("t", b"m"), cuts=[1, 4]),
        wait_eof(),
        accept(),
        expect(PINGREQ),
        close(),
    ]
    with Scripted(script) as server:
        with Peer.online(server, "c") as peer:
            peer.send(publish("t", b"x" * 300))
            peer.expect("PINGRESP")
            peer.expect_message("t", b"m")
        with Peer(server) as peer:
            peer.send(PINGREQ)
            peer.expect_eof()
    assert seen == [publish("t", b"x" * 300)]
    assert server.bytes_in == connect("c") + seen[0] + PINGREQ


def test_bytes_of_several_steps_in_one_write():
    with Scripted([expect(b"ab"), expect(b"c"), expect_type("PINGREQ"), send(b"!")]) as server:
        with Peer(server) as peer:
            peer.send(b"abc" + PINGREQ)
            assert peer.sock.recv(1) == b"!"


def test_close_with_a_reset():
    with Scripted([expect(PINGREQ), close("rst")]) as server, Peer(server) as peer:
        peer.send(PINGREQ)
        with pytest.raises(ConnectionResetError):
            peer.sock.recv(1)


def _failure(steps, sent, hang_up=False):
    server = Scripted(steps, timeout=0.3)
    with Peer(server) as peer:  # it listens already; its patience begins with start()
        peer.send(sent)
        if hang_up:
            peer.sock.shutdown(1)
        server.start()
        with pytest.raises(ScriptError) as raised:
            server.finish()
        peer.expect_eof()
    return str(raised.value)


def test_difference_is_shown_in_hex():
    text = _failure([expect(b"\xc0\x00\x01")], b"\xc0\x07\x01\x02")
    assert text.splitlines() == [
        "step 1 of 1, expect PINGREQ c0 00 01:",
        "  wanted: c0 00 01  PINGREQ",
        "  got:    c0 07 01 02  PINGREQ",
        "             ^^ byte 1",
    ]


@pytest.mark.parametrize(
    "step, sent, hang_up, wanted",
    [
        (expect(b"\xc0\x00"), b"\xc0", True, "byte 1 then the end of the stream"),
        (expect(b"\xc0\x00\x01"), b"\xd0", False, "^^ byte 0"),
        (expect(b"\xc0\x00"), b"\xc0", False, "waited 0.3 s, got c0"),
        (expect_type("PUBLISH"), b"\xc0\x00", False, "got PINGREQ: c0 00"),
        (expect_type("PUBLISH"), b"\x30\x05", True, "end of stream after 30 05"),
        (expect_type("PUBLISH"), b"\x30\xff\xff\xff\xff", False, "more than 4 bytes"),
        (wait_eof(), b"\xe0\x00", False, "got DISCONNECT: e0 00"),
        (wait_eof(), b"", False, "waited 0.3 s, got nothing"),
        (accept(), b"", True, "waited 0.3 s"),
    ],
)
def test_failures_explain_themselves(step, sent, hang_up, wanted):
    if step[0] == "a connection":
        server = Scripted([step], timeout=0.3).start()
        with Peer(server), pytest.raises(ScriptError, match=wanted):
            server.finish()
        return
    assert wanted in _failure([step], sent, hang_up=hang_up)


def test_an_error_in_a_call_is_the_scripts_error():
    steps = [expect(PINGREQ), call(lambda server: 1 / 0)]
    assert "step 2 of 2, call <lambda>:\nZeroDivisionError" in _failure(steps, PINGREQ)


def test_nobody_comes():
    with pytest.raises(ScriptError, match="step 0 of 1, a connection"):
        with Scripted([expect(b"x")], timeout=0.05):
            pass


def test_the_tests_own_error_wins_and_nothing_is_left():
    before = set(threading.enumerate())
    with pytest.raises(KeyError):
        with Scripted([expect(b"x")]) as server, Peer(server):
            raise KeyError
    assert set(threading.enumerate()) <= before
