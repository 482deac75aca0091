"""Enhanced authentication: AUTH before and after CONNACK, with a method that a test brings."""

import peer5 as v5
import pytest
from peer5 import Peer5, auth, connect, disconnect, publish
from umqtt_harness.broker import AuthRefused


def two_steps(client_id, data):
    """first -> AUTH 18 "one" -> client "1" -> AUTH 18 "two" -> client "2" -> "done" """
    if data == b"bad":
        raise AuthRefused(0x87, reason_string="go away")
    assert client_id
    if (yield b"one") != b"1":
        raise AuthRefused
    if (yield b"two") != b"2":
        raise AuthRefused(0x83)
    return b"done"


def one_step(client_id, data):
    return None if data == b"" else data[::-1]


@pytest.fixture
def guard(broker_factory):
    return broker_factory(auth={"TWO": two_steps, "ONE": one_step}, users={"u": "p"})


def asked(method="TWO", data=b"first"):
    pairs = [(v5.AUTH_METHOD, method)]
    return pairs if data is None else [*pairs, (v5.AUTH_DATA, data)]


def answer(data, code=0x18, method="TWO"):
    return auth(code, (v5.AUTH_METHOD, method), (v5.AUTH_DATA, data))


def _begin(server, *pairs, client_id="c"):
    peer = Peer5(server)
    peer.send(connect(client_id, True, 0, *(pairs or asked())))
    return peer


def _pass(peer):
    for said, reply in ((b"one", b"1"), (b"two", b"2")):
        got = peer.expect("AUTH", code=0x18)
        assert got.props == [(v5.AUTH_METHOD, "TWO"), (v5.AUTH_DATA, said)]
        peer.send(answer(reply))


def test_a_method_of_two_steps(guard):
    with _begin(guard) as peer:
        _pass(peer)
        got = peer.expect("CONNACK", code=0)
        assert got.props == [(v5.AUTH_METHOD, "TWO"), (v5.AUTH_DATA, b"done")]
        peer.quiet()
        guard.wait_connected("c")
    assert guard.violations == []
    events = guard.packets(type="AUTH", direction="in", client_id="c")
    assert [e.reason_code for e in events] == [0x18, 0x18]
    assert events[0].properties == {"authentication_method": "TWO", "authentication_data": b"1"}


def test_a_method_of_one_step(guard):
    for data, back in ((b"abc", b"cba"), (None, None)):
        with _begin(guard, *asked("ONE", data)) as peer:
            got = peer.expect("CONNACK", code=0)
            assert (got.prop(v5.AUTH_METHOD), got.prop(v5.AUTH_DATA)) == ("ONE", back)


def test_an_empty_client_id_gets_one_after_the_exchange(guard):
    with _begin(guard, *asked("ONE"), client_id="") as peer:
        assert peer.expect("CONNACK", code=0).prop(v5.ASSIGNED_ID)


def test_without_a_method_the_password_counts(guard):
    with Peer5.online(guard, "c", user="u", password="p") as peer:
        assert peer.connack.props == []
    with Peer5(guard) as peer:
        peer.send(connect("c", user="u", password="x"))
        peer.expect("CONNACK", code=0x87)
        peer.expect_eof()


def test_unknown_method(guard):
    with _begin(guard, *asked("OTHER")) as peer:
        peer.expect("CONNACK", code=0x8C)
        peer.expect_eof()


def test_refusals_come_in_the_connack(guard):
    with _begin(guard, *asked(data=b"bad")) as peer:
        assert peer.expect("CONNACK", code=0x87).props == [(v5.REASON, "go away")]
        peer.expect_eof()
    with _begin(guard) as peer:
        peer.expect("AUTH")
        peer.send(answer(b"wrong"))
        peer.expect("CONNACK", code=0x87)
        peer.expect_eof()
    assert guard.violations == [] and guard.sessions == {}


BEFORE_CONNACK = [
    ("PUBLISH", publish("t", b"m")),
    ("PINGREQ", b"\xc0\x00"),
    ("CONNECT", connect("c")),
    ("another method", answer(b"1", method="ONE")),
    ("re-authentication", answer(b"1", 0x19)),
    ("AUTH 00", answer(b"1", 0x00)),
]


@pytest.mark.parametrize("name, data", BEFORE_CONNACK, ids=[row[0] for row in BEFORE_CONNACK])
def test_what_may_not_come_before_the_connack(guard, name, data):
    with _begin(guard) as peer:
        peer.expect("AUTH")
        peer.send(data)
        peer.expect("CONNACK", code=0x82)  # a server may not send DISCONNECT yet
        peer.expect_eof()
        assert len(guard.violations) == 1 and guard.violations[0].startswith("c: ")


def test_disconnect_before_the_connack(guard):
    with _begin(guard) as peer:
        peer.expect("AUTH")
        peer.send(disconnect(0x80))
        peer.expect_eof()
    assert guard.violations == []


def test_re_authentication(guard):
    with _begin(guard) as peer:
        _pass(peer)
        peer.expect("CONNACK", code=0)
        for _ in range(2):
            peer.send(answer(b"first", 0x19))
            got = peer.expect("AUTH", code=0x18)
            peer.publish("t", b"m", 1)  # the rest goes on meanwhile
            peer.send(answer(b"1"))
            peer.expect("AUTH", code=0x18)
            peer.send(answer(b"2"))
            got = peer.expect("AUTH", code=0)
            assert got.props == [(v5.AUTH_METHOD, "TWO"), (v5.AUTH_DATA, b"done")]
    assert guard.violations == []


def test_a_failed_re_authentication_ends_the_connection(guard):
    with _begin(guard) as peer:
        _pass(peer)
        peer.expect("CONNACK", code=0)
        peer.send(answer(b"first", 0x19))
        peer.expect("AUTH", code=0x18)
        peer.send(answer(b"1"))
        peer.expect("AUTH", code=0x18)
        peer.send(answer(b"wrong"))
        peer.expect_disconnect(0x83)


@pytest.mark.parametrize("data", [answer(b"1"), answer(b"1", 0x19, "ONE")], ids=["18", "other"])
def test_auth_out_of_place_after_the_connack(guard, data):
    with _begin(guard) as peer:
        _pass(peer)
        peer.expect("CONNACK", code=0)
        peer.send(data)
        peer.expect_disconnect(0x82)
        assert len(guard.violations) == 1


def test_re_authentication_inside_an_exchange(guard):
    with _begin(guard) as peer:
        _pass(peer)
        peer.expect("CONNACK", code=0)
        peer.send(answer(b"first", 0x19))
        peer.expect("AUTH", code=0x18)
        peer.send(answer(b"first", 0x19))
        peer.expect_disconnect(0x82)
