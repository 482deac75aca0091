"""What single steps of MicroPython cost: callgrind cuts its counts at gc.isenabled().

Each step runs in a loop of its own; the first loop is empty and is taken off.
"""

import gc
import os
import select
import socket


class Plain:
    def __init__(self):
        self.x = 0

    def small(self):
        pass

    def large(self, a=0, b=0, c=0, d=0, e=0, f=0, g=0, h=0, i=0, j=0, k=0, l=0):  # noqa: E741
        pass


class View(Plain):
    @property
    def y(self):
        return 0


def empty(n):
    for _ in range(n):
        pass


def add(n):
    a = 3
    for _ in range(n):
        a + 4


def item(n):
    b = buf
    for _ in range(n):
        b[4]


def put(n):
    b = buf
    for _ in range(n):
        b[4] = 1


def load(n):
    o = plain
    for _ in range(n):
        o.x  # noqa: B018


def store(n):
    o = plain
    for _ in range(n):
        o.x = 1


def store_view(n):
    o = view
    for _ in range(n):
        o.x = 1


def small(n):
    o = plain
    for _ in range(n):
        o.small()


def large(n):
    o = plain
    for _ in range(n):
        o.large()


def topic(n):
    r = ring
    b = buf
    s = side
    m = memo
    for _ in range(n):
        r.write(b, 4, 12)
        r.readinto(s, 12)
        s == m  # noqa: B015


def write(n):
    s = sock
    b = buf
    for _ in range(n):
        s.write(b, 0, 30)


def wait(n):
    p = poll
    for _ in range(n):
        for _ in p.ipoll(0):
            pass


buf = bytearray(64)
side = bytearray(64)
memo = bytearray(64)
ring = None
try:
    from micropython import RingIO

    ring = RingIO(65)
except ImportError:
    pass
plain = Plain()
view = View()
sock = socket.socket()
sock.connect(socket.getaddrinfo("127.0.0.1", int(os.getenv("BENCH_PORT")))[0][-1])
sock.write(b"\x10\x0f\0\4MQTT\4\2\0\0\0\3abc")
sock.setblocking(False)
poll = select.poll()
poll.register(sock, 1)
for _ in poll.ipoll(10000):
    sock.readinto(buf, 4)
buf[:14] = b"\x30\x1c\0\x0asensor/abc"
steps = [empty, add, item, put, load, store, store_view, small, large, write, wait]
if ring:
    steps.append(topic)
for step in steps:
    step(20)
    gc.isenabled()
    step(200)
    gc.isenabled()
    print("step", step.__name__)
sock.close()
