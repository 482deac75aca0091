"""Keeps a board on its Wi-Fi: ESP32 and Pico W. Optional; the client never loads it.

poll() owns every state and deadline and does not wait; connect() and run() wait each in its way.
"""

from random import getrandbits
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

from .codec import limit

_OFF = const(0)
_START = const(1)  # a round over all networks begins: (re)start the radio
_NEXT = const(2)  # the next network: leave the one before
_LEAVE = const(3)  # isconnected() and status() may still speak of the one before
_JOIN = const(4)
_UP = const(5)
_LOST = const(6)  # isconnected() is false: does the radio find back by itself?
_WAIT = const(7)  # between two rounds

_FLAP_MS = const(2000)  # isconnected() false for less is no loss
_GRACE_MS = const(10000)  # so long a radio that tries by itself is left alone (ESP32)
_SICK_MS = const(3000)  # so long status() must speak of failure, for it may be wrong at first
_LAG_MS = const(3000)  # isconnected() true for more after disconnect(): go on all the same
_SLOW_MS = const(60000)  # at least between two rounds of nothing but wrong passwords

# status(): rp2's numbers up to 3, the others ESP32's
_BUSY = (1, 2, 3, 1000, 1001, 1010)  # ESP32 may say 1000, idle, while it is connecting
_WHY = {
    -3: "wrong password for %s",
    202: "wrong password for %s",
    -2: "%s not found",
    201: "%s not found",
    -1: "%s refuses",
    203: "%s refuses",
    210: "%s wants other security",
    211: "%s wants other security",
    2: "no address from %s",
    None: "the radio refuses %s",
}


def _try(f, *args, **kw):
    """f(), or False if the radio does not like it just now, or this port does not know it."""
    try:
        return f(*args, **kw)
    except (OSError, RuntimeError, ValueError, TypeError):
        return False


class WiFi:
    """Connects, watches, reconnects. Allocates, but not in poll() while the link is up.

    networks: (ssid, password), or a list of them, the preferred first; password "" is an open one.
    hostname, country ("DE"), static (ip, mask, gateway, dns): set before connecting. pm: a PM_
    value of network.WLAN; None switches power saving off, since it drops idle links on a Pico W.
    ntp: set the clock once up: True, or a server. feed: called while waiting, say WDT.feed.
    attempt_ms: for one try of one network. scan: try those in sight first; a scan holds up
    everything for 2 s or more (on rp2 10 s at worst, longer than its watchdog lasts).
    ValueError names a wrong argument. What the radio does is never raised; see status().
    """

    def __init__(
        self,
        networks,
        *,
        hostname=None,
        country=None,
        pm=None,
        static=None,
        ntp=None,
        feed=None,
        attempt_ms=15000,
        scan=False,
        wlan=None,
    ):
        limit("networks", len(networks), 99, 1)
        if isinstance(networks[0], (str, bytes)):
            networks = (networks,)
        self._nets = nets = []
        for ssid, password in networks:
            limit("bytes of ssid", len(_bytes(ssid)), 32, 1)
            password = password or ""
            if password:
                limit("length of password for %s" % ssid, len(password), 64, 8)
            nets.append((ssid, password))
        if hostname:
            limit("length of hostname", len(hostname), 32)
        if country:
            limit("length of country", len(country), 2, 2)
        if static:
            limit("length of static", len(static), 4, 4)
        limit("attempt_ms", attempt_ms, 600000, 1000)
        import network

        self._net = network
        self._wlan = wlan or network.WLAN(network.STA_IF)
        self._host = hostname
        self._country = country
        self._pm = pm
        self._static = static
        self._ntp = ntp
        self._ntp_at = None  # no try before
        self._ntp_ms = 4000
        self._eat = feed or int  # int() does nothing
        self._ms = attempt_ms
        self._scan = scan and len(nets) > 1
        self.up = False
        self.clock_ok = False  # NTP has set the clock
        self._changed = None
        self._todo = nets
        self._why = ""  # what failed last
        self._fails = 0  # rounds since the link was up
        self._wrong = 0  # of these, the last with nothing but wrong passwords
        self._at = ticks_ms()  # since when in this state
        self._state = _START

    def on_change(self, f):
        """f(up) is called, inside poll(), when the link came up or was lost."""
        self._changed = f

    def start(self):
        """Switch on again after disconnect(); connect() and run() do it themselves."""
        if not self._state:
            self._state = _START

    def poll(self, now=None):
        """Do what is due; ms until it should be called again. now: ticks_ms()."""
        if now is None:
            now = ticks_ms()
        s = self._state
        w = self._wlan
        if s == _UP:
            if not w.isconnected():
                self._go(_LOST, now)
                return 100
            if self._ntp and ticks_diff(now, self._ntp_at) >= 0:
                self._set_clock(now)
            return 1000
        if not s:
            return 1000
        past = ticks_diff(now, self._at)
        if s == _LOST:
            if w.isconnected():
                self._go(_UP, now)
                self._tell(True)
            elif past >= _FLAP_MS:
                # above 0 the radio is still busy, and would begin anew if it was disturbed
                if not self.up and (past >= _GRACE_MS or _try(w.status) <= 0):
                    self._go(_START, now)
                self._tell(False)
            return 100
        if s == _WAIT:
            if past < self._pause:
                return self._pause - past
            s = _START
        if s == _START:
            self._go(_NEXT, now)
            self._radio()
            return 1
        if s == _NEXT:
            self._began = now
            self._gap = 100
            self._leave(now)
        elif s == _LEAVE:
            if past < self._gap or past < _LAG_MS and w.isconnected():
                return 100
            self._was = _try(w.status)
            self._sick = None
            if _try(w.connect, *self._todo[0]) is not False:
                self._go(_JOIN, now)
            elif ticks_diff(now, self._began) < self._ms:
                # ESP32 refuses while it is connecting
                self._gap = 500
                self._leave(now)
            else:
                self._failed(None, now)
        elif w.isconnected():
            self._go(_UP, now)
            self._fails = self._wrong = 0
            self._why = ""
            if self._ntp:
                self._set_clock(now)
            self._tell(True)
        else:
            st = _try(w.status)
            if st != self._was:
                self._was = None
            if st in _BUSY or st == self._was:  # ESP32 keeps saying what failed before
                self._sick = None
            elif self._sick is None:
                self._sick = now
            if (
                ticks_diff(now, self._began) >= self._ms
                or self._sick is not None
                and ticks_diff(now, self._sick) >= _SICK_MS
            ):
                self._failed(st, now)
        return 100

    def _go(self, state, now):
        self._state = state
        self._at = now

    def _tell(self, up):
        if up != self.up:
            self.up = up
            if self._changed:
                self._changed(up)

    def _leave(self, now):
        _try(self._wlan.disconnect)  # also stops ESP32's own attempts
        self._go(_LEAVE, now)

    def _radio(self):
        w = self._wlan
        net = self._net
        self._eat()
        _try(w.disconnect)
        if self._fails:
            _try(w.active, False)  # it may be stuck
        if self._country:
            _try(getattr(net, "country", None), self._country)
        old = self._host and _try(getattr(net, "hostname", None), self._host) is False
        _try(w.active, True)
        if old:
            _try(w.config, dhcp_hostname=self._host)
        pm = getattr(w, "PM_NONE", None) if self._pm is None else self._pm
        if pm is not None:
            _try(w.config, pm=pm)
        if self._static:
            _try(w.ifconfig, self._static)
        self._eat()
        self._todo = nets = list(self._nets)
        if self._scan:
            seen = [x[0] for x in _try(w.scan) or ()]
            self._todo = [n for n in nets if _bytes(n[0]) in seen]
            self._todo += [n for n in nets if n not in self._todo]  # hidden, or out of reach
            self._eat()

    def _failed(self, st, now):
        wrong = st in (-3, 202)
        if len(self._todo) == len(self._nets):
            self._all = wrong
            self._why = ""
        else:
            self._all = wrong and self._all
            self._why += ", "
        t = _WHY.get(st) or (
            "no answer from %s, wrong password?" if st in _BUSY else "%s: status " + str(st)
        )
        self._why += t % self._todo.pop(0)[0]
        if self._todo:
            self._go(_NEXT, now)
            return
        _try(self._wlan.disconnect)
        self._fails += 1
        # a first one may be untrue, and an access point that starts says it, too
        self._wrong = self._wrong + 1 if self._all else 0
        ms = 1000 << min(self._fails, 6)
        self._pause = (_SLOW_MS if self._wrong > 1 else 250) + (getrandbits(16) * ms >> 16)
        self._go(_WAIT, now)

    def _set_clock(self, now):
        self._eat()
        try:
            import ntptime

            if self._ntp is not True:
                ntptime.host = self._ntp
            ntptime.timeout = 1
            ntptime.settime()
            self.clock_ok = True
            self._ntp = None
        except ImportError:
            self._ntp = None
        except Exception:  # whatever came over the network
            self._ntp_at = ticks_add(now, self._ntp_ms)
            self._ntp_ms = min(self._ntp_ms << 1, 600000)
        self._eat()

    def status(self):
        """In plain words, never with a password."""
        s = self._state
        if not s:
            return "off"
        if s == _START:
            return "starting"
        if s == _WAIT:
            ms = max(0, self._pause - ticks_diff(ticks_ms(), self._at))
            return "%s; waiting %d s before trying %s again" % (
                self._why,
                (ms + 999) // 1000,
                self._nets[0][0],
            )
        name = self._todo[0][0]
        if s == _UP:
            t = "connected to %s, %s" % (name, (_try(self._wlan.ifconfig) or "?")[0])
            dbm = _try(self._wlan.status, "rssi")
            return t + ", %d dBm" % dbm if dbm else t
        if s == _LOST:
            return "link to %s lost" % name
        t = "trying " + str(name)
        return self._why + "; " + t if self._why else t

    def disconnect(self):
        """Leave, and switch the radio off: for sleeping. start() or connect() switch it on."""
        self._go(_OFF, 0)
        w = self._wlan
        _try(w.disconnect)
        _try(w.active, False)
        _try(getattr(w, "deinit", None))
        self._tell(False)

    def connect(self, timeout=None):
        """Wait until the link is up, feeding the watchdog. OSError(ETIMEDOUT) after timeout s."""
        self.start()
        begin = ticks_ms()
        while True:
            self._eat()
            now = ticks_ms()
            ms = min(self.poll(now), 1000)
            if self.up:
                return True
            if timeout is not None:
                left = int(timeout * 1000) - ticks_diff(now, begin)
                if left <= 0:
                    raise OSError(110)  # ETIMEDOUT
                ms = min(ms, left)
            sleep_ms(ms)

    async def run(self):
        """A task: keep the link up until disconnect(). Does not feed: that is the program's."""
        from asyncio import sleep_ms

        self.start()
        while self._state:
            await sleep_ms(min(self.poll(), 1000))

    async def wait_up(self):
        """Wait, feeding, until the link is up; beside run() or without it."""
        from asyncio import sleep_ms

        while not self.up:
            if not self._state:
                raise OSError(107)  # ENOTCONN: disconnect() was called
            self._eat()
            await sleep_ms(min(self.poll(), 1000))


def _bytes(x):
    return x.encode() if isinstance(x, str) else x
