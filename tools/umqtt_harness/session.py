"""The state of one client that outlives its connections: subscriptions, ids, queues.

Knows no sockets: what has to be sent goes through the connection, when there is one, and in
the version of that connection. A session may be resumed in the other version.
"""

import math
from collections import deque
from dataclasses import dataclass

from . import packets
from .packets import NONE, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Malformed

NEVER = 0xFFFFFFFF  # Session Expiry Interval: does not expire
_UNKNOWN_ID = 0x92


@dataclass(slots=True)
class Message:
    """An application message that the broker routed. `client_id` is the publisher's."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    client_id: str = ""
    properties: dict = NONE  # as published, but for the Topic Alias
    expires_at: float | None = None  # by the broker's clock

    def properties_at(self, now, identifiers=()):
        """What goes to a subscriber: the expiry counted down, its Subscription Identifiers."""
        if self.expires_at is None and not identifiers:
            return self.properties
        out = dict(self.properties)
        if self.expires_at is not None:
            out["message_expiry_interval"] = max(0, math.ceil(self.expires_at - now))
        if identifiers:
            out["subscription_identifier"] = list(identifiers)
        return out


@dataclass(slots=True)
class Subscription:
    topic_filter: str  # what topics are matched with: without $share/group/
    qos: int
    options: int = 0
    identifier: int = 0
    group: str = ""  # of a shared subscription

    @property
    def no_local(self):
        return bool(self.options & 4)

    @property
    def retain_as_published(self):
        return bool(self.options & 8)


@dataclass(slots=True)
class Outgoing:
    """A QoS 1/2 message on its way to the client; `awaits` is the packet that moves it on."""

    message: Message
    qos: int
    retain: bool
    identifiers: tuple = ()
    awaits: int = 0
    live: bool = False  # sent on the present connection


@dataclass(slots=True)
class Received:
    """A QoS 2 message from the client that waits for PUBREL. 5.0 routes it before that."""

    message: Message
    routed: bool = False


@dataclass
class SessionInfo:
    """A snapshot for tests."""

    client_id: str
    connected: bool
    clean_session: bool  # ends with its connection
    subscriptions: dict  # topic_filter -> granted QoS
    queued: int
    inflight: dict  # packet_id -> the packet type that is awaited
    received: list  # ids of incoming QoS 2 messages that wait for PUBREL
    dropped: int  # messages lost: the queue was full, they had expired or were too large
    expiry_s: int = 0
    will_delayed: bool = False


class Session:
    def __init__(self, client_id, broker):
        self.client_id = client_id
        self.broker = broker
        self.connection = None
        self.level = 0  # the version of its latest connection
        self.expiry_s = NEVER  # 0: ends with the connection
        self.ends_at = None  # by the broker's clock, while there is no connection
        self.delayed_will = None  # (when, Message)
        self.subscriptions = {}  # topic_filter as subscribed -> Subscription
        self.inflight = {}  # packet_id -> Outgoing, in the order of sending
        self.queue = deque()
        self.received = {}  # packet_id -> Received
        self.last_id = 0
        self.dropped = 0
        self._unsent = False  # unfinished messages wait for room in the new connection's window

    def info(self):
        return SessionInfo(
            self.client_id,
            self.connection is not None,
            self.expiry_s == 0,
            {name: subscription.qos for name, subscription in self.subscriptions.items()},
            len(self.queue),
            {packet_id: packets.NAMES[out.awaits] for packet_id, out in self.inflight.items()},
            list(self.received),
            self.dropped,
            self.expiry_s,
            self.delayed_will is not None,
        )

    # To the client

    def deliver(self, message, qos, retain, identifiers=(), shared=None):
        """Sends or queues one message. `shared` is a ready QoS 0 packet of 3.1.1."""
        connection = self.connection
        if qos == 0:
            if connection is None:
                if "queue_qos0_offline" in self.broker.quirks:
                    self._queue(Outgoing(message, 0, retain, identifiers))
            elif connection.terms is None and shared is not None and not retain:
                connection.send(
                    PUBLISH, shared, 0, 0, False, False, message.topic, message.payload
                )
            else:
                self._send_publish(0, Outgoing(message, 0, retain, identifiers), False)
            return
        out = Outgoing(message, qos, retain, identifiers)
        if connection is not None and not self.queue and self._room():
            self._start(out)
        else:
            self._queue(out)

    def _queue(self, out):
        if len(self.queue) < self.broker.max_queued:
            self.queue.append(out)
        else:
            self.dropped += 1

    def _room(self):
        """May another QoS 1/2 PUBLISH go out? Unfinished PUBRELs count, too, to be sure."""
        window = self.broker.window
        terms = self.connection.terms
        if terms is None:
            return len(self.inflight) < window
        live = sum(1 for out in self.inflight.values() if out.live)
        return len(self.inflight) < window and live < terms.receive_maximum

    def _start(self, out):
        packet_id = self.last_id
        while True:
            packet_id = packet_id % 65535 + 1
            if packet_id not in self.inflight:
                break
        self.last_id = packet_id
        out.awaits = PUBACK if out.qos == 1 else PUBREC
        self.inflight[packet_id] = out
        self._send_publish(packet_id, out, False)

    def _send_publish(self, packet_id, out, dup):
        """Too large for the client: dropped, as if it had been delivered."""
        message = out.message
        properties = message.properties_at(self.broker.clock(), out.identifiers)
        out.live = True
        sent = self.connection.send_publish(
            message.topic, message.payload, out.qos, out.retain, packet_id, dup, properties
        )
        if not sent:
            self.inflight.pop(packet_id, None)
            self.dropped += 1

    def pump(self, at_most=65535, crowd=False):
        """Starts waiting messages while there is room (or not); the expired ones are dropped."""
        while self.queue and at_most and self.connection is not None:
            out = self.queue[0]
            if out.message.expires_at is not None:
                if out.message.expires_at <= self.broker.clock():
                    self.queue.popleft()
                    self.dropped += 1
                    continue
            if out.qos and not crowd and not self._room():
                return
            self.queue.popleft()
            at_most -= 1
            if out.qos:
                self._start(out)
            else:
                self._send_publish(0, out, False)

    def resume(self):
        """After CONNACK: everything unfinished again, in order, then the queue."""
        for out in self.inflight.values():
            out.live = False
        self._unsent = bool(self.inflight)
        self._go_on()

    def _go_on(self):
        if self._unsent:
            self._resend()
        if self.connection is None or self._unsent:
            return
        if self.queue and "drains_slowly" in self.broker.quirks:
            self.broker.drain_later(self)
        else:
            self.pump()

    def _resend(self):
        dup = "redeliver_dup_0" not in self.broker.quirks
        for packet_id, out in list(self.inflight.items()):
            if self.connection is None:
                return
            if out.live:
                continue
            if out.awaits == PUBCOMP:
                out.live = True
                self.connection.ack(PUBREL, packet_id)
            elif self._may_resend():
                self._send_publish(packet_id, out, dup)
            else:
                return
        self._unsent = False

    def _may_resend(self):
        terms = self.connection.terms
        live = sum(1 for out in self.inflight.values() if out.live)
        return terms is None or live < terms.receive_maximum

    # From the client. Each returns what the client did wrong but survives, or "".

    def on_ack(self, kind, packet_id, code=0):
        """PUBACK, PUBREC or PUBCOMP for a message that we sent; `code` is MQTT 5.0's."""
        out = self.inflight.get(packet_id)
        name = packets.NAMES[kind]
        if out is None or not out.live:
            if kind == PUBREC and code < 0x80:
                code = 0 if "no_92" in self.broker.quirks else _UNKNOWN_ID
                self.connection.ack(PUBREL, packet_id, code)
            return f"{name} for packet id {packet_id}, which is not in flight"
        if kind == PUBREC and out.awaits == PUBCOMP and code < 0x80:
            self._send_pubrel(packet_id, out)
            return ""
        if kind != out.awaits:
            raise Malformed(
                f"{name} for id {packet_id} while {packets.NAMES[out.awaits]} is due",
                packets.PROTOCOL_ERROR,
            )
        note = ""
        for other_id, other in self.inflight.items():
            if other.awaits == kind:
                if other_id != packet_id:
                    note = f"{name} for id {packet_id} before the one for id {other_id}"
                break
        if kind == PUBREC and code < 0x80:
            out.awaits = PUBCOMP
            self._send_pubrel(packet_id, out)
        else:
            del self.inflight[packet_id]
            if "overruns_receive_maximum" in self.broker.quirks and self.connection.terms:
                self.pump(self.connection.terms.receive_maximum, crowd=True)
            self._go_on()
        return note

    def _send_pubrel(self, packet_id, out):
        answer = self.broker.faults.answer(self.client_id, "PUBREL", out.message.topic)
        if answer is None or self.connection.terms is None:
            self.connection.ack(PUBREL, packet_id)
        else:
            self.connection.ack(PUBREL, packet_id, answer.code, answer.properties)
