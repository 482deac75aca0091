"""Where the heap goes: code and data of the modules, the objects of a client, the peak."""

import ast
import tempfile
from pathlib import Path

from umqtt_harness.micropython import Library, MicroPythonError, Runner, compile_mpy, find_package

from . import sizes

STAGES = "import", "construct", "connect", "all"
INFLIGHT = {"qos0": 0, "qos2": 4}


class Hollow(ast.NodeTransformer):
    """Empties every function: what then is left of a module stays in RAM in firmware, too."""

    def visit_FunctionDef(self, node):
        node.body = [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


class Stubs(Library):
    """The package with empty functions, as .mpy. Its __init__ and __getattr__ stay."""

    def compiled(self):
        place = self.directory / "hollow"
        if not place.exists():
            for file in sorted(self.package.rglob("*.py")):
                name = file.relative_to(self.package.parent)
                tree = ast.parse(file.read_text(encoding="utf-8"))
                if file.name != "__init__.py":
                    tree = ast.fix_missing_locations(Hollow().visit(tree))
                copy = self.directory / "hollow.py"
                copy.write_text(ast.unparse(tree))
                compile_mpy(copy, place / name.with_suffix(".mpy"), name.name)
        return place


def imports(directory, library=None):
    """{module: bytes its import takes}, of a QoS 2 publisher."""
    lines = run(directory, "imports", library, modules=",".join(sizes.MODULES))
    return {name: int(used) for name, used in (line.split() for line in lines)}


def run(directory, name, library=None, heapsize="256k", timeout=60, **env):
    runner = Runner(directory, library)
    main = sizes.script(directory, name)
    settings = {f"BENCH_{key.upper()}": value for key, value in env.items()}
    try:
        return runner.run(
            main, mpy=True, path=[main.parent], heapsize=heapsize, env=settings, timeout=timeout
        ).stdout.splitlines()
    finally:
        runner.close()


def smallest(directory, stage, port, step=64):
    """The smallest -X heapsize in which a stage ends well."""
    sizes.script(directory, "fit")
    low, high = 2048, 65536
    while high - low > step:
        middle = (low + high) // 2
        try:
            lines = run(directory, "profile_fit", heapsize=middle, stage=stage, port=port)
        except MicroPythonError:
            lines = []
        if lines[-1:] == ["fits"]:
            high = middle
        else:
            low = middle
    return high


def measure(port, program=None):
    """All of it with one interpreter (None: the usual one)."""
    with tempfile.TemporaryDirectory(prefix="umqtt-profile-") as directory:
        directory = Path(directory)
        with sizes.interpreter(program):
            bits, version = sizes.machine_bits(directory)
            found = {"bits": bits, "version": version, "held": sizes.heap_held(directory)}
            found["imports"] = imports(directory)
            found["hollow"] = imports(directory, Stubs(directory))
            found["objects"] = {
                path: [
                    (name, int(used))
                    for name, used in (
                        line.split() for line in run(directory, "profile_objects", inflight=n)
                    )
                ]
                for path, n in INFLIGHT.items()
            }
            found["smallest"] = {stage: smallest(directory, stage, port) for stage in STAGES}
        place = Library(directory).compiled() / find_package().name
        found["mpy"] = {name: (place / f"{name}.mpy").stat().st_size for name in sizes.MODULES}
    return found
