"""What reason codes mean, in words. Loaded when one is printed."""

from .codec import limit

_TEXT = {
    1: "refused: the server does not speak this protocol level",
    2: "refused: client id not allowed",
    3: "refused: server unavailable, try later",
    4: "refused: user name or password malformed or wrong",
    5: "refused: not authorized; check user, password and rights",
    0x80: "refused: the server granted no subscription to this topic filter",
    0x81: "malformed packet from the server, connection closed",
    0x82: "the server broke the protocol, connection closed",
    0x83: "the server could not prove itself to the function of set_auth(), connection closed",
    0x95: "message larger than buffer_size, connection closed: raise it or use set_stream()",
    0x97: "more QoS 2 messages open than this client can remember, connection closed",
    0xFF: "the server has lost the session; args[1]: the messages whose outcome is unknown",
}


def explain(reason_code, who=None, *more):
    if who == "server":
        from .reasons5 import explain as say

        return say(reason_code, *more)
    return "%d (0x%02x): %s" % (reason_code, reason_code, _TEXT.get(reason_code, "unknown reason"))


def _pub(client, c, topic, msg, retain, qos, timeout_ms):
    """MQTTClient.publish with QoS 1 or 2, where there is no table."""
    limit("qos (needs inflight)", qos, 0)
