# FROZEN_MANIFEST for ESP32_GENERIC: what MicroPython itself freezes there,
# and of umqtt_plus what the sensor needs.
include("$(PORT_DIR)/boards/manifest.py")
include("../../manifest.py", slice="link+wifi")
