"""Who gets a message: subscriptions, shared subscriptions, retained messages, $SYS.

Mixed into `core.Broker`.
"""

import time

from . import packets
from .packets import NONE
from .packets5 import split_shared
from .session import Message, Subscription
from .topics import matches

_VERSION = "umqtt_harness broker 2"
_MAX_CACHED_TOPICS = 10_000
_NOT_FORWARDED = {"topic_alias", "will_delay_interval"}


class _Target:
    """One copy for one session: at the highest QoS of its subscriptions that match."""

    __slots__ = ("session", "subscriptions", "qos", "keep_retain", "identifiers", "selective")

    def __init__(self, session, subscriptions):
        self.session = session
        self.subscriptions = subscriptions
        self.qos = max(s.qos for s in subscriptions)
        self.keep_retain = any(s.retain_as_published for s in subscriptions)
        self.identifiers = tuple(s.identifier for s in subscriptions if s.identifier)
        self.selective = any(s.no_local for s in subscriptions)

    def without_own(self, publisher):
        """As it is for messages of this publisher: without his No Local subscriptions."""
        if not self.selective or self.session.client_id != publisher:
            return self
        left = [s for s in self.subscriptions if not s.no_local]
        return _Target(self.session, left) if left else None


class Routing:
    def message_of(self, packet, client_id):
        """The Message in a PUBLISH or a will."""
        properties = packet.properties
        if not _NOT_FORWARDED.isdisjoint(properties):
            properties = {k: v for k, v in properties.items() if k not in _NOT_FORWARDED}
        return Message(
            packet.topic, packet.payload, packet.qos, packet.retain, client_id, properties
        )

    def route_from(self, message):
        """Routes what a client published; the number of takers."""
        topic = message.topic
        if topic[0] == "$" and topic.startswith(("$SYS/", "$CONTROL/")):
            # As Mosquitto: acknowledged and thrown away, unless somebody is in control.
            if self.control is not None and topic.startswith("$CONTROL/"):
                self.control.obey(topic[9:], message.payload)
            return 1
        return self.route_message(message)

    def route_message(self, message):
        args = (message.topic, message.payload, message.qos, message.retain, message.client_id)
        if message.properties:
            return self.route(*args, properties=message.properties)
        return self.route(*args)

    def route(self, topic, payload, qos=0, retain=False, client_id="", properties=NONE):
        """Keeps it if retained and hands it to everybody who asked for it; how many these are.

        Every message comes through here.
        """
        message = Message(topic, payload, qos, retain, client_id, properties)
        if "message_expiry_interval" in properties:
            message.expires_at = self.clock() + properties["message_expiry_interval"]
        if self.recording:
            self.routed.append(message)
        if retain:
            if payload:
                self.retained[topic] = message
            else:
                self.retained.pop(topic, None)
        return self._deliver(message)

    def _deliver(self, message):
        targets, groups = self._targets(message.topic)
        shared = None
        takers = 0
        for target in targets:
            if target.selective:
                target = target.without_own(message.client_id)
                if target is None:
                    continue
            takers += 1
            qos = self._qos(message.qos, target.qos)
            if qos == 0 and shared is None:
                shared = packets.publish(message.topic, message.payload)
            keep = message.retain and target.keep_retain
            target.session.deliver(message, qos, keep, target.identifiers, shared)
        for name, members in groups:
            target = self._next_member(name, members)
            keep = message.retain and target.keep_retain
            qos = self._qos(message.qos, target.qos)
            target.session.deliver(message, qos, keep, target.identifiers)
        return takers + len(groups)

    def _qos(self, published, granted):
        if "deliver_at_subscription_qos" in self.quirks:
            return granted
        return min(published, granted)

    def _targets(self, topic):
        """([one _Target for each copy], [(name, [_Target of each member]) of each group])."""
        found = self._targets_of.get(topic)
        if found is None:
            targets, groups = [], {}
            for session in self.client_sessions.values():
                matching = []
                for name, subscription in session.subscriptions.items():
                    if not matches(subscription.topic_filter, topic):
                        continue
                    if subscription.group:
                        groups.setdefault(name, []).append(_Target(session, [subscription]))
                    else:
                        matching.append(subscription)
                if self._copies_for(session):
                    targets += [_Target(session, [one]) for one in matching]
                elif matching:
                    targets.append(_Target(session, matching))
            if len(self._targets_of) >= _MAX_CACHED_TOPICS:
                self._targets_of.clear()
            found = self._targets_of[topic] = (targets, list(groups.items()))
        return found

    def _copies_for(self, session):
        """Does each of its subscriptions get a copy?"""
        if "copy_per_subscription" in self.quirks:
            return True
        return session.level == 5 and "copy_per_subscription_5" in self.quirks

    def _next_member(self, name, members):
        """In turn, those who are connected first."""
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        online = [m for m in members if m.session.connection is not None]
        return (online or members)[turn % len(online or members)]

    # Subscriptions

    def subscribe_one(self, session, topic_filter, options, granted, identifier=0):
        """Returns True when the session did not have this filter before."""
        new = topic_filter not in session.subscriptions
        group, matched = "", topic_filter
        if session.connection.terms is not None and topic_filter.startswith("$share/"):
            group, matched = split_shared(topic_filter)
        session.subscriptions[topic_filter] = Subscription(
            matched, granted, options, identifier, group
        )
        self._targets_of.clear()
        return new

    def unsubscribe_one(self, session, topic_filter):
        self._targets_of.clear()
        return session.subscriptions.pop(topic_filter, None) is not None

    # Retained messages

    def send_retained(self, session, topic_filter):
        subscription = session.subscriptions.get(topic_filter)
        wild = "+" in topic_filter or "#" in topic_filter
        if subscription is None:
            return
        if subscription.group:
            if "retained_to_shared" not in self.quirks:
                return
            topic_filter = subscription.topic_filter
        if wild and "no_retained_on_wildcard" in self.quirks:
            return
        if topic_filter.startswith("$SYS/"):
            self._retain_sys()
        identifiers = (subscription.identifier,) if subscription.identifier else ()
        for topic in list(self.retained) if wild else [topic_filter]:
            message = self.retained.get(topic)
            if message is None or not matches(topic_filter, topic):
                continue
            if message.expires_at is not None and message.expires_at <= self.clock():
                del self.retained[topic]
                continue
            qos = self._qos(message.qos, subscription.qos)
            if "retained_at_subscription_qos" in self.quirks:
                qos = subscription.qos
            session.deliver(message, qos, True, identifiers)

    def _retain_sys(self):
        if "no_sys" in self.quirks:
            return
        connected = sum(1 for s in self.client_sessions.values() if s.connection is not None)
        values = {
            "version": _VERSION,
            "uptime": f"{time.monotonic() - self._started:.0f} seconds",
            "clients/connected": connected,
            "messages/received": self.messages_received,
            "messages/sent": self.messages_sent,
        }
        for name, value in values.items():
            topic = f"$SYS/broker/{name}"
            self.retained[topic] = Message(topic, str(value).encode(), 0, True)

    def _refresh_sys(self):
        self._retain_sys()
        for topic in [name for name in self.retained if name.startswith("$SYS/")]:
            message = self.retained[topic]
            self._deliver(Message(topic, message.payload, 0, False))
        self._sys_timer = self.loop.call_later(self.sys_interval_s, self._refresh_sys)
