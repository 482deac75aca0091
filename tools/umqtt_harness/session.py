"""The state of one client that outlives its connections: subscriptions, ids, queues.

Knows no sockets: what has to be sent goes through `connection.send`, when there is one.
"""

from collections import deque
from dataclasses import dataclass

from . import packets
from .packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Malformed


@dataclass(slots=True)
class Message:
    """An application message that the broker routed. `client_id` is the publisher's."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    client_id: str = ""


@dataclass(slots=True)
class Outgoing:
    """A QoS 1/2 message on its way to the client; `awaits` is the packet that moves it on."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    awaits: int = 0


@dataclass
class SessionInfo:
    """A snapshot for tests."""

    client_id: str
    connected: bool
    clean_session: bool
    subscriptions: dict  # topic_filter -> granted QoS
    queued: int
    inflight: dict  # packet_id -> the packet type that is awaited
    received: list  # ids of incoming QoS 2 messages that wait for PUBREL
    dropped: int  # messages lost because the queue was full


class Session:
    def __init__(self, client_id, clean_session, broker):
        self.client_id = client_id
        self.clean_session = clean_session
        self.broker = broker
        self.connection = None
        self.subscriptions = {}
        self.inflight = {}  # packet_id -> Outgoing, in the order of sending
        self.queue = deque()
        self.received = {}  # packet_id -> Message, QoS 2 waiting for PUBREL
        self.last_id = 0
        self.dropped = 0

    def info(self):
        return SessionInfo(
            self.client_id,
            self.connection is not None,
            self.clean_session,
            dict(self.subscriptions),
            len(self.queue),
            {packet_id: packets.NAMES[out.awaits] for packet_id, out in self.inflight.items()},
            list(self.received),
            self.dropped,
        )

    # To the client

    def deliver(self, topic, payload, qos, retain, shared=None):
        """Sends or queues one message. `shared` is a ready QoS 0 packet, the same for all."""
        connection = self.connection
        if qos == 0:
            if connection is not None:
                if shared is None:
                    shared = packets.publish(topic, payload, 0, retain)
                connection.send(PUBLISH, shared, 0, 0, False, retain, topic, payload)
            return
        out = Outgoing(topic, payload, qos, retain)
        if connection is not None and self._room():
            self._start(out)
        elif len(self.queue) < self.broker.max_queued:
            self.queue.append(out)
        else:
            self.dropped += 1

    def _room(self):
        return len(self.inflight) < self.broker.window

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
        raw = packets.publish(out.topic, out.payload, out.qos, out.retain, packet_id, dup)
        self.connection.send(
            PUBLISH, raw, packet_id, out.qos, dup, out.retain, out.topic, out.payload
        )

    def _pump(self):
        while self.queue and self._room() and self.connection is not None:
            self._start(self.queue.popleft())

    def resume(self):
        """After CONNACK: everything unfinished again, in order, then the queue."""
        dup = "redeliver_dup_0" not in self.broker.quirks
        for packet_id, out in list(self.inflight.items()):
            if self.connection is None:
                return
            if out.awaits == PUBCOMP:
                self.connection.send(PUBREL, packets.ack(PUBREL, packet_id), packet_id)
            else:
                self._send_publish(packet_id, out, dup)
        self._pump()

    # From the client. Each returns what the client did wrong but survives, or "".

    def on_ack(self, kind, packet_id):
        """PUBACK, PUBREC or PUBCOMP for a message that we sent."""
        out = self.inflight.get(packet_id)
        name = packets.NAMES[kind]
        if out is None:
            if kind == PUBREC:
                self._send_pubrel(packet_id)
            return f"{name} for packet id {packet_id}, which is not in flight"
        if kind == PUBREC and out.awaits == PUBCOMP:
            self._send_pubrel(packet_id)
            return ""
        if kind != out.awaits:
            raise Malformed(f"{name} for id {packet_id} while {packets.NAMES[out.awaits]} is due")
        note = ""
        for other_id, other in self.inflight.items():
            if other.awaits == kind:
                if other_id != packet_id:
                    note = f"{name} for id {packet_id} before the one for id {other_id}"
                break
        if kind == PUBREC:
            out.awaits = PUBCOMP
            self._send_pubrel(packet_id)
        else:
            del self.inflight[packet_id]
            self._pump()
        return note

    def _send_pubrel(self, packet_id):
        self.connection.send(PUBREL, packets.ack(PUBREL, packet_id), packet_id)
