"""umqtt_plus and the sensor onto a board that runs MicroPython; only what differs is copied.

What somebody else has written there is not replaced unasked: deploy.sha256 on the board has the
digests of what deploy has put there, so that another PC knows it, too.
"""

import subprocess
import tempfile
from pathlib import Path

from firmware import packaging
from umqtt_harness.micropython import MicroPythonError, compile_mpy, find_mpy_cross

from board import ports
from board.chips import BOARDS
from board.install import Files, digest
from board.problem import Problem
from board.target import Target

SLICE = "link+wifi"  # what the sensor needs
PACKAGE = f"lib/{packaging.PACKAGE.name}"
RECORD = "deploy.sha256"  # not in the package's directory: with frozen code there is none
OURS = ("boot.py", "main.py")  # what it tells of; a .mpy is nobody's only copy
HIDING = {"sensor.py", "board.py"}  # would be imported instead of the .mpy
_FROZEN = """\
import sys
def frozen(names):
    there = []
    path, old = sys.path[:], {{}}
    sys.path[:] = [".frozen"]
    for name in list(sys.modules):
        if name.partition(".")[0] == "umqtt_plus":
            old[name] = sys.modules.pop(name)
    try:
        for name in names:
            try:
                there.append((name, getattr(__import__(name), "__version__", "")))
            except ImportError:
                pass
            if not there:
                break
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] == "umqtt_plus":
                sys.modules.pop(name)
        sys.modules.update(old)
        sys.path[:] = path
    return there
print(frozen({names!r}))
del frozen
"""


def run(board, port=None, slices=None, replace=False, keep=False, dry=False):
    slices = known_slices(slices)
    try:
        port = ports.find(port, board)
    except Problem as problem:
        if not dry:
            raise
        print(f"{problem}\nWith an empty board deploy would copy:")
        show(wanted(board, packaging.modules(slices)))
        return
    with Target(port) as target:
        facts = target.facts()
        fits(board, facts)
        files = Files(target)
        if not dry:
            files.finish()
        modules = set(packaging.modules(slices))
        frozen = is_frozen(target, sorted(modules))
        removed = []
        if frozen:
            modules = set()
        else:
            hidden(files)
            known = set(packaging.modules("all"))
            # 0x4000: a directory (__pycache__): it hides nothing, and remove() does not take it
            there = {name for name, kind in files.names(PACKAGE) if not kind & 0x4000}
            # others of ours that are there are kept up with them
            modules |= {Path(name).stem for name in there} & known
            removed = [
                f"{PACKAGE}/{name}"
                for name in sorted(there)
                if not (name.endswith(".mpy") and Path(name).stem in modules)
            ]
        files_wanted = wanted(board, sorted(modules))
        root = {name for name, _ in files.names(".")}
        # a .py would be imported instead of the .mpy beside it
        twins = [path[:-3] + "py" for path in files_wanted if path.endswith(".mpy")]
        removed += [path for path in twins if path in root]
        changed = files.changes(files_wanted)
        foreign = somebody_elses(files, root & {*changed, *removed})
        print(f"{facts.machine or board.name}, MicroPython {facts.release}, at {port}")
        print(f"{len(files_wanted) - len(changed)} files are as they should be")
        if keep:
            changed = {path: data for path, data in changed.items() if path not in foreign}
            removed = [path for path in removed if path not in foreign]
        show(changed, removed)
        if foreign and keep:
            print(f"yours, and left alone: {', '.join(foreign)}")
        elif foreign and not replace:
            raise Problem(yours(foreign, port, board))
        if dry:
            print("nothing was changed")
            return
        files.install(changed, removed, facts)
        if "secrets.py" not in root:
            print("There is no secrets.py on the board yet: make provision")
        target.reset()
        print("done; the board starts")


def known_slices(more):
    """The sensor's, and more of manifest.py; Problem when there is no such slice."""
    names = more.split("+") if more else []
    there = [*packaging.slices(), "all"]
    for name in names:
        if name not in there:
            raise Problem(f"there is no slice {name!r}; there are {', '.join(there)}")
    return "+".join([SLICE, *names])


def somebody_elses(files, paths):
    """Of these in the root directory those that neither deploy nor a copy by hand put there."""
    there = files.digests(sorted(paths & {*OURS, *HIDING}))
    by_hand = [BOARDS / "common" / "sensor.py", *BOARDS.glob("*/board.py")]
    known = {digest(source.read_bytes()) for source in by_hand}
    known.update(files.content(RECORD).decode(errors="replace").split())
    # the boot.py that an ESP32 comes with has comments only
    return files.programs([path for path, found in there.items() if found not in known])


def yours(names, port, board):
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    paths = " ".join(f":{name}" for name in names)
    return (
        f"{' and '.join(names)} on the board {are} not what make deploy put there, and would be "
        f"lost. Save {them}:\n    mpremote connect {port} cp {paths} .\n"
        f"Then: make deploy BOARD={board.name} ARGS=--replace; or ARGS=--keep, which leaves "
        f"{them} and brings the rest. Nothing was changed"
    )


def show(changed, removed=()):
    for path, data in changed.items():
        print(f"    {path:<32}{len(data):>7} bytes")
    for path in removed:
        print(f"    {path:<32}   remove")


def fits(board, facts):
    if not board.runs_on(facts.machine) or facts.platform != board.port:
        raise Problem(
            f"the board is {facts.machine or facts.platform}; {board.name} has an {board.mcu}. "
            "Nothing was changed"
        )
    if not facts.block:
        raise Problem(
            "the board has no file system. Flash it anew; an ESP32 with ARGS=--erase, which "
            "deletes what is on it"
        )
    emitted = mpy_version()
    if facts.mpy != emitted:
        loads = f"loads .mpy version {facts.mpy}" if facts.mpy else "loads no .mpy files"
        raise Problem(
            f"MicroPython {facts.release} on the board {loads}, and mpy-cross here writes version "
            f"{emitted}: flash a MicroPython that fits (make flash), or name its mpy-cross "
            "(MPY_CROSS=path)"
        )


def mpy_version():
    """The major version of the .mpy files that mpy-cross writes."""
    try:
        command = [find_mpy_cross(), "--version"]
    except MicroPythonError as error:
        raise Problem(str(error)) from None
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    number = done.stdout.rpartition("mpy v")[2].partition(".")[0]
    if not number.strip().isdigit():
        raise Problem(f"{command[0]} does not tell its version: {done.stdout.strip()!r}")
    return int(number)


def is_frozen(target, modules):
    """True when the firmware has these modules of umqtt_plus; Problem when it has some."""
    names = ["umqtt_plus", *(f"umqtt_plus.{name}" for name in modules if name != "__init__")]
    there = target.value(_FROZEN.format(names=names))
    if not there:
        return False
    missing = set(names) - {name for name, _ in there}
    version = packaging.package_json()["version"]
    frozen = there[0][1]
    if missing or frozen != version:
        what = f"lacks {', '.join(sorted(missing))}" if missing else f"not {version}"
        raise Problem(
            f"umqtt_plus {frozen} is frozen into this firmware, and {what}; files cannot replace "
            "it. Build firmware with boards/BOARD/manifest.py of here, or flash MicroPython's own"
        )
    print(f"umqtt_plus {version} is frozen into the firmware")
    return True


def hidden(files):
    """A package in the root directory would be imported instead of the one in lib."""
    for name, _ in files.names("."):
        if name.partition(".")[0] == packaging.PACKAGE.name:
            raise Problem(
                f"{name} in the root directory of the board hides {PACKAGE}. Remove it: "
                f"mpremote rm -r :{name}"
            )


def wanted(board, modules):
    """{path on the board: bytes}."""
    common = BOARDS / "common"
    files = {name: (common / name).read_bytes() for name in ("boot.py", "main.py")}
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "compiled.mpy"

        def compiled(source, level):
            try:
                compile_mpy(source, target, source.name, level)
            except MicroPythonError as error:
                raise Problem(str(error)) from None
            return target.read_bytes()

        for source in (common / "sensor.py", BOARDS / board.name / "board.py"):
            files[f"{source.stem}.mpy"] = compiled(source, 0)
        for module in modules:
            source = packaging.PACKAGE / f"{module}.py"
            files[f"{PACKAGE}/{module}.mpy"] = compiled(source, 3)
    files[RECORD] = record(files)
    return files


def record(files):
    """As sha256sum writes it."""
    return "".join(f"{digest(files[name])}  {name}\n" for name in OURS).encode()
