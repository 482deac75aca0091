"""What the figures were measured on."""

import os
import platform
import subprocess
import time
from pathlib import Path

from umqtt_harness.micropython import find_micropython
from umqtt_harness.mosquitto import find_mosquitto


def describe():
    found = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "CPU": f"{cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "CPython": platform.python_version(),
        "MicroPython": first_line(
            [find_micropython(), "-c", "import sys; print(sys.version.split('; ')[-1])"]
        ),
    }
    if find_mosquitto():
        found["Mosquitto"] = first_line([find_mosquitto(), "-h"]).removeprefix(
            "mosquitto version "
        )
    return found


def cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout or done.stderr).strip().split("\n")[0]
