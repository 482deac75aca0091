"""A board between access points: files say how well each is heard, so that a test can walk it.

    from fakes.places import walk
    walk("rp2", {"hall": "its password", "yard": "its password"})

The file NAME.dbm in the working directory has the signal of access point NAME. For MicroPython.
"""

from fakes.board import Board
from fakes.network import AccessPoint


class Place(AccessPoint):
    @property
    def rssi(self):
        with open(self.ssid + ".dbm") as f:
            return int(f.read())

    @rssi.setter
    def rssi(self, dbm):
        pass


def walk(chip, passwords):
    board = Board(chip)
    board.radio.scan_ms = 0  # a look costs the program no time
    points = board.air.points
    points.clear()
    for ssid in passwords:
        points[ssid] = Place(ssid, passwords[ssid])
    return board
