"""Why does it not connect? Walks the way step by step and says what to change.

    from umqtt_plus.doctor import check
    check("broker.example", ssl=True, ssl_params={"cadata": "ca.der"}, user="u", password="p")

On a PC `make doctor ARGS="broker.example --tls --cafile ca.pem"` does the same. Loaded when used.
"""

import socket
from time import localtime, ticks_add, ticks_diff, ticks_ms

from .client import MQTTClient
from .errors import MQTTException
from .opening import open

_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"  # 3.1.1, clean, no client id
_YEAR = 2026  # of this file: no clock that is right says less

# what to do about a reason code, of 3.1.1 and of 5.0
_REFUSED = (
    (b"\x02\x85", "client_id", "client_id is not allowed: is it in the form the server asks for?"),
    (b"\x04\x86", "password", "user or password is wrong"),
    (b"\x05\x87\x8c", "password", "user or password is wrong, or may not use this client_id"),
    (b"\x01\x84", "version", "the server speaks another version: 4 is MQTT 3.1.1, 5 is 5.0"),
    (b"\x8a", "client_id", "the server has banned this client"),
    (b"\x03\x88\x89\x97\x9f", "server", "the server is up, but takes nobody now: try later"),
    (b"\x9c\x9d", "server", "the server has moved: ask who runs it for its new name"),
)
# what tls_errors.py says, and the step that it is about
_TLS = (
    ("not valid yet", "dates"),
    ("expired", "dates"),
    ("is not for", "name"),
    ("the CA", "ca"),
    ("self-signed", "ca"),
    ("client certificate", "client certificate"),
)


class _Found(Exception):
    """args: the step, what is wrong and what to do."""


def check(
    server,
    port=0,
    ssl=None,
    ssl_params={},
    client_id=b"umqtt_plus_doctor",
    user=None,
    password=None,
    topic=None,
    version=4,
    timeout_ms=10000,
    say=print,
):
    """Try each step, at most timeout_ms each, and say() what happens, a line for each.

    server: also a WebSocket, with its own port and ssl.
    topic: one that this client may publish and subscribe to; b"doctor/" + client_id if None.
    Returns None when all is well, else the name of the step that failed: "dns", "tcp", "clock",
    "tls", "plain", "ca", "name", "dates", "client_id", "password", "version", "server",
    "subscribe", "publish". No secret is ever said. Allocates.
    """
    try:
        at = server, port or (8883 if ssl else 1883), ssl, ssl_params
        if hasattr(server, "at"):  # a WebSocket
            name, _, port = server.at.partition(":")
            port = int(port or (443 if server.ssl else 80))
            at = name, port, server.ssl, server.ssl_params
        if not callable(at[0]):
            _reach(*at, timeout_ms, say)
        client = MQTTClient(
            client_id,
            server,
            port,
            user,
            password,
            30,
            ssl,
            ssl_params,
            version=version,
            timeout_ms=timeout_ms,
            buffer_size=1024,
        )
        _let_in(client, say)
        _round_trip(client, topic, say)
    except ValueError as e:
        say("NOT OK  " + str(e))
        return "ca" if "cadata" in str(e) else "arguments"
    except _Found as e:
        say("NOT OK  " + e.args[1])
        return e.args[0]
    say("all is well")


def _reach(server, port, ssl, ssl_params, timeout_ms, say):
    """Name, TCP, clock."""
    where = "%s:%d" % (server, port)
    # the name
    try:
        found = socket.getaddrinfo(server, port, 0, socket.SOCK_STREAM)
    except OSError:
        found = ()
    if not found:
        raise _Found(
            "dns", "the name %s is unknown: is it spelled right, and is the network up?" % server
        )
    say("name    %s has %d address%s" % (server, len(found), "es" if len(found) > 1 else ""))
    # TCP
    try:
        _open(server, port, timeout_ms).close()
    except OSError as e:
        if e.args[0] in (110, 116, 113, 101):
            raise _Found(
                "tcp",
                "%s does not answer: a firewall, or not the address of the server" % where,
            )
        raise _Found(
            "tcp",
            "nobody listens at %s: does the server run, and is it this port? 1883 is usual, 8883"
            " with TLS" % where,
        )
    say("tcp     %s answers" % where)
    # nobody looks at dates with a PSK, or with cert_reqs=0 and no CA
    ca = ssl_params.get("cadata") or ssl_params.get("cafile")
    if ssl and (ca or ssl is not True or not ("psk" in ssl_params or "cert_reqs" in ssl_params)):
        year = localtime()[0]
        if year < _YEAR:
            raise _Found(
                "clock",
                "the clock says %d, so no certificate can be judged: set it first"
                " (ntptime.settime())" % year,
            )
        say("clock   %d-%02d-%02d %02d:%02d" % localtime()[:5])


def _let_in(c, say):
    """TLS and CONNECT."""
    at = c.server, c.port, c.timeout_ms
    own = callable(c.server)  # a WebSocket
    try:
        c.connect()
    except MQTTException as e:
        code = e.args[0]
        for codes, step, text in _REFUSED:
            if code in codes:
                raise _Found(step, "%s (code %d, 0x%02x)" % (text, code, code))
        if not c.ssl and _alert(*at):
            raise _Found("tls", _WANTS_TLS % c.port)
        raise _Found("server", str(e))
    except OSError as e:
        text = str(e.args[1]) if len(e.args) > 1 else ""
        if c.ssl and text[:3] != "Web":
            if e.args[0] == 2:  # ENOENT
                raise _Found("ca", "a file that ssl_params names (cadata, cert, key) is not here")
            if not own and _first(*at)[:1] == b"\x20":
                raise _Found(
                    "plain",
                    "port %d speaks plain MQTT: leave ssl= out, or use the port for TLS, usually"
                    " 8883" % c.port,
                )
            for word, step in _TLS:
                if word in text:
                    raise _Found(step, text)
            if not own or text:
                raise _Found("tls", text or "the TLS handshake failed: %s" % e)
        elif not c.ssl and _alert(*at):
            raise _Found("tls", _WANTS_TLS % c.port)
        raise _Found(
            "server",
            own
            and text
            or "%s takes the connection and says nothing (%s): is it an MQTT server?"
            % (getattr(c.server, "at", "%s:%d" % at[:2]), e),
        )
    how = ", over TLS" if c.ssl and not own else ""
    say("connect as %s%s" % (str(c.client_id, "utf-8"), how))


_WANTS_TLS = "port %d speaks TLS: ssl=True with ssl_params, or use the plain port, usually 1883"


def _round_trip(c, topic, say):
    """SUBSCRIBE, PUBLISH, and the message comes back."""
    topic = topic or b"doctor/" + c.client_id
    mark = b"doctor %d" % ticks_ms()
    got = []
    c.set_message(lambda m: got.append(m.payload))
    step = "subscribe"
    now = ticks_ms()
    name = ""
    try:
        name = topic if isinstance(topic, str) else str(topic, "utf-8")
        c.subscribe(topic, 1)
        say("subscribed to " + name)
        step = "publish"
        now = ticks_ms()
        end = ticks_add(now, c.timeout_ms)
        c.publish(topic, mark, qos=1)
        while mark not in got and ticks_diff(end, ticks_ms()) > 0:
            c.wait_msg(max(1, ticks_diff(end, ticks_ms())))
    except (MQTTException, OSError) as e:
        raise _Found(
            step,
            "this user may not %s to %s (%s): give it the right, or name another topic"
            % (step, name, e),
        )
    finally:
        c.disconnect()
    if mark not in got:
        raise _Found(
            step,
            "what was published to %s does not come back: this user may not publish there" % name,
        )
    say("round trip %d ms" % ticks_diff(ticks_ms(), now))


def _open(server, port, timeout_ms):
    """A connected plain socket."""
    for s in open(server, port, None, {}, ticks_add(ticks_ms(), timeout_ms), 100):
        pass
    return s


def _first(server, port, timeout_ms):
    """The first bytes of the answer to a plain CONNECT; b"" when there are none."""
    b = bytearray(2)
    n = 0
    try:
        s = _open(server, port, timeout_ms)
    except OSError:
        return b""
    try:
        s.write(_CONNECT)
        import select

        p = select.poll()
        p.register(s, 1)
        p.poll(min(timeout_ms, 3000))
        n = s.readinto(b)
    except OSError:
        pass
    s.close()
    return bytes(b[: n or 0])


def _alert(server, port, timeout_ms):
    """Whether a server of TLS is there: it answers with an alert, or to a handshake."""
    x = _first(server, port, timeout_ms)
    if x:
        return x == b"\x15\x03"
    try:
        from .tls import TLS
        from .tls_params import context

        s = TLS(_open(server, port, timeout_ms), server, context({"cert_reqs": 0}.get), {})
    except (ImportError, OSError, ValueError):
        return False
    end = ticks_add(ticks_ms(), min(timeout_ms, 3000))
    try:
        while s.host and ticks_diff(end, ticks_ms()) > 0:
            s.write(_CONNECT)
        return not s.host
    except OSError as e:
        return "does not speak" not in str(e) and "hangs up" not in str(e)
    finally:
        s.close()
