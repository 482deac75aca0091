"""Measures umqtt_plus: bytes, heap, instructions and messages a second. See bench.py, size.py.

What runs on MicroPython lies in board/ and gets its settings from the environment.
"""
