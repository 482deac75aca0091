"""The client on the emulated chip, over its lwIP and PPP, against the bundled broker.

All three QoS in both directions; the messages come back by a subscription. From MicroPython 1.26
on the exchange runs with the heap locked: an allocation would be a MemoryError. Before, a slice
assignment takes 16 bytes.
"""

from umqtt_harness.broker import BrokerThread

from firmware import build
from firmware.emulate import Chip
from firmware.gateway import Gateway

ROUNDS = 10
TIMEOUT = 300
HOST = "10.0.0.1"  # this machine, as the chip sees it
BY_PPP = """\
import network, time
from machine import UART
line = network.PPP(UART(0, 115200, rxbuf=2048, txbuf=2048))
line.connect()
start = time.ticks_ms()
while not line.isconnected():
    if time.ticks_diff(time.ticks_ms(), start) > 60000:
        raise OSError("no PPP")
    time.sleep_ms(50)
"""
EXCHANGE = """\
import gc, sys
from micropython import heap_lock, heap_unlock
ROUNDS = {rounds}
TOPICS = (b"chip/0", b"chip/1", b"chip/2")
payload = bytes(100)
got = bytearray(3)
gc.collect()
before = gc.mem_alloc()
from umqtt_plus import MQTTClient
client = MQTTClient(b"chip", {host!r}, {port}, keepalive=60, buffer_size=256, timeout_ms=60000)
def message(m):
    if len(m) == 100 and m.topic_is(TOPICS[m.qos]):
        got[m.qos] += 1
def exchange(rounds):
    for i in range(rounds):
        for qos in range(3):
            client.publish(TOPICS[qos], payload, False, qos)
            client.check_msg()
    while got[0] + got[1] + got[2] < 3 * rounds:
        if not client.wait_msg(60000):
            break
client.set_message(message)
client.connect()
client.subscribe(b"chip/#", 2)
gc.collect()
held = gc.mem_alloc() - before
exchange(2)
for i in range(3):
    got[i] = 0
locked = sys.implementation.version >= (1, 26)
gc.collect()
gc.disable()
used = gc.mem_alloc()
if locked:
    heap_lock()
try:
    exchange(ROUNDS)
finally:
    if locked:
        heap_unlock()
used = gc.mem_alloc() - used
client.disconnect()
print(got[0], got[1], got[2], int(locked), used, held)
"""


def run():
    """Publish and print what came back; 1 when it is not what was sent."""
    image = build.build("all", build.frozen("all"))
    gateway = Gateway()
    try:
        with BrokerThread() as broker, Chip(image, gateway.port) as chip:
            printed = chip.execute(BY_PPP + exchange(HOST, broker.port), TIMEOUT)
            violations = broker.violations
    finally:
        gateway.close()
    return show(printed, violations)


def exchange(host, port):
    """The script: a message of each QoS, ROUNDS times, with the broker there."""
    return EXCHANGE.format(host=host, port=port, rounds=ROUNDS)


def show(printed, violations):
    """Print what the script has found; 1 when not all came back."""
    *got, locked, used, held = map(int, printed.split())
    fine = got == [ROUNDS] * 3 and not violations
    how = "heap locked" if locked else f"{used} bytes of heap"
    print(f"QoS 0, 1, 2: {ROUNDS} each published, {got} came back: {how}")
    print(f"heap held, connected and subscribed, buffer_size=256: {held} bytes")
    print(f"broken rules seen by the broker: {violations or 'none'}")
    return int(not fine)
