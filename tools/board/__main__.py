"""From an empty board to the first message.

python -m board flash --board BOARD FIRMWARE   MicroPython itself, checked for this chip first
python -m board deploy --board BOARD           umqtt_plus, unless it is frozen, and the sensor
python -m board provision                      secrets.py, from a file, the environment or asked
python -m board monitor [--mqtt HOST]          what the board prints, or what it publishes
python -m board test-target [FILE ...]         the unit tests, on the board
python -m board build --board BOARD DIR        firmware with umqtt_plus frozen, from MicroPython

--port names the board where there are several; --dry-run changes nothing and shows what would be
done. boards/README.md goes through it from the beginning.
"""

import argparse
import importlib
import sys

from arguments import at_least, path

from board import chips
from board.problem import Problem


def arguments(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m board",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, board=False, port=True):
        added = commands.add_parser(name)
        added.add_argument("--dry-run", action="store_true", dest="dry")
        if board:
            added.add_argument("--board", metavar="BOARD", help=", ".join(chips.ALL))
        if port:
            added.add_argument("--port", help="serial port; by default the only board's")
        return added

    added = command("flash", board=True)
    added.add_argument("firmware", metavar="FIRMWARE", help=".bin, or .uf2 for rp2")
    added.add_argument("--drive", metavar="DIR", help="of the boot loader, rp2 only")
    added.add_argument("--erase", action="store_true", help="its files, too; ESP32 only")
    added = command("deploy", board=True)
    added.add_argument("--slice", dest="slices", help="of manifest.py, besides the sensor's")
    either = added.add_mutually_exclusive_group()
    either.add_argument("--replace", action="store_true", help="main.py, boot.py of yours, too")
    either.add_argument("--keep", action="store_true", help="leave those, bring the rest")
    added = command("provision")
    added.add_argument("--file", metavar="secrets.py")
    added = command("monitor")
    added.add_argument("--mqtt", metavar="HOST[:PORT]", help="subscribe there instead")
    added.add_argument("--topic", default="#", help="with --mqtt; default: all")
    added.add_argument("--user", help="of the broker; the password: MQTT_PASSWORD, or asked")
    added.add_argument("--count", type=at_least(0), default=0, help="end after so many messages")
    added = command("test-target")
    added.add_argument("files", nargs="*", metavar="test_X.py", help="by default all")
    added = command("build", board=True, port=False)
    added.add_argument("directory", metavar="DIR", type=path, help="MicroPython's sources")
    return parser.parse_args(words)


def main(words=None):
    options = vars(arguments(words))
    command = options.pop("command")
    try:
        if "board" in options:
            options["board"] = chips.find(options["board"])
        room = {"test-target": "unit"}.get(command, command)
        return importlib.import_module(f"board.{room}").run(**options) or 0
    except Problem as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name not in ("mpremote", "serial"):
            raise
        print(f"{command}: no {error.name} here: pip install mpremote esptool", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
