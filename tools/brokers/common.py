"""What every broker needs: endpoints, free ports, a process that surely ends, a question whether
it is up.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

HOST = "127.0.0.1"
_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05probe"
_taken = set()


class Unavailable(Exception):
    """This broker cannot be had here; the text says why."""


class Endpoint:
    """One way in: a name for the table, a URL, the versions spoken, and env for the suite.

    A value of env may be a function, called when the suite starts: passwords run out.
    """

    def __init__(self, name, url, versions=(4, 5), **env):
        self.name = name
        self.url = url
        self.versions = versions
        self.env = env


class Broker:
    """name is the word on the command line. fetch() gives the version, start() the endpoints."""

    name = title = ""

    def __init__(self, cache, directory, certificates):
        self.cache = Path(cache)
        self.directory = Path(directory)
        self.certificates = Path(certificates)
        self.processes = []

    def fetch(self):
        """Make it available; its version. Unavailable: why not."""
        raise NotImplementedError

    def start(self):
        """Start it, wait until it answers; the list of its Endpoints."""
        raise NotImplementedError

    def stop(self):
        """End what was started, last one first."""
        while self.processes:
            self.processes.pop().stop()

    def run(self, command, ready=(), timeout=90, up=None, **options):
        """Start a process that belongs to this broker, and wait until its ports answer MQTT.

        up: another question than answers(), for a server that does not answer who is nobody.
        """
        process = Process(command, self.directory / f"log{len(self.processes)}.txt", **options)
        self.processes.append(process)
        for port in ready:
            process.wait_until(lambda port=port: (up or answers)(port), timeout)
        return process


class Process:
    """A child with a process group of its own, so that its own children end with it."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = Path(log)
        settings = dict(os.environ)
        settings.update({k: str(v) for k, v in (env or {}).items()})
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [str(x) for x in command],
                env=settings,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    def wait_until(self, condition, timeout):
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None:
                raise Unavailable(f"ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"not up within {timeout} s: {self.tail()}")
            time.sleep(0.05)

    def tail(self, size=600):
        text = self.log.read_text(errors="replace").strip()
        return " ".join(text[-size:].split()) or "its log is empty"

    def stop(self, timeout=20):
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        self._signal(signal.SIGKILL)  # also children that outlived it
        self.process.wait(timeout)

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def free_ports(count):
    """Ports that nobody has, below the range from which clients are given theirs.

    They are not held: a broker that takes them later must say when somebody was faster.
    """
    found = []
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        if port not in _taken:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found.append(port)
                _taken.add(port)
                if len(found) == count:
                    return found
    raise Unavailable("no free ports")


def answers(port):
    """Whether a server answers a CONNECT there, be it with a refusal."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 2) as probe:
        probe.settimeout(2)
        probe.sendall(_CONNECT)
        return probe.recv(1) == b"\x20"
    return False


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 2):
        return True
    return False


def command_output(command, timeout=600, **options):
    """stdout of a command; Unavailable with its last words when it fails."""
    try:
        done = subprocess.run(
            [str(x) for x in command], capture_output=True, text=True, timeout=timeout, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-300:]
        raise Unavailable(f"{Path(command[0]).name} failed: {words}")
    return done.stdout
