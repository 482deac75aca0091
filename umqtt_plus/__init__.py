"""umqtt_plus: an MQTT client for MicroPython that allocates nothing while it runs.

Names load on first use, so that importing one front never pays for another.
"""

__version__ = "0.1.0"


def __getattr__(name):
    if name == "MQTTClient":
        import umqtt_plus.client as room
    else:  # MQTTException
        import umqtt_plus.errors as room
    return getattr(room, name)
