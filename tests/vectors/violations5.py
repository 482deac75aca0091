"""What a server must never send to a client of MQTT 5.0, and what that client must answer.

Plain data, for tests on any interpreter; wire() makes the packets. The states:

  up           a session in which, sent by the client, packet id 1 is QoS 1 and awaits PUBACK, 2 is
               QoS 2 and awaits PUBREC, 3 is QoS 2 and awaits PUBCOMP; sent by the server, 7 is
               QoS 2 and awaits PUBREL. Nothing is subscribed to. CONNECT had no properties but
               those that the client sends on its own: no topic aliases, Reason Strings are
               welcome, and 512 bytes are the largest packet that it takes
  quiet        the same after Request Problem Information 0
  subscribe    the same, and a SUBSCRIBE for two topic filters awaits its answer, with id 4
  unsubscribe  the same with an UNSUBSCRIBE for two
  alias        the same with Topic Alias Maximum 2, and topic alias 1 is t
  window       the same with Receive Maximum 2: 7 is one of them, 8 the other (PUBREC sent)
  auth         up with Authentication Method M, which needs no answer; no exchange is open
  connect      in place of CONNACK, after Clean Start 1
  method       in place of CONNACK, after Clean Start 1 with Authentication Method M

Codes: what the DISCONNECT of the client may say, the best first. None: closed without one.
"""

MALFORMED = (0x81,)
PROTOCOL = (0x82,)
EITHER = (0x82, 0x81)  # the standard does not say which, or two rules are broken at once
AT_LEAST_81 = (0x81, 0x82)
MAY_81 = (0x81, 0x82, None)  # a MAY for AUTH; of no use after a DISCONNECT
MAY_82 = (0x82, 0x81, None)
ALIAS = (0x94,)
TOO_LARGE = (0x95,)
OVERRUN = (0x93,)


def wire(text):
    """The bytes of a packet.

    Hex, where 'a' is a string with its two-byte length in front, <..> properties with the length
    in front that they must have, and | stands for the remaining length of what follows.
    """
    return _wire(text, 0, "")[0]


def _wire(text, i, end):
    out = bytearray()
    while True:
        if i == len(text):
            assert not end, f"no {end} in {text}"
            return bytes(out), i
        c = text[i]
        i += 1
        if c == end:
            return bytes(out), i
        if c == " ":
            continue
        if c == "'":
            j = text.index("'", i)
            s = text[i:j].encode()
            out.extend(len(s).to_bytes(2, "big") + s)
            i = j + 1
        elif c == "<":
            s, i = _wire(text, i, ">")
            out.extend(length(len(s)) + s)
        elif c == "|":
            s, i = _wire(text, i, end)
            return bytes(out) + length(len(s)) + s, i
        else:
            out.append(int(c + text[i], 16))
            i += 1


def length(n):
    """n as a variable byte integer."""
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(digits):
    """A string of these bytes, as hex with its length in front."""
    return f"{len(digits) // 2:04X}{digits}"


# statements and cases, state, packet, codes
VIOLATIONS = (
    ("E01v5 X5-2.1.2-a X5-4.13.1-a", "up", "0000", MALFORMED),
    ("E01v5", "up", "0F00", MALFORMED),
    ("E01v5", "connect", "0000", MALFORMED),
    ("E02v5 E120 X5-3.15-a X5-3.15.2.1-a MQTT5-4.12.0-6", "up", "F000", MAY_82),
    ("E02v5 E120 MQTT5-4.12.0-6", "up", "F0| 00 <>", MAY_82),
    ("E03v5 X5-2.1.2-a", "up", "10| 'MQTT' 05 02 003C <> 0000", PROTOCOL),
    ("E03v5 X5-2.1.2-a", "up", "82| 0001 <> 'a' 00", PROTOCOL),
    ("E03v5 X5-2.1.2-a", "up", "A2| 0001 <> 'a'", PROTOCOL),
    ("E03v5 X5-2.1.2-a", "up", "C000", PROTOCOL),
    ("E04v5 E62v5 X5-2.1.3-a", "up", "21| 0000 <>", AT_LEAST_81),
    ("E04v5 X5-2.1.3-a", "connect", "21| 0000 <>", AT_LEAST_81),
    ("E04v5 X5-2.1.3-a MQTT5-2.1.3-1", "up", "41| 0001", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "42| 0001", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "44| 0001 00", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "48| 0001 00 <>", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "51| 0002", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "52| 0002", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "71| 0003", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "72| 0003", MALFORMED),
    ("E04v5 X5-2.1.3-a", "subscribe", "91| 0004 <> 0000", MALFORMED),
    ("E04v5 X5-2.1.3-a", "subscribe", "92| 0004 <> 0000", MALFORMED),
    ("E04v5 X5-2.1.3-a", "unsubscribe", "B1| 0004 <> 0000", MALFORMED),
    ("E04v5 X5-2.1.3-a", "unsubscribe", "B2| 0004 <> 0000", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "D100", MALFORMED),
    ("E04v5 X5-2.1.3-a", "up", "D800", MALFORMED),
    ("E05v5 X5-2.1.3-a MQTT5-3.6.1-1", "up", "60| 0007", MALFORMED),
    ("E05v5 X5-2.1.3-a", "up", "61| 0007", MALFORMED),
    ("E05v5 X5-2.1.3-a", "up", "63| 0007", MALFORMED),
    ("E05v5 X5-2.1.3-a", "up", "66| 0007", MALFORMED),
    ("E05v5 X5-2.1.3-a", "up", "6A| 0007 00", MALFORMED),
    ("E06v5 MQTT5-3.14.1-1", "up", "E100", MALFORMED),
    ("E06v5 MQTT5-3.14.1-1", "up", "E2| 8B", MALFORMED),
    ("E06v5 MQTT5-3.14.1-1", "up", "E8| 8B <>", MALFORMED),
    ("E07v5 MQTT5-3.15.1-1", "up", "F100", MAY_81),
    ("E07v5 MQTT5-3.15.1-1", "auth", "F1| 18 <15 'M'>", MAY_81),
    ("E07v5 MQTT5-3.15.1-1", "method", "F2| 18 <15 'M'>", MAY_81),
    ("E08v5 MQTT5-3.3.1-4", "up", "36| 'a' 000A <> 78", MALFORMED),
    ("E08v5 MQTT5-3.3.1-4", "up", "37| 'a' 000A <> 78", MALFORMED),
    ("E08v5 MQTT5-3.3.1-4", "up", "3E| 'a' 000A <> 78", MALFORMED),
    ("E08v5 MQTT5-3.3.1-4", "up", "3F| 'a' 000A <> 78", MALFORMED),
    ("E09v5 MQTT5-3.3.1-2", "up", "38| 'a' <> 78", EITHER),
    ("E09v5 MQTT5-3.3.1-2", "up", "39| 'a' <> 78", EITHER),
    ("E10v5 X5-1.5.5-a", "up", "30FFFFFFFF01", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "3080808080", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "40808080800100", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "30| 'a' FFFFFFFF01", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "30| 'a' 8080808000", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "40| 0001 00 FFFFFFFF01", MALFORMED),
    ("E10v5 X5-1.5.5-a", "up", "30| 'a' <0B FFFFFFFF01> 78", MALFORMED),
    ("E10v5 X5-1.5.5-a", "connect", "20| 0000 FFFFFFFF01", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "D08000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "D0808000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "D080808000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "308500 000161 0078", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "30858000 000161 0078", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "408200 0001", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "connect", "208300 000000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "30| 'a' 8000 78", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "30| 'a' 808000 78", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "30| 'a' 8200 0101 78", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "40| 0001 00 8000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "connect", "20| 0000 8000", MALFORMED),
    ("E11v5 MQTT5-1.5.5-1", "up", "30| 'a' <0B 8100> 78", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "400100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "4000", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "500100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "620100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "6200", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "700100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "subscribe", "900100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "subscribe", "9000", MALFORMED),
    ("E12v5 X5-2.1.4-a", "unsubscribe", "B000", MALFORMED),
    ("E12v5 X5-2.1.4-a", "up", "D00100", MALFORMED),
    ("E12v5 X5-2.1.4-a", "connect", "2000", MALFORMED),
    ("E12v5 X5-2.1.4-a", "connect", "200100", MALFORMED),
    ("E12v5 X5-2.1.4-a E84", "connect", "20020000", MALFORMED),
    ("E13v5 X5-2.1.4-a MQTT5-3.3.2-1", "up", "3003000261", MALFORMED),
    ("E13v5 X5-2.1.4-a MQTT5-3.3.2-1", "up", "3003FFFF61", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "3000", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "300100", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "3200", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "3400", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "32| 0003 6162 000A", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "32| 'a'", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "32| 'a' 05", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "34| 'a'", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "34| 'a' 05", MALFORMED),
    ("E13v5 X5-2.1.4-a E84", "up", "30| 'a'", MALFORMED),
    ("E13v5 X5-2.1.4-a E84", "up", "32| 'a' 000A", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "30| 'a' 05 01", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "32| 'a' 000A 03 0101", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "30| 'a' 80", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "40| 0001 00 01", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "62| 0007 00 7F", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "70| 0003 00 80", MALFORMED),
    ("E13v5 X5-2.1.4-a", "up", "E0| 8B 05", MAY_81),
    ("E13v5 X5-2.1.4-a", "subscribe", "90| 0004 05 0000", MALFORMED),
    ("E13v5 X5-2.1.4-a", "connect", "20| 0000 01", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "40| 0001 00 <> 00", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "40| 0001 00 <1F 'a'> 00", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "50| 0002 00 <> 00", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "62| 0007 00 <> 00", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "70| 0003 00 <> 7879", MALFORMED),
    ("E14v5 X5-2.1.4-a", "up", "E0| 8B <> 00", MAY_81),
    ("E14v5 X5-2.1.4-a", "method", "F0| 18 <15 'M'> 00", MAY_81),
    ("E14v5 X5-2.1.4-a", "connect", "20| 0000 <> 00", MALFORMED),
    # decided from the fixed header: the rest never comes
    ("E15v5 E101 MQTT5-3.1.2-24 X5-3.1.2.11.4-b", "up", "30FE03 000161 00", TOO_LARGE),
    ("E15v5 E101 MQTT5-3.1.2-24 X5-3.1.2.11.4-b", "up", "34FE03 000161 000A 00", TOO_LARGE),
    ("E15v5 E101 MQTT5-3.1.2-24", "up", "30FE03", TOO_LARGE),
    ("E15v5 E101 MQTT5-3.1.2-24", "up", "32FFFFFF7F", TOO_LARGE),
    ("E15v5 E101 MQTT5-3.1.2-24", "up", "40FE03 0001 00", TOO_LARGE),
    ("E15v5 E101 MQTT5-3.1.2-24", "subscribe", "90FE03 0004", TOO_LARGE),
    ("E25v5 MQTT5-3.3.2-2 MQTT5-4.7.0-1", "up", "30| 'a/+' <> 78", (0x82, 0x81, 0x90)),
    ("E25v5 MQTT5-3.3.2-2 MQTT5-4.7.0-1", "up", "30| 'a/#' <> 78", (0x82, 0x81, 0x90)),
    ("E25v5 MQTT5-3.3.2-2", "up", "30| '#' <> 78", (0x82, 0x81, 0x90)),
    ("E25v5 MQTT5-3.3.2-2", "up", "30| '+' <> 78", (0x82, 0x81, 0x90)),
    ("E25v5 MQTT5-3.3.2-2", "up", "32| 'a+' 000A <> 78", (0x82, 0x81, 0x90)),
    ("E26v5 X5-3.3.2.1-a MQTT5-4.7.3-1", "up", "30| '' <>", PROTOCOL),
    ("E26v5 X5-3.3.2.1-a", "up", "30| '' <> 78", PROTOCOL),
    ("E26v5 X5-3.3.2.1-a", "up", "32| '' 000A <> 78", PROTOCOL),
    ("E26v5 X5-3.3.2.1-a", "alias", "30| '' <01 01> 78", PROTOCOL),
    ("E26v5 E84", "up", "3002 0000", AT_LEAST_81),
    ("E30 MQTT5-3.3.2-14", "up", "30| 'a' <08 'a/+'> 78", (0x82, 0x81, 0x90)),
    ("E30 MQTT5-3.3.2-14", "up", "32| 'a' 000A <08 '#'> 78", (0x82, 0x81, 0x90)),
    ("E40v5 MQTT5-2.2.1-4", "up", "32| 'a' 0000 <> 78", EITHER),
    ("E40v5 MQTT5-2.2.1-4", "up", "34| 'a' 0000 <> 78", EITHER),
    ("E40v5 MQTT5-2.2.1-4", "up", "3A| 'a' 0000 <>", EITHER),
    ("E41v5", "up", "40| 0000", EITHER),
    ("E41v5", "up", "50| 0000", EITHER),
    ("E41v5", "up", "62| 0000", EITHER),
    ("E41v5", "up", "70| 0000 00", EITHER),
    ("E41v5", "subscribe", "90| 0000 <> 0000", EITHER),
    ("E41v5", "unsubscribe", "B0| 0000 <> 0000", EITHER),
    ("E46v5", "up", "40| 0002", PROTOCOL),
    ("E46v5", "up", "40| 0003", PROTOCOL),
    ("E46v5", "up", "40| 0002 87", PROTOCOL),
    ("E46v5", "up", "50| 0001", PROTOCOL),
    ("E46v5", "up", "50| 0001 87 <>", PROTOCOL),
    ("E46v5", "up", "70| 0001", PROTOCOL),
    ("E46v5", "up", "70| 0001 92", PROTOCOL),
    ("E47v5", "up", "70| 0002", PROTOCOL),
    # PUBACK with 0x91 would do as well
    ("E51v5 MQTT5-2.2.1-4", "up", "32| 'a' 0007 <> 79", PROTOCOL),
    ("E51v5 MQTT5-2.2.1-4", "up", "3A| 'a' 0007 <> 79", PROTOCOL),
    ("E53v5 MQTT5-2.2.1-6 MQTT5-3.8.4-2", "up", "90| 0009 <> 00", PROTOCOL),
    ("E53v5", "up", "90| 0001 <> 00", PROTOCOL),
    ("E53v5", "subscribe", "90| 0005 <> 0000", PROTOCOL),
    ("E53v5 MQTT5-2.2.1-6 MQTT5-3.10.4-5", "up", "B0| 0009 <> 00", PROTOCOL),
    ("E53v5", "subscribe", "B0| 0004 <> 0000", PROTOCOL),
    ("E53v5", "unsubscribe", "90| 0004 <> 0000", PROTOCOL),
    ("E54v5 MQTT5-3.8.4-6", "subscribe", "90| 0004 <> 00", EITHER),
    ("E54v5 MQTT5-3.8.4-6", "subscribe", "90| 0004 <> 000000", PROTOCOL),
    ("E54v5 MQTT5-3.8.4-6", "subscribe", "90| 0004 <1F 'a'> 000000", PROTOCOL),
    ("E55v5", "subscribe", "90| 0004", MALFORMED),
    ("E55v5", "subscribe", "90| 0004 <>", AT_LEAST_81),
    ("E56v5 MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 0003", PROTOCOL),
    ("E56v5 MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 1000", PROTOCOL),
    ("E56v5 MQTT5-3.9.3-2", "subscribe", "90| 0004 <> 7F00", PROTOCOL),
    ("E58v5 MQTT5-3.11.3-2", "unsubscribe", "B0| 0004 <>", EITHER),
    ("E58v5 MQTT5-3.11.3-2", "unsubscribe", "B0| 0004 <> 00", EITHER),
    ("E58v5 MQTT5-3.11.3-2", "unsubscribe", "B0| 0004 <> 000000", PROTOCOL),
    ("E58v5 E115 MQTT5-3.11.3-2 X5-3.4.2.1-b", "unsubscribe", "B0| 0004 <> 0001", PROTOCOL),
    ("E58v5 E115 MQTT5-3.11.3-2 X5-3.4.2.1-b", "unsubscribe", "B0| 0004 <> 0200", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "connect", "30| 'a' <> 78", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "connect", "32| 'a' 000A <> 78", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "connect", "90| 0001 <> 00", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "connect", "D000", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "connect", "62| 0007", PROTOCOL),
    ("E60v5 MQTT5-3.2.0-1", "method", "30| 'a' <> 78", PROTOCOL),
    ("E60v5 MQTT5-3.14.0-1", "connect", "E000", MAY_82),
    ("E60v5 MQTT5-3.14.0-1", "connect", "E0| 8B", MAY_82),
    ("E60v5 E120 MQTT5-4.12.0-6", "connect", "F0| 18 <15 'M'>", MAY_82),
    ("E62v5 MQTT5-3.2.0-2", "up", "20| 0000 <>", PROTOCOL),
    ("E62v5 MQTT5-3.2.0-2", "up", "20| 0100 <21 0001>", PROTOCOL),
    ("E62v5 MQTT5-3.2.0-2", "up", "20020000", EITHER),
    ("E63v5 MQTT5-3.2.2-1", "connect", "20| 0200 <>", MALFORMED),
    ("E63v5 MQTT5-3.2.2-1", "connect", "20| 0300 <>", AT_LEAST_81),
    ("E63v5 MQTT5-3.2.2-1", "connect", "20| 8000 <>", MALFORMED),
    ("E64v5 MQTT5-3.2.2-2 MQTT5-3.2.2-4", "connect", "20| 0100 <>", PROTOCOL),
    ("E68v5 MQTT5-3.2.2-8", "connect", "20| 0001 <>", PROTOCOL),
    ("E68v5 MQTT5-3.2.2-8", "connect", "20| 0005 <>", PROTOCOL),
    ("E68v5 MQTT5-3.2.2-8", "connect", "20| 007F <>", PROTOCOL),
    ("E70", "connect", "20020005", AT_LEAST_81),
    ("E71 X5-3.2.2.3.3-a", "connect", "20| 0000 <21 0000>", PROTOCOL),
    ("E71 X5-3.2.2.3.4-a", "connect", "20| 0000 <24 02>", PROTOCOL),
    ("E71 X5-3.2.2.3.4-a", "connect", "20| 0000 <24 FF>", PROTOCOL),
    ("E71 X5-3.2.2.3.6-a", "connect", "20| 0000 <27 00000000>", PROTOCOL),
    ("E71 X5-3.2.2.3.5-a", "connect", "20| 0000 <25 02>", PROTOCOL),
    ("E71 X5-3.2.2.3.5-a", "connect", "20| 0000 <28 02>", PROTOCOL),
    ("E71 X5-3.2.2.3.5-a", "connect", "20| 0000 <29 80>", PROTOCOL),
    ("E71 X5-3.2.2.3.5-a", "connect", "20| 0000 <2A 03>", PROTOCOL),
    ("E74 MQTT5-4.12.0-6", "connect", "20| 0000 <15 'M'>", EITHER),
    ("E74 MQTT5-4.12.0-5", "method", "20| 0000 <>", EITHER),
    ("E74 MQTT5-4.12.0-5", "method", "20| 0000 <15 'N'>", EITHER),
    ("E74 MQTT5-4.12.0-5", "method", "20| 0000 <15 'MM'>", EITHER),
    ("E74", "method", "20| 0000 <16 0000>", EITHER),
    ("E81 X5-2.2.2.2-a", "up", "30| 'a' <8001 01> 78", MALFORMED),
    ("E81 X5-2.2.2.2-a", "up", "30| 'a' <8100 01> 78", MALFORMED),
    ("E83 X5-2.2.2.2-a", "alias", "30| 'a' 02 230001", MALFORMED),
    ("E83 X5-2.2.2.2-a", "up", "30| 'a' 04 01 01 03 0001 61", MALFORMED),
    ("E83 X5-2.2.2.2-a", "up", "40| 0001 00 <26 'name'>", MALFORMED),
    ("E84 X5-2.1.4-a", "unsubscribe", "B0| 0004", MALFORMED),
    ("E84 X5-2.1.4-a", "subscribe", "90| 0004 01 01", MALFORMED),
    ("E84 X5-2.1.4-a", "subscribe", "90| 0004 02 00", MALFORMED),
    ("E84 X5-2.1.4-a", "up", "30| 'a' 78", MALFORMED),
    ("E84 X5-2.1.4-a", "up", "32| 'a' 000A 7879", MALFORMED),
    ("E85 X5-3.3.4-a MQTT5-3.3.2-8", "up", "30| 'a' <23 0000> 78", ALIAS),
    ("E85 X5-3.3.4-a MQTT5-3.3.2-8", "alias", "30| 'a' <23 0000> 78", ALIAS),
    ("E85 X5-3.3.4-a", "alias", "30| '' <23 0000> 78", (0x94, 0x82)),
    ("E86 X5-3.3.4-a MQTT5-3.1.2-27", "up", "30| 'a' <23 0001> 78", ALIAS),
    ("E86 X5-3.3.4-a MQTT5-3.1.2-27", "up", "32| 'a' 000A <23 FFFF> 78", ALIAS),
    ("E86 X5-3.3.4-a MQTT5-3.1.2-26 MQTT5-3.3.2-11", "alias", "30| 'a' <23 0003> 78", ALIAS),
    ("E86 X5-3.3.4-a MQTT5-3.1.2-26 MQTT5-3.3.2-11", "alias", "34| 'a' 000A <23 0101>", ALIAS),
    ("E86 E87 X5-3.3.4-a", "up", "30| '' <23 0001> 78", (0x94, 0x82)),
    ("E87 X5-3.3.4-b", "alias", "30| '' <23 0002> 78", PROTOCOL),
    ("E87 X5-3.3.4-b", "alias", "32| '' 000A <23 0002> 78", PROTOCOL),
    ("E88 X5-3.3.2.3.8-a", "up", "30| 'a' <0B 00> 78", PROTOCOL),
    ("E88 X5-3.3.2.3.8-a", "up", "30| 'a' <0B 01 0B 00> 78", PROTOCOL),
    ("E90 MQTT5-3.1.2-29 X5-3.1.2.11.7-a", "quiet", "40| 0001 00 <1F 'a'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "40| 0001 00 <26 'a' 'b'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "50| 0002 00 <1F 'a'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "50| 0002 87 <26 'a' 'b'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "62| 0007 00 <1F 'a'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "62| 0007 00 <26 'a' 'b'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "70| 0003 00 <1F 'a'>", PROTOCOL),
    ("E90 MQTT5-3.1.2-29", "quiet", "70| 0003 00 <26 'a' 'b'>", PROTOCOL),
    ("E91 MQTT5-3.14.2-2", "up", "E0| 00 <11 00000000>", MAY_82),
    ("E91 MQTT5-3.14.2-2", "up", "E0| 8B <11 0000000A>", MAY_82),
    ("E92", "up", "30| 'a' <01 02> 78", EITHER),
    ("E92", "up", "30| 'a' <01 FF> 78", EITHER),
    ("E100 MQTT5-3.3.4-9 X5-3.3.4-d", "window", "34| 'a' 0009 <> 78", OVERRUN),
    ("E100 MQTT5-3.3.4-9 X5-3.3.4-d", "window", "32| 'a' 0009 <> 78", OVERRUN),
    ("E100 MQTT5-3.3.4-9 X5-3.3.4-d", "window", "3C| 'a' 0009 <> 78", OVERRUN),
    ("E115 X5-3.4.2.1-b", "up", "40| 0001 01", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "40| 0001 7F <>", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "50| 0002 01", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "50| 0002 11 <>", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "62| 0007 01", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "62| 0007 10", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "70| 0003 01", PROTOCOL),
    ("E115 X5-3.4.2.1-b", "up", "70| 0003 10 <>", PROTOCOL),
    ("E120 MQTT5-4.12.0-6", "up", "F0| 18 <15 'M'>", MAY_82),
    ("E120 MQTT5-4.12.0-6", "up", "F0| 19 <15 'M' 16 0000>", MAY_82),
    ("E121 MQTT5-4.12.0-5 X5-3.15.2.1-a", "method", "F000", MAY_82),
    ("E121 MQTT5-4.12.0-5", "method", "F0| 18", MAY_82),
    ("E121 MQTT5-4.12.0-5", "method", "F0| 18 <>", MAY_82),
    ("E121 MQTT5-4.12.0-5", "method", "F0| 18 <16 'x'>", MAY_82),
    ("E121 MQTT5-4.12.0-5", "method", "F0| 18 <15 'N'>", MAY_82),
    ("E121 MQTT5-4.12.0-5", "method", "F0| 18 <15 'm' 16 'x'>", MAY_82),
    ("E121 MQTT5-4.12.0-5", "auth", "F000", MAY_82),
    ("E121 E122 MQTT5-4.12.0-5", "auth", "F0| 18 <15 'N'>", MAY_82),
    ("E122 MQTT5-3.15.2-1", "method", "F0| 19 <15 'M'>", MAY_82),
    ("E122 MQTT5-3.15.2-1", "method", "F0| 01 <15 'M'>", MAY_82),
    ("E122 MQTT5-3.15.2-1", "method", "F0| FF <15 'M'>", MAY_82),
    ("E122 MQTT5-4.12.0-2", "method", "F0| 00 <15 'M'>", MAY_82),
    ("E122 MQTT5-3.15.2-1", "auth", "F0| 19 <15 'M'>", MAY_82),
    ("E122 MQTT5-4.12.0-2", "auth", "F0| 18 <15 'M'>", MAY_82),
)

# A refusal is no violation: packet, whether Clean Start was 0, reason code of MQTTException
REFUSALS = (
    ("E69v5 MQTT5-3.2.2-7 MQTT5-4.13.2-1", True, "20| 0080 <>", 0x80),
    ("E69v5 MQTT5-3.2.2-7", True, "20| 0089 <>", 0x89),
    ("E69v5 MQTT5-3.1.3-8", True, "20| 0085 <>", 0x85),
    ("E69v5", True, "20| 0086 <1F 'why' 26 'n' 'v'>", 0x86),
    ("E69v5", True, "20| 009C <1C 'host'>", 0x9C),
    ("E69v5 MQTT5-3.1.2-2", True, "20| 0084 <>", 0x84),
    ("E67v5 MQTT5-3.2.2-6", False, "20| 0187 <>", 0x87),
    ("E67v5 MQTT5-3.2.2-6", True, "20| 0187 <>", 0x87),
    ("E68v5 MQTT5-3.2.2-8", True, "20| 00FE <>", 0xFE),
    ("E70 MQTT5-3.1.2-2", True, "20020001", 0x84),
)
