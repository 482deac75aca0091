// For BOARD_DIR: MicroPython's own.
#include "boards/RPI_PICO2_W/mpconfigboard.h"
