"""The full sensor: three QoS levels, a will, commands, and an outage that loses nothing.

Publishes  demo/sensor/load         QoS 0  (uptime_s where there is no load average)
           demo/sensor/memory_kb    QoS 1
           demo/sensor/temperature  QoS 2  (count where there is no thermometer)
           demo/sensor/stats        QoS 0  the client's counters and the heap in use
           demo/sensor/status       QoS 1  retained: online, or offline by the last will
Obeys      demo/sensor/set/interval_ms and demo/sensor/set/blink, answers on demo/sensor/answer,
           all QoS 2: a blink that was asked for once is done once, whatever the link does.

Board: mpremote mount . run examples/sensor.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/sensor.py   (and: make broker)
`make demo` shows it at work.
"""

import gc
import json
import os
import time

from umqtt_plus import MQTTClient

HOST = "192.168.1.10"  # your broker
PORT = 1883
INTERVAL_MS = 1000
KEEPALIVE = 10  # seconds; a dead link is noticed within about 15
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    KEEPALIVE = int(os.getenv("KEEPALIVE") or KEEPALIVE)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)

BASE = "demo/sensor/"
STATUS = b"demo/sensor/status"
STATS = b"demo/sensor/stats"
ANSWER = b"demo/sensor/answer"

client = MQTTClient("sensor", HOST, PORT, keepalive=KEEPALIVE, timeout_ms=5000)
answers = []
numbers = {}  # topic -> readings so far, so that a gap or a copy is seen
interval_ms = INTERVAL_MS


def measure():
    """[(name, value)] for QoS 0, 1 and 2, of a PC (/proc, /sys) or of a board."""
    try:
        with open("/proc/loadavg") as f:
            load = "load", float(f.read().split()[0])
        memory = 0
        with open("/proc/meminfo") as f:
            while not memory:  # line by line: the whole would be the largest piece of heap here
                name, number = f.readline().split()[:2]
                if name == "MemAvailable:":
                    memory = int(number)
    except (OSError, ValueError):
        load = "uptime_s", time.ticks_ms() // 1000
        memory = gc.mem_free() // 1024
    return load, ("memory_kb", memory), temperature()


def temperature():
    try:
        import esp32

        return "temperature", esp32.mcu_temperature()  # C3, C6, S2, S3
    except (ImportError, AttributeError):
        pass
    try:
        from machine import ADC

        volt = ADC(4).read_u16() * 3.3 / 65535  # the sensor inside the RP2040
        return "temperature", round(27 - (volt - 0.706) / 0.001721, 1)
    except (ImportError, ValueError):
        pass
    try:
        with open("/sys/class/thermal/thermal_zone0/temp") as f:
            return "temperature", int(f.read()) / 1000
    except (OSError, ValueError):
        return "count", numbers.get("count", 0) + 1


def blink(times):
    print("blink", times)
    try:
        from machine import Pin

        led = Pin("LED", Pin.OUT)
    except (ImportError, TypeError, ValueError):
        return  # a PC, or a board without that name
    for i in range(2 * times):
        led.value(i & 1 ^ 1)
        time.sleep_ms(80)


def on_message(topic, msg):
    """A command. A bad one is answered, not raised: raising would bring it again and again."""
    global interval_ms
    verb = topic.decode().split("/")[-1]
    text = "%s: not understood" % verb
    if msg.isdigit() and len(msg) < 6:
        number = int(msg)
        if verb == "interval_ms" and number >= 20:
            interval_ms = number
            text = "interval_ms is %d" % number
        elif verb == "blink" and number <= 20:
            blink(number)
            text = "blinked %d times" % number
    answers.append(text)


def publish(name, value, qos):
    """A numbered reading, without waiting for its acknowledgement."""
    number = numbers.get(name, 0) + 1
    msg = json.dumps({"n": number, "value": value})
    if client.publish_nowait(BASE + name, msg, qos=qos):
        numbers[name] = number  # else the table is full: this reading is left out


def answer():
    while answers:
        text = answers.pop(0)
        if not client.publish_nowait(ANSWER, text, qos=2):
            answers.insert(0, text)
            return


def connect():
    """Try until it works, less and less often. The session is kept, at the server and here."""
    wait_ms = 250
    while True:
        try:
            present = client.connect(clean_session=False)
            client.subscribe(b"demo/sensor/set/+", 2)
            client.publish(STATUS, b"online", retain=True, qos=1)
            print("connected, session", "resumed" if present else "new")
            return
        except OSError as error:
            print("no connection:", error)
        time.sleep_ms(wait_ms)
        wait_ms = min(2 * wait_ms, 30000)


def one_round():
    due = time.ticks_add(time.ticks_ms(), interval_ms)
    for qos, (name, value) in enumerate(measure()):
        publish(name, value, qos)
    gc.collect()
    counters = client.stats()
    counters["heap"] = gc.mem_alloc()
    client.publish(STATS, json.dumps(counters))
    left = interval_ms
    while left > 0:
        client.wait_msg(left)
        answer()
        left = time.ticks_diff(due, time.ticks_ms())


def run():
    client.set_callback(on_message)
    client.set_last_will(STATUS, b"offline", retain=True, qos=1)
    done = 0
    connect()
    while not ROUNDS or done < ROUNDS:
        try:
            one_round()
            done += 1
        except OSError as error:
            print("link lost:", error)
            connect()
    client.publish(STATUS, b"offline", retain=True, qos=1)  # a goodbye drops the will
    client.disconnect()


run()
