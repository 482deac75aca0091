"""What a test may tell the broker to do, called in the broker's loop.

Mixed into `core.Broker`; `broker.BrokerThread` and `control.Control` call the same methods.
"""

from dataclasses import dataclass

from .faults import ACKS, Fault
from .topics import matches


@dataclass
class Wire:
    """The raw bytes of one connection: `received` from the client, `sent` to it."""

    received: bytes
    sent: bytes


class Commands:
    def connection_of(self, client_id):
        """The live connection of a client id, or of a connection number."""
        for connection in self.connections:
            if client_id == connection.number:
                return connection
        session = self.client_sessions.get(client_id)
        if session is None or session.connection is None:
            online = [s.client_id for s in self.client_sessions.values() if s.connection]
            raise LookupError(f"{client_id!r} is not connected; connected are {online}")
        return session.connection

    def _chosen(self, client_id):
        if client_id is not None:
            return [self.connection_of(client_id)]
        return [c for c in self.connections if not c.closed]

    # Faults

    def fault(self, fault):
        """Adds a Fault; it is returned so that its `hits` can be watched."""
        self.faults.append(fault)
        return fault

    def drop(self, type, client_id=None, **fields):
        """Swallows the next packet(s) of this type."""
        return self.fault(Fault("drop", type, client_id, **fields))

    def delay(self, type, ms, client_id=None, **fields):
        return self.fault(Fault("delay", type, client_id, ms=ms, **fields))

    def hold_acks(self, client_id=None, types=ACKS):
        """Keeps back every acknowledgement until release()."""
        return self.fault(Fault("hold", types, client_id, count=None))

    def stall_connack(self, client_id=None):
        """Keeps back CONNACK, and what follows it, until release()."""
        return self.fault(Fault("hold", "CONNACK", client_id, count=None))

    def release(self, client_id=None):
        """Ends holding (of this client, or of all) and sends what was held, in order."""

        def ends(fault):
            return fault.action == "hold" and client_id in (None, fault.client_id)

        self.faults[:] = [fault for fault in self.faults if not ends(fault)]
        for connection in list(self.connections):
            if client_id is None or connection.client_id == client_id:
                connection.release()

    def refuse(self, code, count=1, client_id=None, **properties):
        """Answers the next CONNECT(s) with this return code; 5.0 adds the CONNACK's properties."""
        return self.fault(
            Fault("refuse", client_id=client_id, code=code, count=count, properties=properties)
        )

    def answer(
        self, type, code=0, client_id=None, *, codes=(), topic=None, nth=1, count=1, **properties
    ):
        """5.0: the next acknowledgement of this type says `code`, or `codes` for each filter.

        Other keywords are its properties: reason_string="full", user_property=[("a", "b")].
        What is refused so (0x80 and above) is not done: no message routed, nothing subscribed.
        """
        return self.fault(
            Fault("answer", type, client_id, topic=topic, nth=nth, count=count, code=code,
                  codes=tuple(codes), properties=properties)
        )  # fmt: skip

    def disconnect(self, client_id, code=0, close=True, **properties):
        """Sends DISCONNECT to a 5.0 client and closes, or leaves that to the client."""
        connection = self.connection_of(client_id)
        if connection.terms is None:
            raise ValueError(f"{client_id!r} speaks 3.1.1, in which no server can say this")
        if close:
            connection.disconnect(code, f"told to disconnect it with {code:02x}", properties)
        else:
            connection.send_disconnect(code, properties)

    def subscribe_result(self, codes, count=1, client_id=None):
        """Answers the next SUBSCRIBE(s) with exactly these codes."""
        return self.fault(Fault("suback", client_id=client_id, codes=tuple(codes), count=count))

    def clear_faults(self):
        """Forgets every fault, split and refusal, and releases what is held."""
        self.faults.clear()
        self.tcp_refusal = None
        self.split(0)
        for connection in list(self.connections):
            connection.release()

    def split(self, size, pause_ms=1, client_id=None):
        """Writes `size` bytes at a time from now on; 0 ends it. For all, or for one client."""
        if client_id is None:
            self.split_default = (size, pause_ms / 1000) if size else None
        for connection in self._chosen(client_id):
            connection.split_size, connection.split_pause_s = size, pause_ms / 1000

    def refuse_tcp(self, mode="close", count=None):
        """New connections are closed ("close"), reset ("reset") or never served ("hang")."""
        if mode not in ("close", "reset", "hang"):
            raise ValueError(f"mode={mode!r}: close, reset or hang")
        self.tcp_refusal = (mode, count)

    def accept_tcp(self):
        self.tcp_refusal = None

    # At once

    def publish(self, topic, payload=b"", qos=0, retain=False, properties=None):
        """Routes a message as if a client had published it."""
        payload = payload.encode() if isinstance(payload, str) else payload
        if properties:
            self.route(topic, payload, qos, retain, properties=dict(properties))
        else:
            self.route(topic, payload, qos, retain)

    def kill(self, client_id, how="rst"):
        """Ends the TCP connection with RST or FIN; the will goes out."""
        self.connection_of(client_id).kill(how)

    def raw(self, client_id, data):
        """Writes arbitrary bytes to a client."""
        self.connection_of(client_id).send_raw(data)

    def silence(self, client_id, read=True, write=True):
        """A half-open link: stops reading and/or writing, TCP stays open."""
        self.connection_of(client_id).silence(read, write)

    def pause_reading(self, client_id):
        """Reads nothing more, so that TCP's buffers fill up."""
        self.connection_of(client_id).silence(True, False)

    def resume_reading(self, client_id):
        self.connection_of(client_id).transport.resume_reading()

    # Looking

    @property
    def sessions(self):
        """{client_id: SessionInfo}, a snapshot."""
        return {name: session.info() for name, session in self.client_sessions.items()}

    def messages(self, topic_filter="#"):
        """Everything routed so far that the filter matches, as Messages."""
        return [m for m in self.routed if matches(topic_filter, m.topic)]

    def wire(self, client_id, connection=-1):
        """The bytes of a client's connection: 0 is its first, -1 its latest."""
        known = [c for c in self.history if c.client_id == client_id]
        if not known:
            raise LookupError(f"{client_id!r} never connected")
        chosen = known[connection]
        return Wire(bytes(chosen.wire_in), bytes(chosen.wire_out))
