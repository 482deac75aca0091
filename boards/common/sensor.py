"""A sensor for years: temperature of the chip, Wi-Fi signal, how long it runs, free memory.

  NAME/reading    {"temperature": 31.5, "rssi": -61, "uptime": 3600, "free": 141312}, QoS 1:
                  degrees Celsius (null where the port has none), dBm, seconds, bytes of heap
  NAME/state      online or offline, retained; offline is the will
  NAME/interval   is obeyed: seconds between readings, 1 to 86400; retain it for it to last

Access point and broker may come and go. Readings wait in an outbox meanwhile, the oldest give way.
board.py says what fits this board, secrets.py where to connect to.
"""

import gc
import json
import sys
import time

import board
import machine
import network
from umqtt_plus import MQTTClient
from umqtt_plus.outbox import Outbox
from umqtt_plus.reconnect import Link
from umqtt_plus.wifi import WiFi

try:
    import secrets
except ImportError:
    raise ImportError("no secrets.py on the board: make provision")


def name():
    """What secrets.py says, or "sensor-" and the number of the chip."""
    return secrets.NAME or "sensor-" + "".join("%02x" % byte for byte in machine.unique_id())


def temperature():
    """Of the chip, in degrees Celsius; some degrees above the room's. None: the port has none."""
    if sys.platform == "rp2":
        volt = machine.ADC(machine.ADC.CORE_TEMP).read_u16() * 3.3 / 65535
        return round(27 - (volt - 0.706) / 0.001721, 1)  # as the data sheets have it
    import esp32

    if hasattr(esp32, "mcu_temperature"):
        return esp32.mcu_temperature()
    if hasattr(esp32, "raw_temperature"):  # the first ESP32, uncalibrated, in Fahrenheit
        return round((esp32.raw_temperature() - 32) / 1.8, 1)
    return None


class Sensor:
    def __init__(self):
        outbox = Outbox(board.OUTBOX_BYTES)  # the largest block first, while the heap is whole
        self.feed = int  # int() does nothing
        if board.WATCHDOG_MS:
            self.feed = machine.WDT(timeout=board.WATCHDOG_MS).feed
        self.led = None if board.LED is None else machine.Pin(board.LED, machine.Pin.OUT, value=0)
        self.interval_ms = 10000
        self.seconds = self.ms = 0  # how long it runs; ticks_ms() wraps after 12 days
        self.ticks = time.ticks_ms()
        base = self.base = name()
        self.wlan = network.WLAN(network.STA_IF)
        self.wifi = WiFi(
            secrets.NETWORKS,
            hostname=base[:32],
            country=secrets.COUNTRY,
            feed=self.feed,
            wlan=self.wlan,
        )
        self.wifi.on_change(self.wifi_changed)
        # What waits for the broker is timeout_ms long, and must leave the watchdog its time.
        self.client = MQTTClient(
            base,
            secrets.HOST,
            secrets.PORT,
            secrets.USER,
            secrets.PASSWORD,
            keepalive=30,
            buffer_size=board.BUFFER_SIZE,
            inflight=board.INFLIGHT,
            timeout_ms=5000,
        )
        self.client.set_callback(self.told)
        self.client.set_last_will(base + "/state", b"offline", True, 1)
        self.link = Link(
            self.client,
            [(base + "/interval", 1)],
            outbox=outbox,
            on_up=self.up,
            on_down=self.down,
        )

    def wifi_changed(self, up):
        print("Wi-Fi:", self.wifi.status())
        self.light(up and self.link.up)

    def up(self, session_present):
        print("connected to", secrets.HOST, "as", self.base)
        self.light(1)
        self.link.publish(self.base + "/state", b"online", True, 1)

    def down(self, error):
        print("link lost:", error)
        self.light(0)

    def light(self, on):
        if self.led:
            self.led.value(on)

    def told(self, topic, msg):
        try:
            seconds = int(msg)
        except ValueError:
            seconds = 0
        if 1 <= seconds <= 86400:
            self.interval_ms = seconds * 1000
            print("a reading every", seconds, "s")
        else:
            print("no interval from 1 to 86400 s:", msg)

    def uptime(self):
        """Seconds. To be called at least every 6 days."""
        now = time.ticks_ms()
        self.ms += time.ticks_diff(now, self.ticks)
        self.ticks = now
        self.seconds += self.ms // 1000
        self.ms %= 1000
        return self.seconds

    def rssi(self):
        try:
            return self.wlan.status("rssi")
        except (OSError, ValueError):  # not connected
            return None

    def reading(self):
        gc.collect()
        return json.dumps(
            {
                "temperature": temperature(),
                "rssi": self.rssi(),
                "uptime": self.uptime(),
                "free": gc.mem_free(),
            }
        )

    def wait(self):
        """Look after both links until the next reading is due; no broker without Wi-Fi."""
        begin = time.ticks_ms()
        while True:
            self.feed()
            ms = self.interval_ms - time.ticks_diff(time.ticks_ms(), begin)
            if ms <= 0:
                return
            ms = min(ms, 1000, self.wifi.poll())
            if self.wifi.up:
                self.link.poll(ms)
            else:
                time.sleep_ms(ms)

    def loop(self):
        while True:
            self.link.publish(self.base + "/reading", self.reading(), False, 1)
            self.wait()


def run():
    """For ever. After an error that nobody foresaw the board starts anew, 10 s later."""
    sensor = Sensor()
    try:
        sensor.loop()
    except KeyboardInterrupt:
        if board.WATCHDOG_MS:  # it cannot be stopped, and would bite whoever works at the prompt
            machine.Timer(0, period=1000, callback=lambda timer: sensor.feed())
        raise
    except Exception as error:
        sys.print_exception(error)
        time.sleep(10)
        machine.reset()
