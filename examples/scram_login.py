"""Log in with SCRAM-SHA-256 (RFC 5802, 7677) over MQTT 5.0: no password crosses the network.

The server proves that it knows the password, too; one that cannot is refused. After each reading
on board/reading the board proves again who it is, on the same connection. The first login takes
4096 rounds of HMAC: a second or two on a small board, and nothing the next time.

Board: mpremote mount . run examples/scram_login.py   (boot.py brings up the network)
PC:    MICROPYPATH=.:.frozen micropython examples/scram_login.py   (with a server that knows it)
tests/host/test_v5_examples.py shows the server's side, for the bundled broker.
"""

import hashlib
import os
import time
from binascii import a2b_base64, b2a_base64

from umqtt_plus import MQTTClient

HOST = "192.168.1.10"  # your broker
PORT = 1883
USER = "board"
PASSWORD = "correct horse"  # ASCII; others would need SASLprep
INTERVAL_MS = 5000
ROUNDS = 0  # 0: for ever
if hasattr(os, "getenv"):  # on a PC
    HOST = os.getenv("MQTT_HOST") or "127.0.0.1"
    PORT = int(os.getenv("MQTT_PORT") or PORT)
    PASSWORD = os.getenv("PASSWORD") or PASSWORD
    INTERVAL_MS = int(os.getenv("INTERVAL_MS") or INTERVAL_MS)
    ROUNDS = int(os.getenv("ROUNDS") or ROUNDS)


def sha256(x):
    return hashlib.sha256(x).digest()


def xor(a, b):
    return bytes([x ^ y for x, y in zip(a, b)])


def keyed(key):
    """The function HMAC-SHA-256 with this key, of at most 64 bytes."""
    inner = bytes([x ^ 0x36 for x in key]) + b"\x36" * (64 - len(key))
    outer = bytes([x ^ 0x5C for x in key]) + b"\x5c" * (64 - len(key))
    return lambda message: sha256(outer + sha256(inner + message))


def same(a, b):
    """Whether they are equal, in a time that does not tell where they differ."""
    return len(a) == len(b) and not sum(xor(a, b))


class Scram:
    """SCRAM-SHA-256 for client.set_auth(): each call takes what the server said."""

    def __init__(self, user, password):
        self.user = user.replace("=", "=3D").replace(",", "=2C").encode()
        self.password = password.encode()
        if len(self.password) > 64:
            self.password = sha256(self.password)
        self.known = None  # (salt, rounds), whose key is
        self.salted = None

    def __call__(self, data):
        if data is None:  # the beginning
            self.nonce = b2a_base64(os.urandom(18)).strip()
            self.bare = b"n=" + self.user + b",r=" + self.nonce
            self.proof = None  # of the server
            return b"n,," + self.bare
        if not self.proof:
            return self.challenged(data)
        if not same(data, b"v=" + self.proof):
            raise ValueError("the server does not know the password")
        return b""

    def challenged(self, data):
        fields = dict([(x[:2], x[2:]) for x in data.split(b",")])
        nonce = fields.get(b"r=", b"")
        salt = a2b_base64(fields.get(b"s=", b""))
        rounds = int(fields.get(b"i=", 0))
        # fewer would make the password easy to guess, many more would take minutes
        if not nonce.startswith(self.nonce) or nonce == self.nonce or not salt:
            raise ValueError("challenge: not an answer to us")
        if not 4096 <= rounds <= 100000:
            raise ValueError("challenge: %d rounds" % rounds)
        if self.known != (salt, rounds):
            f = keyed(self.password)
            self.salted = u = f(salt + b"\0\0\0\1")
            total = int.from_bytes(u, "big")
            for _ in range(rounds - 1):
                u = f(u)
                total ^= int.from_bytes(u, "big")
            self.salted = total.to_bytes(32, "big")
            self.known = (salt, rounds)
        key = keyed(self.salted)
        last = b"c=biws,r=" + nonce
        signed = self.bare + b"," + data + b"," + last
        mine = key(b"Client Key")
        self.proof = b2a_base64(keyed(key(b"Server Key"))(signed)).strip()
        return last + b",p=" + b2a_base64(xor(mine, keyed(sha256(mine))(signed))).strip()


client = MQTTClient("scram_login", HOST, PORT, keepalive=30, version=5)
client.set_auth("SCRAM-SHA-256", Scram(USER, PASSWORD))
client.connect(timeout=60)
print("logged in")
count = 0
while not ROUNDS or count < ROUNDS:
    count += 1
    client.publish(b"board/reading", b"%d" % count, qos=1)
    client.reauthenticate()
    print("proved again")
    due = time.ticks_add(time.ticks_ms(), INTERVAL_MS)
    while time.ticks_diff(due, time.ticks_ms()) > 0:
        client.wait_msg(max(0, time.ticks_diff(due, time.ticks_ms())))
client.disconnect()
