"""What happens by the clock: sessions that end, wills that were put off, slow queues.

Mixed into `core.Broker`. The clock can be put forward, so that no test waits for an hour.
"""

import time

from .session import NEVER


class Timers:
    def clock(self):
        """Seconds. What expires, expires by this clock."""
        return time.monotonic() + self._ahead_s

    def advance(self, seconds):
        """Puts the clock forward: sessions end, messages expire and wills go out as in time.

        Keep alive goes by the real clock and is not touched.
        """
        self._ahead_s += seconds
        self._act_on_time()

    # Sessions

    def detach(self, connection, will):
        """The connection takes no part any more: its session stays or goes, its will goes out."""
        session = connection.session
        held = False
        if session is not None and session.connection is connection:
            session.connection = None
            if "qos2_dedup_lost" in self.quirks:
                self._forget_open_ids(session)
            if session.expiry_s == 0 or "sessions_lost" in self.quirks:
                self.end_session(session)
            else:
                if session.expiry_s != NEVER and "session_expiry_ignored" not in self.quirks:
                    session.ends_at = self.clock() + session.expiry_s
                held = will is not None and self._put_off(session, will)
        if will is not None and not held:
            self.route_message(self.message_of(will, connection.client_id))
        self.arm()

    def _forget_open_ids(self, session):
        received = [one for one in session.received.values() if not one.routed]
        session.received.clear()
        for one in received:
            self.route_from(one.message)

    def _put_off(self, session, will):
        delay_s = will.properties.get("will_delay_interval", 0)
        if not delay_s or "will_delay_ignored" in self.quirks:
            return False
        session.delayed_will = (self.clock() + delay_s, will)
        return True

    def end_session(self, session):
        """Forgets it; a will that was put off goes out now."""
        if self.client_sessions.get(session.client_id) is session:
            del self.client_sessions[session.client_id]
        self._targets_of.clear()
        self._send_delayed_will(session)

    def _send_delayed_will(self, session):
        if session.delayed_will is not None:
            _, will = session.delayed_will
            session.delayed_will = None
            self.route_message(self.message_of(will, session.client_id))

    def arm(self):
        """Sets the timer for whatever is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [s.ends_at for s in self.client_sessions.values() if s.ends_at is not None]
        due += [s.delayed_will[0] for s in self.client_sessions.values() if s.delayed_will]
        if due and self.running:
            wait = max(0.0, min(due) - self.clock())
            self._timer = self.loop.call_later(wait, self._act_on_time)

    def _act_on_time(self):
        now = self.clock()
        for session in list(self.client_sessions.values()):
            if session.delayed_will is not None and session.delayed_will[0] <= now:
                self._send_delayed_will(session)
            if session.ends_at is not None and session.ends_at <= now:
                self.end_session(session)
        self.arm()
        self.log.wake()

    # A queue that empties by one message at a time

    def drain_later(self, session):
        if session not in self._draining:
            self._draining.add(session)
            self.loop.call_later(self.drain_interval_s, self._drain, session)

    def _drain(self, session):
        self._draining.discard(session)
        if session.connection is not None and self.running:
            session.pump(1)
            if session.queue:
                self.drain_later(session)
