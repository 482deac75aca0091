"""Build rp2 firmware with a frozen manifest. The C code is compiled once, then only linked."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from firmware import fetch, packaging

BOARD = Path(__file__).resolve().parent / "board"
# What every rp2 board freezes; those of micropython-lib, which Debian does not pack, left out.
BARE = """\
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
"""


def frozen(wanted=None, more=""):
    """Text of a board's manifest: bare, or with slices of umqtt_plus."""
    text = BARE
    if wanted:
        text += f'include("{packaging.MANIFEST}", slice="{wanted}")\n'
    return text + more


def build(name, manifest, also=()):
    """Path of name.bin with that frozen. also: directories whose content the manifest freezes."""
    with open(fetch.place("lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of another command that builds
        return _build(name, manifest, also)


def _build(name, manifest, also):
    images = fetch.place("images")
    images.mkdir(exist_ok=True)
    image, stamp = images / f"{name}.bin", images / f"{name}.stamp"
    digest = fingerprint(manifest, also)
    if image.exists() and stamp.exists() and stamp.read_text() == digest:
        return image
    stamp.unlink(missing_ok=True)
    source, env = fetch.source(), fetch.environment()
    directory = fetch.place("build")
    file = fetch.place("frozen.py")
    file.write_text(manifest)
    if not (directory / "build.ninja").exists():
        configure(source / "micropython", directory, file, env)
    # MicroPython's build looks at the times of the modules, not at which are named, nor whose.
    (directory / "frozen_content.c").unlink(missing_ok=True)
    shutil.rmtree(directory / "frozen_mpy", ignore_errors=True)
    print(f"firmware: building {name}", file=sys.stderr, flush=True)
    run(["ninja", f"-j{os.cpu_count()}"], directory, env)
    shutil.copy(directory / "firmware.bin", image)
    stamp.write_text(digest)
    return image


def configure(micropython, directory, manifest, env):
    directory.mkdir(exist_ok=True)
    run(
        [
            "cmake",
            "-G",
            "Ninja",
            "-S",
            micropython / "ports" / "rp2",
            "-B",
            directory,
            "-DMICROPY_BOARD=UMQTT_PICO",
            f"-DMICROPY_BOARD_DIR={BOARD}",
            f"-DMICROPY_FROZEN_MANIFEST={manifest}",
            "-DPICO_NO_PICOTOOL=1",
            "-DCMAKE_CXX_STANDARD_LIBRARIES=-lm",
        ],
        directory,
        env,
    )


def run(command, directory, env):
    log = fetch.place("build.log")
    with open(log, "w") as out:
        words = [str(word) for word in command]
        done = subprocess.run(
            words, cwd=directory, env=env, stdout=out, stderr=subprocess.STDOUT, timeout=3000
        )
    if done.returncode:
        tail = "\n".join(line[:400] for line in log.read_text().splitlines()[-20:])
        raise SystemExit(f"firmware: {words[0]} failed; {log} ends with\n{tail}")


def fingerprint(manifest, also=()):
    digest = hashlib.sha256(manifest.encode())
    for directory in (packaging.PACKAGE, BOARD, *also):
        for file in sorted(p for p in Path(directory).rglob("*") if p.suffix != ".pyc"):
            if file.is_file():
                digest.update(str(file).encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(packaging.MANIFEST.read_bytes())
    return digest.hexdigest()


def versions():
    """{what: version} of what a firmware is built with."""
    source = fetch.source()
    env = fetch.environment()
    gcc = fetch.command([shutil.which("arm-none-eabi-gcc", path=env["PATH"]), "-dumpfullversion"])
    config = (source / "micropython" / "py" / "mpconfig.h").read_text()
    numbers = [
        config.partition(f"#define MICROPY_VERSION_{part}")[2].split()[0]
        for part in ("MAJOR", "MINOR", "MICRO")
    ]
    return {"micropython": ".".join(numbers), "gcc": gcc.strip()}
