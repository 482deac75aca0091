"""The far end of a PPP line (RFC 1661, 1662, 1332), as a board's lwIP needs it: no options of our
own, an address for the peer, everything else refused.
"""

OURS = bytes((10, 0, 0, 1))
PEER = bytes((10, 0, 0, 2))
LCP, IPCP, IPV4 = 0xC021, 0x8021, 0x0021
_REQUEST, _ACK, _NAK, _REJECT, _TERMINATE, _TERMINATED = range(1, 7)
_PROTOCOL_REJECT, _ECHO, _ECHOED = 8, 9, 10
_FLAG, _ESCAPE = 0x7E, 0x7D


def fcs(data):
    """The check sequence of a frame (CRC-16/X-25)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


def frame(protocol, payload):
    body = b"\xff\x03" + protocol.to_bytes(2, "big") + payload
    out = bytearray((_FLAG,))
    for byte in body + fcs(body).to_bytes(2, "little"):
        if byte < 0x20 or byte in (_FLAG, _ESCAPE):
            out += bytes((_ESCAPE, byte ^ 0x20))
        else:
            out.append(byte)
    out.append(_FLAG)
    return bytes(out)


class Line:
    """feed(bytes) what the peer sent; send(bytes) and on_packet(IPv4 packet) are called."""

    def __init__(self, send, on_packet):
        self.send = send
        self.on_packet = on_packet
        self.up = False  # the peer has its address
        self.damaged = 0  # frames with a wrong check sequence
        self._part = bytearray()
        self._id = 0

    def feed(self, data):
        self._part += data
        *frames, self._part = self._part.split(bytes((_FLAG,)))
        for raw in frames:
            self._frame(raw)

    def _frame(self, raw):
        body = bytearray()
        escaped = False
        for byte in raw:
            if byte == _ESCAPE:
                escaped = True
            else:
                body.append(byte ^ 0x20 if escaped else byte)
                escaped = False
        if len(body) < 4:
            return
        if fcs(body[:-2]) != int.from_bytes(body[-2:], "little"):
            self.damaged += 1
            return
        body = bytes(body[2:-2] if body[:2] == b"\xff\x03" else body[:-2])
        size = 1 if body[0] & 1 else 2  # the peer may shorten it
        protocol, payload = int.from_bytes(body[:size], "big"), body[size:]
        if protocol == IPV4:
            self.on_packet(payload)
        elif protocol in (LCP, IPCP):
            self._control(protocol, payload)
        else:
            self._put(LCP, _PROTOCOL_REJECT, self._next(), body)

    def packet(self, data):
        self.send(frame(IPV4, data))

    def _next(self):
        self._id = self._id + 1 & 255
        return self._id

    def _put(self, protocol, code, number, data=b""):
        size = (4 + len(data)).to_bytes(2, "big")
        self.send(frame(protocol, bytes((code, number)) + size + data))

    def _control(self, protocol, payload):
        code, number = payload[:2]
        data = payload[4 : int.from_bytes(payload[2:4], "big")]
        if code == _REQUEST:
            answer, data = addresses(data) if protocol == IPCP else (_ACK, data)
            self._put(protocol, answer, number, data)
            if answer == _ACK:
                if protocol == IPCP:
                    self._put(IPCP, _REQUEST, self._next(), b"\x03\x06" + OURS)
                else:
                    self._put(LCP, _REQUEST, self._next())
        elif code == _ACK and protocol == IPCP:
            self.up = True
        elif code == _TERMINATE:
            self.up = False
            self._put(protocol, _TERMINATED, number)
        elif code == _ECHO:
            self._put(LCP, _ECHOED, number, bytes(4) + data[4:])


def addresses(data):
    """The answer to the peer's IPCP options: (code, options). It wants an address and servers."""
    wanted = {3: PEER, 129: OURS, 131: OURS}
    refused = other = b""
    rest = data
    while len(rest) >= 2 and rest[1] >= 2:
        option, rest = rest[: rest[1]], rest[rest[1] :]
        if option[0] not in wanted:
            refused += option
        elif option[2:] != wanted[option[0]]:
            other += option[:2] + wanted[option[0]]
    if refused:
        return _REJECT, refused
    return (_NAK, other) if other else (_ACK, data)
