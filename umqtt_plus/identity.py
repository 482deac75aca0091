"""Who this board is: a client id that stays the same, and what it runs. For logs and support.

client = MQTTClient(client_id("pump-"), server, version=5,
                    properties={"user_property": user_properties(firmware="1.4")})
client.set_last_will(topic("pumps", "state"), b"offline", retain=True)     # pumps/ID/state
"""

import sys
from os import listdir


def mac():
    """The address of the first network interface as 6 bytes, or None."""
    try:
        import network

        for kind in ("STA_IF", "IF_STA"):
            for where in (network, network.WLAN):
                if hasattr(where, kind):
                    x = network.WLAN(getattr(where, kind)).config("mac")
                    if any(x):
                        return bytes(x)
    except (ImportError, OSError, ValueError, AttributeError):
        pass  # no radio, or another kind of network
    return None


def _pc():
    """Of a PC with Linux: what it is installed as, or its network card; None elsewhere."""
    names = ["/etc/machine-id"]
    try:
        names += ["/sys/class/net/%s/address" % x for x in sorted(listdir("/sys/class/net"))]
    except OSError:
        pass
    for name in names:
        try:
            f = open(name, "rb")
            x = bytearray(64)
            x = bytes(x[: f.readinto(x)]).strip()
            f.close()
        except OSError:
            continue
        if x.replace(b"0", b"").replace(b":", b""):  # not that of the loopback
            return b"umqtt_plus" + x  # to be hashed: the machine-id is not to be shown
    return None


def unique_id():
    """4 to 8 bytes that are this board's alone, and stay. OSError: there is nothing like it."""
    x = None
    try:
        from machine import unique_id

        x = unique_id()
    except ImportError:
        x = mac()
    if not x:
        x = _pc()
    if not x:
        raise OSError(19, "no unique id: give a client_id")  # ENODEV
    if len(x) > 8:
        from hashlib import sha256

        x = sha256(x).digest()[:8]
    return bytes(x)


def device_id():
    """unique_id() in hex: at most 16 characters."""
    return "".join(["%02x" % x for x in unique_id()])


def client_id(prefix=""):
    """prefix and device_id(). Any server takes 23 letters and digits; many take more."""
    return prefix + device_id()


def facts(**more):
    """A new dict of str: id, mac (where there is one), machine, system, client; more of yours."""
    x = {"id": device_id()}
    found = mac()
    if found:
        x["mac"] = ":".join(["%02x" % b for b in found])
    y = sys.implementation
    x["machine"] = getattr(y, "_machine", sys.platform)
    x["system"] = y.name + " " + ".".join([str(n) for n in y.version[:3]])
    import umqtt_plus

    x["client"] = "umqtt_plus " + umqtt_plus.__version__
    for name in more:
        x[name] = str(more[name])
    return x


def user_properties(**more):
    """facts() as MQTT 5.0 has them: a sorted list of (name, value)."""
    return sorted(facts(**more).items())


def topic(first, *more):
    """first/ID/more.. as bytes, for the will say."""
    return "/".join((first, device_id()) + more).encode()
