"""umqtt_plus as firmware has it: in slices, packed for mip, frozen into a real rp2 firmware, and
run on an emulated RP2040.

Commands: python -m firmware --help.
"""
