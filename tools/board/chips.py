"""The boards of boards/, and what their chips are called by those who have to know them."""

from dataclasses import dataclass
from pathlib import Path

from board.problem import Problem

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "boards"
OLDEST = (1, 24)  # MicroPython


@dataclass(frozen=True)
class Board:
    name: str
    port: str  # of MicroPython
    mcu: str  # how sys.implementation._machine ends
    # ESP32
    chip: str = ""  # esptool's name
    image_chip: int = -1  # in the header of an image
    offset: int = 0  # of the boot loader in flash
    # rp2
    families: tuple = ()  # of UF2
    drive: str = ""  # its Board-ID, and mostly its label

    def runs_on(self, machine):
        """True when MicroPython says this of itself on this chip: also for boards like it."""
        mcu = machine.rpartition(" with ")[2]
        return mcu == self.mcu or mcu.startswith(self.mcu + "-")  # ESP32-UNICORE


ABSOLUTE = 0xE48BFF57  # UF2 family: a block that a Pico 2's images carry beside the others
FAMILIES = {
    0xE48BFF56: "RP2040",
    0xE48BFF59: "RP2350 (ARM)",
    0xE48BFF5A: "RP2350 (RISC-V)",
    0xE48BFF5B: "RP2350 (ARM, non-secure)",
    ABSOLUTE: "any",
}
IMAGE_CHIPS = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
    18: "ESP32-P4",
    23: "ESP32-C5",
}
_ALL = (
    Board("ESP32_GENERIC", "esp32", "ESP32", chip="esp32", image_chip=0, offset=0x1000),
    Board("ESP32_GENERIC_S3", "esp32", "ESP32S3", chip="esp32s3", image_chip=9),
    Board("ESP32_GENERIC_C3", "esp32", "ESP32C3", chip="esp32c3", image_chip=5),
    Board("RPI_PICO_W", "rp2", "RP2040", families=(0xE48BFF56,), drive="RPI-RP2"),
    Board("RPI_PICO2_W", "rp2", "RP2350", families=(0xE48BFF59, 0xE48BFF5A), drive="RP2350"),
)
ALL = {board.name: board for board in _ALL}


def find(name):
    if not name:
        raise Problem(f"which board? BOARD= one of {', '.join(ALL)}")
    if name not in ALL:
        raise Problem(f"there is no board {name}; there are {', '.join(ALL)}")
    return ALL[name]
