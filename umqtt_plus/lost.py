"""What a store with discard=True does when the server has lost the session.

Without it the messages that were not acknowledged are sent again, as 3.1.1 has it (MQTT-4.4.0-1):
a server that had one of them already then has it twice. With MQTT 5.0 they never are: without it
client.unresolved alone tells, and what was never sent goes out, with the next connection here.
"""

from .errors import MQTTException


class SessionLost(MQTTException):
    """The server has lost the session. The connection is closed; the next connect() has a new one.

    args[1]: [(packet_id, True once PUBREC had come), ...] of the messages that have arrived or
    not; they are dropped.
    """


def drop(store):
    """Take the messages out of the table; tell() tells when the file is without them, too."""
    t = store.t
    for i in range(t.slots):
        if t.state[i]:
            store.lost.append((t.ids[i], t.state[i] & 7 == 4))
            t.state[i] = t.ids[i] = 0  # who waits for it gets ECONNABORTED
    t.used = t.todo = 0


def tell(store):
    lost = store.lost
    store.lost = []
    raise SessionLost(0xFF, lost)
