"""What a server may send to a client of MQTT 5.0: packets with what the client makes of them.

Plain data, for tests on any interpreter. The states and wire(), which makes the packets, are in
violations5.py.
"""

ALL = "01 01 02 00000E10 03 'text' 08 're' 09 0002 00FF 0B 05 26 'n' 'v' 0B FFFFFF7F 26 'n' 'w'"
BACKWARDS = (
    "26 'n' 'v' 0B 05 26 'n' 'w' 0B FFFFFF7F 09 0002 00FF 08 're' 03 'text' 02 00000E10 01 01"
)
VALUES = {0x01: 1, 0x02: 3600, 0x03: b"text", 0x08: b"re", 0x09: b"\x00\xff", 0x0B: 268435455}
MESSAGE = {
    "payload_format_indicator": 1,
    "message_expiry_interval": 3600,
    "content_type": b"text",
    "response_topic": b"re",
    "correlation_data": b"\x00\xff",
    "subscription_identifier": [5, 268435455],
    "user_property": [(b"n", b"v"), (b"n", b"w")],
}
LONG = "61" * 200  # its property length takes two bytes

# statements and cases, state, packet, (topic, payload, qos, retain, dup), properties by id (the
# last one of several), reply
MESSAGES = (
    ("MQTT5-3.3.4-1 MQTT5-2.2.1-2", "up", "30| 'a' <> 78", (b"a", b"x", 0, False, False), {}, ""),
    ("MQTT5-3.3.4-1", "up", "31| 'a' <> 78", (b"a", b"x", 0, True, False), {}, ""),
    ("MQTT5-3.3.4-1", "up", "30| 'a' <>", (b"a", b"", 0, False, False), {}, ""),
    (
        "MQTT5-3.3.4-1 MQTT5-2.2.1-5 MQTT5-4.3.2-4",
        "up",
        "32| 'a' ABCD <> 78",
        (b"a", b"x", 1, False, False),
        {},
        "4002ABCD",
    ),
    ("MQTT5-4.3.2-5", "up", "3B| 'a' ABCD <>", (b"a", b"", 1, True, True), {}, "4002ABCD"),
    (
        "MQTT5-3.3.4-1 MQTT5-2.2.1-5 MQTT5-4.3.3-8",
        "up",
        "34| 'a' ABCD <> 78",
        (b"a", b"x", 2, False, False),
        {},
        "5002ABCD",
    ),
    ("MQTT5-4.3.3-8", "up", "3D| 'a' ABCD <>", (b"a", b"", 2, True, True), {}, "5002ABCD"),
    # the server's ids are none of ours
    ("X5-2.2.1-a", "up", "32| 'a' 0001 <> 78", (b"a", b"x", 1, False, False), {}, "40020001"),
    ("X5-2.2.1-a", "up", "34| 'a' 0002 <> 78", (b"a", b"x", 2, False, False), {}, "50020002"),
    # every property alone, at its ends
    ("X5-3.3.2.3.2-a", "up", "30| 'a' <01 00> 78", (b"a", b"x", 0, False, False), {1: 0}, ""),
    ("X5-3.3.2.3.2-a", "up", "30| 'a' <01 01> 78", (b"a", b"x", 0, False, False), {1: 1}, ""),
    # by default nobody looks whether the payload is UTF-8
    (
        "E31 X5-3.3.2.3.2-a",
        "up",
        "32| 'a' 000A <01 01> FF",
        (b"a", b"\xff", 1, False, False),
        {1: 1},
        "4002000A",
    ),
    ("E31", "up", "30| 'a' <01 01> C080", (b"a", b"\xc0\x80", 0, False, False), {1: 1}, ""),
    # a message that has expired is acknowledged all the same
    (
        "E93 MQTT5-4.3.3-13",
        "up",
        "34| 'a' 000A <02 00000000> 78",
        (b"a", b"x", 2, False, False),
        {2: 0},
        "5002000A",
    ),
    ("E93", "up", "30| 'a' <02 00000000>", (b"a", b"", 0, False, False), {2: 0}, ""),
    ("", "up", "30| 'a' <02 00000001> 78", (b"a", b"x", 0, False, False), {2: 1}, ""),
    ("", "up", "30| 'a' <02 7FFFFFFF>", (b"a", b"", 0, False, False), {2: 0x7FFFFFFF}, ""),
    ("", "up", "30| 'a' <02 FFFFFFFF>", (b"a", b"", 0, False, False), {2: 0xFFFFFFFF}, ""),
    ("", "up", "30| 'a' <03 ''> 78", (b"a", b"x", 0, False, False), {3: b""}, ""),
    ("", "up", "30| 'a' <03 'a/b;c=d'>", (b"a", b"", 0, False, False), {3: b"a/b;c=d"}, ""),
    (
        "MQTT5-1.5.4-3",
        "up",
        "30| 'a' <03 0004 EFBBBF61>",
        (b"a", b"", 0, False, False),
        {3: b"\xef\xbb\xbfa"},
        "",
    ),
    ("", "up", "30| 'a' <03 '+/#'>", (b"a", b"", 0, False, False), {3: b"+/#"}, ""),
    ("", "up", "30| 'a' <08 'b/c'>", (b"a", b"", 0, False, False), {8: b"b/c"}, ""),
    ("", "up", "30| 'a' <09 0000>", (b"a", b"", 0, False, False), {9: b""}, ""),
    ("", "up", "30| 'a' <09 0003 00C080>", (b"a", b"", 0, False, False), {9: b"\x00\xc0\x80"}, ""),
    ("X5-3.3.2.3.8-a", "up", "30| 'a' <0B 01>", (b"a", b"", 0, False, False), {11: 1}, ""),
    ("E89", "up", "30| 'a' <0B 7F>", (b"a", b"", 0, False, False), {11: 127}, ""),
    ("E89", "up", "30| 'a' <0B 8001>", (b"a", b"", 0, False, False), {11: 128}, ""),
    (
        "E89 X5-3.3.2.3.8-a",
        "up",
        "32| 'a' 000A <0B FFFFFF7F> 78",
        (b"a", b"x", 1, False, False),
        {11: 268435455},
        "4002000A",
    ),
    ("", "up", "30| 'a' <26 '' ''> 78", (b"a", b"x", 0, False, False), {}, ""),
    (
        "E80",
        "up",
        "30| 'a' <26 'n' 'v' 26 'n' 'v'> 78",
        (b"a", b"x", 0, False, False),
        {},
        "",
    ),
    (
        "E80 X5-3.3.2.3.8-a",
        "up",
        "30| 'a' <0B 03 0B 03 0B 04>",
        (b"a", b"", 0, False, False),
        {11: 4},
        "",
    ),
    # all of them, in any order
    (
        "X5-2.2.2.2-b",
        "up",
        f"30| 'a' <{ALL}> 78",
        (b"a", b"x", 0, False, False),
        VALUES,
        "",
    ),
    (
        "X5-2.2.2.2-b",
        "up",
        f"34| 'a' 000A <{BACKWARDS}> 78",
        (b"a", b"x", 2, False, False),
        VALUES,
        "5002000A",
    ),
    (
        "X5-2.2.2.2-b",
        "alias",
        f"32| 'a' 000A <23 0002 {ALL}> 78",
        (b"a", b"x", 1, False, False),
        VALUES,
        "4002000A",
    ),
    (
        "X5-2.2.2.2-b",
        "alias",
        f"32| '' 000A <{BACKWARDS} 23 0001> 78",
        (b"t", b"x", 1, False, False),
        VALUES,
        "4002000A",
    ),
    # what looks like another property and is none
    (
        "",
        "up",
        "30| 'a' <09 0004 23000126>",
        (b"a", b"", 0, False, False),
        {9: b"#\x00\x01&"},
        "",
    ),
    (
        "MQTT5-1.5.5-1",
        "up",
        f"30| 'a' <09 00C8 {LONG}> 78",
        (b"a", b"x", 0, False, False),
        {9: b"a" * 200},
        "",
    ),
    # property lengths of 127 and 128
    (
        "MQTT5-1.5.5-1",
        "up",
        f"30| 'a' <09 007C {'61' * 124}> 78",
        (b"a", b"x", 0, False, False),
        {9: b"a" * 124},
        "",
    ),
    (
        "MQTT5-1.5.5-1",
        "up",
        f"30| 'a' <09 007D {'61' * 125}> 78",
        (b"a", b"x", 0, False, False),
        {9: b"a" * 125},
        "",
    ),
    # remaining lengths of 127 and 128, and the largest packet that was announced
    ("", "up", f"30| 'a' <> {'78' * 123}", (b"a", b"x" * 123, 0, False, False), {}, ""),
    ("", "up", f"30| 'a' <> {'78' * 124}", (b"a", b"x" * 124, 0, False, False), {}, ""),
    (
        "MQTT5-3.1.2-24 X5-3.1.2.11.4-a",
        "up",
        f"30| 'a' <> {'78' * 505}",
        (b"a", b"x" * 505, 0, False, False),
        {},
        "",
    ),
    # with a payload that looks like properties, and the other way round
    ("", "up", "30| 'a' <> 0101", (b"a", b"\x01\x01", 0, False, False), {}, ""),
    ("", "up", "30| 'a' <01 01> 0101", (b"a", b"\x01\x01", 0, False, False), {1: 1}, ""),
    # aliases
    ("MQTT5-3.3.2-10", "alias", "30| '' <23 0001> 79", (b"t", b"y", 0, False, False), {}, ""),
    (
        "MQTT5-3.3.2-10",
        "alias",
        "32| '' 000A <23 0001> 79",
        (b"t", b"y", 1, False, False),
        {},
        "4002000A",
    ),
    ("MQTT5-3.3.2-10", "alias", "30| 'u' <23 0002> 79", (b"u", b"y", 0, False, False), {}, ""),
    ("X5-3.3.4-c", "alias", "30| 'u' <23 0001> 79", (b"u", b"y", 0, False, False), {}, ""),
    ("E26v5", "alias", "30| '' <01 01 23 0001>", (b"t", b"", 0, False, False), {1: 1}, ""),
    # unusual topics
    (
        "E23v5 X5-1.5.4-b",
        "up",
        "30| 0003 610162 <> 78",
        (b"a\x01b", b"x", 0, False, False),
        {},
        "",
    ),
    (
        "E23v5 X5-1.5.4-b",
        "up",
        "32| 0003 EFBFBF 000A <> 78",
        (b"\xef\xbf\xbf", b"x", 1, False, False),
        {},
        "4002000A",
    ),
    (
        "E24v5 MQTT5-1.5.4-3",
        "up",
        "30| 0004 EFBBBF61 <>",
        (b"\xef\xbb\xbfa", b"", 0, False, False),
        {},
        "",
    ),
    ("E27v5", "up", "30| '$SYS/' <> 78", (b"$SYS/", b"x", 0, False, False), {}, ""),
    (
        "E28v5 MQTT5-4.5.0-2",
        "up",
        "32| 'z' 000A <> 78",
        (b"z", b"x", 1, False, False),
        {},
        "4002000A",
    ),
    (
        "MQTT5-1.5.4-1",
        "up",
        "30| 0008 C3A9F48FBFBF2E61 <>",
        (b"\xc3\xa9\xf4\x8f\xbf\xbf.a", b"", 0, False, False),
        {},
        "",
    ),
    ("MQTT5-1.5.4-1", "up", "30| 0003 ED9FBF <>", (b"\xed\x9f\xbf", b"", 0, False, False), {}, ""),
    ("MQTT5-1.5.4-1", "up", "30| 0003 EE8080 <>", (b"\xee\x80\x80", b"", 0, False, False), {}, ""),
    # Request Problem Information 0 says nothing about PUBLISH
    ("MQTT5-3.1.2-29", "quiet", "30| 'a' <26 'n' 'v'>", (b"a", b"", 0, False, False), {}, ""),
    # a client has no Maximum QoS that a message could be above: E102
    ("E102 X5-3.3.4-e", "up", "34| 'a' 000B <> 78", (b"a", b"x", 2, False, False), {}, "5002000B"),
    ("E102 X5-3.3.4-e", "up", "32| 'a' 000B <> 78", (b"a", b"x", 1, False, False), {}, "4002000B"),
)

# statements and cases, state, packet, reply, (id that is done, reason code, or this one)
ACKS = (
    ("X5-3.4.2.1-a", "up", "40| 0001", "", (1, 0x00)),
    ("X5-3.4.2.1-a", "up", "40| 0001 00", "", (1, 0x00)),
    ("X5-3.4.2.1-a", "up", "40| 0001 00 <>", "", (1, 0x00)),
    ("E112 X5-3.4.2.1-a MQTT5-3.4.2-1", "up", "40| 0001 10", "", (1, 0x10)),
    ("E112", "up", "40| 0001 10 <>", "", (1, 0x10)),
    ("", "up", "40| 0001 00 <1F 'why'>", "", (1, 0x00)),
    ("E80", "up", "40| 0001 10 <26 'n' 'v' 1F 'why' 26 'n' 'w'>", "", (1, 0x10)),
    ("", "up", "40| 0001 00 <1F ''>", "", (1, 0x00)),
    ("E110 MQTT5-4.4.0-2 X5-4.13.2-a X5-2.2.1-a", "up", "40| 0001 80", "", (1, 0x80)),
    ("E110 X5-4.13.2-a", "up", "40| 0001 87 <>", "", (1, 0x87)),
    ("E110", "up", "40| 0001 97 <1F 'full'>", "", (1, 0x97)),
    ("E115 E110", "up", "40| 0001 FE", "", (1, 0xFE)),
    ("X5-3.4.2.1-a MQTT5-4.3.3-4 MQTT5-3.6.2-1", "up", "50| 0002", "62020002", None),
    ("X5-3.4.2.1-a MQTT5-4.3.3-4 MQTT5-2.2.1-5", "up", "50| 0002 00", "62020002", None),
    ("X5-3.4.2.1-a E112 MQTT5-3.5.2-1", "up", "50| 0002 10 <>", "62020002", None),
    ("", "up", "50| 0002 10 <1F 'why' 26 'n' 'v'>", "62020002", None),
    ("E111 MQTT5-4.3.3-4 MQTT5-4.4.0-2 X5-4.13.2-a", "up", "50| 0002 87", "", (2, 0x87)),
    ("E111 MQTT5-4.3.3-4", "up", "50| 0002 97 <1F 'full'>", "", (2, 0x97)),
    ("E115 E111", "up", "50| 0002 FE <>", "", (2, 0xFE)),
    ("E48v5 MQTT5-4.3.3-4", "up", "50| 0003", "62020003", None),
    ("E48v5 MQTT5-4.3.3-4", "up", "50| 0003 10 <>", "62020003", None),
    ("E49", "up", "50| 0003 87", "", (3, 0x87)),
    ("E49", "up", "50| 0003 99 <>", "", (3, 0x99)),
    ("X5-3.4.2.1-a MQTT5-4.3.3-11 MQTT5-3.7.2-1", "up", "62| 0007", "70020007", None),
    ("X5-3.4.2.1-a MQTT5-2.2.1-5", "up", "62| 0007 00", "70020007", None),
    ("X5-3.4.2.1-a", "up", "62| 0007 00 <1F 'why'>", "70020007", None),
    ("E113 X5-3.6.2.1-a", "up", "62| 0007 92", "70020007", None),
    ("E113", "up", "62| 0007 92 <26 'n' 'v'>", "70020007", None),
    ("E44v5 MQTT5-4.3.3-11 MQTT5-3.7.2-1", "up", "62| 0063", "7003006392", None),
    ("E44v5 E113", "up", "62| 0063 92", "7003006392", None),
    ("E44v5", "up", "62| FFFF 00 <1F 'why'>", "7003FFFF92", None),
    ("X5-3.4.2.1-a", "up", "70| 0003", "", (3, 0x00)),
    ("X5-3.4.2.1-a", "up", "70| 0003 00", "", (3, 0x00)),
    ("X5-3.4.2.1-a", "up", "70| 0003 00 <1F 'why' 26 '' ''>", "", (3, 0x00)),
    ("E113 X5-3.6.2.1-a", "up", "70| 0003 92", "", (3, 0x92, 0)),
    ("E113 X5-3.6.2.1-a", "up", "70| 0003 92 <>", "", (3, 0x92, 0)),
    ("E42v5", "up", "40| 0063", "", None),
    ("E42v5", "up", "40| 0063 87 <>", "", None),
    ("E43v5 MQTT5-3.6.2-1 X5-3.6.2.1-a", "up", "50| 0063", "6203006392", None),
    ("E43v5", "up", "50| 0063 10 <>", "6203006392", None),
    ("E43v5 MQTT5-4.3.3-4", "up", "50| 0063 87", "", None),
    ("E45v5", "up", "70| 0063", "", None),
    ("E45v5", "up", "70| 0063 92 <>", "", None),
    ("E50v5 MQTT5-4.3.3-10", "up", "34| 'a' 0007 <> 78", "50020007", None),
    ("E50v5 MQTT5-4.3.3-10", "up", "3D| 'qrs' 0007 <01 01> 78", "50020007", None),
    ("E50v5 E100 MQTT5-3.3.4-9", "window", "3C| 'a' 0008 <> 78", "50020008", None),
    ("E59v5 X5-3.13.4-a", "up", "D000", "", None),
    ("MQTT5-3.1.2-29", "quiet", "40| 0001 10 <>", "", (1, 0x10)),
)

# the same by name, which is the only way to those that come more than once: X5-3.3.2.3.8-a
NAMED = (
    ("E80", "30| 'a' <26 '' ''> 78", {"user_property": [(b"", b"")]}),
    (
        "E80",
        "30| 'a' <26 'n' 'v' 26 'm' 'v' 26 'n' 'v'>",
        {"user_property": [(b"n", b"v"), (b"m", b"v"), (b"n", b"v")]},
    ),
    ("E80 X5-3.3.2.3.8-a", "30| 'a' <0B 03>", {"subscription_identifier": 3}),
    ("E80 X5-3.3.2.3.8-a", "30| 'a' <0B 03 0B 03 0B 04>", {"subscription_identifier": [3, 3, 4]}),
    ("X5-2.2.2.2-b", f"30| 'a' <{ALL}> 78", MESSAGE),
    ("X5-2.2.2.2-b", f"32| 'a' 000A <{BACKWARDS}> 78", MESSAGE),
    ("", "30| 'a' <> 78", {}),
)

# statements and cases, state, packet, the codes for whoever asked
ANSWERS = (
    ("MQTT5-3.8.4-7 MQTT5-3.9.3-1", "subscribe", "90| 0004 <> 0002", b"\x00\x02"),
    ("MQTT5-3.9.3-1 E57v5", "subscribe", "90| 0004 <> 0201", b"\x02\x01"),
    ("E114 X5-4.13.2-a MQTT5-3.8.4-7", "subscribe", "90| 0004 <> 0187", b"\x01\x87"),
    ("E114 MQTT5-3.9.3-1", "subscribe", "90| 0004 <1F 'why'> 8F00", b"\x8f\x00"),
    ("MQTT5-3.9.3-2", "subscribe", "90| 0004 <26 'n' 'v' 26 'n' 'v'> 8083", b"\x80\x83"),
    ("MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 9197", b"\x91\x97"),
    ("MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 9EA1", b"\x9e\xa1"),
    ("MQTT5-3.9.3-2", "subscribe", "90| 0004 <> A200", b"\xa2\x00"),
    ("E56v5 MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 81FE", b"\x81\xfe"),
    ("MQTT5-3.11.3-1", "unsubscribe", "B0| 0004 <> 0011", b"\x00\x11"),
    ("MQTT5-3.11.3-1 MQTT5-3.10.4-5", "unsubscribe", "B0| 0004 <> 1100", b"\x11\x00"),
    ("E114 MQTT5-3.11.3-2", "unsubscribe", "B0| 0004 <1F 'why'> 8783", b"\x87\x83"),
    ("MQTT5-3.11.3-2", "unsubscribe", "B0| 0004 <26 'n' 'v'> 808F", b"\x80\x8f"),
    ("MQTT5-3.11.3-2 E115", "unsubscribe", "B0| 0004 <> 91FE", b"\x91\xfe"),
)

EVERYTHING = (
    "11 00000E10 13 003C 1A 'info' 1C 'host' 1F 'why' 21 000A 22 0005 24 01 25 00 26 'n' 'v'"
    " 27 00001000 28 00 29 01 2A 00"
)
REVERSED = (
    "2A 00 29 01 28 00 27 00001000 26 'n' 'v' 25 00 24 01 22 0005 21 000A 1F 'why' 1C 'host'"
    " 1A 'info' 13 003C 11 00000E10"
)
GIVEN = {
    0x11: 3600,
    0x13: 60,
    0x1A: b"info",
    0x1C: b"host",
    0x1F: b"why",
    0x21: 10,
    0x22: 5,
    0x24: 1,
    0x25: 0,
    0x27: 4096,
    0x28: 0,
    0x29: 1,
    0x2A: 0,
}

# A CONNACK that accepts, after Clean Start 1: what client.connack has of it, by id
CONNACKS = (
    ("", "20| 0000 <>", {}),
    ("", "20| 0000 <11 00000000>", {0x11: 0}),
    ("X5-3.2.2.3.2-a", "20| 0000 <11 FFFFFFFF>", {0x11: 0xFFFFFFFF}),
    ("E73", "20| 0000 <12 'id'>", {0x12: b"id"}),
    ("MQTT5-3.2.2-21", "20| 0000 <13 0000>", {0x13: 0}),
    ("MQTT5-3.2.2-21", "20| 0000 <13 FFFF>", {0x13: 65535}),
    ("E75 MQTT5-3.1.2-28", "20| 0000 <1A 'info'>", {0x1A: b"info"}),
    ("E75 MQTT5-3.1.2-28", "20| 0000 <1A ''>", {0x1A: b""}),
    ("E94", "20| 0000 <1C 'host'>", {0x1C: b"host"}),
    ("", "20| 0000 <1F 'why'>", {0x1F: b"why"}),
    ("X5-3.2.2.3.3-a", "20| 0000 <21 0001>", {0x21: 1}),
    ("X5-3.2.2.3.3-a", "20| 0000 <21 FFFF>", {0x21: 65535}),
    ("", "20| 0000 <22 0000>", {0x22: 0}),
    ("", "20| 0000 <22 FFFF>", {0x22: 65535}),
    ("X5-3.2.2.3.4-a", "20| 0000 <24 00>", {0x24: 0}),
    ("X5-3.2.2.3.4-a", "20| 0000 <24 01>", {0x24: 1}),
    ("X5-3.2.2.3.5-a", "20| 0000 <25 00>", {0x25: 0}),
    ("X5-3.2.2.3.5-a", "20| 0000 <25 01>", {0x25: 1}),
    ("X5-3.2.2.3.5-a", "20| 0000 <28 00 29 00 2A 00>", {0x28: 0, 0x29: 0, 0x2A: 0}),
    ("X5-3.2.2.3.5-a", "20| 0000 <2A 01 29 01 28 01>", {0x28: 1, 0x29: 1, 0x2A: 1}),
    ("X5-3.2.2.3.6-a", "20| 0000 <27 00000001>", {0x27: 1}),
    ("X5-3.2.2.3.6-a", "20| 0000 <27 FFFFFFFF>", {0x27: 0xFFFFFFFF}),
    ("E80", "20| 0000 <26 'n' 'v' 26 'n' 'v'>", {}),
    ("X5-2.2.2.2-b", f"20| 0000 <{EVERYTHING}>", GIVEN),
    ("X5-2.2.2.2-b", f"20| 0000 <{REVERSED}>", GIVEN),
)

# DISCONNECT from the server: (reason code, reason string, server reference)
GOODBYES = (
    ("X5-3.14.2.1-a X5-3.14.4-a", "E000", (0x00, None, None)),
    ("X5-3.14.2.1-a", "E0| 00", (0x00, None, None)),
    ("X5-3.14.2.1-a X5-3.14.4-a MQTT5-4.13.2-1", "E0| 8B", (0x8B, None, None)),
    ("X5-3.14.2.1-a", "E0| 8B <>", (0x8B, None, None)),
    ("MQTT5-3.1.4-3", "E0| 8E <1F 'taken over'>", (0x8E, b"taken over", None)),
    ("MQTT5-4.13.2-1", "E0| 97 <26 'n' 'v' 1F '' 26 'n' 'v'>", (0x97, b"", None)),
    (
        "X5-4.11-a",
        "E0| 9D <1C 'h1:1883 [fe80::1]:1884'>",
        (0x9D, None, b"h1:1883 [fe80::1]:1884"),
    ),
    ("X5-4.11-a", "E0| 9C <1F 'busy' 1C 'h2'>", (0x9C, b"busy", b"h2")),
    ("X5-4.11-a", "E0| 9C", (0x9C, None, None)),
    ("E94", "E0| 8B <1C 'h2'>", (0x8B, None, b"h2")),
    ("", "E0| 82", (0x82, None, None)),
    ("", "E0| A2 <>", (0xA2, None, None)),
    ("E115", "E0| FE", (0xFE, None, None)),
)
