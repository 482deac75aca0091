# FROZEN_MANIFEST for RPI_PICO_W: what MicroPython itself freezes there,
# and of umqtt_plus what the sensor needs.
include("$(PORT_DIR)/boards/RPI_PICO_W/manifest.py")
include("../../manifest.py", slice="link+wifi")
