"""A small, exact MQTT 3.1.1 and 5.0 broker for tests, with faults on command.

    from umqtt_harness.broker import BrokerThread, Fault

    with BrokerThread() as b:                   # a thread with its own loop, a free port
        client_connects_to(b.host, b.port)
        b.drop("PUBACK", client_id="c1")        # swallow the next PUBACK to c1
        b.wait_for(type="PUBLISH", direction="in", dup=True, timeout=5)
        assert b.violations == []               # the client broke no rule

Everything below is thread-safe. Options are those of `core.Broker`: users, quirks, window,
max_queued, receive_buffer, sys_interval_s, log_limit, control ...

Life       start()  stop(keep_sessions=True, how="fin")  (same port again)  close()
Look       log  mark()  packets(...)  wait_for(...)  wait_until(f)  wait_connected(id)
           wait_gone(id)  messages(filter)  sessions  violations  wire(id, connection=-1)
At once    publish(topic, payload, qos, retain, properties)  kill(id, how)  raw(id, data)
           silence(id, read, write)  pause_reading(id)  resume_reading(id)
           disconnect(id, code, **properties)  advance(seconds)
Faults     fault(Fault(...))  drop(type)  delay(type, ms)  hold_acks()  stall_connack()
           release()  refuse(code)  subscribe_result(codes)  split(size)  refuse_tcp(mode)
           accept_tcp()  clear_faults()  answer(type, code, **properties)

`log` holds an `Event` for each packet on each connection, in order. Select by fields, a tuple
meaning any of: packets(client_id="c1", direction="in", type=("PUBACK", "PUBREC"), since=mark).
Faults are data, see `faults.Fault`; deviations of real brokers are `faults.QUIRKS` and
`QUIRKS_5`.
A wait that fails raises TimeoutError with what was wanted and the end of the log.
`violations` lists what clients did wrong, also where the connection survived it.

A client speaks the version of its CONNECT. For 5.0: limits={"receive_maximum": 2, ...} are
announced and enforced, auth={"METHOD": function} are methods for AUTH (see `handshake`), and
like="hivemq" takes limits and quirks of a real broker from `profiles`. advance(3600) puts the
clock forward by which sessions, messages and wills expire.

As a program: python -m umqtt_harness.broker --port 1883 --verbose. With --control any client
may command it through the topics of `control`.
"""

import asyncio
import functools
import sys
import threading

from .core import Broker
from .events import Event
from .faults import QUIRKS, QUIRKS_5, Fault
from .handshake import AuthRefused
from .profiles import PROFILES
from .session import Message, SessionInfo

__all__ = [
    "PROFILES",
    "QUIRKS",
    "QUIRKS_5",
    "AuthRefused",
    "Broker",
    "BrokerThread",
    "Event",
    "Fault",
    "Message",
    "SessionInfo",
]

_CALL_TIMEOUT_S = 10


def _in_loop(name):
    """A method of Broker, run in the broker's thread while the caller waits."""
    method = getattr(Broker, name)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        return self._call(lambda: method(self.broker, *args, **kwargs))

    return call


class BrokerThread:
    """A Broker in a thread of its own. `with` starts and closes it."""

    def __init__(self, **options):
        self.broker = Broker(**options)
        self.log = self.broker.log
        self.errors = []  # exceptions inside the broker: a bug of ours, raised by close()
        self._loop = None
        self._thread = None

    # Life

    def start(self):
        """Listens; after stop() on the same port as before."""
        if self._thread is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(self._on_error)
            self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
            self._thread.start()
        try:
            self._await(self.broker.start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def stop(self, keep_sessions=True, how="fin"):
        """The broker dies: connections end, no wills; start() brings it back."""
        self._await(self.broker.stop(keep_sessions, how))

    def close(self):
        """Ends the broker and its thread. Raises if the broker had an error inside."""
        if self._thread is None:
            return
        try:
            self._await(self.broker.aclose())
        finally:
            self._end_thread()
        if self.errors:
            raise RuntimeError("error inside the broker") from self.errors[0]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        try:
            self.close()
        except RuntimeError:
            if kind is None:
                raise

    @property
    def host(self):
        return self.broker.host

    @property
    def port(self):
        return self.broker.port

    # Looking

    def mark(self):
        """A place in the log, for `since=`."""
        return self.log.mark()

    def packets(self, predicate=None, since=0, **fields):
        """The events that fit, so far."""
        return self._call(lambda: self.log.select(predicate, since, **fields))

    def wait_for(self, predicate=None, timeout=5.0, count=1, since=0, **fields):
        """The count-th event that fits; waits for it."""
        return self.log.wait_for(predicate, timeout, count, since, **fields)

    def wait_until(self, condition, timeout=5.0, what=""):
        """Waits until condition() is true and returns its value."""
        return self.log.wait_until(condition, timeout, what)

    def wait_connected(self, client_id, timeout=5.0):
        def connected():
            info = self.sessions.get(client_id)
            return info is not None and info.connected

        return self.wait_until(connected, timeout, f"{client_id} to connect")

    def wait_gone(self, client_id, timeout=5.0):
        """Waits until the client has no live connection; its session may stay."""

        def gone():
            info = self.sessions.get(client_id)
            return info is None or not info.connected

        return self.wait_until(gone, timeout, f"{client_id} to go")

    @property
    def sessions(self):
        return self._call(lambda: self.broker.sessions)

    @property
    def violations(self):
        return self._call(lambda: list(self.broker.violations))

    messages = _in_loop("messages")
    wire = _in_loop("wire")

    # At once

    publish = _in_loop("publish")
    kill = _in_loop("kill")
    disconnect = _in_loop("disconnect")
    advance = _in_loop("advance")
    raw = _in_loop("raw")
    silence = _in_loop("silence")
    pause_reading = _in_loop("pause_reading")
    resume_reading = _in_loop("resume_reading")

    # Faults

    fault = _in_loop("fault")
    drop = _in_loop("drop")
    delay = _in_loop("delay")
    hold_acks = _in_loop("hold_acks")
    stall_connack = _in_loop("stall_connack")
    release = _in_loop("release")
    refuse = _in_loop("refuse")
    answer = _in_loop("answer")
    subscribe_result = _in_loop("subscribe_result")
    split = _in_loop("split")
    refuse_tcp = _in_loop("refuse_tcp")
    accept_tcp = _in_loop("accept_tcp")
    clear_faults = _in_loop("clear_faults")

    # The thread

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _end_thread(self):
        thread, self._thread = self._thread, None
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join(_CALL_TIMEOUT_S)
        if thread.is_alive():
            raise RuntimeError("the broker's thread does not end")
        self._loop.close()

    def _on_error(self, loop, context):
        self.errors.append(context.get("exception") or RuntimeError(context["message"]))

    def _call(self, function):
        if self._thread is None or threading.current_thread() is self._thread:
            return function()

        async def run():
            return function()

        return self._await(run())

    def _await(self, coroutine):
        if self._thread is None:
            coroutine.close()
            raise RuntimeError("the broker is not running: call start() first")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(_CALL_TIMEOUT_S)


if __name__ == "__main__":
    from .cli import main

    sys.exit(main())
