// For BOARD_DIR: MicroPython's own.
#include "boards/ESP32_GENERIC_C3/mpconfigboard.h"
