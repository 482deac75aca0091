"""Where the verbs live that a plain publisher never calls. Protocol.__getattr__ asks here."""

_ROOMS = {
    "set_message": "options",
    "set_stream": "options",
    "set_last_will": "options",
    "stats": "options",
    "subscribe": "subscribe",
    "unsubscribe": "subscribe",
    "publish_stream": "stream",
    "messages": "mailbox",
}


def find(client, name):
    """The verb bound to client, its room loaded; AttributeError for any other name."""
    if name not in _ROOMS:
        raise AttributeError(name)
    verb = getattr(__import__("umqtt_plus." + _ROOMS[name], None, None, (name,)), name)
    return lambda *args, **kwargs: verb(client, *args, **kwargs)
