"""Debian packages without root: downloaded, and unpacked side by side into the cache.

What the machine has installed is used from where it is; only the rest is fetched.
"""

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

from firmware.fetch import Apt

from .common import Unavailable, command_output


class Tree:
    """The files of some packages and of what they depend on, below root or of the machine.

    whole: nothing is the machine's, down to the C library.
    """

    def __init__(self, root, whole=False):
        self.root = Path(root)
        self.whole = whole

    def find(self, pattern):
        """The first path that fits a pattern such as usr/lib/erlang/erts-*/bin."""
        for root in (self.root,) if self.whole else (self.root, Path("/")):
            found = sorted(root.glob(pattern))
            if found:
                return found[-1]
        raise Unavailable(f"no {pattern} in the packages")

    def libraries(self):
        """For LD_LIBRARY_PATH."""
        places = [self.root / "usr/lib", self.root / "lib"]
        return ":".join(str(x) for place in places for x in (*place.glob("*-linux-*"), place))

    def take_along(self, pattern):
        """Let programs run with the loader and the libraries of this tree, wherever from."""
        loader = self.find("usr/lib*/ld-linux-*.so.*")
        for program in self.root.glob(pattern):
            if program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
                real = program.rename(program.with_name(program.name + ".elf"))
                libraries = f"--library-path {self.libraries()}"
                script(program, f'exec {loader} {libraries} {real} "$@"\n')


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


def fetch_release(cache, name, packages, release, programs):
    """The same, all of it from another release of the machine's own archive.

    programs: a pattern of those that will be started.
    """
    place = Path(cache) / "debian" / f"{name}-{release}"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = place / "unpacked"
        tree = Tree(place / "root", whole=True)
        if not done.exists() or done.read_text().split("\n")[1] != str(place):
            shutil.rmtree(place / "apt", ignore_errors=True)
            shutil.rmtree(tree.root, ignore_errors=True)
            try:
                apt = Apt(place / "apt", release)
                apt("install", "--download-only", "-y", *packages)
            except (SystemExit, OSError, subprocess.SubprocessError) as error:
                raise Unavailable(f"{packages[0]} of Debian {release}: {error}") from None
            debs = sorted((place / "apt" / "cache" / "archives").glob("*.deb"))
            for deb in debs:
                command_output(["dpkg-deb", "-x", deb, tree.root])
            tree.take_along(programs)
            version = next(x.name.split("_")[1] for x in debs if x.name.startswith(packages[0]))
            shutil.rmtree(place / "apt")
            done.write_text(f"{version}\n{place}")
        return tree, done.read_text().split("\n")[0]


def script(path, lines):
    """A small program that starts another one with its surroundings set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + lines)
    path.chmod(0o755)
    return path
