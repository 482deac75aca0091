"""Texts and properties that are wrong in packets of MQTT 5.0: each kind in each place.

Rows as those of violations5.py, whose states they use.
"""

from tests.vectors.violations5 import AT_LEAST_81, MALFORMED, MAY_81, MAY_82, PROTOCOL, text, wire

# What is no UTF-8, as hex; the last two are surrogates
BAD_TEXT = (
    "C080",
    "80",
    "BF",
    "C1BF",
    "E09F80",
    "F08F8080",
    "F4908080",
    "F5808080",
    "F8808080",
    "FF",
    "E282",
    "61E282",
    "E22861",
    "C361",
    "EDA080",
    "EDBFBF",
)

# property id -> a value, and the packets that may have it from a server
# P: PUBLISH, C: CONNACK, A: PUBACK to UNSUBACK, D: DISCONNECT, X: AUTH
PROPERTIES = {
    0x01: ("01", "P"),
    0x02: ("00000E10", "P"),
    0x03: ("'text'", "P"),
    0x08: ("'re'", "P"),
    0x09: ("0002 00FF", "P"),
    0x0B: ("05", "P"),
    0x11: ("00000E10", "C"),
    0x12: ("'id'", "C"),
    0x13: ("003C", "C"),
    0x15: ("'M'", "CX"),
    0x16: ("0002 00FF", "CX"),
    0x17: ("01", ""),
    0x18: ("00000001", ""),
    0x19: ("01", ""),
    0x1A: ("'info'", "C"),
    0x1C: ("'host'", "CD"),
    0x1F: ("'why'", "CADX"),
    0x21: ("000A", "C"),
    0x22: ("0005", "C"),
    0x23: ("0001", "P"),
    0x24: ("01", "C"),
    0x25: ("01", "C"),
    0x26: ("'n' 'v'", "PCADX"),
    0x27: ("00001000", "C"),
    0x28: ("01", "C"),
    0x29: ("01", "C"),
    0x2A: ("01", "C"),
}

# where properties stand: letter of PROPERTIES, state, packet with ? in their place
PLACES = (
    ("P", "alias", "30| 'a' ? 78"),
    ("P", "alias", "32| 'a' 000A ? 78"),
    ("C", "connect", "20| 0000 ?"),
    ("A", "up", "40| 0001 00 ?"),
    ("A", "up", "50| 0002 00 ?"),
    ("A", "up", "62| 0007 00 ?"),
    ("A", "up", "70| 0003 00 ?"),
    ("A", "subscribe", "90| 0004 ? 0000"),
    ("A", "unsubscribe", "B0| 0004 ? 0000"),
    ("D", "up", "E0| 00 ?"),
    ("X", "auth", "F0| 18 ?"),
    ("X", "method", "F0| 18 ?"),
)

# where a text can stand in a packet: state, what is before it, what behind it
TEXTS = (
    ("up", "30| 'a' <08 ", "> 78"),
    ("up", "30| 'a' <03 ", "> 78"),
    ("up", "32| 'a' 000A <26 ", " 'v'> 78"),
    ("up", "30| 'a' <26 'n' ", "> 78"),
    ("up", "40| 0001 00 <1F ", ">"),
    ("up", "50| 0002 00 <26 'n' ", ">"),
    ("up", "62| 0007 00 <1F ", ">"),
    ("up", "70| 0003 00 <26 ", " 'v'>"),
    ("subscribe", "90| 0004 <1F ", "> 0000"),
    ("unsubscribe", "B0| 0004 <26 'n' ", "> 0000"),
    ("connect", "20| 0000 <12 ", ">"),
    ("connect", "20| 0000 <1A ", ">"),
    ("connect", "20| 0000 <1C ", ">"),
    ("connect", "20| 0000 <1F ", ">"),
    ("connect", "20| 0000 <26 'n' ", ">"),
    ("connect", "20| 0087 <1F ", ">"),
)


# What texts() and properties() prove
TEXT_IDS = "E20v5 MQTT5-1.5.4-1 X5-1.5.4-a"
SURROGATE_IDS = "E22v5 MQTT5-1.5.4-1"
NUL_IDS = "E21v5 MQTT5-1.5.4-2 MQTT5-4.7.3-2"
OTHER_TEXT_IDS = "E29 MQTT5-1.5.4-1 MQTT5-1.5.4-2 MQTT5-1.5.7-1 MQTT5-3.3.2-13 MQTT5-3.3.2-19"
TWICE_IDS = "E80 X5-2.2.2.2-c"
UNKNOWN_IDS = "E81 X5-2.2.2.2-a"
MISPLACED_IDS = "E82 X5-2.2.2.2-a"
CUT_IDS = "E83 X5-2.2.2.2-a X5-2.1.4-a"


def texts():
    """Rows as of VIOLATIONS: what is no text, in topics and in properties."""
    for bad in BAD_TEXT:
        ids = SURROGATE_IDS if bad[:2] == "ED" else TEXT_IDS
        yield ids, "up", "30| " + text(bad) + " <> 78", MALFORMED
        yield ids, "up", "34| " + text(bad) + " 000A <> 78", MALFORMED
    for bad in ("00", "610062", "6100"):
        yield NUL_IDS, "up", "30| " + text(bad) + " <> 78", MALFORMED
        yield NUL_IDS, "up", "32| " + text(bad) + " 000A <> 78", MALFORMED
    for state, before, behind in TEXTS:
        for bad in ("C080", "610062", "EDA080", "61E282"):
            yield OTHER_TEXT_IDS, state, before + text(bad) + behind, MALFORMED
    for bad in ("C080", "610062"):
        yield OTHER_TEXT_IDS, "up", "E0| 8B <1F " + text(bad) + ">", MAY_81
        yield OTHER_TEXT_IDS, "method", "F0| 18 <15 'M' 1F " + text(bad) + ">", MAY_81
        yield OTHER_TEXT_IDS, "method", "20| 0000 <15 " + text(bad) + ">", AT_LEAST_81


def properties():
    """Rows as of VIOLATIONS: each property twice, cut off, and in every packet that has it not."""
    for letter, state, packet in PLACES:
        broken = MAY_81 if letter in "DX" else MALFORMED
        double = MAY_82 if letter in "DX" else PROTOCOL
        method = "15 'M' " if letter == "X" else ""
        for i in PROPERTIES:
            value, allowed = PROPERTIES[i]
            one = f"{i:02X} {value} "
            if letter not in allowed:
                if i != 0x11 or letter != "D":  # E91
                    yield MISPLACED_IDS, state, packet.replace("?", f"<{method}{one}>"), broken
                continue
            if state == "auth" or i == 0x15 and letter == "C":
                continue  # is a violation anyhow
            before = "" if i == 0x15 else method
            if i not in (0x0B, 0x26):
                yield TWICE_IDS, state, packet.replace("?", f"<{before}{one}{one}>"), double
            cut = "".join([f"{b:02X}" for b in wire(one)[:-1]])
            yield CUT_IDS, state, packet.replace("?", f"<{before}{cut}>"), broken
            yield CUT_IDS, state, packet.replace("?", f"<{before}{cut[:2]}>"), broken
        for i in (0x00, 0x04, 0x0A, 0x14, 0x1B, 0x20, 0x2B, 0x7F):
            yield UNKNOWN_IDS, state, packet.replace("?", f"<{method}{i:02X} 01>"), broken
