"""Request and response over MQTT 5.0 (4.10): ask and get an answer; answer who asks.

    asking = Requests(client, "board/1/answers")
    temperature = asking.request("oven/get", "temperature")

and on the other side, in a handler of set_message():  reply(client, m, payload)

With asyncio take Requests from aio_request.py. Everything here allocates.
"""

from os import urandom

from .codec import text
from .errors import MQTTException
from .message import view
from .properties import encode, sized
from .v5 import value


class Requests:
    """The requests of a client (version=5) whose answers come to topic.

    The topic should be this client's alone. If the server gives Response Information (ask for it
    with properties={"request_response_information": 1}), that goes in front. It is subscribed to
    with the first request of each connection. Messages of other topics go to the handler of the
    application, as before. An answer must fit in buffer_size.
    """

    def __init__(self, client, topic):
        self.c = client
        self._check()
        self._name = self.topic = text("topic", topic, 1)
        self._link = 0  # which connection is subscribed
        self._seed = urandom(4)  # an answer to who we were before a reset is not ours
        self._next = 0
        self._open = {}  # correlation data -> None, or the answer
        # of a store, or of other Requests: it goes on behind us
        f = client.__dict__.get("set_message")
        if f and not client._take:
            f(None)
        view(client)
        self._then = client._take
        client._take = self._message
        if not f:
            client.set_message = self._set_message

    def _set_message(self, f):
        self._then = f

    def _message(self, m):
        if m.topic_is(self.topic):
            key = m.property(9)
            if key in self._open and self._open[key] is None:
                self._open[key] = m.payload
        elif self._then:
            self._then(m)
        elif self.c.cb:
            self.c.cb(m.topic, m.payload)

    def _check(self):
        if "_v" not in self.c.__dict__:
            raise ValueError("Requests: needs MQTT 5.0")

    def _where(self):
        """The response topic, for SUBSCRIBE; None when it is subscribed."""
        c = self.c
        self._check()  # of version="auto" the server may know no more than 3.1.1
        if self._link == c._n[0]:
            return None
        x = value(c.connack, 0, 26)
        self.topic = text("topic", x.rstrip(b"/") + b"/" + self._name, 1) if x else self._name
        return self.topic

    def _begin(self, timeout_ms):
        """A new request: its correlation data, and its properties."""
        if "_v" not in self.c.__dict__:
            raise ValueError("Requests: the server has no MQTT 5.0")
        self._next += 1
        key = self._seed + self._next.to_bytes(4, "big")
        if timeout_ms is None:
            timeout_ms = self.c.timeout_ms
        x = {
            # nobody waits any longer
            "message_expiry_interval": max(1, (timeout_ms + 999) // 1000),
            "response_topic": self.topic,
            "correlation_data": key,
        }
        self._open[key] = None
        return key, encode("PUBLISH", x)

    def _heard(self, n, told):
        """Raise MQTTException(0x10) if the server has said so of the request n."""
        if told and self.c._v.codes[n % self.c._tab.slots] == 16:
            raise MQTTException(16, "server", None, None)

    def ask(self, topic, payload, qos=0, timeout_ms=None):
        """Send a request, do not wait for its answer: what to give to answer(), which must be
        called. Several may be open at once. Also inside a handler, where nothing is waited for.

        MQTTException(0x10): the server knows nobody who could answer (QoS 1 and 2).
        """
        c = self.c
        n = c._n[0]
        if self._where():
            c.subscribe(self.topic, 1, timeout_ms)
            self._link = n
        key, x = self._begin(timeout_ms)
        try:
            n = c.publish(topic, payload, False, qos, timeout_ms, x)
            self._heard(n, qos and not c._in)
        except BaseException:
            del self._open[key]
            raise
        return key

    def answer(self, key, timeout_ms=None):
        """Wait for the answer to what ask() has sent: bytes. Once for each key.

        OSError(ETIMEDOUT): none by timeout_ms; it is not waited for any longer. Other OSErrors:
        the link is lost.
        """
        end = self.c._end(timeout_ms)
        try:
            while self._open[key] is None:
                if not self.c._round(end):
                    raise OSError(110)
            return self._open[key]
        finally:
            self._open.pop(key, None)

    def request(self, topic, payload, qos=0, timeout_ms=None):
        """Ask, and return the answer: ask() and answer()."""
        return self.answer(self.ask(topic, payload, qos, timeout_ms), timeout_ms)


def address(m):
    """(topic, properties) for publish() of an answer to m; None when m asks for none."""
    topic = m.property(8)
    if not topic:
        return None
    x = m.property(9)
    return topic, sized(b"\x09" + len(x).to_bytes(2, "big") + x if x is not None else b"")


def reply(client, m, payload, qos=0):
    """Answer m, inside its handler, without waiting: as publish_nowait(), 0 means no room now.

    None: m asks for no answer. For one that comes later keep address(m).
    """
    to = address(m)
    if not to:
        return None
    return client.publish_nowait(to[0], payload, False, qos, to[1])
