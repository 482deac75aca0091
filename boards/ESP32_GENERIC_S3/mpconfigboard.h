// For BOARD_DIR: MicroPython's own.
#include "boards/ESP32_GENERIC_S3/mpconfigboard.h"
