"""umqtt_plus as firmware has it.

python -m firmware package        write package.json anew, from manifest.py
python -m firmware release DIR    .mpy files and a .json for each slice, for mip
python -m firmware table          bytes of flash and heap of each slice, frozen into a firmware
                                  for the Pico and booted on an emulated one; 1 above a goal
python -m firmware emulate        all the proof there is: the table, the unit tests on that chip
                                  from frozen code, every session; with names of files these
                                  alone; with --firmware on an emulated Pico W, over its Wi-Fi
python -m firmware session        the client on that chip, over lwIP and PPP: 3.1.1, 5.0,
                                  WebSocket, TLS, asyncio
python -m firmware run FILE       a script on that chip, with all slices frozen

The last four fetch sources, compiler and emulator into .cache/firmware (1 GB) when first used and
build for some minutes; Debian or a relative of it, with gcc, make, node and npm.
"""

import argparse
import json
import sys
from pathlib import Path

from arguments import new_file, path
from umqtt_harness.micropython import MicroPythonError

from firmware import build, emulate, packaging, release, session, table, unit, wireless


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
    command = commands.add_parser("table")
    command.add_argument("--json", metavar="FILE", type=new_file, help="write the figures, too")
    command.add_argument("--slice", action="append", choices=list(table.SLICES), dest="slices")
    command = commands.add_parser("emulate")
    command.add_argument("files", nargs="*", metavar="test_X.py", help="by default all")
    command.add_argument(
        "--timeout", type=float, default=unit.TIMEOUT_S, metavar="SECONDS", help="of a file"
    )
    command.add_argument(
        "--firmware", metavar="FILE.uf2", type=path, help="of a Pico W: the board, with its Wi-Fi"
    )
    command = commands.add_parser("session")
    command.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(session.KINDS))
    command = commands.add_parser("run")
    command.add_argument("file", metavar="FILE", type=Path)
    command.add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    options = parser.parse_args(words)
    if options.command == "run" and not options.file.is_file():
        parser.error(f"{options.file}: no such file")
    for name in getattr(options, "kinds", ()):
        if name not in session.KINDS:
            parser.error(f"{name}: no kind of session; there are {', '.join(session.KINDS)}")
    for name in getattr(options, "files", ()):
        if name not in unit.files():
            parser.error(f"{name}: no unit test; there are {', '.join(unit.files())}")
    return options


def measured(slices=None, file=None):
    """Print the table, and write it to file; 1 above a goal."""
    found = table.measure(slices) if slices else table.measure()
    print("\n".join(table.lines(found)), flush=True)
    if file:
        Path(file).write_text(json.dumps(found, indent=1) + "\n")
    return int(table.above(found))


def main(words=None):
    options = arguments(words)
    if options.command == "package":
        packaging.write()
        print(f"written: {packaging.PACKAGE_JSON.name}")
    elif options.command == "release":
        try:
            print("\n".join(release.write(options.directory)))
        except (OSError, MicroPythonError) as error:
            sys.exit(f"release: {error}")
    elif options.command == "table":
        return measured(options.slices, options.json)
    elif options.command == "emulate":
        if options.firmware:
            return wireless.run(options.firmware, options.files)
        if options.files:
            return unit.run(options.files, options.timeout)
        above = measured()
        return max(unit.run(timeout_s=options.timeout), session.run(), above)
    elif options.command == "session":
        return session.run(options.kinds)
    elif options.command == "run":
        source = options.file.read_text()
        with emulate.Chip(build.build("all", build.frozen("all"))) as chip:
            print(chip.execute(source, options.timeout), end="")


if __name__ == "__main__":
    sys.exit(main())
