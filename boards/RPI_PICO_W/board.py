"""RPI_PICO_W: what of umqtt_plus fits a Pico W.

264 KB of RAM, of which about 200 KB are one heap that never grows. TLS takes 25 KB of the same
heap, and fails when it is in pieces; so small buffers: buffer_size * (3 + inflight) = 3.5 KB. A
full table is 2 KB, well below the 6400 bytes that lwIP takes for a connection: a peer that is gone
does not make a write wait.
"""

BUFFER_SIZE = 512
INFLIGHT = 4
OUTBOX_BYTES = 4096  # about 30 readings: five minutes at one every ten seconds
WATCHDOG_MS = 0  # off: it bites after 8.4 s at most, and looking up a name may take longer
LED = "LED"
