"""ESP32_GENERIC_C3: what of umqtt_plus fits an ESP32-C3.

400 KB of RAM, the least of the ESP32s here, one core, no PSRAM; the heap begins small and grows
while the IDF can spare some. So sizes as for the first ESP32, with half the outbox:
buffer_size * (3 + inflight) = 3.5 KB.
"""

BUFFER_SIZE = 512
INFLIGHT = 4
OUTBOX_BYTES = 2048  # about 15 readings
WATCHDOG_MS = 60000  # a name that nobody answers for, and a connection behind it, take less
LED = None  # that of a development board is a WS2812 at GPIO8, which takes the module neopixel
