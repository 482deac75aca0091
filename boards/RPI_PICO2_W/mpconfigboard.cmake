# For BOARD_DIR: MicroPython's own RPI_PICO2_W, with our manifest.
set(UMQTT_PLUS_OWN ${CMAKE_SOURCE_DIR}/boards/RPI_PICO2_W)
include(${UMQTT_PLUS_OWN}/mpconfigboard.cmake)
set(MICROPY_BOARD_PINS ${UMQTT_PLUS_OWN}/pins.csv)
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)
if(NOT MICROPY_BOARD_VARIANT)
    include(${UMQTT_PLUS_OWN}/mpconfigvariant.cmake)
endif()
