# FROZEN_MANIFEST for RPI_PICO2_W: what MicroPython itself freezes there,
# and all of umqtt_plus: there is room in flash, and frozen code takes no heap.
include("$(PORT_DIR)/boards/RPI_PICO2_W/manifest.py")
include("../../manifest.py", slice="all")
