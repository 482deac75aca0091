"""5.0 connections, sessions and wills, asked of the bundled broker and of Mosquitto alike.

Where the clock counts only the bundled broker is asked: its clock can be put forward.
"""

import peer
import peer5 as v5
import pytest
from peer import unique
from peer5 import NEVER, Peer5, disconnect, publish
from test_broker_protocol import no_violations, server_fixture  # noqa: F401


def keep(seconds=NEVER):
    return (v5.SESSION_EXPIRY, seconds)


def test_a_plain_connack_has_nothing_to_say(broker):
    with Peer5.online(broker) as one:
        assert one.connack.body == b"\0\0\0"


def test_an_empty_client_id_is_answered_with_one(server):
    with Peer5.online(server, "") as one, Peer5.online(server, "") as two:
        assert one.connack.prop(v5.ASSIGNED_ID) and two.connack.prop(v5.ASSIGNED_ID)
        assert one.client_id != two.client_id
    with Peer5.online(server, unique()) as three:
        assert three.connack.prop(v5.ASSIGNED_ID) is None


def test_an_assigned_client_id_can_come_back(server):
    with Peer5.online(server, "", False, 0, keep()) as one:
        name = one.client_id
        one.disconnect()
    with Peer5.online(server, name, False, 0, keep()) as one:
        assert one.session_present


@pytest.mark.parametrize(
    "expiry, clean, present",
    [(0, False, False), (99, False, True), (NEVER, False, True), (99, True, False)],
)
def test_clean_start_and_session_expiry(server, expiry, clean, present):
    name, topic = unique(), unique("t")
    with Peer5.online(server, name, False, 0, keep(expiry)) as one:
        assert not one.session_present
        one.subscribe((topic, 1))
        one.disconnect()
    with Peer5.online(server, unique()) as other:
        other.publish(topic, b"m", 1)
    with Peer5.online(server, name, clean, 0, keep(expiry)) as one:
        assert one.session_present == present
        if present:
            one.expect_message(topic, b"m", 1)
        one.quiet()


def test_the_session_ends_with_its_connection_when_connect_says_nothing(server):
    name = unique()
    Peer5.online(server, name, False).disconnect()
    with Peer5.online(server, name, False) as one:
        assert not one.session_present


def test_disconnect_shortens_the_session(server):
    name = unique()
    with Peer5.online(server, name, False, 0, keep()) as one:
        one.send(disconnect(0, keep(0)))
        one.expect_eof()
    with Peer5.online(server, name, False) as one:
        assert not one.session_present


def test_sessions_expire_by_the_clock(broker):
    name = unique()
    Peer5.online(broker, name, False, 0, keep(3600)).disconnect()
    broker.advance(3000)
    with Peer5.online(broker, name, False, 0, keep(3600)) as one:
        assert one.session_present
        broker.advance(9999)  # not while it is connected
        one.send(disconnect(0, keep(7200)))
        one.expect_eof()
    broker.advance(6000)
    assert broker.sessions[name].expiry_s == 7200
    broker.advance(1200)
    broker.wait_until(lambda: name not in broker.sessions, what="the session to end")


def test_a_session_expires_without_anybody_looking(broker):
    Peer5.online(broker, "short", False, 0, keep(1)).disconnect()
    broker.wait_until(lambda: "short" not in broker.sessions, what="the session to end")


def test_the_broker_may_shorten_the_session(broker_factory):
    broker = broker_factory(limits={"session_expiry_interval": 10})
    with Peer5.online(broker, "a", False, 0, keep(11)) as one:
        assert one.connack.prop(v5.SESSION_EXPIRY) == 10
    with Peer5.online(broker, "b", False, 0, keep(10)) as one:
        assert one.connack.prop(v5.SESSION_EXPIRY) is None
        one.send(disconnect(0, keep(99)))
        one.expect_eof()
    broker.wait_gone("a")
    broker.advance(10)
    assert broker.sessions == {}


def test_takeover_tells_the_old_connection(server):
    """Mosquitto 2.0.11 hangs up without the word."""
    name = unique()
    with Peer5.online(server, name) as old, Peer5.online(server, name) as new:
        if server.broker:
            old.expect_disconnect(0x8E)
        else:
            try:
                old.expect_disconnect(0x8E)
            except EOFError:
                pass
        new.quiet()


def test_takeover_across_versions(server):
    name = unique()
    with peer.Peer.online(server, name) as old, Peer5.online(server, name) as new:
        old.expect_eof()
        with peer.Peer.online(server, name) as newest:
            newest.quiet()
            got = new.receive() if server.broker else None
            assert got is None or (got.type, got.code) == ("DISCONNECT", 0x8E)


def test_a_session_goes_on_in_the_other_version(server):
    name, topic = unique(), unique("t")
    with peer.Peer.online(server, name, clean=False) as one:
        one.subscribe((topic, 1))
        one.disconnect()
    with Peer5.online(server, unique()) as other:
        other.publish(topic, b"m", 1, False, 1, (v5.USER, ("k", "v")))
    with Peer5.online(server, name, False, 0, keep()) as one:
        assert one.session_present
        got = one.expect_message(topic, b"m", 1, acknowledge=False)
        assert got.all(v5.USER) == [("k", "v")]
        one.disconnect()
    with peer.Peer.online(server, name, clean=False) as one:
        assert one.session_present
        one.expect_message(topic, b"m", 1, dup=True)
        one.quiet()


def test_server_keep_alive_is_what_counts(broker_factory):
    broker = broker_factory(limits={"server_keep_alive": 1})
    with Peer5.online(broker, "c", True, 0) as one:
        assert one.connack.prop(v5.SERVER_KEEP_ALIVE) == 1
        one.expect_disconnect(0x8D)
    assert "keep alive (1 s)" in broker.violations[0]


# Wills


def _leaver(server, topic, *will_props, expiry=0, retain=False, name=None, clean=True):
    will = (topic, b"gone", 1, retain)
    return Peer5.online(
        server, name or unique(), clean, 0, keep(expiry), will=will, will_props=will_props
    )


@pytest.mark.parametrize("code", [None, 0x04, 0x80, 0x00])
def test_when_the_will_goes_out(server, code):
    """Mosquitto 2.0.11 sends it after 04 and after no other code."""
    topic = unique("t")
    with Peer5.online(server) as sub:
        sub.subscribe((topic, 1))
        with _leaver(server, topic) as one:
            if code is None:
                one.vanish()
            else:
                one.send(disconnect(code))
                one.expect_eof()
        if code == 0 or (code == 0x80 and not server.broker):
            sub.quiet()
        else:
            sub.expect_message(topic, b"gone", 1)


def test_the_properties_of_a_will_are_forwarded(server):
    topic = unique("t")
    given = [
        (v5.FORMAT, 1), (v5.CONTENT_TYPE, "text"), (v5.RESPONSE_TOPIC, "r"),
        (v5.CORRELATION, b"\0\1"), (v5.USER, ("b", "1")), (v5.USER, ("a", "2")),
    ]  # fmt: skip
    with Peer5.online(server) as sub:
        sub.subscribe((topic, 1))
        _leaver(server, topic, *given, (v5.EXPIRY, 60)).vanish()
        got = sub.expect_message(topic, b"gone", 1)
        assert got.prop(v5.EXPIRY) in (59, 60)
        assert got.prop(v5.WILL_DELAY) is None
        assert sorted(p for p in got.props if p[0] not in (v5.EXPIRY, v5.USER)) == given[:4]
        assert got.all(v5.USER) == [("b", "1"), ("a", "2")]


def test_a_delayed_will_waits_and_a_reconnect_cancels_it(broker):
    with Peer5.online(broker) as sub:
        sub.subscribe(("w", 1))
        _leaver(broker, "w", (v5.WILL_DELAY, 50), expiry=100, name="c").vanish()
        broker.wait_gone("c")
        broker.advance(20)
        sub.quiet()
        with _leaver(broker, "w", (v5.WILL_DELAY, 50), expiry=100, name="c", clean=False) as one:
            assert one.session_present
            broker.advance(1000)
            sub.quiet()
            one.vanish()
        broker.wait_gone("c")
        assert broker.sessions["c"].will_delayed
        broker.advance(50)
        sub.expect_message("w", b"gone", 1)
        assert not broker.sessions["c"].will_delayed


def test_a_delayed_will_goes_out_when_the_session_ends(broker):
    with Peer5.online(broker) as sub:
        sub.subscribe(("w", 1))
        # By the clock,
        _leaver(broker, "w", (v5.WILL_DELAY, 500), expiry=10, name="a").vanish()
        broker.wait_gone("a")
        sub.quiet()
        broker.advance(10)
        sub.expect_message("w", b"gone", 1)
        # at once without a session,
        _leaver(broker, "w", (v5.WILL_DELAY, 500), expiry=0, name="b").vanish()
        sub.expect_message("w", b"gone", 1)
        # or by a clean start.
        _leaver(broker, "w", (v5.WILL_DELAY, 500), expiry=100, name="c").vanish()
        broker.wait_gone("c")
        sub.quiet()
        with Peer5.online(broker, "c", True):
            sub.expect_message("w", b"gone", 1)


def test_takeover_sends_a_will_without_delay_only(broker):
    with Peer5.online(broker) as sub:
        sub.subscribe(("w", 1))
        with _leaver(broker, "w", expiry=9, name="a", clean=False) as old:
            with Peer5.online(broker, "a", False, 0, keep(9)):
                old.expect_disconnect(0x8E)
                sub.expect_message("w", b"gone", 1)
        with _leaver(broker, "w", (v5.WILL_DELAY, 1), expiry=9, name="b", clean=False) as old:
            with Peer5.online(broker, "b", False, 0, keep(9)):
                old.expect_disconnect(0x8E)
                broker.advance(5)
                sub.quiet()


def test_a_retained_will_expires(broker):
    _leaver(broker, "w", (v5.EXPIRY, 60), retain=True, name="c").vanish()
    broker.wait_gone("c")
    with Peer5.online(broker) as sub:
        sub.subscribe(("w", 1))
        assert sub.expect_message("w", b"gone", 1, retain=True).prop(v5.EXPIRY) in (59, 60)
        broker.advance(60)
        sub.subscribe(("w", 1))
        sub.quiet()


def test_the_log_shows_what_connect_said(broker):
    with _leaver(broker, "w", (v5.WILL_DELAY, 7), expiry=9, name="c"):
        event = broker.wait_for(type="CONNECT", client_id="c")
    assert event.properties == {"session_expiry_interval": 9, "will": {"will_delay_interval": 7}}


def test_a_session_survives_a_restart_of_the_broker(broker):
    with Peer5.online(broker, "c", False, 0, keep(100)) as one:
        one.subscribe(("t", 1))
        broker.stop()
    broker.start()
    with Peer5.online(broker, "p") as pub:
        pub.send(publish("t", b"m", 1, False, 1))
        assert pub.expect("PUBACK").code == 0
    with Peer5.online(broker, "c", False, 0, keep(100)) as one:
        assert one.session_present
        one.expect_message("t", b"m", 1)
