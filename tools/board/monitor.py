"""What the board prints, by mpremote; or what it publishes, by a small subscriber."""

import getpass
import os
import socket
import subprocess
import sys
import time

from umqtt_harness import packets

from board import ports
from board.problem import Problem

KEEP_ALIVE_S = 30


def run(port=None, mqtt=None, topic="#", user=None, count=0, dry=False):
    if mqtt:
        host, _, number = mqtt.partition(":")
        if number and not (number.isdigit() and 0 < int(number) < 65536):
            raise Problem(f"--mqtt {mqtt}: the port is no number from 1 to 65535")
        if dry:
            print(f"would subscribe to {topic} at {host}:{number or 1883}")
            return
        password = None
        if user:
            try:
                password = os.environ.get("MQTT_PASSWORD") or getpass.getpass()
            except EOFError:
                raise Problem("nobody can be asked here: set MQTT_PASSWORD") from None
        subscribe(host, int(number or 1883), topic, user, password, count)
        return
    try:
        port = ports.find(port)
    except Problem:
        if not dry:
            raise
        port = "PORT"
    words = console(port)
    if dry:
        print("would run: mpremote " + " ".join(words))
        return
    ports.check(port)
    status = subprocess.run([sys.executable, "-m", "mpremote", *words]).returncode
    if status:
        raise Problem(f"mpremote ended with {status}, see above")


def console(port):
    """Arguments for mpremote; resume: the program on the board is not disturbed."""
    return ["connect", port, "resume", "repl"]


# -- a subscriber ---------------------------------------------------------------------------------


def text(value):
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def connect_packet(client_id, user=None, password=None):
    flags = 2 | (0x80 if user else 0) | (0x40 if password else 0)
    body = text("MQTT") + bytes((4, flags)) + KEEP_ALIVE_S.to_bytes(2, "big") + text(client_id)
    body += b"".join(text(value) for value in (user, password) if value)
    return b"\x10" + packets.remaining_length(len(body)) + body


def subscribe_packet(topic):
    body = b"\x00\x01" + text(topic) + b"\x01"
    return b"\x82" + packets.remaining_length(len(body)) + body


class Stream:
    """Whole packets from a socket, and a ping when it is time."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""
        self.sent = time.monotonic()

    def packet(self, deadline_s=None):
        """(first byte, body). Pings for as long as nothing comes."""
        silent = 0
        end = None if deadline_s is None else time.monotonic() + deadline_s
        while True:
            whole = self._whole()
            if whole:
                return whole
            self.sock.settimeout(deadline_s or KEEP_ALIVE_S / 2)
            try:
                more = self.sock.recv(65536)
            except TimeoutError:
                silent += 1
                if silent > 2 or end and time.monotonic() >= end:
                    raise Problem("the broker does not answer any more") from None
                self.sent = time.monotonic()
                self.sock.sendall(b"\xc0\x00")
                continue
            if not more:
                raise Problem("the broker closed the connection")
            silent = 0
            self.data += more
            if deadline_s is None and time.monotonic() - self.sent > KEEP_ALIVE_S / 2:
                self.sent = time.monotonic()  # what the broker sends does not count
                self.sock.sendall(b"\xc0\x00")

    def _whole(self):
        size = shift = 0
        for at in range(1, min(len(self.data), 5)):
            size |= (self.data[at] & 127) << shift
            shift += 7
            if self.data[at] < 128:
                end = at + 1 + size
                if len(self.data) < end:
                    return None
                first, body = self.data[0], self.data[at + 1 : end]
                self.data = self.data[end:]
                return first, body
        return None


def subscribe(host, port, topic, user=None, password=None, count=0, out=print):
    """Print what comes; ends after count messages, 0 never."""
    try:
        sock = socket.create_connection((host, port), 10)
    except (OSError, UnicodeError) as error:  # of a name with an empty part
        why = getattr(error, "strerror", None) or error
        raise Problem(
            f'no broker at {host}:{port} ({why}). Here is one: make broker ARGS="--host 0.0.0.0"'
        ) from None
    with sock:
        try:
            _read(Stream(sock), topic, user, password, count, out)
        except OSError as error:
            raise Problem(f"the link to the broker broke ({error.strerror or error})") from None


def _read(stream, topic, user, password, count, out):
    client_id = f"monitor-{os.getpid()}-{time.time_ns() % 100000}"
    stream.sock.sendall(connect_packet(client_id, user, password))
    first, body = stream.packet(10)
    if first != 0x20 or body[1:] != b"\x00":
        code = body[1] if len(body) > 1 else "?"
        more = ": user or password" if code in (4, 5) else ""
        raise Problem(f"the broker refuses, code {code}{more}")
    stream.sock.sendall(subscribe_packet(topic))
    seen = 0
    while not count or seen < count:
        first, body = stream.packet()
        if first == 0x90 and body[2:] == b"\x80":
            raise Problem(f"the broker does not let us subscribe to {topic}")
        if first >> 4 == 3:
            seen += 1
            end = 2 + int.from_bytes(body[:2], "big")
            payload = body[end + 2 :] if first & 6 else body[end:]
            if first & 6:
                stream.sock.sendall(b"\x40\x02" + body[end : end + 2])
            out(f"{shown(body[2:end])} {shown(payload)}")
    stream.sock.sendall(b"\xe0\x00")


def shown(payload):
    """Text as it is, without what a terminal would obey; other bytes in hex."""
    try:
        string = payload.decode()
    except UnicodeDecodeError:
        return payload.hex(" ")
    return string if string.isprintable() else repr(string)
