"""ESP32_GENERIC_S3: what of umqtt_plus fits an ESP32-S3.

512 KB of RAM, and most modules have PSRAM beside it, which the heap takes. There is room for a
buffer_size of 1024 and a table of eight: buffer_size * (3 + inflight) = 11 KB, its largest block
8 KB. Both pay off where the broker is far away: eight messages under way at once are eight
times as many a second. The outbox holds a quarter of an hour of readings.
"""

BUFFER_SIZE = 1024
INFLIGHT = 8
OUTBOX_BYTES = 12288
WATCHDOG_MS = 60000  # a name that nobody answers for, and a connection behind it, take less
LED = None  # that of a development board is a WS2812, which takes the module neopixel
