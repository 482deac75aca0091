"""Where a broker is known to differ from what the suite asks: the one table of them.

DEVIATIONS[broker] is a list of (versions, rows, seen, reaction, why). rows and seen are regular
expressions for the whole of a row's name and of what it said. A row that differs without an entry
fails; so does a row that passes where an entry says otherwise: the broker has changed. "?" in
front of seen: it differs now and then only.
"""

import re

_NO_8E = (
    (5,),
    "takeover",
    "closed without a DISCONNECT",
    "OSError(104); a Link that loses several connections in a row comes back slower",
    "the server sends no 0x8E to a client that another one of the same name replaces",
)
_NOBODY = (
    (5,),
    "nobody",
    "QoS 2: 0x00",
    "client.reason_code is 0; nothing depends on 0x10",
    "PUBREC never says 0x10, which is the server's choice (3.5.2.1)",
)
_NO_SHARED = (
    (5,),
    "shared_subscription",
    "not available",
    "ValueError before anything is sent",
    "the server announces that it has no shared subscriptions",
)
_NO_DEDUP = (
    "QoS 2 goes out again under its own id with DUP 1, as it must; the copies are the server's",
    "a QoS 2 PUBLISH that is sent again after a reconnect is routed again",
)
_NO_RETAINED = (
    "retained_wildcard",
    "0 of 2 for #, 0 of 2 for [+]",
    "none comes: subscribe to whole topics for retained messages",
    "filters with wildcards get no retained messages",
)
_QUEUES_0 = (
    "session",
    "QoS 0 queued",
    "it is handed over as what it is, QoS 0",
    "QoS 0 messages are queued for sessions that are away (3.1.2.4 allows it)",
)
_EMPTY_SESSION = (
    (4,),
    "empty_session",
    "session_present 0, sent again",
    "what is under way goes out again with DUP; nothing is lost",
    "a session without subscriptions is none to the server",
)
_EMPTY_SESSION_5 = (
    (5,),
    "empty_session",
    "?session_present 0, reported",
    "what is under way is in client.unresolved, and publish() raises MQTTException(0xFF), for 5.0 "
    "forbids to send it again; with any subscription there is a session",
    "a session without subscriptions is none to the server",
)
_NO_QOS_2 = (
    (4,),
    "qos_2",
    "MQTTException 130",
    "MQTTException(0x82) and a closed link when PUBACK comes: publish with QoS 1 there",
    "a QoS 2 PUBLISH is answered with PUBACK, and a subscription is granted QoS 1 at most",
)
_HIGHER_QOS = (
    "takes it at the QoS it comes with",
    "delivers at the QoS of the subscription, also what was published with a lower one",
)
_NO_DUP = (
    "hands it over again; DUP 0 is no proof that a message is new",
    "what was not acknowledged comes again without DUP",
)
_NO_PRESENT = (
    "takes the queue as it comes; a Link subscribes again; what is under way goes out again; "
    "a QoS 2 message that the server repeats may be handed over twice",
    "session_present is 0 although the session is there and its queue is delivered",
)

DEVIATIONS = {
    "mosquitto": [_NO_8E, _NOBODY],
    "emqx": [
        ((4, 5), *_QUEUES_0),
    ],
    "hivemq": [],
    "vernemq": [((4, 5), "resend_qos_2", "2 copies of 2", *_NO_DEDUP)],
    "nanomq": [
        ((4, 5), "resend_qos_2", r"\d copies of .*", *_NO_DEDUP),
        (
            (5,),
            "window",
            r"?\d+ of 80 came",
            "waits; nothing is lost",
            "what does not fit into the window drains one message at a time, on a timer",
        ),
        (
            (5,),
            "session_expiry",
            "kept for longer",
            "session_present 1 is believed, and what waits is delivered",
            "the session expiry interval is ignored",
        ),
        (
            (5,),
            "will_delay",
            "published although it came back",
            "none: the will is the server's business",
            "the will delay interval is ignored",
        ),
    ],
    "rabbitmq": [  # 3.x
        _NO_QOS_2,
        ((4,), *_NO_RETAINED),
        ((4,), *_QUEUES_0),
        _EMPTY_SESSION,
        (
            (4,),
            "token_runs_out",
            "stays connected",
            "none: it is the server that lets in",
            "a connection outlives the token that it was made with",
        ),
        (
            (4,),
            "wrong_password",
            "?closed without an answer",
            "OSError(104) from connect(); a Link tries again, slower each time",
            "the WebSocket listener hangs up before its CONNACK is sent",
        ),
        (
            (4,),
            "will",
            "?published after a goodbye",
            "none: DISCONNECT was sent; beware of wills over WebSocket there",
            "the WebSocket listener publishes the will after a DISCONNECT, too",
        ),
    ],
    "rabbitmq_4": [
        (
            (5,),
            "(resend_|redelivery_)?qos_2",
            "ruled out by Maximum QoS 1",
            "publish(qos=2) raises ValueError before anything is sent; subscribe() returns 1",
            "the server announces Maximum QoS 1",
        ),
        _NO_QOS_2,
        ((4, 5), *_NO_RETAINED),
        ((4, 5), _QUEUES_0[0], "?" + _QUEUES_0[1], *_QUEUES_0[2:]),
        _EMPTY_SESSION,
        _EMPTY_SESSION_5,
        (
            (5,),
            "will_delay",
            "?published although it came back",
            "none: the will is the server's business",
            "a client that is back within milliseconds may be overtaken by its will",
        ),
        _NO_SHARED,
    ],
    "ejabberd": [
        _NO_SHARED,
        ((4, 5), _QUEUES_0[0], "?" + _QUEUES_0[1], *_QUEUES_0[2:]),
        (
            (5,),
            "unsubscribe",
            "?0x00 for an unknown filter",
            "unsubscribe() returns 0 and not 0x11; nothing depends on it",
            "UNSUBACK does not tell that there was no such subscription",
        ),
        (
            (5,),
            "message_expiry",
            "?delivered late",
            "hands it over: time is the server's business (3.3.2.3.3)",
            "messages that wait for an absent client do not expire",
        ),
    ],
    "activemq": [
        _EMPTY_SESSION,
        (
            (4,),
            "session|(resend|redelivery)_qos_[12]",
            r"session_present 0(, (\d copies of \d|\d handed over of 4|QoS 0 queued))?",
            *_NO_PRESENT,
        ),
    ],
    "aedes": [
        _EMPTY_SESSION,
        ((4,), "redelivery_qos_1", "DUP 0", *_NO_DUP),
        (
            (4,),
            "redelivery_qos_2",
            r"?\d handed over of 4",
            "a PUBLISH behind its PUBREL is a new message, and is handed over",
            "after a reconnect it may repeat a PUBLISH whose PUBREL it has sent, without DUP",
        ),
    ],
    "nats": [
        (
            (4,),
            "session",
            "?QoS 0 queued.*|QoS 1: 10 came, or out of order.*",
            "takes them as they come",
            "what it sent to a link that was gone comes again seconds later, out of order",
        ),
        (
            (4,),
            "(redelivery|resend)_qos_[12]|session",
            "?ok, turned away once",
            "OSError(104) from connect(); a Link waits and comes back",
            "who comes back while the server still has the old link is turned away for a second",
        ),
    ],
    "amqtt": [
        (
            (4,),
            "auto",
            "OSError 110",
            "OSError(110) from connect(): say version=4 there",
            "a CONNECT of 5.0 is refused only after the client has hung up",
        ),
        ((4,), "lower_qos", "0 to 1 as 1, 0 to 2 as 2, 1 to 2 as 2", *_HIGHER_QOS),
        ((4,), *_QUEUES_0),
        (
            (4,),
            "resend_qos_2",
            "no answer",
            "OSError(110) from publish(); PUBREL goes out again with each connection; "
            "connect(clean_session=True) ends it",
            "a PUBREL whose message it has released before the link broke gets no PUBCOMP",
        ),
        (
            (4,),
            "redelivery_qos_1",
            "not delivered again",
            "none: it can only take what comes",
            "a message that was sent and not acknowledged is lost with the link",
        ),
        (
            (4,),
            "takeover",
            "both stay",
            "none: give each client its own name",
            "the first client of a name is not let go when a second one comes",
        ),
    ],
    "iotcore": [
        (
            (4, 5),
            "wrong_password",
            "closed without an answer",
            "OSError(104) from connect(); a Link tries again, slower each time",
            "a wrong password gets no CONNACK",
        ),
        ((4, 5), "lower_qos", "0 to 1 as 1, 0 to 2 as 2, 1 to 2 as 2", *_HIGHER_QOS),
        ((4, 5), *_QUEUES_0),
        (
            (4, 5),
            "resend_qos_2",
            "OSError 104",
            "OSError(104), also for the next connection; connect(clean_session=True) ends it",
            "hangs up on a PUBREL whose message it has released before the link broke",
        ),
        ((4, 5), "redelivery_qos_1", "DUP 0", *_NO_DUP),
        (
            (4, 5),
            "unsubscribe",
            "no UNSUBACK for an unknown filter",
            "OSError(110) from unsubscribe()",
            "to unsubscribe from a filter that is none gets no answer",
        ),
        _NO_8E,
        (
            (5,),
            "subscription_options",
            "not obeyed: .*",
            "none: what comes is handed over, with the retain flag as it comes",
            "No Local, Retain As Published and Retain Handling are ignored",
        ),
        (
            (5,),
            "session_expiry",
            "kept for longer",
            "session_present 1 is believed, and what waits is delivered",
            "the session expiry interval is ignored",
        ),
        (
            (5,),
            "nobody",
            "QoS 1: 0x00, QoS 2: 0x00",
            "client.reason_code is 0; nothing depends on 0x10",
            "0x10 is the server's choice (3.4.2.1)",
        ),
    ],
    "paho": [
        (
            (5,),
            "large",
            "refused here: packet .*",
            "ValueError before anything is sent",
            "the server announces a Maximum Packet Size of 256",
        ),
    ],
}
DEVIATIONS["mosquitto_2_0"] = DEVIATIONS["mosquitto"]


def judge(broker, version, row, said):
    """("ok" | "deviation" | "skip" | "FAIL", the table's entry or None)."""
    if said.startswith("not asked: "):
        return "skip", None
    for entry in DEVIATIONS.get(broker, ()):
        versions, rows, seen = entry[:3]
        if version in versions and re.fullmatch(rows, row):
            if re.fullmatch(seen.lstrip("?"), said):
                return "deviation", entry
            if said == "ok" and not seen.startswith("?"):
                return "FAIL", (*entry[:3], "", "the table has a deviation that is not there")
    return ("ok" if said == "ok" else "FAIL"), None
