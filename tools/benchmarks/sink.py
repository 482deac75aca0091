"""The answering sink in Python, for machines without a C compiler; and the one in C, compiled.

A sink answers everything at once and checks nothing. PUBLISH to topic "goQ" with payload "N",
"N SIZE TOPIC TURN", or less of it, asks it for N messages of QoS Q with a payload of SIZE bytes
(64) and a topic of TOPIC bytes (sensor/abc), with TURN 1 two topics in turn; at most 16 (QoS 2) or
1000 (QoS 1) messages are open at a time.
It prints its port, serves any number of connections, and ends with its standard input.
Paced (always in Python), it sends one QoS 0 message every 3 to 13 ms, by chance; the payload
begins with the time of the write in ns.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WINDOW = (500, 1000, 16)  # open messages at most; for QoS 0 what is sent at once
_TOPIC = b"sensor/abc"


class Sink:
    """A running sink: `with Sink(directory) as sink: connect(sink.port)`; sink.kind says which."""

    def __init__(self, directory, force_python=False, paced=False):
        self.kind, self._command = "Python", [sys.executable, __file__]
        if paced:
            self._command.append("paced")
        program = None if force_python or paced else build(directory)
        if program:
            self.kind, self._command = "C", [str(program)]

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        # It listens before it prints, and prints or dies.
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError("the sink did not start: " + " ".join(self._command))
        self.port = int(line)
        self.pid = self._process.pid
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()


def build(directory):
    return compiled(directory, "sink.c", "-pthread")


def compiled(directory, source, *options):
    """Compile a C file of this folder; the program, or None where that does not work."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None
    target = Path(directory) / source.removesuffix(".c")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [*compiler.split(), "-O2", "-o", str(target), str(HERE / source), *options]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return target if done.returncode == 0 else None


class Connection:
    def __init__(self, link):
        self.link = link
        self.qos = self.left = self.open = self.next_id = 0
        self.size, self.topic, self.turn = 64, _TOPIC, 0

    def serve(self):
        data = b""
        while True:
            more = self.link.recv(65536)
            if not more:
                return
            data += more
            out = []
            i = 0
            while True:
                end = self.packet(data, i, out)
                if not end:
                    break
                i = end
            data = data[i:]
            if out:
                self.link.sendall(b"".join(out))
            while self.left and self.open < WINDOW[self.qos]:
                self.link.sendall(b"".join(self.messages(WINDOW[self.qos] - self.open)))

    def packet(self, data, i, out):
        """Answer the packet at data[i:]; where the next one begins, 0 when it is not whole."""
        if len(data) - i < 2:
            return 0
        n, q, shift = data[i + 1], i + 2, 7
        if n > 127:
            if len(data) - i < 3:
                return 0
            n = n & 127 | data[q] << shift
            q += 1
        if len(data) - q < n:
            return 0
        head, body = data[i], data[q : q + n]
        kind = head >> 4
        if kind == 1:
            out.append(b"\x20\x02\x00\x00")
        elif kind == 3:
            self.publish(head >> 1 & 3, body, out)
        elif kind == 4:
            self.open -= 1
        elif kind == 5:
            out.append(b"\x62\x02" + body[:2])
        elif kind == 6:
            out.append(b"\x70\x02" + body[:2])
        elif kind == 7:
            self.open -= 1
        elif kind == 8:
            out.append(b"\x90\x03" + body[:2] + body[-1:])
        elif kind == 10:
            out.append(b"\xb0\x02" + body[:2])
        elif kind == 12:
            out.append(b"\xd0\x00")
        return q + n

    def publish(self, qos, body, out):
        k = 2 + (body[0] << 8 | body[1])
        topic, packet_id = body[2:k], body[k : k + 2]
        if qos:
            out.append((b"\x40\x02" if qos == 1 else b"\x50\x02") + packet_id)
        if topic[:2] == b"go":
            self.qos = int(topic[2:])
            numbers = [int(word) for word in body[k + 2 if qos else k :].split()]
            defaults = [0, 64, 10, 0]
            self.left, self.size, length, self.turn = numbers + defaults[len(numbers) :]
            self.topic = _TOPIC if length == 10 else b"t" * length

    def messages(self, count):
        for _ in range(min(count, self.left)):
            self.left -= 1
            packet_id = b""
            if self.qos:
                self.open += 1
                self.next_id = self.next_id % 65535 + 1
                packet_id = self.next_id.to_bytes(2, "big")
            yield self.packet_of(packet_id, b"x" * self.size)

    def packet_of(self, packet_id, payload):
        topic = self.topic[:-1] + b"z" if self.turn and not self.left & 1 else self.topic
        body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
        n = len(body)
        length = (n,) if n < 128 else (n & 127 | 128, n >> 7)
        return bytes((0x30 | self.qos << 1, *length)) + body


class Paced(Connection):
    def messages(self, count):
        self.left -= 1
        time.sleep(random.uniform(0.003, 0.013))
        yield self.packet_of(b"", time.time_ns().to_bytes(8, "big") + b"x" * (self.size - 8))


def listen(listener, connection):
    while True:
        link, _ = listener.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(link, connection), daemon=True).start()


def serve(link, connection):
    with link, contextlib.suppress(OSError):
        connection(link).serve()


def main():
    connection = Paced if sys.argv[1:] == ["paced"] else Connection
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=listen, args=(listener, connection), daemon=True).start()
        os.read(0, 1)  # until the parent closes it, or is gone


def temporary():
    """A private directory for one run."""
    return tempfile.TemporaryDirectory(prefix="umqtt-bench-")


if __name__ == "__main__":
    main()
