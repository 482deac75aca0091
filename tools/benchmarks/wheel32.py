"""Fetch a 32-bit MicroPython: board-sized words and heap blocks, on an x86 Linux.

Debian packages one. It goes into .cache/ by way of a private apt root, made from the machine's own
list of sources: nothing is installed and no root is needed.
"""

import re
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "micropython32"
PACKAGE = "micropython:i386"
SUITES = ("sid", "trixie")  # the newer one counts as boards do; 1.25 reads 12 % high


def fetch():
    """Path of a program that starts it; SystemExit says what is missing."""
    program = CACHE / "micropython"
    if program.exists():
        return program
    if not shutil.which("apt-get"):
        raise SystemExit("32 bit: no apt-get here; build one and set MICROPYTHON32=path")
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    for suite in SUITES:
        root = CACHE / suite
        if unpack(root, suite):
            break
    else:
        raise SystemExit("32 bit: no package source offers micropython:i386; see .cache/")
    loader = next((root / "tree").rglob("ld-linux.so.2"))
    binary = next(p for p in (root / "tree").rglob("usr/bin/micropython*") if p.is_file())
    libraries = ":".join(sorted({str(p.parent) for p in (root / "tree").rglob("*.so*")}))
    program.write_text(
        f'#!/bin/sh\nexec "{loader}" --library-path "{libraries}" "{binary}" "$@"\n'
    )
    program.chmod(0o755)
    return program


def unpack(root, suite):
    """Download and unpack the packages of one release; False when it has none."""
    for place in ("lists/partial", "cache/archives/partial", "tree"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "status").write_text("")
    (root / "sources.list").write_text(sources(suite))
    settings = {
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64,i386",
        "Dir::Etc::sourcelist": root / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": root,
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # the directory is ours alone
        "Debug::NoLocking": "true",
    }
    command = ["apt-get", "-qq"]
    for key, value in settings.items():
        command += ["-o", f"{key}={value}"]
    # The empty status file makes apt fetch what the package needs, too; nothing is installed.
    for words in (["update"], ["install", "--download-only", "-y", PACKAGE]):
        done = subprocess.run([*command, *words], stdout=subprocess.DEVNULL, timeout=300)
        if done.returncode:
            return False
    for deb in (root / "cache" / "archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(root / "tree")], check=True, timeout=60)
    return True


def sources(suite):
    """The machine's first Debian archive, with another release."""
    etc = Path("/etc/apt")
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        text = file.read_text(errors="replace") if file.is_file() else ""
        found = re.search(r"^URIs:\s*(\S+/debian)/?\s*$", text, re.M) or re.search(
            r"^deb\s+(?:\[.*?\]\s*)?(\S+/debian)/?\s", text, re.M
        )
        if found:
            key = re.search(r"(?:Signed-By:\s*|signed-by=)(/\S+?)[\]\s]", text)
            key = key[1] if key else "/usr/share/keyrings/debian-archive-keyring.gpg"
            return f"deb [signed-by={key}] {found[1]} {suite} main\n"
    raise SystemExit("32 bit: no Debian archive among this machine's package sources")
