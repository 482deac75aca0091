"""Other clients: where they are found and what each can do. One that is missing is named."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from .run import Contender

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "peers"
_MODES = {f"{kind}{qos}" for kind in ("publish", "receive") for qos in range(3)}
_MODES |= {"window1", "window2"}


def find(fetch):
    """(contenders, notes on what is missing). fetch: install what PyPI has into .cache/peers."""
    if fetch and not (CACHE / "paho").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE.parent / ".gitignore").write_text("*\n")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(CACHE)]
        subprocess.run([*command, "paho-mqtt==2.2.0"], timeout=120)
    if (CACHE / "paho").exists() or importlib.util.find_spec("paho"):
        return [Contender("paho", "paho_peer.py", [sys.executable], [CACHE], _MODES)], []
    return [], ["paho-mqtt (CPython) is not installed: left out (--peers fetches it)"]
