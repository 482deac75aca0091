"""Which serial port has the board, and why it cannot be opened."""

import errno
import os

import serial
from serial.tools import list_ports

from board.problem import Problem

# USB vendors: Espressif; the converters that boards carry (Silicon Labs, WCH, FTDI); Raspberry Pi
_VENDORS = {"esp32": {0x303A, 0x10C4, 0x1A86, 0x0403}, "rp2": {0x2E8A}}
_BUSY = {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}


def find(port=None, board=None):
    """The port: the one that is named, or the only one of a board (of that kind)."""
    if port:
        return port
    vendors = _VENDORS[board.port] if board else set.union(*_VENDORS.values())
    seen = sorted(list_ports.comports(), key=lambda found: found.device)
    fitting = [found for found in seen if found.vid in vendors]
    if len(fitting) == 1:
        return fitting[0].device
    if fitting:
        lines = "".join(f"\n    PORT={found.device}   {_what(found)}" for found in fitting)
        raise Problem(f"{len(fitting)} boards are attached; name one of them:{lines}")
    usb = [found for found in seen if found.vid is not None]
    more = "".join(f"\n    PORT={found.device}   {_what(found)}" for found in usb)
    if more:
        more = f"\nOther serial ports are here; name one if it is the board's:{more}"
    raise Problem(
        "no board is attached. Plug it in, with a cable that carries data; on Linux your user "
        f"must be in the group dialout.{more}"
    )


def _what(found):
    name = found.product or found.description or "?"
    return f"{name} {found.vid:04x}:{found.pid:04x} {found.serial_number or ''}".rstrip()


def complaint(port):
    """Why this port cannot be opened, as a Problem; None when it can."""
    try:
        serial.serial_for_url(port, exclusive=True, timeout=1).close()
    except ValueError as error:
        return Problem(f"PORT={port}: {error}")
    except OSError as error:
        reason = f"{error.strerror or ''} {error}"
        if not os.path.exists(port) and os.sep in port or error.errno == errno.ENOENT:
            return Problem(f"there is no {port}: is the board plugged in?{_others()}")
        if error.errno in (errno.EACCES, errno.EPERM) or "Access is denied" in reason:
            return Problem(
                f"{port} may not be opened. On Linux: sudo usermod -a -G dialout $USER, and log "
                "in anew; on Windows another program has it"
            )
        if error.errno in _BUSY or "exclusively lock" in reason:
            return Problem(
                f"{port} is in use by another program: end the other monitor, mpremote, Thonny or "
                "ModemManager"
            )
        return Problem(f"{port} cannot be opened: {error}")
    return None


def _others():
    names = [found.device for found in list_ports.comports() if found.vid is not None]
    return f" Here are {', '.join(sorted(names))}" if names else ""


def check(port):
    problem = complaint(port)
    if problem:
        raise problem
