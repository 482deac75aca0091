# A Pico with sockets over PPP: what a Pico W has but its radio, whose driver Debian does not pack.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_PY_LWIP 1)
