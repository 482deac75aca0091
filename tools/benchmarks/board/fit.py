"""The smallest-heap program: connect, 1000 QoS 1 publishes, 1000 QoS 1 receives."""

import os

from umqtt_plus import MQTTClient

count = 0


def message(m):
    global count
    count += 1


c = MQTTClient(b"fit", "127.0.0.1", int(os.getenv("BENCH_PORT")), buffer_size=256)
c.set_message(message)
c.connect()
topic = b"sensor/abc"
payload = b"0123456789abcdef"
for _ in range(1000):
    c.publish(topic, payload, False, 1)
c.publish(b"go1", b"1000")
while count < 1000:
    if not c.wait_msg(5000):
        raise SystemExit("no message")
c.disconnect()
print("fits")
