"""CONNECT to CONNACK in both versions, and enhanced authentication with AUTH.

Mixed into `core.Broker`. A server method for authentication is a callable

    def method(client_id, data):      # data: what the client sent with CONNECT, or b""
        data = yield challenge        # each yield is an AUTH 0x18; it gives the client's answer
        if wrong(data):
            raise AuthRefused(0x87)
        return last_data              # with the CONNACK or, re-authenticating, AUTH 0x00

or one without any yield, if a single step is enough.
"""

import inspect

from . import packets, packets5
from .packets import PROTOCOL_ERROR, Malformed
from .session import NEVER, Session
from .terms import QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, Terms

_CONTINUE, _REAUTHENTICATE = 0x18, 0x19
_BAD_METHOD, _NOT_AUTHORIZED, _UNSUPPORTED_VERSION = 0x8C, 0x87, 0x84


class AuthRefused(Exception):
    """Raised by a server method: the client is not who it says. `code` goes to the client."""

    def __init__(self, code=_NOT_AUTHORIZED, **properties):
        super().__init__(f"authentication refused with {code:02x}")
        self.code = code
        self.properties = properties


class Exchange:
    """One run of a server method."""

    def __init__(self, function, client_id, data):
        self.returned = None
        result = function(client_id, data)
        self._steps = result if inspect.isgenerator(result) else None
        if self._steps is None:
            self.returned = result

    def step(self, data=None):
        """(done, data for the client)"""
        if self._steps is None:
            return True, self.returned
        try:
            return False, self._steps.send(data)
        except StopIteration as end:
            return True, end.value


class Handshake:
    def _connect(self, connection, connect, fault):
        if connect.protocol_level == 5 and connect.protocol_name == "MQTT":
            self._connect5(connection, connect, fault)
            return
        code = self._judge(connect, fault)
        if code:
            connection.send(packets.CONNACK, packets.connack(0, code))
            connection.close(f"refused with code {code}")
            return
        if connect.keep_alive_s == 0 and "no_connack_keepalive_0" in self.quirks:
            connection.close("quirk: keep alive 0")
            return
        client_id = connect.client_id or self._new_id()
        session, session_present = self._session_for(connection, connect, client_id)
        session.expiry_s = 0 if connect.clean_session else NEVER
        connection.start_keep_alive(connect.keep_alive_s)
        told = session_present and "session_present_always_zero" not in self.quirks
        connection.send(packets.CONNACK, packets.connack(told, 0))
        session.resume()

    def _judge(self, connect, fault):
        """The CONNACK return code of 3.1.1. As Mosquitto, a wrong password gets 5, not 4."""
        if fault is not None and fault.action == "refuse":
            return fault.code
        if (connect.protocol_name, connect.protocol_level) != ("MQTT", 4):
            return 1
        if not connect.client_id and not connect.clean_session:
            return 2
        if self._password_is_good(connect):
            return 0
        return 4 if "bad_password_0x86" in self.quirks and connect.user is not None else 5

    def _password_is_good(self, connect):
        if connect.user is None:
            return self.allow_anonymous
        return not self.users or self.users.get(connect.user) == (connect.password or b"")

    def _new_id(self):
        self._generated_ids += 1
        return f"auto-{self._generated_ids}"

    def _session_for(self, connection, connect, client_id):
        """(the session that now belongs to this connection, was it there before)"""
        connection.client_id = client_id
        session = self.client_sessions.get(client_id)
        if session is not None and session.connection is not None:
            old = session.connection
            if "no_takeover_disconnect" in self.quirks:
                old.close("session taken over")
            else:
                old.disconnect(0x8E, "session taken over")
            session = self.client_sessions.get(client_id)
        if session is not None and connect.clean_session:
            self.end_session(session)
            session = None
        session_present = session is not None
        if session is None:
            session = Session(client_id, self)
            self.client_sessions[client_id] = session
        session.ends_at = session.delayed_will = None
        if session.level != connect.protocol_level:
            session.level = connect.protocol_level
            self._targets_of.clear()
        session.connection = connection
        connection.session = session
        connection.will = connect.will
        connection.waiting = connection.exchange = None
        self.arm()
        return session, session_present

    # MQTT 5.0

    def _connect5(self, connection, connect, fault):
        for quirk, answer in (
            ("refuse_5_with_1", packets.connack(0, 1)),
            ("refuse_5_with_0x84", packets5.connack(0, _UNSUPPORTED_VERSION)),
            ("refuse_5_by_closing", b""),
        ):
            if quirk in self.quirks:
                if answer:
                    connection.send(packets.CONNACK, answer, code=answer[3])
                connection.close(f"quirk: {quirk}")
                return
        connection.terms = Terms(connect, self.limits, self.quirks)
        if fault is not None and fault.action == "refuse":
            forced = fault
        else:
            forced = self.faults.answer(connect.client_id, "CONNACK")
        if forced is not None and forced.code:
            self._refuse5(connection, forced.code, forced.properties)
            return
        code = self._judge5(connect)
        if code:
            self._refuse5(connection, code)
            return
        if connect.keep_alive_s == 0 and "no_connack_keepalive_0" in self.quirks:
            connection.close("quirk: keep alive 0")
            return
        connection.waiting = connect
        if connection.terms.method is None:
            self._accept5(connection, None, forced.properties if forced else None)
        else:
            self._begin_exchange(connection, connect.properties.get("authentication_data"))

    def _judge5(self, connect):
        if connect.will is not None:
            if connect.will.qos > self.limits.get("maximum_qos", 2):
                return QOS_NOT_SUPPORTED
            if connect.will.retain and not self.limits.get("retain_available", 1):
                return RETAIN_NOT_SUPPORTED
        method = connect.properties.get("authentication_method")
        if method is not None:
            return 0 if method in self.auth else _BAD_METHOD
        if self._password_is_good(connect):
            return 0
        return 0x86 if "bad_password_0x86" in self.quirks else _NOT_AUTHORIZED

    def _refuse5(self, connection, code, properties=None):
        self._send_connack5(connection, False, code, dict(properties or {}))
        connection.refuse_connect(f"refused with code {code:02x}")

    def _send_connack5(self, connection, session_present, code, properties):
        raw = connection.terms.trimmed(
            lambda props: packets5.connack(session_present, code, props), properties, always=True
        )
        connection.send(packets.CONNACK, raw, code=code, properties=properties)

    def _accept5(self, connection, data, extra):
        connect, terms = connection.waiting, connection.terms
        properties = {k: v for k, v in self.limits.items() if k != "session_expiry_interval"}
        if not terms.response_information:
            properties.pop("response_information", None)
        client_id = connect.client_id
        if not client_id:
            client_id = properties["assigned_client_identifier"] = self._new_id()
        expiry_s = min(terms.session_expiry_s, self.limits.get("session_expiry_interval", NEVER))
        if expiry_s != terms.session_expiry_s:
            properties["session_expiry_interval"] = expiry_s
        if terms.method is not None:
            properties["authentication_method"] = terms.method
            if data is not None:
                properties["authentication_data"] = data
        properties.update(extra or {})
        session, session_present = self._session_for(connection, connect, client_id)
        session.expiry_s = expiry_s
        connection.limit_packets(self.limits.get("maximum_packet_size", 0))
        connection.start_keep_alive(self.limits.get("server_keep_alive", connect.keep_alive_s))
        told = session_present and "session_present_always_zero" not in self.quirks
        terms.resumed = told
        self._send_connack5(connection, told, 0, properties)
        if "token_runs_out" in self.quirks:
            self.loop.call_later(
                self.token_lifetime_s, connection.disconnect, 0xA0, "token ran out"
            )
        session.resume()

    # AUTH

    def _begin_exchange(self, connection, data):
        method = self.auth[connection.terms.method]
        self._run_exchange(
            connection, lambda: Exchange(method, connection.client_id, data or b""), None
        )

    def _run_exchange(self, connection, exchange, data):
        """One step; the answer is AUTH 0x18, or the end of the exchange."""
        terms = connection.terms
        try:
            if callable(exchange):
                exchange = exchange()
            done, answer = exchange.step(data)
        except AuthRefused as refused:
            connection.exchange = None
            if connection.session is None:
                self._refuse5(connection, refused.code, refused.properties)
            else:
                why = f"authentication failed with {refused.code:02x}"
                connection.disconnect(refused.code, why, refused.properties)
            return
        connection.exchange = None if done else exchange
        if done and connection.session is None:
            self._accept5(connection, answer, None)
            return
        properties = {"authentication_method": terms.method}
        if answer is not None:
            properties["authentication_data"] = answer
        connection.send_auth(0 if done else _CONTINUE, properties)

    def _auth(self, connection, packet):
        method = connection.terms.method
        if method is None:
            raise Malformed("AUTH without an Authentication Method in CONNECT", PROTOCOL_ERROR)
        if packet.properties["authentication_method"] != method:
            raise Malformed("AUTH with another Authentication Method", PROTOCOL_ERROR)
        data = packet.properties.get("authentication_data")
        if packet.reason_code == _REAUTHENTICATE:
            if connection.session is None or connection.exchange is not None:
                raise Malformed("re-authentication inside an exchange", PROTOCOL_ERROR)
            self._begin_exchange(connection, data)
        elif connection.exchange is None:
            raise Malformed("AUTH 18 without an open exchange", PROTOCOL_ERROR)
        else:
            self._run_exchange(connection, connection.exchange, data or b"")
