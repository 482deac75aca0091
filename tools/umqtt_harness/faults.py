"""Faults and quirks as data: what to do wrong, to which packets, how often.

A `Fault` is matched against every packet; the first one that hits a packet is applied. All
matching faults count the packet, so `nth` is counted from the moment the fault was added.
"""

from dataclasses import dataclass, field

_CLIENT_ONLY = ("CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "DISCONNECT")
ACKS = ("PUBACK", "PUBREC", "PUBCOMP", "SUBACK", "UNSUBACK", "PINGRESP")

# action -> the directions in which it makes sense
ACTIONS = {
    "drop": ("in", "out"),  # swallow the packet
    "delay": ("in", "out"),  # hold the stream for `ms`; overtake=True: hold this packet alone
    "garble": ("in", "out"),  # `data` instead of the packet, or bit number `flip` inverted
    "duplicate": ("in", "out"),  # once more; an outgoing QoS 1/2 PUBLISH gets DUP
    "silence": ("in", "out"),  # from this packet on neither read nor write; TCP stays open
    "pause_reading": ("in", "out"),  # from this packet on do not read
    # `at` None: after the packet, 0: before it, k: after k bytes of an outgoing one
    "kill": ("in", "out"),
    "split": ("out",),  # cut at byte `at` and pause `ms`; or pieces of `size` bytes
    "hold": ("out",),  # keep back until release()
    "insert": ("out",),  # write `data` behind the packet, before it with at=0
    "refuse": ("in",),  # answer CONNECT with `code`
    "suback": ("in",),  # answer SUBSCRIBE with `codes`
    # 5.0: an acknowledgement of `type` says `code` (`codes` for each filter), `properties`;
    # a message that is refused so is not routed, a subscription not made
    "answer": ("answer",),
}
_ANSWERS = ("CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK")

# Things that real brokers do, as switches of `Broker(quirks=...)`.
QUIRKS = {
    "rabbitmq_qos2_puback": "answers a QoS 2 PUBLISH with PUBACK and grants at most QoS 1",
    "downgrade_qos2_grant": "grants at most QoS 1",
    "session_present_always_zero": "says Session Present 0, yet delivers the queue",
    "sessions_lost": "forgets every session when its connection ends",
    "redeliver_dup_0": "redelivers without DUP",
    "deliver_at_subscription_qos": "delivers at the subscription's QoS, not at the lower one",
    "no_qos2_dedup": "routes every copy of a QoS 2 PUBLISH",
    "no_pubcomp_unknown": "does not answer a PUBREL with an unknown id",
    "no_suback": "never answers SUBSCRIBE",
    "no_unsuback_unknown": "does not answer UNSUBSCRIBE of a filter that was not subscribed",
    "no_connack_keepalive_0": "drops a client that connects with keep alive 0",
    "no_retained_on_wildcard": "sends no retained messages to wildcard subscriptions",
    "retained_before_suback": "sends retained messages before the SUBACK",
    "copy_per_subscription": "sends one copy for each overlapping subscription",
}
# More of them, seen since MQTT 5.0. The first five are for either version.
QUIRKS_5 = {
    "queue_qos0_offline": "queues QoS 0 messages, too, for a client that is away",
    "retained_at_subscription_qos": "sends retained messages at the subscription's QoS",
    "drains_slowly": "sends one queued message each drain_interval_s after a reconnect",
    "bad_password_0x86": "refuses a wrong password with 4 (5.0: 0x86) instead of 5 (0x87)",
    "no_sys": "has no $SYS topics",
    "refuse_5_with_1": "knows 3.1.1 alone: answers a 5.0 CONNECT with 20 02 00 01",
    "refuse_5_with_0x84": "refuses 5.0 with a CONNACK of 5.0, Unsupported Protocol Version",
    "refuse_5_by_closing": "closes when a 5.0 CONNECT comes",
    "no_takeover_disconnect": "closes a taken-over connection without DISCONNECT 0x8E",
    "never_0x10": "never says that nobody subscribed",
    "pubrec_never_0x10": "says that nobody subscribed in PUBACK, never in PUBREC",
    "use_aliases": "uses the client's topic aliases until all are given away",
    "rotate_aliases": "uses them and gives them to other topics again and again",
    "qos2_dedup_lost": "forgets open QoS 2 ids when the connection ends",
    "session_expiry_ignored": "keeps every session that outlives its connection for ever",
    "will_delay_ignored": "sends a will at once, whatever its delay",
    "will_after_04_only": "sends no will after a DISCONNECT with any code but 04",
    "retained_to_shared": "sends retained messages to shared subscriptions, too",
    "copy_per_subscription_5": "sends one copy for each overlapping subscription, in 5.0 alone",
    "overruns_receive_maximum": "on each ack sends as many again as the client's Receive Maximum",
    "overlong_by_one": "sends packets one byte above the client's Maximum Packet Size",
    "no_92": "never says that a packet id is unknown",
    "token_runs_out": "sends DISCONNECT 0xA0 token_lifetime_s after the CONNACK",
}


@dataclass
class Fault:
    action: str
    type: str | tuple | None = None  # "PUBACK", several names, or None for any
    client_id: str | None = None
    direction: str = ""  # "in" from the client, "out" to it; default: out where both exist
    topic: str | None = None  # PUBLISH of exactly this topic
    nth: int = 1  # the first packet hit, counted among those that match
    count: int | None = 1  # how many from there on; None: until cleared
    ms: int = 0
    at: int | None = None
    size: int = 0
    data: bytes = b""
    flip: int | None = None
    how: str = "rst"  # or "fin"
    code: int = 0
    codes: tuple = ()
    overtake: bool = False
    properties: dict = field(default_factory=dict)  # of "answer" and "refuse", by name
    seen: int = field(default=0, compare=False)
    hits: int = field(default=0, compare=False)

    def __post_init__(self):
        if self.action not in ACTIONS:
            raise ValueError(f"no fault {self.action!r}; there are {', '.join(ACTIONS)}")
        if isinstance(self.type, str):
            self.type = (self.type,)
        elif self.type is not None:
            self.type = tuple(self.type)
        if self.action in ("refuse", "suback"):
            self.type = ("CONNECT",) if self.action == "refuse" else ("SUBSCRIBE",)
        if self.action == "answer":
            if not self.type or not set(self.type) <= set(_ANSWERS):
                raise ValueError(f"type={self.type}: an answer is {', '.join(_ANSWERS)}")
            self.direction = "answer"
        if not self.direction:
            only_in = self.type and all(name in _CLIENT_ONLY for name in self.type)
            only_in = only_in or "out" not in ACTIONS[self.action]
            self.direction = "in" if only_in else "out"
        if self.direction not in ACTIONS[self.action]:
            raise ValueError(f"{self.action} does not work on packets going {self.direction!r}")
        if self.how not in ("rst", "fin"):
            raise ValueError(f"how={self.how!r}: rst or fin")
        if isinstance(self.data, str):
            self.data = bytes.fromhex(self.data)  # JSON has no bytes

    def matches(self, client_id, direction, type_name, topic):
        return (
            direction == self.direction
            and (self.type is None or type_name in self.type)
            and (self.client_id is None or client_id == self.client_id)
            and (self.topic is None or topic == self.topic)
        )

    def garbled(self, raw):
        if self.flip is None:
            return self.data
        out = bytearray(raw)
        out[self.flip // 8 % len(out)] ^= 1 << self.flip % 8
        return bytes(out)


HOLD = Fault("hold")


class FaultTable(list):
    def hit(self, client_id, direction, type_name, topic=""):
        """The fault to apply to this packet, or None."""
        chosen = None
        for fault in self:
            if fault.matches(client_id, direction, type_name, topic):
                fault.seen += 1
                if chosen is None and fault.seen >= fault.nth:
                    if fault.count is None or fault.hits < fault.count:
                        chosen = fault
        if chosen:
            chosen.hits += 1
        return chosen

    def answer(self, client_id, type_name, topic=""):
        """The "answer" ordered for the acknowledgement that is about to be made, or None."""
        return self.hit(client_id, "answer", type_name, topic) if self else None
