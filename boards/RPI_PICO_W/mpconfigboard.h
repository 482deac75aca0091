// For BOARD_DIR: MicroPython's own.
#include "boards/RPI_PICO_W/mpconfigboard.h"
