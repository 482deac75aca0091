"""A folder to publish: .mpy files, and for each slice a .json by which mip installs it."""

import subprocess
from pathlib import Path

from umqtt_harness.micropython import compile_mpy, find_mpy_cross

from firmware import packaging

README = """\
umqtt_plus {version}, compiled with {compiler} at -O3.

Put this folder on a web server, then on a board whose MicroPython loads .mpy files of that version
(sys.implementation._mpy & 0xff), with one of {slices}:

    import mip
    mip.install("http://.../core.json")

or from a PC: mpremote mip install http://.../core.json    (newer ones also: ./core.json)
The slices are those of manifest.py; package.json is all of them. Relative names in a .json
need MicroPython 1.25 or newer on the board.
"""


def write(directory):
    """Compile into directory/umqtt_plus and write the .json files; the lines to print."""
    directory = Path(directory)
    version = packaging.package_json()["version"]
    for module in packaging.modules("all"):
        target = directory / packaging.PACKAGE.name / f"{module}.mpy"
        compile_mpy(packaging.PACKAGE / f"{module}.py", target, f"{module}.py")
    lines = []
    names = [*packaging.slices(), "all"]
    for name in names:
        files = [f"{module}.mpy" for module in packaging.modules(name)]
        listed = packaging.text(packaging.package_json(files, version))
        (directory / f"{name}.json").write_text(listed)
        total = sum((directory / packaging.PACKAGE.name / file).stat().st_size for file in files)
        lines.append(f"{name + '.json':<14}{len(files):>3} files {total:>7} bytes")
    (directory / "package.json").write_text(listed)
    (directory / "README.txt").write_text(
        README.format(version=version, compiler=compiler(), slices=", ".join(names))
    )
    return lines


def compiler():
    """What mpy-cross says it writes: 'mpy-cross v1.29.0 (.mpy v6.3)'."""
    command = [find_mpy_cross(), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    name, _, emitted = done.stdout.partition("; mpy-cross emitting mpy ")
    return f"mpy-cross {name.split()[-3]} (.mpy {emitted.split()[-1]})"
