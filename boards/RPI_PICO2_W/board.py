"""RPI_PICO2_W: what of umqtt_plus fits a Pico 2 W.

520 KB of RAM, twice that of a Pico W, in one heap. So a buffer_size of 1024; and a table of six,
since 6 * 1024 bytes are what lwIP takes for a connection (6400) at once: a peer that is gone does
not make a write wait. buffer_size * (3 + inflight) = 9 KB.
"""

BUFFER_SIZE = 1024
INFLIGHT = 6
OUTBOX_BYTES = 12288  # about 90 readings: a quarter of an hour at one every ten seconds
WATCHDOG_MS = 0  # off: as a Pico W's it is shorter than looking up a name may take
LED = "LED"
