"""From an empty board to the first message: flash, deploy, provision, monitor, test-target.

mpremote talks to MicroPython on the board, esptool to the boot loader of an ESP32; a Pico's is a
drive. Commands: python -m board --help.
"""
