"""What is called while a program sets its client up: loaded then, or never."""

from .codec import binary, limit, text
from .message import view


def last_will(c, topic, msg, retain, qos):
    """set_last_will()."""
    flags = limit("qos", qos, 2) << 3 | (36 if retain else 4)
    c._will = (text("topic", topic, 1), binary("msg", msg), flags)


def stream(c, f):
    """set_stream()."""
    import umqtt_plus.stream as room

    view(c).handler = f
    c._big = room if f else None


def stats(c):
    """stats()."""
    n = c._n
    t = c._tab
    return {
        "connects": n[0],
        "pings": n[1],
        "resent": n[2],
        "acks_ignored": n[3],
        "duplicates_dropped": n[4],
        "in_flight": t.used if t else 0,
        "awaiting_release": t.open if t else 0,
    }
