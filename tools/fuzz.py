"""Looks for inputs that the client cannot take, until the time is up. Targets: tests/fuzz/.

    make fuzz                                        half a minute for each target
    make fuzz ARGS="--target decoder --seconds 600 --jobs 2"
    make fuzz ARGS="--run tests/fuzz/crashes/x.hex"  one input again, with its traceback

With atheris inputs are led by coverage; it exists for some versions of Python on Linux x86-64,
see tools/requirements-fuzz.txt. Elsewhere, and with --engine random, inputs that are known are
changed at random, and those that reach a new line are kept (looked for in one of 64). A failure
is made small and saved in tests/fuzz/crashes/, where it is a unit test from then on.
"""

import argparse
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
import types
from pathlib import Path

from arguments import at_least

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "fuzz")]

import shims  # noqa: E402

shims.install()

import common  # noqa: E402

BUILD = ROOT / "build" / "fuzz"
MEASURE = 997  # one input in so many has its memory measured
TRACE = 64  # one in so many has its lines traced, without atheris
HANG = 60  # seconds for TRACE inputs
MORE_MEMORY = 160_000_000  # bytes; an announced length of 268 MB is more


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=(*common.TARGETS, "all"), default="all")
    parser.add_argument("--seconds", type=at_least(0), default=30, help="for each target (30)")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="processes a target (1)")
    parser.add_argument("--seed", type=int, help="of what is random (the time)")
    parser.add_argument("--engine", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument("--run", type=Path, metavar="FILE", help="run saved inputs, no more")
    parser.add_argument("--keep", action="store_true", help="write a small corpus from what was")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.run and options.run.stem.split("-")[0] not in common.TARGETS:
        names = ", ".join(f"{name}-..." for name in common.TARGETS)
        parser.error(f"--run {options.run.name}: for which target? Files are named {names}")
    return options


def has_atheris():
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


# -- workers ---------------------------------------------------------------------------------


def limit_memory():
    """What allocates by an announced length gets a MemoryError, in every input."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, ValueError, OSError) as error:
        print(f"no limit of the address space here: {error}")


def sampled(target):
    """run() that measures the memory of some inputs."""
    count = 0

    def run(data):
        nonlocal count
        count += 1
        if count % MEASURE:
            target.run(data)
        else:
            common.measured(target, data)

    return run


def guided(name, folder, seconds, seed):
    """libFuzzer, on the code of the package alone."""
    import atheris
    from atheris.instrument_bytecode import patch_code

    target = common.load(name)
    for module in list(sys.modules.values()):
        if module.__name__.startswith("umqtt_plus."):
            for function in functions(module):
                function.__code__ = patch_code(function.__code__, False, True)
    tokens = folder.with_suffix(".dict")
    lines = ['"' + "".join(f"\\x{b:02x}" for b in token) + '"' for token in target.TOKENS]
    tokens.write_text("\n".join(lines) + "\n")
    limit_memory()
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={target.MAX_LEN}",
        f"-seed={seed}",
        f"-dict={tokens}",
        f"-artifact_prefix={folder}.",
        "-timeout=20",
        "-print_final_stats=1",
        "-reload=30",
        str(folder),
    ]
    atheris.Setup(arguments, sampled(target))
    atheris.Fuzz()


def functions(module):
    """All functions of a module, methods and properties, too."""
    for value in list(vars(module).values()):
        inside = list(vars(value).values()) if isinstance(value, type) else [value]
        for f in inside:
            f = f.fget if isinstance(f, property) else f
            if isinstance(f, types.FunctionType) and f.__module__ == module.__name__:
                yield f


class Lines:
    """Pairs of lines of the package that were run one after the other."""

    def __init__(self):
        self.seen = set()

    def trace(self, run, data):
        """run(data); how many pairs are new."""
        new = set()
        package = str(ROOT / "umqtt_plus")

        def line(frame, event, _):
            nonlocal last
            here = (frame.f_code.co_name, frame.f_lineno)
            new.add((last, here))
            last = here
            return line

        def call(frame, event, _):
            return line if frame.f_code.co_filename.startswith(package) else None

        last = None
        sys.settrace(call)
        try:
            run(data)
        finally:
            sys.settrace(None)
        before = len(self.seen)
        self.seen |= new
        return len(self.seen) - before


def hangs(*_):
    raise TimeoutError("it does not end")


def blind(name, folder, seconds, seed):
    """Change known inputs at random."""
    alarm = getattr(signal, "alarm", lambda seconds: None)  # not on Windows
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, hangs)
    target = common.load(name)
    limit_memory()
    rng = random.Random(seed)
    run = sampled(target)
    pool = [path.read_bytes() for path in sorted(folder.iterdir())] or [b"\0"]
    lines = Lines()
    count = 0
    end = time.monotonic() + seconds
    data = b""
    try:
        for data in pool:
            alarm(HANG)
            lines.trace(target.run, data)
            count += 1
        while time.monotonic() < end:
            alarm(HANG)
            for _ in range(TRACE):
                data = mutate(rng, pool, target)
                run(data)
            count += TRACE + 1
            data = mutate(rng, pool, target)
            if lines.trace(target.run, data):
                pool.append(data)
                (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    except Exception as error:
        traceback.print_exc()
        kind = "timeout" if isinstance(error, TimeoutError) else "crash"
        Path(f"{folder}.{kind}-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
        raise SystemExit(77) from None
    finally:
        alarm(0)
        print(f"cov: {len(lines.seen)}\nstat::number_of_executed_units: {count}")


def mutate(rng, pool, target):
    """One of pool, changed in some places."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        what = rng.randrange(8)
        i = rng.randrange(len(data) + 1)
        if what < 2 and data:
            data[i - 1] = rng.randrange(256)
        elif what == 2 and data:
            data[i - 1] ^= 1 << rng.randrange(8)
        elif what == 3 and data:
            data[i - 1] = rng.choice((0, 1, 2, 3, 4, 127, 128, 255))
        elif what == 4:
            del data[i : i + rng.choice((1, 1, 2, 4, 8))]
        elif what == 5:
            data[i:i] = rng.choice(target.TOKENS)
        elif what == 6:
            j = rng.randrange(len(data) + 1)
            data[i:i] = data[j : j + rng.choice((1, 2, 4, 8, 64))]
        else:
            other = rng.choice(pool)
            j = rng.randrange(len(other) + 1)
            data[i:] = other[j:]
    return bytes(data[: target.MAX_LEN])


# -- the parent ------------------------------------------------------------------------------


def fill(name, folder):
    """Write what is known into a folder, a file an input."""
    folder.mkdir(parents=True, exist_ok=True)
    target = common.load(name)
    known = target.seeds() + common.corpus(name) + [data for _, data in common.crashes(name)]
    for data in known:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    for path in folder.parent.glob(name + ".*"):
        path.unlink()


def start(name, options, engine, number):
    command = [sys.executable, __file__, "--target", name, "--seconds", str(options.seconds)]
    command += ["--seed", str(options.seed + number), "--engine", engine, "--worker", str(number)]
    with open(BUILD / f"{name}.{number}.log", "wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def fuzz(name, options, engine):
    """One target; whether nothing was found."""
    folder = BUILD / name
    fill(name, folder)
    began = time.monotonic()
    jobs = [start(name, options, engine, number) for number in range(options.jobs)]
    try:
        for job in jobs:
            job.wait(options.seconds + 300)
    except subprocess.TimeoutExpired:
        print(f"{name}: it does not end")
    finally:
        for job in jobs:
            if job.poll() is None:
                job.kill()
                job.wait()
    seconds = time.monotonic() - began
    inputs = cover = 0
    broken = False
    for number, job in enumerate(jobs):
        log = (BUILD / f"{name}.{number}.log").read_text(errors="replace")
        units = re.findall(r"number_of_executed_units: (\d+)|^#(\d+)\t", log, re.M)
        inputs += max([int(a or b) for a, b in units] or [0])
        cover = max([cover] + [int(n) for n in re.findall(r"\bcov: (\d+)", log)])
        if job.returncode:
            broken = True
            print(f"{name}: process {number} ended with {job.returncode}:")
            print("\n".join(log.splitlines()[-12:]) if "Traceback" not in log else story(log))
    found = [path for path in sorted(BUILD.glob(name + ".*-*")) if ".slow-" not in path.name]
    what = "edges" if engine == "atheris" else "pairs of lines"
    rate = inputs / max(seconds, 1)
    print(
        f"{name}: {inputs} inputs in {seconds:.0f} s ({rate:.0f}/s), {cover} {what}, "
        f"{len(list(folder.iterdir()))} kept, {len(found)} failed",
        flush=True,
    )
    for path in found:
        save(name, path.read_bytes(), ".timeout-" not in path.name)
    if options.keep and not broken:
        keep(name, folder)
    return not broken and not found


def story(log):
    """The last traceback of a log."""
    text = log[log.rindex("Traceback") :]
    return "\n".join(text.splitlines()[:40])


def failure(target, data):
    """How an input fails: the kind of exception and where it was raised. None: it does not."""
    try:
        common.measured(target, data)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return type(error).__name__, Path(frame.filename).name, frame.lineno
    return None


def smaller(target, data, seconds=20):
    """The shortest input found in some seconds that fails in the same way."""
    wanted = failure(target, data)
    end = time.monotonic() + seconds
    size = max(len(data) // 2, 1)
    while wanted and size and time.monotonic() < end:
        i = 0
        before = data
        while i < len(data) and time.monotonic() < end:
            shorter = data[:i] + data[i + size :]
            if failure(target, shorter) == wanted:
                data = shorter
            else:
                i += size
        if data == before or size > 1:
            size //= 2
    for i in range(len(data)):
        plain = data[:i] + b"\0" + data[i + 1 :]
        if wanted and time.monotonic() < end and failure(target, plain) == wanted:
            data = plain
    return data


def save(name, data, ends):
    """Write an input that failed, made small, where the tests find it."""
    target = common.load(name)
    why = "does not end"
    if ends:
        data = smaller(target, data)
        try:
            common.measured(target, data)
            why = "does not fail when it runs alone"
        except Exception:
            why = traceback.format_exc().strip().splitlines()[-1][:200]
    path = common.HERE / "crashes" / f"{name}-{hashlib.sha1(data).hexdigest()[:8]}.hex"
    path.parent.mkdir(exist_ok=True)
    why = why.encode("ascii", "backslashreplace").decode()
    path.write_text(f"# {why}\n{data.hex()}\n", encoding="ascii")
    print(f"  saved {path.relative_to(ROOT)}: {why}")


def keep(name, folder):
    """A small corpus: short inputs first, those that reach what none before has reached."""
    target = common.load(name)
    known = set(common.corpus(name)) | {path.read_bytes() for path in folder.iterdir()}
    lines = Lines()
    kept = []
    for data in sorted(known, key=lambda data: (len(data), data)):
        if data and lines.trace(target.run, data):
            kept.append(data)
    path = common.HERE / "corpus" / (name + ".txt")
    path.parent.mkdir(exist_ok=True)
    text = f"# {len(kept)} inputs, written by tools/fuzz.py --keep\n"
    path.write_text(text + "".join(data.hex() + "\n" for data in kept), encoding="ascii")
    print(f"  {path.relative_to(ROOT)}: {len(kept)} inputs, {len(lines.seen)} pairs of lines")


def main():
    options = parse(sys.argv[1:])
    if options.run:
        name = options.run.stem.split("-")[0]
        try:
            saved = common.inputs(options.run) if options.run.exists() else None
        except (OSError, ValueError):
            saved = None
        if saved is None:
            sys.exit(f"fuzz: {options.run} has no lines of inputs in hex")
        for data in saved:
            common.measured(common.load(name), data)
            print(f"{options.run.name}: {len(data)} bytes, passed")
        return 0
    if options.seed is None:
        options.seed = int(time.time()) & 0xFFFFFF
    if options.worker is not None:
        run = guided if options.engine == "atheris" else blind
        return run(options.target, BUILD / options.target, options.seconds, options.seed)
    engine = options.engine
    if engine != "random" and not has_atheris():
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        print(f"fuzz: no atheris for this Python ({version} on {sys.platform}): inputs are")
        print("changed at random, not led by coverage. See tools/requirements-fuzz.txt")
        if engine == "atheris":
            return 1
        engine = "random"
    engine = "atheris" if engine == "auto" else engine
    print(f"fuzz: {engine}, --seed {options.seed}", flush=True)
    os.makedirs(BUILD, exist_ok=True)
    names = common.TARGETS if options.target == "all" else (options.target,)
    results = [fuzz(name, options, engine) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
