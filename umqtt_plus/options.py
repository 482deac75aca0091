"""What is called while a program sets its client up: loaded then, or never.

Each function is a method of the client: client.set_message(f).
"""

from .codec import limit, text


def set_callback(client, f):
    """f(topic, msg) for each message, as two bytes objects: both are allocated each time."""
    client.cb = f


def on_published(client, f):
    """f(packet_id) when the server has taken a QoS 1 or 2 message; it may publish again."""
    client.on_pub = f


def set_message(client, f):
    """f(m) for each message, with one reused view (message.Message): allocates nothing.

    m is valid inside f only. It comes before a set_callback function; None ends it.
    """
    from .message import view

    view(client)
    client._take = f


def set_stream(client, f):
    """f(m) for each piece of a message larger than buffer_size, in constant RAM.

    m.offset, m.total and m.payload_into() tell which piece; m.topic is there in the first one
    (offset 0) only. A transfer cut off by a lost link starts again at offset 0. Without it such a
    message closes the connection with MQTTException(0x95). Set it before connect().
    """
    import umqtt_plus.stream  # noqa: F401, now, while there is room for it

    from .message import view

    view(client).handler = f


def set_last_will(client, topic, msg, retain=False, qos=0):
    """What the server publishes when this client vanishes. Counts from the next connect()."""
    flags = limit("qos", qos, 2) << 3 | (36 if retain else 4)
    client._will = (text("topic", topic, 1), text("msg", msg, 3), flags)


def stats(client):
    """A new dict of counters since construction, and of what the tables hold now."""
    n = client._n
    t = client._tab
    return {
        "connects": n[0],
        "pings": n[1],
        "resent": n[2],
        "acks_ignored": n[3],
        "duplicates_dropped": n[4],
        "in_flight": t.used if t else 0,
        "awaiting_release": t.ids_in.count if t and t.ids_in else 0,
    }
