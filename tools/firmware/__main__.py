"""Commands: firmware with umqtt_plus in it.

python -m firmware package        write package.json anew, from manifest.py
python -m firmware release DIR    .mpy files and a .json for each slice, for mip
"""

import argparse
import sys
from pathlib import Path

from firmware import packaging, release


def arguments(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m firmware",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("package")
    command = commands.add_parser("release")
    command.add_argument("directory", metavar="DIR", type=Path)
    return parser.parse_args(words)


def main(words=None):
    options = arguments(words)
    if options.command == "package":
        packaging.write()
        print(f"written: {packaging.PACKAGE_JSON.name}")
    elif options.command == "release":
        print("\n".join(release.write(options.directory)))


if __name__ == "__main__":
    sys.exit(main())
