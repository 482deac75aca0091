"""A server that plays a fixed script to one client, byte by byte.

    with Scripted([
        expect(b"\\x10\\x0d\\x00\\x04MQTT\\x04\\x02\\x00\\x00\\x00\\x01c"),
        send(b"\\x20\\x02\\x00\\x00", pieces=1),
        expect_type("PUBLISH"),
        close(),
    ]) as server:
        run_the_client(server.host, server.port)

Leaving the `with` block waits for the script's end; a mismatch raises ScriptError with both
sides in hex. After a mismatch the connection is reset, so the client does not hang.
`server.received` has every packet that `expect_type` took, `server.bytes_in` all bytes.
"""

import socket
import struct
import threading
import time

from .packets import NAMES


class ScriptError(AssertionError):
    """The client did something else than the script says."""


def expect(data):
    """Exactly these bytes."""
    return (f"expect {_name(data)} {bytes(data).hex(' ')}", lambda server: server._expect(data))


def expect_type(*names):
    """One whole packet of one of these types, whatever is in it."""
    return (f"expect {' or '.join(names)}", lambda server: server._expect_type(names))


def send(data, pieces=0, cuts=(), pause_ms=2):
    """Writes data: at once, in pieces of n bytes, or cut at the given places."""
    return (f"send {bytes(data).hex(' ')}", lambda s: s._send(data, pieces, cuts, pause_ms))


def close(how="fin"):
    """Ends the connection: "fin" or "rst"."""
    return (f"close {how}", lambda server: server._close(how))


def wait_eof():
    """The client closes now, without another byte (a reset counts as closing)."""
    return ("end of stream", lambda server: server._wait_eof())


def accept():
    """The client's next connection. The first one is accepted without it."""
    return ("a connection", lambda server: server._accept())


def call(function):
    """Runs function(server) between two steps, for instance to wait for an event."""
    return (f"call {getattr(function, '__name__', function)}", function)


def _name(data):
    return NAMES[data[0] >> 4] if data else ""


class Scripted:
    def __init__(self, steps, timeout=5.0, host="127.0.0.1"):
        """`timeout`: seconds that every single step may take."""
        self.steps = list(steps)
        self.timeout = timeout
        self.bytes_in = b""
        self.received = []
        self.error = None
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()[:2]
        self._sock = None
        self._ahead = b""  # read, not yet asked for
        self._deadline = 0.0
        self._stopped = False
        self._thread = threading.Thread(target=self._play, name="scripted", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def finish(self):
        """Waits for the end of the script and raises what went wrong in it."""
        self._thread.join(self.timeout * (len(self.steps) + 1) + 1)
        if self._thread.is_alive():
            raise ScriptError("the script does not end; is there a call() that waits for ever?")
        if self.error is not None:
            raise self.error

    def stop(self):
        """Gives the script up: closes everything without a verdict."""
        self._stopped = True
        self._hang_up()
        self._listener.close()
        self._thread.join(self.timeout + 1)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.finish()
            return
        self.stop()
        if self.error is not None and hasattr(error, "add_note"):
            error.add_note(f"meanwhile the script failed: {self.error}")

    def _play(self):
        at = ""
        try:
            for number, (what, action) in enumerate([accept(), *self.steps]):
                at = f"step {number} of {len(self.steps)}, {what}"
                self._deadline = time.monotonic() + self.timeout
                action(self)
        except Exception as error:
            if not self._stopped:
                self._fail(at, error)
        finally:
            if self._sock is not None:
                self._sock.close()
            self._listener.close()

    def _fail(self, at, error):
        if isinstance(error, TimeoutError):
            got = self._ahead.hex(" ") or "nothing"
            error = f"waited {self.timeout} s, got {got}"
        elif isinstance(error, OSError):
            error = f"connection lost: {error}"
        elif not isinstance(error, ScriptError):
            error = repr(error)
        self.error = ScriptError(f"{at}:\n{error}")
        self._hang_up()

    def _hang_up(self):
        """A reset, so that a client that waits for us hears of it."""
        sock = self._sock
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def _left(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _accept(self):
        if self._sock is not None:
            self._sock.close()
        self._listener.settimeout(self._left())
        self._sock, _ = self._listener.accept()
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ahead = b""

    def _read_more(self):
        """At least one byte more in `_ahead`; False at the end of the stream."""
        self._sock.settimeout(self._left())
        data = self._sock.recv(65536)
        self.bytes_in += data
        self._ahead += data
        return bool(data)

    def _expect(self, data):
        while len(self._ahead) < len(data) and data.startswith(self._ahead):
            if not self._read_more():
                raise ScriptError(_difference(data, self._ahead, "then the end of the stream"))
        if not self._ahead.startswith(data):
            raise ScriptError(_difference(data, self._ahead))
        self._ahead = self._ahead[len(data) :]

    def _packet_length(self):
        """Length of the packet at the front of `_ahead`, or 0 while its header is cut."""
        length = 0
        for i, byte in enumerate(self._ahead[1:5]):
            length |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return 2 + i + length
        if len(self._ahead) >= 5:
            raise ScriptError(f"remaining length of more than 4 bytes: {self._ahead[:5].hex(' ')}")
        return 0

    def _expect_type(self, names):
        while not (length := self._packet_length()) or len(self._ahead) < length:
            if not self._read_more():
                raise ScriptError(f"end of stream after {self._ahead.hex(' ') or 'nothing'}")
        packet, self._ahead = self._ahead[:length], self._ahead[length:]
        if _name(packet) not in names:
            raise ScriptError(f"got {_name(packet)}: {packet[:64].hex(' ')}")
        self.received.append(packet)

    def _send(self, data, pieces, cuts, pause_ms):
        self._sock.settimeout(self._left())
        places = list(range(pieces, len(data), pieces)) if pieces else sorted(cuts)
        last = 0
        for place in [*places, len(data)]:
            if last:
                # Not synchronisation: the pause lets the client read the piece on its own.
                time.sleep(pause_ms / 1000)
            self._sock.sendall(data[last:place])
            last = place

    def _close(self, how):
        if how == "rst":
            self._hang_up()
        else:
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.close()

    def _wait_eof(self):
        try:
            more = bool(self._ahead) or self._read_more()
        except ConnectionError:
            return
        if more:
            raise ScriptError(f"got {_name(self._ahead)}: {self._ahead[:64].hex(' ')}")


def _difference(wanted, got, then=""):
    at = next((i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), len(got))
    mark = " " * (10 + 3 * at) + "^^"
    lines = [f"  wanted: {wanted.hex(' ')}  {_name(wanted)}"]
    lines.append(f"  got:    {got[: len(wanted) + 16].hex(' ')}  {_name(got)}")
    return "\n".join([*lines, f"{mark} byte {at} {then}".rstrip()])
