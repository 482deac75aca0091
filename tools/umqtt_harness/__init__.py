"""Test MQTT firmware for MicroPython on a PC.

broker       an MQTT broker with faults on demand, in a thread or as a program
mosquitto    the real Mosquitto as a fixture, where it is installed
micropython  runs scripts on MicroPython's unix port
plugin       the pytest fixtures made of these
"""
