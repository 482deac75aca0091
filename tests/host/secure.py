"""For tests of TLS and WebSocket: certificates, a Mosquitto with a listener of each kind, a proxy
that holds back, and both interpreters. A test module loads it with pytest_plugins.
"""

import contextlib
import os
import socket
import textwrap
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import certs as tool
import pytest
from umqtt_harness import mosquitto as broker

ROOT = Path(__file__).resolve().parents[2]
PSK = "0123456789abcdef"
PROGRAMS = {"default": None, "32bit": ROOT / ".cache" / "micropython32" / "micropython"}

# What every script has: DIR of the certificates, a client of a listener, what a call cost in fds.
WORLD = """
import os, sys
from time import ticks_add, ticks_diff, ticks_ms
from umqtt_plus import MQTTClient, MQTTException
DIR = os.getenv("CERTS")
PORT = int(os.getenv("MQTT_PORT"))

def read(name, how="rb"):
    with open(DIR + "/" + name, how) as f:
        return f.read()

def params(**more):
    found = {"cadata": DIR + "/ca.der"}
    found.update(more)
    return found

def client(name="tls", ssl_params=None, host="localhost", port=PORT, ssl=True, **options):
    if ssl_params is None:
        ssl_params = params()
    return MQTTClient(name, host, port, ssl=ssl, ssl_params=ssl_params, **options)

def fds():
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0

def failure(c, *args):
    # The error of connect(), in one line, with the sockets that are left and the time it took.
    n = fds()
    t = ticks_ms()
    try:
        c.connect(*args)
        said = "none"
    except Exception as e:
        said = type(e).__name__ + " " + " ".join(str(x) for x in e.args)
    print("%s; %d sockets left; %d ms" % (said, fds() - n, ticks_diff(ticks_ms(), t)))

def round_trip(c, payload=b"hello", qos=1, topic=b"secure/t"):
    got = []
    c.set_message(lambda m: got.append(bytes(m.payload)))
    c.subscribe(topic, qos)
    c.publish(topic, payload, qos=qos)
    end = ticks_add(ticks_ms(), 5000)
    while not got and ticks_diff(end, ticks_ms()) > 0:
        c.wait_msg(100)
    return got == [payload]

def locked(c, size, count):
    # Messages of each QoS there and back, count of them with the heap locked; how many came.
    from micropython import heap_lock, heap_unlock
    n = 0

    def message(m):
        nonlocal n
        n += m.topic_is(b"lock")

    c.set_message(message)
    c.connect()
    c.subscribe(b"lock", 2)
    payload = bytes(size)

    def round_trips(count):
        for qos in (0, 1, 2):
            for i in range(count):
                want = n + 1
                c.publish(b"lock", payload, False, qos)
                while n < want:
                    c.wait_msg(5000)

    round_trips(3)
    heap_lock()
    try:
        round_trips(count)
    finally:
        heap_unlock()
    c.disconnect()
    return n - 9
"""


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """A directory with a CA, servers right and wrong, and a device."""
    if not tool.find_openssl():
        pytest.skip(tool.MISSING)
    here = tmp_path_factory.mktemp("certs")
    now, day = datetime.now(timezone.utc), timedelta(days=1)
    local = ["localhost", "127.0.0.1"]
    authority = tool.Authority(here)
    authority.issue("server", "localhost", local)
    authority.issue("expired", "localhost", local, now - 90 * day, now - 2 * day)
    authority.issue("future", "localhost", local, now + 90 * day, now + 120 * day)
    authority.issue("other_name", "other", ["other.example"])
    authority.issue("self_signed", "localhost", local, self_signed=True)
    authority.issue("device", "device")
    foreign = tool.Authority(here, "Foreign CA", "foreign_ca")
    foreign.issue("foreign", "localhost", local)
    foreign.issue("foreign_device", "device")
    return here


class Listeners:
    """port(name) of each: plain, server, expired, ..., mtls, psk, ws, wss."""

    host = "127.0.0.1"
    psk = PSK

    def __init__(self, directory, certs):
        self.ports = {}
        self._places = []
        extra = []
        files = "certfile {0}/{1}.crt\nkeyfile {0}/{1}.key"
        servers = ("server", "expired", "future", "other_name", "self_signed", "foreign")
        kinds = {name: files.format(certs, name) for name in servers}
        right = kinds["server"]
        kinds["mtls"] = f"{right}\ncafile {certs}/ca.crt\nrequire_certificate true"
        (directory / "psk").write_text(f"device:{PSK}\n")
        kinds["psk"] = f"psk_hint hint\npsk_file {directory}/psk"
        kinds["ws"] = "protocol websockets"
        kinds["wss"] = f"protocol websockets\n{right}"
        for name, lines in kinds.items():
            self._places.append(broker.Place())
            self.ports[name] = self._places[-1].port
            extra.append(f"listener {self.ports[name]} {self.host}\n{lines}")
        extra.append("max_queued_messages 0")
        self.broker = broker.Mosquitto(directory, extra="\n".join(extra))

    def __enter__(self):
        self.broker.start()
        self.ports["plain"] = self.broker.port
        return self

    def __exit__(self, *_):
        self.broker.__exit__()
        for place in self._places:
            place.close()

    def port(self, name):
        return self.ports[name]


@pytest.fixture(scope="session")
def listeners(tmp_path_factory, certs):
    if not broker.find_mosquitto():
        pytest.skip(broker.MISSING)
    with Listeners(tmp_path_factory.mktemp("listeners"), certs) as running:
        yield running


@pytest.fixture
def own_listeners(tmp_path, certs):
    """The same, to be stopped and started."""
    if not broker.find_mosquitto():
        pytest.skip(broker.MISSING)
    place = tmp_path / "listeners"
    place.mkdir()
    with Listeners(place, certs) as running:
        yield running


@pytest.fixture(params=list(PROGRAMS))
def machine(request, monkeypatch):
    """Each test runs on MicroPython 64-bit (TLS 1.2 at most) and on Debian's 32-bit (TLS 1.3)."""
    program = PROGRAMS[request.param]
    if program:
        program = os.environ.get("MICROPYTHON32") or program
        if not Path(program).exists():
            pytest.skip("no 32-bit MicroPython here (make size ARGS=--fetch-32bit)")
        monkeypatch.setenv("MICROPYTHON", str(program))
    return request.param


@pytest.fixture
def start(micropython, certs, machine):
    """start(port, script, ...): a running script, with WORLD before it."""

    def start(port, script, **options):
        env = {"MQTT_PORT": port, "CERTS": certs, **options.pop("env", {})}
        return micropython.start(WORLD + textwrap.dedent(script), env=env, **options)

    return start


@pytest.fixture
def lines(start):
    """The same, run to its end: what it printed, as lines."""

    def lines(port, script, timeout=30, **options):
        return start(port, script, **options).wait(timeout).stdout.splitlines()

    return lines


class Proxy:
    """Passes bytes on to a port, in a thread; what the server sends only up to `most` bytes.

    small: socket buffers as small as they get, so that writes end half-way. damage: (i, bits)
    changes bits of byte i. hold: from so many bytes of the client on nothing is read any more,
    until `released` is set.
    """

    host = "127.0.0.1"

    def __init__(self, port, most=None, small=False, damage=None, hold=None):
        self.target = port
        self.most = most
        self.small = small
        self.damage = damage
        self.hold = hold
        self.released = threading.Event()
        self.passed = 0  # bytes of the server
        self.closed = threading.Event()  # the client has closed
        self._stop = False
        self._listener = socket.socket()
        if small:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._listener.bind((self.host, 0))
        self._listener.listen(8)
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop = True
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _damaged(self, data):
        at, bits = self.damage or (-1, 0)
        if self.passed <= at < self.passed + len(data):
            data = bytearray(data)
            data[at - self.passed] ^= bits
        return data

    def _accept(self):
        while not self._stop:
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                server = None
                if self.target:
                    server = socket.create_connection((self.host, self.target))
                thread = threading.Thread(target=self._pass, args=(client, server), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _pass(self, client, server):
        up = threading.Thread(target=self._up, args=(client, server), daemon=True)
        up.start()
        with client, contextlib.suppress(OSError):
            while server and not self._stop:
                server.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    data = server.recv(4096)
                    if not data:
                        client.shutdown(socket.SHUT_WR)
                        break
                    if self.most is not None:
                        data = data[: max(0, self.most - self.passed)]
                    data = self._damaged(data)
                    self.passed += len(data)
                    client.sendall(data)
            up.join(30)
        if server:
            server.close()

    def _up(self, client, server):
        client.settimeout(0.1)
        came = 0
        while not self._stop:
            try:
                if self.hold is not None and came >= self.hold and not self.released.wait(0.1):
                    continue
                data = client.recv(1024 if self.small else 65536)
                if not data:
                    break
                came += len(data)
                if server:
                    server.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                break
        self.closed.set()
        if server:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy():
    """proxy(port, ...): a Proxy, ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Proxy(*args, **options))
