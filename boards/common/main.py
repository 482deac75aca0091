"""Runs after boot.py."""

import sensor

sensor.run()
