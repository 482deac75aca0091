"""What real brokers were seen to do: Broker(like="hivemq") takes limits and quirks from here."""

PROFILES = {
    "mosquitto_2_0": {
        "limits": {"receive_maximum": 20, "topic_alias_maximum": 10},
        "quirks": (
            "copy_per_subscription_5",
            "no_92",
            "no_takeover_disconnect",
            "overlong_by_one",
            "overruns_receive_maximum",
            "pubrec_never_0x10",
            "retained_to_shared",
            "will_after_04_only",
        ),
    },
    "mosquitto_2_1": {
        "limits": {
            "receive_maximum": 20,
            "topic_alias_maximum": 10,
            "maximum_packet_size": 2_000_000,
        },
        "quirks": ("use_aliases", "copy_per_subscription"),
    },
    "emqx": {
        "limits": {"maximum_packet_size": 1 << 20},
        "quirks": ("queue_qos0_offline",),
    },
    "hivemq": {
        "limits": {"receive_maximum": 10, "topic_alias_maximum": 5},
        "quirks": ("no_sys",),
    },
    "vernemq": {
        "quirks": ("qos2_dedup_lost", "retained_at_subscription_qos"),
    },
    "nanomq": {
        "quirks": (
            "no_qos2_dedup",
            "session_expiry_ignored",
            "will_delay_ignored",
            "drains_slowly",
        ),
    },
    "rabbitmq_4": {
        "limits": {"maximum_qos": 1, "shared_subscription_available": 0},
        "quirks": ("rabbitmq_qos2_puback", "no_retained_on_wildcard", "bad_password_0x86"),
    },
    "activemq": {
        "quirks": ("session_present_always_zero", "no_qos2_dedup"),
    },
    "ejabberd": {
        "limits": {"server_keep_alive": 60, "shared_subscription_available": 0},
    },
    "paho": {
        "limits": {"receive_maximum": 2, "maximum_packet_size": 256, "server_keep_alive": 60},
    },
    "only_3_1_1": {"quirks": ("refuse_5_with_1",)},
}
