"""Where the verbs live that a plain publisher never calls. Protocol.__getattr__ asks here."""

_ROOMS = {
    "on_published": "options",
    "set_callback": "options",
    "set_message": "options",
    "set_stream": "options",
    "set_last_will": "options",
    "stats": "options",
    "subscribe": "subscribe",
    "unsubscribe": "subscribe",
    "publish_stream": "stream",
    "messages": "mailbox",
    "setup5": "connect5",
    "_pub": "reasons",
}


_WAITING = ("subscribe", "unsubscribe", "publish_stream")


def find(client, name, waiting=None):
    """The verb bound to client, its room loaded; AttributeError for any other name.

    waiting: the room of those verbs that wait, where the front has its own.
    """
    if name not in _ROOMS:
        raise AttributeError(name)
    room = "umqtt_plus." + (waiting if waiting and name in _WAITING else _ROOMS[name])
    verb = getattr(__import__(room, None, None, (name,)), name)
    return lambda *args, **kwargs: verb(client, *args, **kwargs)
