"""mypy over umqtt_plus, its stubs (*.pyi), examples and boards, with MicroPython's own modules.

    python tools/typecheck.py            checks all; part of make lint

Each check sees the modules of one port, from the stub packages of MicroPython: no module of
CPython's is known there. Once it installs what tools/requirements-types.txt names into
.venv/types (or $TYPES).

Board code has no annotations, so mypy infers what it can; OFF says which of its complaints are
about that alone. EXPECTED are single ones that are wrong or intended; one that no longer comes
is an error, too.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TYPES = Path(os.environ.get("TYPES") or ROOT / ".venv" / "types")
REQUIREMENTS = ROOT / "tools" / "requirements-types.txt"
PORTS = {"esp32": "ESP32_*", "rp2": "RPI_*"}

# Without annotations these mean: a name has values of several types, or begins as None or empty.
OFF = ("assignment", "has-type", "no-redef", "union-attr", "var-annotated")
# file, message, why
EXPECTED = (
    # attributes of an object that another room sets, methods that an heir has
    (r"umqtt_plus/\w+", r'"(V5|Journal|Store)" has no attribute'),
    # methods of a class that are added when its first object is made
    (r"umqtt_plus/opening", r'"type\[Protocol\]" has no attribute "_'),
    # rooms of which each is loaded where it is needed, under the same local name
    (r"umqtt_plus/v5", r'Module has no attribute "head"|Missing positional .*"begin"'),
    # asyncio's core is not public, and its awaitables are iterators of any kind
    (r"umqtt_plus/aio", r'Module "asyncio" has no attribute "core"'),
    (r"umqtt_plus/(aio|reconnect)", r'Incompatible types in "await"'),
    # one function for both fronts
    (r"umqtt_plus/auto5", r"All conditional function variants must have identical"),
    # a name with values of several types, as OFF
    (r"umqtt_plus/ws", r'"int" has no attribute "partition"|Value of type "int" is not ind'),
    (r"umqtt_plus/ws", r"If x = b'abc' then"),
    (r"umqtt_plus/verbs", r'Name "w" is used before definition'),
    # numbers of ticks_ms(), which the stubs give a type of their own
    (r"(examples|umqtt_plus)/\w+", r'.*"_TicksMs"'),
    # MicroPython has it, the stubs do not
    (r"umqtt_plus/media", r'"tuple\[Any, \.\.\.\]" has no attr|.*indexed assignment'),
    (r"umqtt_plus/tls_params", r'"SSLContext" has no attribute "(psk_identity|verify_mode)"'),
    (r"examples/\w+", r'Module has no attribute "mcu_temperature"'),
    (r"examples/battery_node", r'Value of type variable "AnyStr" of "loads"'),
    (r"boards/common/sensor", r'Argument "callback" to "Timer"'),
    # int, which stands for a function that does nothing
    (r"examples/wifi_sensor", r'Cannot assign multiple types to name "feed"'),
)
CONFIG = """\
[mypy]
python_version = 3.12
platform = linux
check_untyped_defs = True
explicit_package_bases = True
show_error_codes = True
pretty = False
follow_imports = silent
follow_imports_for_stubs = True
disable_error_code = {off}
cache_dir = {cache}
# of another port; the owner of a board makes secrets.py
[mypy-esp32,rp2,secrets]
ignore_missing_imports = True
"""
_ERROR = re.compile(r"(\S+?)\.pyi?:\d+: error: (.*)")


def install():
    """Fill TYPES, unless it has what REQUIREMENTS names."""
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    stamp = TYPES / "installed.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print("typecheck: installing mypy and the stubs of MicroPython (once)", flush=True)
    shutil.rmtree(TYPES, ignore_errors=True)
    lines = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    stubs = {port: f"micropython-{port}-stubs=" for port in PORTS}
    places = {"tool": [line for line in lines if not line.startswith("micropython-")]}
    for port, start in stubs.items():
        places[port] = [x for x in lines if x.startswith((start, "micropython-stdlib-"))]
    for place, names in places.items():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", TYPES / place]
        alone = [] if place == "tool" else ["--no-deps"]
        done = subprocess.run([*command, "--disable-pip-version-check", *alone, *names])
        if done.returncode:
            sys.exit("typecheck: pip could not install tools/requirements-types.txt (see above)")
    stamp.write_text(wanted, encoding="utf-8")


def mypy(port, files, path, base, config):
    """The errors of one run, as (file without its ending, message)."""
    settings = {
        **os.environ,
        "PYTHONPATH": str(TYPES / "tool"),
        "MYPYPATH": os.pathsep.join(map(str, [*path, TYPES / port])),
    }
    command = [sys.executable, "-m", "mypy", "--config-file", config]
    command += ["--custom-typeshed-dir", TYPES / port, *files]
    done = subprocess.run(
        command, cwd=base, env=settings, capture_output=True, text=True, timeout=600
    )
    found = [_ERROR.match(line) for line in done.stdout.splitlines()]
    if done.returncode not in (0, 1) or done.returncode and not any(found):
        sys.exit(f"typecheck: mypy failed:\n{done.stdout}{done.stderr}")
    return [(m.group(1), m.group(2), m.group(0)) for m in found if m]


def runs(work):
    """(port, files, where to look for modules, base) of each run; rooted so that names fit."""
    # mypy prefers a stub to its module: the modules themselves are checked in a copy without
    copied = work / "umqtt_plus"
    shutil.copytree(ROOT / "umqtt_plus", copied, ignore=shutil.ignore_patterns("*.pyi"))
    examples = sorted((ROOT / "examples").glob("*.py"))
    stubs = sorted((ROOT / "umqtt_plus").glob("*.pyi"))
    common = sorted((ROOT / "boards" / "common").glob("*.py"))
    for port, boards in PORTS.items():
        yield port, [copied], [work], work
        yield port, [*examples, *stubs], [ROOT], ROOT
        for board in sorted((ROOT / "boards").glob(boards)):
            path = [ROOT, board, ROOT / "boards" / "common"]
            yield port, [*board.glob("board.py"), *common], path, ROOT


def main():
    install()
    used = set()
    wrong = []
    checked = 0
    with tempfile.TemporaryDirectory() as work:
        work = Path(work).resolve()
        config = work / "mypy.ini"
        config.write_text(CONFIG.format(off=", ".join(OFF), cache=TYPES / "cache"))
        for port, files, path, base in runs(work):
            checked += 1
            for file, message, line in mypy(port, files, path, base, config):
                for i, (place, text) in enumerate(EXPECTED):
                    if re.fullmatch(place, file) and re.match(text, message):
                        used.add(i)
                        break
                else:
                    wrong.append(f"{line}  ({port})")
    for i, (place, text) in enumerate(EXPECTED):
        if i not in used:
            wrong.append(f"tools/typecheck.py: no longer comes, remove it: {place}: {text}")
    print(*dict.fromkeys(wrong), sep="\n", end="\n" if wrong else "")
    print(f"typecheck: {len(set(wrong))} errors in {checked} runs")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
