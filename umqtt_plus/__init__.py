"""umqtt_plus: an MQTT client for MicroPython that allocates nothing while it runs.

Names load on first use, so that importing one front never pays for another.
"""

__version__ = "0.1.0"

_ROOMS = {
    "MQTTClient": "client",
    "MQTTException": "protocol",
}


def __getattr__(name):
    if name not in _ROOMS:
        raise AttributeError(name)
    room = __import__("umqtt_plus." + _ROOMS[name], None, None, (name,))
    return getattr(room, name)
