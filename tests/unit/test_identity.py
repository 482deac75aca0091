"""Who a board is: the same id each time, of what each port has."""

import sys

import umqtt_plus.identity as room
from umqtt_plus import __version__
from umqtt_plus.identity import client_id, device_id, facts, topic, unique_id, user_properties
from util import Skip, each, raises, same

MAC = b"\x24\x0a\xc4\x00\x01\x10"


class Module:
    pass


class board:
    """with board(unique_id, mac, files): this is what there is. None: no such module or file."""

    def __init__(self, unique=None, mac=None, files=(), error=None, name="STA_IF"):
        self.modules = {"machine": None, "network": None}
        self.files = dict(files)
        if unique is not None:
            self.modules["machine"] = m = Module()
            m.unique_id = lambda: unique
        if mac is not None:
            self.modules["network"] = n = Module()

            class WLAN:
                def __init__(self, kind):
                    assert kind == 7

                def config(self, what):
                    assert what == "mac"
                    if error:
                        raise error
                    return mac

            n.WLAN = WLAN
            setattr(n if name == "STA_IF" else WLAN, name, 7)

    def open(self, name, how):
        if name not in self.files:
            raise OSError(2)
        data = self.files[name]

        class File:
            def readinto(self, buf):
                buf[: len(data)] = data
                return len(data)

            def close(self):
                pass

        return File()

    def listdir(self, name):
        found = [x.split("/")[4] for x in self.files if x.startswith(name + "/")]
        if not found:
            raise OSError(2)
        return found

    def __enter__(self):
        self.before = {name: sys.modules.get(name) for name in self.modules}
        self.listed = room.listdir
        self.opened = room.__dict__.get("open")
        for name in self.modules:
            m = self.modules[name] or Module()
            sys.modules[name] = m
        room.listdir = self.listdir
        room.open = self.open

    def __exit__(self, *error):
        for name in self.before:
            if self.before[name] is None:
                del sys.modules[name]
            else:
                sys.modules[name] = self.before[name]
        room.listdir = self.listed
        if self.opened is None:
            del room.open
        else:
            room.open = self.opened


def test_unique_id():
    """machine.unique_id(), the radio's address, or what a PC has; 8 bytes at most."""

    def check(wanted, *args):
        with board(*args):
            same(unique_id(), wanted)
            same(unique_id(), wanted)

    files = {"/etc/machine-id": b"0123456789abcdef0123456789abcdef\n"}
    cards = {
        "/sys/class/net/lo/address": b"00:00:00:00:00:00\n",
        "/sys/class/net/eth1/address": b"24:0a:c4:00:01:11\n",
        "/sys/class/net/eth0/address": b"24:0a:c4:00:01:10\n",
    }
    each(
        [
            (MAC, MAC, None),
            (b"\xe6\x61\x38\x52\x83\x4b\x6f\x2f", b"\xe6\x61\x38\x52\x83\x4b\x6f\x2f", MAC),
            (MAC, None, MAC),
            (bytes.fromhex("fff3a9bcdd37363d"), bytes(range(12)), None),
            (bytes.fromhex("6e7106581ed33879"), None, None, files),
            (bytes.fromhex("909aba7609530e5e"), None, None, cards),
        ],
        check,
    )


def test_none():
    """A board without anything of its own: an error says what to do, no id is made up."""

    def check(*args):
        with board(*args):
            with raises(OSError, 19) as caught:
                client_id()
            same(caught.error.args[1], "no unique id: give a client_id")

    lo = {"/sys/class/net/lo/address": b"00:00:00:00:00:00\n", "/etc/machine-id": b"\n"}
    each([(), (b"",), (None, bytes(6)), (None, None, lo), (None, MAC, {}, OSError(1))], check)


def test_client_id():
    with board(MAC):
        same(client_id(), "240ac4000110")
        same(client_id("pump-"), "pump-240ac4000110")
        same(topic("pumps"), b"pumps/240ac4000110")
        same(topic("pumps", "state", "x"), b"pumps/240ac4000110/state/x")
    with board(bytes(range(8))):
        same(device_id(), "0001020304050607")


def test_facts():
    """All are str; those of the program come to them, or in their place."""
    with board(MAC, MAC):
        x = facts(firmware=1.5, machine="mine")
        same(sorted(x), ["client", "firmware", "id", "mac", "machine", "system"])
        same((x["id"], x["mac"]), ("240ac4000110", "24:0a:c4:00:01:10"))
        same((x["firmware"], x["machine"]), ("1.5", "mine"))
        same(x["client"], "umqtt_plus " + __version__)
        name, version = x["system"].split(" ")
        assert name in ("micropython", "cpython") and version.split(".")[0].isdigit(), x
        same([p for p in user_properties(firmware=2) if p[0] == "firmware"], [("firmware", "2")])
        names = [name for name, _ in user_properties()]
        same(names, ["client", "id", "mac", "machine", "system"])
        for pair in user_properties():
            same([type(s) for s in pair], [str, str])
        assert x["machine"] and user_properties() == user_properties()
    with board(MAC, MAC, {}, None, "IF_STA"):  # newer ports name it so
        same(facts()["mac"], "24:0a:c4:00:01:10")
    with board(MAC):
        assert "mac" not in facts()


def test_what_this_machine_has():
    """Not a fake: the same twice, and not the machine-id itself."""
    try:
        x = device_id()
    except OSError as error:
        assert error.args[0] == 19
        return
    same(device_id(), x)
    if set(x) == {"0"}:
        raise Skip("an emulated chip, with no number of its own")
    assert len(x) in (8, 12, 16) and int(x, 16)
