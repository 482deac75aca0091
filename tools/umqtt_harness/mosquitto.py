"""The real Mosquitto for tests: on a free loopback port, with its own directory, ended by pid.

with Mosquitto(directory) as server:
    connect(server.host, server.port)
    server.stop()          # a broker that goes away ...
    server.start()         # ... and comes back on the same port
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_TERM_S = 0.5
MISSING = "Mosquitto is not installed (apt install mosquitto, or MOSQUITTO=path)"


class MosquittoError(RuntimeError):
    """Mosquitto did not start; the text carries its log."""


def find_mosquitto():
    """Path of the program: $MOSQUITTO, PATH, or where Debian puts it; None when there is none."""
    named = os.environ.get("MOSQUITTO")
    if named:
        return shutil.which(named)
    for place in (None, "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"):
        found = shutil.which("mosquitto", path=place)
        if found:
            return found
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Place:
    """A free port that no other program is given until close(): bound, but not listening.

    On Linux a server that sets SO_REUSEADDR can listen there all the same. Elsewhere it cannot,
    and the port is only one that was free.
    """

    def __init__(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self.close()

    def close(self):
        self._socket.close()


class Mosquitto:
    """One Mosquitto process.

    users    {name: password}: others are refused. Without it anonymous clients are welcome
    extra    more lines for its configuration file
    persist  keep sessions and retained messages over stop() and start()
    """

    host = "127.0.0.1"

    def __init__(self, directory, users=None, extra="", persist=False):
        self.directory = Path(directory)
        self.users = users
        self.extra = extra
        self.persist = persist
        self.port = None
        self._place = None
        self._process = None
        self._lines = []
        self._changed = threading.Condition()
        self._ended = True
        self._reader = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if self._place:
            self._place.close()

    @property
    def pid(self):
        return self._process.pid if self._process else None

    @property
    def log(self):
        """Everything it has logged, over all its starts."""
        with self._changed:
            return "".join(self._lines)

    def start(self, timeout=10):
        """Start it and wait until it listens; on the same port as before when it is a restart."""
        if self._process:
            return self
        last = 1 if self.port else 3
        for attempt in range(1, last + 1):
            place = self._place if self.port else Place()
            if self._launch(place.port, timeout):
                self._place = place
                self.port = place.port
                return self
            port = place.port
            if place is not self._place:
                place.close()
            # Somebody else may have taken a port that was free a moment ago.
            if attempt == last or "Address already in use" not in self.log:
                break
        raise MosquittoError(f"Mosquitto does not listen on port {port}. Its log:\n{self.log}")

    def stop(self, timeout=10, kill=False):
        """End it: clients see a closed connection. kill=True gives it no time to save."""
        process, self._process = self._process, None
        if not process:
            return
        # More than once: a SIGTERM right behind "running", before its loop begins, is forgotten.
        for _ in range(max(1, round(timeout / _TERM_S))):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TERM_S)
                break
        else:
            process.kill()
            process.wait(timeout)
        self._reader.join(timeout)
        process.stderr.close()

    def wait_for_log(self, text, timeout=10):
        """Wait until its log holds a text."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not any(text in line for line in self._lines):
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise TimeoutError(f"no {text!r} in Mosquitto's log:\n{''.join(self._lines)}")
                self._changed.wait(left)

    def _launch(self, port, timeout):
        command = [find_mosquitto(), "-v", "-c", str(self._configure(port))]
        start_line = len(self._lines)
        self._ended = False
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                # It says "running" once every listener is open.
                if any(" running" in line for line in self._lines[start_line:]):
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._changed.wait(left)
        self.stop()
        return False

    def _configure(self, port):
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {port} {self.host}",
            "log_dest stderr",
            "set_tcp_nodelay true",
            f"allow_anonymous {'false' if self.users else 'true'}",
            f"persistence {'true' if self.persist else 'false'}",
        ]
        if self.persist:
            lines.append(f"persistence_location {self.directory}/")
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Started by root it would become the user mosquitto, who cannot enter our directory.
            lines.append("user root")
        if self.users:
            lines.append(f"password_file {self._passwords()}")
        config = self.directory / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n" + self.extra + "\n")
        return config

    def _passwords(self):
        program = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
        file = self.directory / "passwords"
        file.write_text("".join(f"{name}:{word}\n" for name, word in self.users.items()))
        file.chmod(0o600)
        # -U replaces the plain words in the file by their hashes.
        subprocess.run([program, "-U", str(file)], check=True, capture_output=True, timeout=10)
        return file

    def _read(self, process):
        for line in process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
