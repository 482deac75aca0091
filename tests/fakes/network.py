"""A fake of MicroPython's module `network`: scripted air, a clock that a test moves, no radio.

    clock = Clock()
    air = Air(clock, AccessPoint("home", "secret 1"))
    radio = FLAVOURS["rp2"](air)        # what network.WLAN() gives
    sys.modules["network"] = Network(radio)

It replays what ESP32 and rp2 (Pico W) do, quirks included; each is told where it happens. Runs on
CPython and on MicroPython.
"""


class Clock:
    """Time in ms that only passes in spend(), which calls what was asked for with after()."""

    def __init__(self, now=0):
        self.now = now
        self._events = []

    def after(self, ms, f):
        self._events.append((self.now + ms, f))

    def spend(self, ms):
        end = self.now + ms
        while True:
            due = [event for event in self._events if event[0] <= end]
            if not due:
                break
            when = min(event[0] for event in due)
            event = [event for event in due if event[0] == when][0]
            self._events.remove(event)
            self.now = max(self.now, when)
            event[1]()
        self.now = max(self.now, end)


class AccessPoint:
    """tells: a wrong password is named as such (rp2 mostly does not). dhcp: it gives addresses.

    refusals: so many associations fail although the password is right. hiccups: so many only seem
    to fail, and a second later they succeed.
    """

    def __init__(self, ssid, password="", rssi=-61, present=True, hidden=False, tells=False):
        self.ssid = ssid
        self.password = password
        self.rssi = rssi
        self.present = present
        self.hidden = hidden
        self.tells = tells
        self.dhcp = True
        self.refusals = 0
        self.hiccups = 0


class Air:
    def __init__(self, clock, *points):
        self.clock = clock
        self.points = {point.ssid: point for point in points}
        self.radio = None

    def find(self, ssid):
        point = self.points.get(ssid)
        return point if point and point.present else None

    def vanish(self, ssid, back_ms=None):
        """The access point loses its power, and gets it again after back_ms."""
        self.points[ssid].present = False
        if back_ms is not None:
            self.clock.after(back_ms, lambda: self.come(ssid))
        self.radio.lose(ssid)

    def come(self, ssid):
        self.points[ssid].present = True


class Radio:
    """What both ports have in common. `log` keeps (ms, verb, argument); never a password."""

    PM_NONE = 10
    PM_PERFORMANCE = 11
    PM_POWERSAVE = 12
    legacy = False  # True: a port without network.hostname()
    scan_ms = 2000
    start_ms = 0  # what active(True) takes
    lag_up_ms = 0  # isconnected() is late when the link came up,
    lag_down_ms = 800  # when the access point went away,
    lag_leave_ms = 60  # and after disconnect()

    def __init__(self, air):
        self.air = air
        self.clock = air.clock
        air.radio = self
        self.log = []
        self.broken = {}  # verb: so many calls of it raise from now on
        self.stuck = False  # True: nothing connects until the radio was off
        self.static = None
        self.pm = self.PM_PERFORMANCE
        self.off()

    def off(self):
        self.on = False
        self.turn = 0  # events of an older turn count no more
        self.wanted = None  # (ssid, password) of connect()
        self.joined = None  # the truth
        self.shown = False  # what isconnected() says

    def call(self, verb, argument=None):
        if len(self.log) == 250:  # a board's heap is small
            del self.log[:50]
        self.log.append((self.clock.now, verb, argument))
        if self.broken.get(verb):
            self.broken[verb] -= 1
            raise OSError("Wifi Internal State Error")

    def after(self, ms, f):
        self.turn += 1
        turn = self.turn

        def event():
            if turn == self.turn:
                f()

        self.clock.after(ms, event)

    def show(self, connected):
        self.shown = connected

    def lose(self, ssid):
        if self.joined == ssid:
            self.joined = None
            self.after(self.lag_down_ms, self.lost)
        # a try that is under way finds nobody at its next step

    def lost(self):
        self.show(False)

    def leave(self):
        """disconnect() and active(False). What isconnected() says follows later."""
        self.wanted = self.joined = None
        self.after(self.lag_leave_ms, self.left)

    def left(self):
        self.show(False)

    def come_up(self):
        self.joined = self.wanted[0]
        self.after(self.lag_up_ms, lambda: self.show(True))

    # -- what network.WLAN has -------------------------------------------------------------------

    def active(self, on=None):
        if on is None:
            return self.on
        self.call("active", on)
        if on != self.on:
            if not on:
                self.stuck = False
                self.leave()
                self.off()
            self.on = on
            if on:
                self.clock.spend(self.start_ms)
            self.static = None
            self.pm = self.PM_PERFORMANCE

    def isconnected(self):
        return self.shown

    def disconnect(self):
        self.call("disconnect")
        self.leave()

    def ifconfig(self, static=None):
        if static:
            self.call("ifconfig", static)
            self.static = static
        address = self.static[0] if self.static else "10.0.0.7"
        return (address if self.joined else "0.0.0.0", "255.255.255.0", "10.0.0.1", "10.0.0.1")

    def config(self, *args, **kw):
        for key in kw:
            self.call("config", key)
            if key == "pm":
                self.pm = kw[key]
            elif key == "dhcp_hostname" and self.legacy:
                self.call("hostname", kw[key])
            else:
                raise ValueError("unknown config param")

    def scan(self):
        self.call("scan")
        if not self.on:
            raise OSError("STA must be active")
        self.clock.spend(self.scan_ms)  # it blocks
        found = []
        for point in self.air.points.values():
            if point.present:
                name = b"" if point.hidden else point.ssid.encode()
                found.append((name, b"\0" * 6, 1, point.rssi, 3, point.hidden))
        return found


class Rp2(Radio):
    """Pico W. It does not try again by itself, and a wrong password looks like patience."""

    lost_number = 0  # or 1: seems to be joining, and is not
    keeps = False  # True: disconnect() leaves in status() what failed

    def off(self):
        Radio.off(self)
        self.number = 0

    def connect(self, ssid, password):
        self.call("connect", ssid)
        if not self.on:
            raise OSError(1)
        self.wanted = (ssid, password)
        self.number = 1
        if not self.stuck:
            self.after(1500, self.answer)

    def answer(self):
        point = self.air.find(self.wanted[0])
        if not point:
            self.number = -2
        elif point.password != self.wanted[1]:
            if point.tells:
                self.number = -3
            # else: stays in CONNECTING for ever
        elif point.refusals:
            point.refusals -= 1
            self.number = -3  # untrue, reported of the first association
        elif point.hiccups:
            point.hiccups -= 1
            self.number = -3
            self.after(1000, self.answer)
        else:
            self.number = 2
            self.after(1000, self.address)

    def address(self):
        point = self.air.find(self.wanted[0])
        if not point:
            self.number = -1
        elif point.dhcp or self.static:
            self.come_up()

    def lost(self):
        Radio.lost(self)
        self.number = self.lost_number

    def left(self):
        Radio.left(self)
        if not self.keeps:
            self.number = 0

    def status(self, what=None):
        if what == "rssi":
            return self.air.points[self.joined].rssi if self.joined else 0
        return 3 if self.shown else self.number

    def deinit(self):
        self.call("deinit")
        self.off()


class Esp32(Radio):
    """It tries again by itself for ever, and status() may speak of what failed long ago."""

    # while the access point is away: as after a disconnect() (1000), wrong password (202) ...
    transients = (8, 202, 8, 201)

    def off(self):
        self.reason = 0
        Radio.off(self)

    def __init__(self, air):
        Radio.__init__(self, air)
        self.reason = 0
        self.busy_until = 0
        self.count = -1

    def active(self, on=None):
        reason = self.reason
        answer = Radio.active(self, on)
        self.reason = reason  # it outlives even that
        return answer

    def connect(self, ssid, password):
        self.call("connect", ssid)
        if not self.on:
            raise OSError("Wifi Not Started")
        if self.wanted or self.clock.now < self.busy_until:
            raise OSError("Wifi Internal Error")  # "sta is connecting, cannot set config"
        self.wanted = (ssid, password)
        self.count = -1
        if not self.stuck:
            self.after(2000, self.answer)

    def answer(self):
        point = self.air.find(self.wanted[0])
        if not point:
            self.reason = 201
            if self.count >= 0:  # lost, and not back yet
                self.reason = self.transients[self.count & 3]
                self.count += 1
        elif point.password != self.wanted[1]:
            self.reason = 202 if point.tells else 15
        elif point.refusals:
            point.refusals -= 1
            self.reason = 202
        elif point.hiccups:
            point.hiccups -= 1
            self.reason = 202
            self.after(1000, self.answer)
            return
        else:
            self.after(1000, self.address)
            return
        self.after(2000, self.answer)

    def address(self):
        point = self.air.find(self.wanted[0])
        if not point:
            self.reason = 200
            self.after(2000, self.answer)
        elif point.dhcp or self.static:
            self.come_up()

    def show(self, connected):
        self.shown = connected
        if connected:
            self.reason = 0

    def lost(self):
        self.show(False)
        self.count = 0
        self.reason = 200
        if self.wanted:
            self.after(1500, self.answer)

    def left(self):
        if self.shown:
            self.reason = 8
        self.show(False)

    def disconnect(self):
        self.call("disconnect")
        if not self.on:
            raise OSError("Wifi Not Started")
        if self.wanted and not self.joined:
            self.busy_until = self.clock.now + 50
        self.leave()

    def status(self, what=None):
        if what == "rssi":
            if not self.joined:
                raise OSError("Wifi Not Connected")
            return self.air.points[self.joined].rssi
        if self.shown:
            return 1010
        if self.reason in (201, 202, 210, 211, 212):
            return self.reason
        if self.reason == 8:
            return 1000
        if self.wanted:
            return 1001
        return self.reason or 1000

    def scan(self):
        if self.wanted and not self.joined:
            raise OSError("Wifi Internal State Error")
        return Radio.scan(self)


FLAVOURS = {"rp2": Rp2, "esp32": Esp32}


class Network:
    """The module itself."""

    STA_IF = 0
    AP_IF = 1

    def __init__(self, radio):
        self.radio = radio
        if not radio.legacy:
            self.hostname = self._hostname

    def WLAN(self, interface):
        assert interface == self.STA_IF
        return self.radio

    def country(self, code):
        self.radio.call("country", code)

    def _hostname(self, name):
        self.radio.call("hostname", name)
