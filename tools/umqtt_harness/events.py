"""What happened on the wire, in order, and waiting for it from another thread."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .packets import NONE


@dataclass(slots=True)
class Event:
    """One packet on one connection, or one thing that happened to a connection.

    direction: "in" from the client, "out" handed to its socket, "lost" swallowed by a fault
    instead, "held" kept back by a fault, "conn" for OPEN and CLOSE. `client_id` is empty until
    CONNECT: an OPEN belongs to the client whose later events have the same `connection`.
    """

    t: float  # seconds since the broker was made
    connection: int  # 1, 2, 3 ... over all clients
    client_id: str
    direction: str
    type: str  # "PUBLISH" ..., "RAW", "MALFORMED", "OPEN", "CLOSE"
    packet_id: int = 0
    qos: int = 0
    dup: bool = False
    retain: bool = False
    topic: str = ""
    payload: bytes = b""
    raw: bytes = b""
    fault: str = ""  # the action that touched this packet
    note: str = ""  # why a connection was closed, what a packet broke
    # MQTT 5.0; reason_code of a SUBACK or UNSUBACK is its first, of MALFORMED what we answer
    reason_code: int = 0
    properties: dict = NONE  # of a CONNECT also "will": {...}
    filters: list | tuple = ()  # [(topic_filter, options), ...]

    def __str__(self):
        text = f"{self.t:9.3f} #{self.connection} {self.client_id or '-'} {self.direction:4} "
        text += self.type
        if self.type == "PUBLISH":
            text += f" q{self.qos}{' dup' if self.dup else ''}{' retain' if self.retain else ''}"
            text += f" {self.topic} {self.payload[:40]!r}"
            if len(self.payload) > 40:
                text += f"... ({len(self.payload)} bytes)"
        if self.packet_id:
            text += f" id={self.packet_id}"
        if self.reason_code:
            text += f" {self.reason_code:02x}"
        for topic_filter, options in self.filters:
            text += f" {topic_filter}({options:02x})"
        if self.properties:
            text += f" {self.properties}"
        if self.type in ("RAW", "MALFORMED"):
            text += f" {self.raw[:40].hex(' ')}"
        if self.fault:
            text += f" [{self.fault}]"
        return f"{text} ({self.note})" if self.note else text


def selector(predicate, fields):
    """A test for events: a function, or fields that must be equal (a tuple means any of)."""
    if fields:
        unknown = set(fields) - set(Event.__slots__)
        if unknown:
            raise TypeError(f"an event has no field {', '.join(sorted(unknown))}")
    wanted = {
        k: v.encode() if k == "payload" and isinstance(v, str) else v
        for k, v in fields.items()
        if v is not None
    }

    def chosen(event):
        for name, value in wanted.items():
            have = getattr(event, name)
            if have not in value if isinstance(value, (tuple, set, list)) else have != value:
                return False
        return predicate is None or predicate(event)

    return chosen


class EventLog(Sequence):
    """The newest `limit` events. Appended by the broker, read and awaited by any thread."""

    def __init__(self, limit):
        self.limit = limit
        self.start = time.monotonic()
        self._events = []
        self._forgotten = 0
        self._changed = threading.Condition()
        self._waiters = 0

    def append(self, event):
        with self._changed:
            self._events.append(event)
            if len(self._events) > self.limit:
                cut = self.limit // 4 + 1
                del self._events[:cut]
                self._forgotten += cut
            if self._waiters:
                self._changed.notify_all()

    def wake(self):
        """Lets waiters look again at a state that is not in the log."""
        with self._changed:
            self._changed.notify_all()

    def mark(self):
        """A place in the log, for `since=`: the number of events so far."""
        with self._changed:
            return self._forgotten + len(self._events)

    def select(self, predicate=None, since=0, **fields):
        chosen = selector(predicate, fields)
        with self._changed:
            events = self._events[max(0, since - self._forgotten) :]
        return [event for event in events if chosen(event)]

    def wait_for(self, predicate=None, timeout=5.0, count=1, since=0, **fields):
        """The count-th event that fits, waiting for it if need be."""
        chosen = selector(predicate, fields)
        deadline = time.monotonic() + timeout
        found = 0
        at = since
        more = True
        with self._changed:
            while more:
                for event in self._events[max(0, at - self._forgotten) :]:
                    if chosen(event):
                        found += 1
                        if found == count:
                            return event
                at = self._forgotten + len(self._events)
                more = self._wait(deadline) or self._forgotten + len(self._events) > at
        what = " ".join(f"{k}={v!r}" for k, v in fields.items() if v is not None)
        if predicate is not None:
            what += f" {getattr(predicate, '__name__', predicate)}"
        raise TimeoutError(
            f"waited {timeout} s for event {count} with {what or 'anything'}, saw {found}; "
            f"the log:\n{self.tail()}"
        )

    def wait_until(self, condition, timeout=5.0, what=""):
        """Waits until condition() is true; it is asked again after every event."""
        deadline = time.monotonic() + timeout
        late = False
        while True:
            seen = self.mark()
            result = condition()
            if result:
                return result
            if late:
                break
            with self._changed:
                if self._forgotten + len(self._events) == seen:
                    # Some state changes without an event: look again soon in any case.
                    self._wait(min(deadline, time.monotonic() + 0.02))
            late = time.monotonic() >= deadline
        raise TimeoutError(
            f"waited {timeout} s for {what or getattr(condition, '__name__', 'a condition')}; "
            f"the log:\n{self.tail()}"
        )

    def _wait(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self._waiters += 1
        try:
            return self._changed.wait(left)
        finally:
            self._waiters -= 1

    def tail(self, count=30):
        with self._changed:
            events = self._events[-count:]
        return "\n".join(str(event) for event in events) or "  (nothing happened)"

    def clear(self):
        with self._changed:
            self._forgotten += len(self._events)
            self._events.clear()

    def __len__(self):
        with self._changed:
            return len(self._events)

    def __getitem__(self, index):
        with self._changed:
            return self._events[index]
