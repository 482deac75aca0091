"""The matrix: every broker that can be had here, one suite (tests/interop), one table.

    make brokers                          all of them; writes tests/interop/RESULTS.md
    make brokers ARGS="mosquitto nats"    these; the others keep their results and dates
    BROKER=host:port make brokers         one that listens somewhere: EMQX, HiveMQ, VerneMQ, NanoMQ
        BROKER may be a URL: mqtts://host:port, ws://host:port/mqtt, wss://host:port/mqtt
        BROKER_NAME (emqx ...: whose deviations are known), BROKER_VERSION (of its software),
        BROKER_USER, BROKER_PASSWORD, BROKER_CA (a file, DER or PEM), BROKER_VERSIONS ("4 5")

Nothing is installed: packages are downloaded into .cache/brokers and unpacked there. A broker that
cannot be had is named with the reason. 1 is returned when a row fails.
"""

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import certs
from umqtt_harness.micropython import Runner, find_micropython

from .common import HOST, Broker, Endpoint, Unavailable
from .deviations import judge
from .interop import Run
from .table import render

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "brokers"
RESULTS = ROOT / "tests" / "interop" / "RESULTS.md"
NAMES = (
    "mosquitto",
    "rabbitmq",
    "rabbitmq_4",
    "activemq",
    "ejabberd",
    "aedes",
    "nats",
    "amqtt",
    "iotcore",
)


class Elsewhere(Broker):
    """One that was started by somebody else."""

    def __init__(self, at):
        self.url = at if "://" in at else f"mqtt://{at}"
        self.name = os.environ.get("BROKER_NAME") or "broker"
        self.title = _TITLES.get(self.name, self.name)

    def fetch(self):
        return os.environ.get("BROKER_VERSION", "")  # of its software; its address is nobody's

    def start(self):
        try:
            at = urlsplit(self.url)
            port = at.port
            versions = [int(x) for x in (os.environ.get("BROKER_VERSIONS") or "4 5").split()]
        except ValueError as error:
            raise Unavailable(f"BROKER or BROKER_VERSIONS: {error}") from None
        kinds = {"mqtt": "TCP", "mqtts": "TLS", "ws": "WebSocket", "wss": "WebSocket, TLS"}
        if at.scheme not in kinds or not port:
            raise Unavailable("BROKER=host:port, or a URL of mqtt, mqtts, ws, wss with a port")
        with contextlib.closing(socket.create_connection((at.hostname, port), 10)):
            pass
        env = {}
        for ours, theirs in (("USER_NAME", "USER"), ("PASSWORD", "PASSWORD"), ("CA", "CA")):
            if os.environ.get(f"BROKER_{theirs}"):
                env[ours] = os.environ[f"BROKER_{theirs}"]
        return [Endpoint(kinds[at.scheme], self.url, versions, **env)]

    def stop(self):
        pass


_TITLES = {"emqx": "EMQX", "hivemq": "HiveMQ", "vernemq": "VerneMQ", "nanomq": "NanoMQ"}


def certificates(directory):
    authority = certs.Authority(directory)
    authority.issue("server", "localhost", ["localhost", HOST])
    authority.issue("device", "device")
    return directory


def test(broker, runner, rows=(), say=print):
    """Run the suite against all endpoints of a broker; what render() wants, or {"reason": ..}."""
    found = {"title": broker.title, "date": str(date.today()), "runs": []}
    try:
        found["version"] = broker.fetch()
        start = time.monotonic()
        endpoints = broker.start()
        say(f"{broker.title} {found['version']}: up in {time.monotonic() - start:.1f} s")
        for endpoint in endpoints:
            for version in endpoint.versions:
                found["runs"].append(one(broker, runner, endpoint, version, rows, say))
    except (Unavailable, OSError, RuntimeError) as error:
        found["reason"] = " ".join(str(error).split())
        say(f"{broker.title}: left out: {found['reason']}")
    finally:
        broker.stop()
    return found


def one(broker, runner, endpoint, version, rows, say):
    start = time.monotonic()
    facts, answers = Run(runner, endpoint, version, rows).wait()
    if not answers:
        answers = {"(end)": ("no row ran", 0)}
    judged = {row: {"said": said, "ms": ms} for row, (said, ms) in answers.items()}
    judge_all(broker.name, version, judged)
    counts = [sum(x["verdict"] == kind for x in judged.values()) for kind in _KINDS]
    seconds = time.monotonic() - start
    label = "3.1.1" if version == 4 else "5.0"
    say(
        f"  {endpoint.name}, MQTT {label}: {counts[0]} ok, {counts[1]} known to differ, "
        f"{counts[2]} not asked, {counts[3]} failed, {seconds:.0f} s"
    )
    for row, x in judged.items():
        if x["verdict"] == "FAIL":
            say(f"    FAIL {row}: {x['said']}{': ' + x['why'] if x.get('why') else ''}")
    return {"endpoint": endpoint.name, "version": version, "facts": facts, "rows": judged}


def judge_all(name, version, rows):
    for row, x in rows.items():
        x["verdict"], entry = judge(name, version, row, x["said"])
        x["reaction"], x["why"] = entry[3:] if entry else ("", "")


def write(found, name):
    """Keep what was found, and write the table: by what the deviations say today."""
    store = CACHE / "results.json"
    with open(CACHE / "results.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        results = {}
        with contextlib.suppress(OSError, ValueError):
            results = json.loads(store.read_text())
        results[name] = found
        store.write_text(json.dumps(results))
        for other, x in results.items():
            for run in x["runs"]:
                judge_all(other, run["version"], run["rows"])
        RESULTS.write_text(render(results, NAMES), encoding="utf-8")


_KINDS = ("ok", "deviation", "skip", "FAIL")


def brokers(names, directory, pair):
    for name in names:
        place = Path(directory) / name
        place.mkdir()
        yield importlib.import_module(f"brokers.{name}").Broker(CACHE, place, pair)


def machine():
    said = subprocess.run(
        [find_micropython(), "-c", "import sys; print(sys.version)"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return f"{said.stdout.rpartition('; ')[2].strip()}, {platform.machine()}"


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="make brokers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rows", default="", help="only these rows; writes nothing")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            parser.error(f"{name}: one of {', '.join(NAMES)}")
    if not certs.find_openssl():
        sys.exit(f"brokers: {certs.MISSING}")
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE.parent / ".gitignore").write_text("*\n")
    # so that what runs is ended then, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = tempfile.mkdtemp(prefix="run-", dir=CACHE)
    failed = False
    runner = Runner(Path(directory) / "library")
    try:
        pair = certificates(Path(directory) / "certs")
        at = os.environ.get("BROKER")
        chosen = [Elsewhere(at)] if at else brokers(options.names or NAMES, directory, pair)
        for broker in chosen:
            found = test(broker, runner, options.rows.split())
            found["machine"] = machine()
            if at and "reason" in found:
                return 1  # nothing to be kept: it was only named wrong
            failed |= any(
                x["verdict"] == "FAIL" for run in found["runs"] for x in run["rows"].values()
            )
            if not options.rows:
                write(found, broker.name)
    finally:
        runner.close()
        shutil.rmtree(directory, ignore_errors=True)
    if not options.rows:
        print(f"written: {RESULTS.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
