"""What the two ends of one 5.0 connection announced to each other, and who keeps to it.

Dies with its connection, as aliases and quotas must. No sockets: bytes in, bytes out.
"""

from . import packets5
from .packets import PROTOCOL_ERROR, PUBACK, PUBCOMP, PUBREC, Malformed

RECEIVE_MAXIMUM, ALIAS_INVALID = 0x93, 0x94
QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED = 0x9B, 0x9A
NO_SHARED, NO_IDENTIFIERS, NO_WILDCARDS = 0x9E, 0xA1, 0xA2

# What Broker(limits=...) may announce: everything of a CONNACK that is not about this client.
LIMITS = (
    "session_expiry_interval receive_maximum maximum_qos retain_available maximum_packet_size "
    "topic_alias_maximum reason_string user_property wildcard_subscription_available "
    "subscription_identifier_available shared_subscription_available server_keep_alive "
    "response_information server_reference"
).split()


class Terms:
    def __init__(self, connect, limits, quirks=()):
        asked = connect.properties
        # Of the client
        self.receive_maximum = asked.get("receive_maximum", 65535)
        self.maximum_packet_size = asked.get("maximum_packet_size", 1 << 30)
        self.topic_alias_maximum = asked.get("topic_alias_maximum", 0)
        self.problem_information = asked.get("request_problem_information", 1)
        self.response_information = asked.get("request_response_information", 0)
        self.session_expiry_s = asked.get("session_expiry_interval", 0)
        self.method = asked.get("authentication_method")
        # Ours
        self.limits = limits
        self.open = set()  # ids of QoS 1/2 PUBLISHes without a final answer on this connection
        self.resumed = False  # our CONNACK said Session Present
        self._seen = set()  # every such id so far
        self.quirks = quirks
        self._uses_aliases = not {"use_aliases", "rotate_aliases"}.isdisjoint(quirks)
        self._alias_in = {}
        self._alias_out = {}
        self._alias_turn = 0
        self._leaving = []

    # In

    def resolve_alias(self, packet):
        """Puts the full topic into a PUBLISH."""
        alias = packet.properties.get("topic_alias")
        if alias is None:
            return
        if alias > self.limits.get("topic_alias_maximum", 0):
            raise Malformed(f"Topic Alias {alias} is above the announced maximum", ALIAS_INVALID)
        if packet.topic:
            self._alias_in[alias] = packet.topic
        elif alias in self._alias_in:
            packet.topic = self._alias_in[alias]
        else:
            raise Malformed(f"Topic Alias {alias} was never set", PROTOCOL_ERROR)

    def check_publish(self, packet):
        """Against our limits. Returns what was wrong but is survived, or ""."""
        highest = self.limits.get("maximum_qos", 2)
        if packet.qos > highest:
            raise Malformed(f"QoS {packet.qos}, Maximum QoS is {highest}", QOS_NOT_SUPPORTED)
        if packet.retain and not self.limits.get("retain_available", 1):
            raise Malformed("retained PUBLISH, Retain Available is 0", RETAIN_NOT_SUPPORTED)
        if not packet.qos:
            return ""
        note = self._repeated(packet)
        self._seen.add(packet.packet_id)
        if packet.packet_id in self.open:
            return note
        most = self.limits.get("receive_maximum", 65535)
        if len(self.open) >= most:
            raise Malformed(
                f"{len(self.open) + 1} unfinished PUBLISHes, Receive Maximum is {most}",
                RECEIVE_MAXIMUM,
            )
        self.open.add(packet.packet_id)
        return note

    def _repeated(self, packet):
        """5.0 resends after a CONNACK with Session Present, once, and at no other time."""
        if packet.dup and not self.resumed:
            return f"PUBLISH with id {packet.packet_id} has DUP, but no session was resumed"
        if packet.packet_id in self.open or (packet.dup and packet.packet_id in self._seen):
            return f"PUBLISH with id {packet.packet_id} repeated on a live connection"
        return ""

    def swallowed(self, packet):
        """A fault took this PUBLISH: we have it not, the client has sent it."""
        self.resolve_alias(packet)
        if packet.qos:
            self._seen.add(packet.packet_id)
            self.open.add(packet.packet_id)

    def check_subscribe(self, packet):
        limits = self.limits
        if "subscription_identifier" in packet.properties:
            if not limits.get("subscription_identifier_available", 1):
                raise Malformed("Subscription Identifiers are not available", NO_IDENTIFIERS)
        for topic_filter, _ in packet.filters:
            if topic_filter.startswith("$share/"):
                if not limits.get("shared_subscription_available", 1):
                    raise Malformed("shared subscriptions are not available", NO_SHARED)
            if "+" in topic_filter or "#" in topic_filter:
                if not limits.get("wildcard_subscription_available", 1):
                    raise Malformed("wildcard subscriptions are not available", NO_WILDCARDS)

    # The client may send the next PUBLISH once it can have seen our answer to an earlier one:
    # the id is free when the answer's bytes are handed to the socket, not when it was made.

    def note_answer(self, raw):
        kind = raw[0] >> 4 if raw else 0
        if kind in (PUBACK, PUBCOMP) or (kind == PUBREC and len(raw) > 4 and raw[4] >= 0x80):
            self._leaving.append(raw[2] << 8 | raw[3])

    def answers_left(self):
        if self._leaving:
            self.open.difference_update(self._leaving)
            self._leaving.clear()

    # Out

    def fits(self, raw):
        return len(raw) <= self.maximum_packet_size

    def trimmed(self, encode, props, always=False):
        """encode(props), without Reason String and User Properties where they may not be."""
        if not props:
            return encode(None)
        raw = None
        if always or self.problem_information:
            raw = encode(props)
            if self.fits(raw):
                return raw
        spared = {k: v for k, v in props.items() if k not in ("reason_string", "user_property")}
        return encode(spared)

    def publish(self, topic, payload, qos, retain, packet_id, dup, props):
        """(bytes of a PUBLISH to the client, its properties); None: it takes none of this size."""
        sent_topic, alias, known = topic, 0, False
        if self._uses_aliases and self.topic_alias_maximum:
            alias, known = self._alias_for(topic)
            if alias:
                props = {**props, "topic_alias": alias}
                sent_topic = "" if known else topic
        raw = packets5.publish(sent_topic, payload, qos, retain, packet_id, dup, props)
        if len(raw) > self.maximum_packet_size + ("overlong_by_one" in self.quirks):
            return None, props
        if alias and not known:
            self._alias_out = {t: a for t, a in self._alias_out.items() if a != alias}
            self._alias_out[topic] = alias
            self._alias_turn = alias
        return raw, props

    def _alias_for(self, topic):
        """(alias, does the client know it); alias 0: none is left."""
        known = self._alias_out.get(topic)
        if known:
            return known, True
        if "rotate_aliases" in self.quirks:
            return self._alias_turn % self.topic_alias_maximum + 1, False
        left = len(self._alias_out) < self.topic_alias_maximum
        return (len(self._alias_out) + 1 if left else 0), False
