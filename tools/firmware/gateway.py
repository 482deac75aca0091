"""Lets a board reach servers on this machine: its PPP line at one end, sockets at the other.

10.0.0.1 is 127.0.0.1 of this machine to the board; nothing else is there. TCP in small: the line
keeps the order, so what is lost is sent again from there on.
"""

import selectors
import socket
import threading
import time

from firmware import ppp

MSS = 536
AHEAD = 2 * MSS  # the board's serial buffer is small
AGAIN_S = 5  # its clock is slow
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2, "big")


class Flow:
    """One TCP connection of the board."""

    def __init__(self, gateway, source, port, seq):
        self.gateway = gateway
        self.source = source  # the board's port
        self.port = port
        self.wants = seq + 1 & 0xFFFFFFFF  # from the board
        self.una = 0  # first byte it has not acknowledged
        self.window = 0
        self.out = bytearray()  # from una + 0 on
        self.sent = 0  # of out
        self.end = 0  # 1: the server has closed, 2: the board was told
        self.since = time.monotonic()
        self.sock = None

    def segment(self, flags, data=b"", offset=0, options=b""):
        seq = self.una + offset & 0xFFFFFFFF
        head = self.port.to_bytes(2, "big") + self.source.to_bytes(2, "big")
        head += seq.to_bytes(4, "big") + self.wants.to_bytes(4, "big")
        head += bytes((5 + len(options) // 4 << 4, flags)) + (4096).to_bytes(2, "big")
        size = 20 + len(options) + len(data)
        pseudo = ppp.OURS + ppp.PEER + b"\0\x06" + size.to_bytes(2, "big")
        mark = checksum(pseudo + head + bytes(4) + options + data)
        tcp = head + mark + bytes(2) + options + data
        ip = b"\x45\0" + (20 + len(tcp)).to_bytes(2, "big") + bytes((0, 0, 0x40, 0, 64, 6, 0, 0))
        ip += ppp.OURS + ppp.PEER
        self.gateway.line.packet(ip[:10] + checksum(ip) + ip[12:] + tcp)

    def accept(self):
        self.segment(_SYN | _ACK, b"", -self.una, b"\x02\x04" + MSS.to_bytes(2, "big"))

    def push(self):
        """Send what the board has room for; then the end, if it came."""
        while self.sent < len(self.out):
            size = min(MSS, len(self.out) - self.sent, min(self.window, AHEAD) - self.sent)
            if size <= 0:
                return
            data = bytes(self.out[self.sent : self.sent + size])
            self.segment(_ACK | _PSH, data, self.sent)
            self.sent += size
        if self.end == 1:
            self.segment(_ACK | _FIN, b"", len(self.out))
            self.end = 2

    def receive(self, seq, ack, flags, window, data):
        self.window = window
        if flags & _ACK:
            done = ack - self.una & 0xFFFFFFFF
            if 0 < done <= len(self.out) + (self.end == 2):
                del self.out[:done]
                self.sent = max(0, self.sent - done)
                self.una = ack
                self.since = time.monotonic()
        if data or flags & _FIN:
            if seq == self.wants:
                self.wants = self.wants + len(data) + (flags & _FIN) & 0xFFFFFFFF
                if data:
                    self.sock.sendall(data)
                if flags & _FIN:
                    self.sock.shutdown(socket.SHUT_WR)
            self.segment(_ACK, b"", self.sent)
        self.push()

    def again(self, now):
        if (self.out or self.end == 2) and now - self.since > AGAIN_S:
            self.since = now
            self.sent = 0
            self.end = min(self.end, 1)
            self.push()


class Gateway:
    """Listens on loopback at `port` for the one serial line of an emulated board."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.line = ppp.Line(self._send, self._packet)
        self.flows = {}
        self.serial = None
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.server, selectors.EVENT_READ, self._accept)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.stopping.set()
        self.thread.join(10)

    def _run(self):
        try:
            while not self.stopping.is_set():
                for key, _ in self.selector.select(0.1):
                    key.data()
                now = time.monotonic()
                for flow in self.flows.values():
                    flow.again(now)
        finally:
            for key in list(self.selector.get_map().values()):
                key.fileobj.close()
            self.selector.close()

    def _accept(self):
        self.serial, _ = self.server.accept()
        self.selector.register(self.serial, selectors.EVENT_READ, self._from_board)

    def _from_board(self):
        try:
            data = self.serial.recv(4096)
        except OSError:
            data = b""  # the emulator was ended
        if data:
            self.line.feed(data)
        else:
            self.selector.unregister(self.serial)

    def _send(self, data):
        try:
            self.serial.sendall(data)
        except OSError:
            pass  # as above

    def _packet(self, packet):
        start = (packet[0] & 15) * 4
        tcp = packet[start : int.from_bytes(packet[2:4], "big")]
        if packet[9] != 6 or packet[16:20] != ppp.OURS:
            return
        source, port = int.from_bytes(tcp[:2], "big"), int.from_bytes(tcp[2:4], "big")
        seq, ack = int.from_bytes(tcp[4:8], "big"), int.from_bytes(tcp[8:12], "big")
        flags, window = tcp[13], int.from_bytes(tcp[14:16], "big")
        data = tcp[(tcp[12] >> 4) * 4 :]
        flow = self.flows.get(source)
        if flags & _SYN:
            self._open(source, port, seq)
        elif flags & _RST:
            self._drop(flow)
        elif flow:
            try:
                flow.receive(seq, ack, flags, window, data)
            except OSError:
                flow.segment(_RST | _ACK)
                self._drop(flow)

    def _open(self, source, port, seq):
        flow = self.flows.get(source)
        if flow and (flow.port, flow.wants) == (port, seq + 1 & 0xFFFFFFFF):
            flow.accept()  # the board asked again before it had the answer
            return
        self._drop(flow)
        flow = Flow(self, source, port, seq)
        try:
            flow.sock = socket.create_connection(("127.0.0.1", port), 5)
        except OSError:
            flow.segment(_RST | _ACK)
            return
        self.flows[source] = flow
        flow.una = 1
        flow.accept()
        self.selector.register(flow.sock, selectors.EVENT_READ, lambda: self._from_server(flow))

    def _from_server(self, flow):
        try:
            data = flow.sock.recv(1024)
        except OSError:
            data = b""
        if data:
            flow.out += data
            flow.since = time.monotonic()
        else:
            flow.end = flow.end or 1
            self.selector.unregister(flow.sock)
        flow.push()

    def _drop(self, flow):
        if flow and self.flows.pop(flow.source, None):
            try:
                self.selector.unregister(flow.sock)
            except KeyError:
                pass  # the server had closed
            flow.sock.close()
