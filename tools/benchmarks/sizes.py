"""Bytes: of the .mpy files, of the paths through them, of the heap. What size.py prints."""

import contextlib
import os
from pathlib import Path

from umqtt_harness.broker import BrokerThread
from umqtt_harness.micropython import Library, MicroPythonError, Runner, compile_mpy, find_package

BOARD = Path(__file__).resolve().parent / "board"
PATHS = {
    "qos0": "QoS 0 publisher",
    "qos2": "QoS 2 publisher",
    "keepalive": "+ keepalive",
    "subscriber": "+ subscriber",
    "streams": "+ streams",
    "asyncio": "+ asyncio",
    "store": "+ store",
    "inbox": "+ store and inbox",
    "v5": "+ MQTT 5.0, subscriber",
}
HEAPS = {  # inflight, front
    "qos0": (0, "sync"),
    "qos2": (4, "sync"),
    "asyncio": (4, "aio"),
    "store": (4, "store"),
}
STEPS = ("import", "construct", "connect")


@contextlib.contextmanager
def interpreter(program):
    """Let the runner use another MicroPython; None: the usual one."""
    old = os.environ.get("MICROPYTHON")
    if program:
        os.environ["MICROPYTHON"] = str(program)
    try:
        yield
    finally:
        if program:
            os.environ.pop("MICROPYTHON")
            if old is not None:
                os.environ["MICROPYTHON"] = old


def script(directory, name):
    """A board script compiled, behind one line that imports it: its source costs no heap."""
    place = Path(directory) / "board"
    if not (place / f"{name}.mpy").exists():
        compile_mpy(BOARD / f"{name}.py", place / f"{name}.mpy", f"{name}.py")
    main = place / f"{name}_main.py"
    main.write_text(f"import {name}\n")
    return main


def execute(directory, name, heapsize="256k", timeout=30, **env):
    """Run a board script with umqtt_plus compiled at -O3; its lines of output."""
    runner = Runner(directory)
    main = script(directory, name)
    settings = {f"BENCH_{key.upper()}": value for key, value in env.items()}
    try:
        result = runner.run(
            main, mpy=True, path=[main.parent], heapsize=heapsize, env=settings, timeout=timeout
        )
    finally:
        runner.close()
    return result.stdout.splitlines()


def module_sizes(directory):
    """{file name: (bytes at -O0, bytes at -O3)} of every module of the package."""
    package = find_package()
    o3 = Library(directory).compiled()
    sizes = {}
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package.parent)
        o0 = Path(directory) / "O0" / name.with_suffix(".mpy")
        compile_mpy(file, o0, name.name, level=0)
        final = o3 / name.with_suffix(".mpy")
        sizes[str(file.relative_to(package))] = (o0.stat().st_size, final.stat().st_size)
    return sizes


def path_modules(directory):
    """{path: names of the files it loaded}, from really walking each one."""
    found = {}
    with BrokerThread() as broker:
        for path in PATHS:
            loaded = execute(directory, "path", path=path, port=broker.port, place=directory)
            found[path] = [file_of(name) for name in loaded]
    return found


def file_of(module):
    parts = module.split(".")[1:]
    return "/".join(parts) + ".py" if parts else "__init__.py"


def heap_held(directory):
    """{path: bytes held after import, construct, connect}; the median of three."""
    held = {}
    with BrokerThread() as broker:
        for path, (inflight, front) in HEAPS.items():
            runs = []
            for _ in range(3):
                lines = execute(
                    directory,
                    "heap",
                    inflight=inflight,
                    front=front,
                    port=broker.port,
                    place=directory,
                )
                runs.append([int(n) for n in lines[-1].split()])
            held[path] = [sorted(step)[1] for step in zip(*runs, strict=True)]
    return held


# of a QoS 2 publisher, each behind those it imports
MODULES = "__init__ codec protocol client opening acks inflight verbs".split()


def heap_of_imports(directory):
    """{module: bytes of heap its import takes}, for the modules of a QoS 2 publisher."""
    lines = execute(directory, "imports", modules=",".join(MODULES))
    return {name: int(used) for name, used in (line.split() for line in lines)}


def heap_per_operation(directory, port):
    """{"publish 0": bytes ...} in the six directions, against a sink on that port."""
    found = {}
    for line in execute(directory, "alloc", heapsize="1m", port=port):
        verb, qos, used = line.split()
        found[f"{verb} {qos}"] = float(used)
    return found


def smallest_heap(directory, port, step=64):
    """The smallest -X heapsize in which fit.py ends well."""
    low, high = 2048, 65536
    if not fits(directory, port, high):
        raise MicroPythonError(f"fit.py does not even run in {high} bytes of heap")
    while high - low > step:
        middle = (low + high) // 2
        if fits(directory, port, middle):
            high = middle
        else:
            low = middle
    return high


def fits(directory, port, heapsize):
    try:
        return execute(directory, "fit", heapsize=heapsize, port=port)[-1:] == ["fits"]
    except MicroPythonError:
        return False


def machine_bits(directory):
    """Bits of a word and version of the interpreter in use."""
    runner = Runner(directory)
    try:
        out = runner.run(
            """
            import sys
            print(64 if sys.maxsize > 1 << 31 else 32)
            print(sys.version.split("; ")[-1])
            """
        ).stdout.splitlines()
    finally:
        runner.close()
    return int(out[0]), out[1]
