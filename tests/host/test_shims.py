"""The shims answer as MicroPython does: one script runs on both, and must print the same.

A small server in a thread reacts to single letters, so that the script never depends on timing.
"""

import builtins
import contextlib
import select
import socket
import threading
import time

import pytest
import shims
from shims import ticks

SCRIPT = """
import os, select, socket, sys

PORT = {port}
CLOSED_PORT = {closed_port}
address = socket.getaddrinfo("127.0.0.1", PORT, 0, socket.SOCK_STREAM)[0][-1]
buf = bytearray(8)


def events(ms=5000):
    print([(obj is s, flags) for obj, flags in poller.ipoll(ms)])


s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect(address)
s.setblocking(False)
poller = select.poll()
poller.register(s, select.POLLIN)
print("nothing there", s.readinto(buf), s.read(4), list(poller.ipoll(0)))
print("write", s.write(b"h"))  # the server says hello
events()
print("limited", s.readinto(buf, 3), bytes(buf[:3]))
print("rest", s.readinto(buf), bytes(buf[:2]), s.readinto(buf))
print("offset", s.write(b"?h?", 1, 1), s.write(b"h??", 1))
n = 0
for _ in range(10):  # the answers may come in one piece or two
    for _ in poller.ipoll(5000 if n < 10 else 0):
        n += s.readinto(memoryview(buf)[: 1 + n % 2])
print("two answers", n)
poller.modify(s, select.POLLOUT)
events()
poller.modify(s, select.POLLIN)
print("close", s.write(b"c"))
for _, flags in poller.ipoll(5000):
    print("readable", flags & select.POLLIN)
print("end of stream", s.readinto(buf), s.read(4), s.read())
poller.unregister(s)
poller.unregister(s)
try:
    poller.modify(s, 1)
except OSError as error:
    print("modify", error.args[0])
s.close()

s = socket.socket()
s.connect(address)
s.setsockopt(socket.SOL_SOCKET, 7, 1)  # SO_SNDBUF as small as it gets
s.setblocking(False)
print("stall", s.write(b"s"))  # the server stops reading
block = bytearray(1 << 20)
sizes = []
while not sizes or sizes[-1]:
    sizes.append(s.write(block))
    if len(sizes) > 100:
        break
print("partial", len(sizes) > 1, 0 < sizes[0] < len(block), sizes[-1])
s.close()

s = socket.socket()
s.setblocking(False)
try:
    s.connect(socket.getaddrinfo("127.0.0.1", CLOSED_PORT)[0][-1])
    print("connected at once")
except OSError as error:
    print("connect", error.args[0])
poller.register(s, select.POLLOUT)
for _, flags in poller.ipoll(5000):
    print("refused", bool(flags & (select.POLLERR | select.POLLHUP)))
try:
    print(s.readinto(buf))
except OSError as error:
    print("read", error.args[0])
s.close()
for name in ("recv_into", "getsockname"):
    print(name, hasattr(s, name))
"""

EXPECTED_END = "recv_into False\ngetsockname False\n"


def _serve(listener, done):
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(20)
                reacting = True
                while reacting and (data := peer.recv(64)):
                    for letter in data.decode():
                        if letter == "h":
                            peer.sendall(b"hello")
                        elif letter == "c":
                            reacting = False
                        elif letter == "s":
                            done.wait(20)
                            reacting = False


@pytest.fixture
def ports():
    """The server's port, and one on which nobody listens."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    listener.settimeout(20)
    closed = socket.socket()  # bound but not listening: refuses, and nobody else takes it
    closed.bind(("127.0.0.1", 0))
    server = threading.Thread(target=_serve, args=(listener, done), daemon=True)
    server.start()
    yield listener.getsockname()[1], closed.getsockname()[1], done
    done.set()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    closed.close()
    server.join(5)


def test_same_as_micropython(ports, micropython, capsys):
    port, closed_port, done = ports
    source = SCRIPT.format(port=port, closed_port=closed_port)
    wanted = micropython.run(source).stdout
    done.set()
    assert wanted.endswith(EXPECTED_END)
    names = dict(vars(builtins), __import__=shims._import)
    done.clear()
    exec(compile(source, "script", "exec"), {"__builtins__": names})
    assert capsys.readouterr().out == wanted


def test_others_keep_the_real_modules():
    import umqtt_plus.opening as opening

    assert opening.socket is shims.socket
    assert opening.select is shims.select
    assert hasattr(socket.socket, "recv_into")
    assert hasattr(select, "epoll") or hasattr(select, "kqueue")


def test_late_imports_are_replaced():
    names = dict(vars(builtins), __import__=shims._import)
    scope = {"__builtins__": names}
    exec("def late():\n import socket\n return socket", scope)
    assert scope["late"]() is shims.socket


def test_clock_can_be_set_to_the_wrap():
    before = time.ticks_ms()
    with ticks.ticks_at(ticks.PERIOD - 5):
        start = time.ticks_ms()
        assert start >= ticks.PERIOD - 5 or start < 1000
        time.sleep_ms(10)
        now = time.ticks_ms()
        assert now < 10_000
        assert 10 <= time.ticks_diff(now, start) < 10_000
    assert 0 <= time.ticks_diff(time.ticks_ms(), before) < 60_000
