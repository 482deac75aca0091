"""The floor: what bare sockets can do with prebuilt packets. No client at all.

Non-blocking socket and poller; a short write is an error; on receive the header first, then the
body. Never more is checked than that.
"""

import os
import select
import socket

from timing import measure, setting

mode = os.getenv("BENCH_MODE")
size = setting("SIZE", 16)
address = socket.getaddrinfo("127.0.0.1", setting("PORT", 0))[0][-1]
qos = int(mode[-1]) if mode[-1] in "012" else 0
CONNECT = b"\x10\x0f\0\4MQTT\4\2\0\0\0\3abc"

body = b"\0\x0asensor/abc" + (b"\0\1" if qos else b"") + b"x" * size
length = len(body)
head = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
packet = bytes([0x30 | qos << 1]) + head + body
ack = b"\x40\2\0\1"
rec = b"\x50\2\0\1"
rel = b"\x62\2\0\1"
comp = b"\x70\2\0\1"
rel10 = rel * 10
first = bytearray(2)
rest = bytearray(256)
s = poll = None


def connect():
    global s, poll
    s = socket.socket()
    s.connect(address)
    s.setsockopt(6, 1, 1)
    s.setblocking(False)
    poll = select.poll()
    poll.register(s, 1)
    send(CONNECT)
    wait()
    recv(rest, 4)


def send(p):
    if s.write(p) != len(p):
        raise OSError(11)


def wait():
    for _ in poll.ipoll(10000):
        pass


def recv(buf, n):
    k = s.readinto(buf, n)
    while k is None:
        wait()
        k = s.readinto(buf, n)
    if k != n:
        more(n - k, k)


def more(n, k):
    """What a read left over; its content is not looked at."""
    while n:
        if not k:
            raise OSError(104)
        wait()
        k = s.readinto(rest, n) or 0
        n -= k


def publish(n):
    for _ in range(n):
        send(packet)
        if qos:
            wait()
            recv(rest, 4)
            if qos == 2:
                send(rel)
                wait()
                recv(rest, 4)


def window(n):
    """Ten packets, one write each; then their answers at once."""
    for _ in range(n // 10):
        for _ in range(10):
            send(packet)
        wait()
        recv(rest, 40)
        if qos == 2:
            send(rel10)
            wait()
            recv(rest, 40)


def receive(n):
    number = b"%d" % n
    send(bytes([0x30, 5 + len(number)]) + b"\0\3go%d" % qos + number)
    got = 0
    while got < n:
        recv(first, 2)
        recv(rest, first[1])
        h = first[0]
        if h == 0x30:
            got += 1
        elif h == 0x32:
            send(ack)
            got += 1
        elif h == 0x34:
            send(rec)
        else:
            send(comp)
            got += 1


def link(n):
    for _ in range(n):
        connect()
        send(b"\xe0\0")
        s.close()


def trip(n):
    for _ in range(n):
        send(packet)
        wait()
        recv(first, 2)
        recv(rest, first[1])


connect()
if mode == "trip":
    send(b"\x82\x0f\0\1\0\x0asensor/abc\0")
    wait()
    recv(rest, 5)
if mode == "link":
    s.close()
run = {"publish": publish, "window": window, "receive": receive, "link": link, "trip": trip}
measure(run[mode.rstrip("012")], most=200 if mode == "link" else 200000)
s.close()
