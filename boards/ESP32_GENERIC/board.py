"""ESP32_GENERIC: what of umqtt_plus fits the first ESP32.

520 KB of RAM, which Wi-Fi and the IDF share with MicroPython: its heap begins with 56 KB and grows
in pieces while the IDF can spare some. TLS takes its 20 KB from the IDF, not from this heap. So
each piece stays small: one buffer_size of 512 holds a topic and a reading four times over, and the
table of four messages is one block of 2 KB. In all buffer_size * (3 + inflight) = 3.5 KB.
"""

BUFFER_SIZE = 512
INFLIGHT = 4
OUTBOX_BYTES = 4096  # about 30 readings: five minutes at one every ten seconds
WATCHDOG_MS = 60000  # a name that nobody answers for, and a connection behind it, take less
LED = None  # 2 on many development boards; a bare module has none
