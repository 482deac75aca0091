# FROZEN_MANIFEST for ESP32_GENERIC_S3: what MicroPython itself freezes there,
# and all of umqtt_plus: there is room in flash, and frozen code takes no heap.
include("$(PORT_DIR)/boards/manifest.py")
include("../../manifest.py", slice="all")
