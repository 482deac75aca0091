"""Debian packages without root: downloaded, and unpacked side by side into the cache.

What the machine has installed is used from where it is; only the rest is fetched.
"""

import fcntl
import re
import shutil
from pathlib import Path

from .common import Unavailable, command_output


class Tree:
    """The files of some packages and of what they depend on, below root or of the machine."""

    def __init__(self, root):
        self.root = Path(root)

    def find(self, pattern):
        """The first path that fits a pattern such as usr/lib/erlang/erts-*/bin."""
        for root in (self.root, Path("/")):
            found = sorted(root.glob(pattern))
            if found:
                return found[-1]
        raise Unavailable(f"no {pattern} in the packages")

    def libraries(self):
        """For LD_LIBRARY_PATH."""
        places = [self.root / "usr/lib", self.root / "lib"]
        return ":".join(str(x) for place in places for x in (*place.glob("*-linux-*"), place))


def fetch(cache, name, packages):
    """(Tree, version of the first package); apt-get downloads what is missing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("no apt-get here: it comes as a Debian package")
    plan = command_output(
        ["apt-get", "-s", "-q", "install", "--no-install-recommends", "--", *packages]
    )
    missing = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", plan, re.MULTILINE)
    policy = command_output(["apt-cache", "policy", packages[0]])
    version = re.search(r"Candidate: (\S+)", policy)
    place = Path(cache) / "debian" / name
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        want = "".join(f"{package}={number}\n" for package, number in missing)
        done = place / "unpacked"
        if not done.exists() or done.read_text() != want:
            shutil.rmtree(place / "root", ignore_errors=True)
            debs = place / "debs"
            shutil.rmtree(debs, ignore_errors=True)
            debs.mkdir()
            if missing:
                options = ["-qq", "-o", "APT::Sandbox::User=root"]
                names = [f"{package}={number}" for package, number in missing]
                command_output(["apt-get", *options, "download", *names], cwd=debs)
            for deb in sorted(debs.glob("*.deb")):
                command_output(["dpkg-deb", "-x", deb, place / "root"])
            shutil.rmtree(debs)
            done.write_text(want)
    return Tree(place / "root"), (version[1] if version else "?")


def script(path, lines):
    """A small program that starts another one with its surroundings set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + lines)
    path.chmod(0o755)
    return path
