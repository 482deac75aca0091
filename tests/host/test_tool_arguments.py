"""Arguments that cannot do, of all the tools: a line that says why, soon, and no traceback."""

import os
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import arguments
import pytest

ROOT = Path(__file__).resolve().parents[2]
WRONG = (
    ("board flash --board RPI_PICO_W ~nobody-of-that-name/x.uf2", {}, "No such file"),
    ("board deploy --board RPI_PICO_W --dry-run", {"MPY_CROSS": "true"}, "mpy-cross failed"),
    ("board build --board RPI_PICO_W ~/none", {"HOME": "/at/home"}, "/at/home/none has no ports/"),
    ("board monitor --mqtt a..b", {}, "no broker at a..b:1883"),
    ("board monitor --mqtt localhost:67419", {}, "no number from 1 to 65535"),
    ("board monitor --count -1", {}, "from 0 on"),
    ("firmware table --json {here}", {}, "is a directory"),
    ("firmware release {file}", {}, "release: "),
    ("firmware release {here}/new", {"MPY_CROSS": "/nope"}, "MPY_CROSS=/nope is not"),
    ("firmware release {here}/new", {"MPY_CROSS": "true"}, "mpy-cross failed"),
    ("size --json {here}/none/x", {}, "there is no such directory"),
    ("size", {"MICROPYTHON": "/nope"}, "MICROPYTHON=/nope is not"),
    ("size", {"MICROPYTHON32": "/nope"}, "MICROPYTHON32=/nope is not"),
    ("bench --rounds 0", {}, "from 1 on"),
    ("bench --json {here}", {}, "is a directory"),
    ("bench --quick", {"MICROPYTHON": "/nope"}, "MICROPYTHON=/nope is not"),
    ("soak --seconds nan", {}, "from 0 on"),
    ("soak --svg {here}", {}, "is a directory"),
    ("soak", {"MICROPYTHON": "/nope"}, "MICROPYTHON=/nope is not"),
    ("kills --keep {file}", {}, "File exists"),
    ("kills --kills -1", {}, "from 0 on"),
    ("prove --jobs 0", {}, "from 1 on"),
    ("fuzz --jobs 0", {}, "from 1 on"),
    ("fuzz --run {file}", {}, "for which target? Files are named decoder-..."),
    ("fuzz --run {here}/decoder-1.hex", {}, "has no lines of inputs in hex"),
    ("fuzz --run {here}/engine-none.hex", {}, "has no lines of inputs in hex"),
    ("stampede --clients 0", {}, "from 1 on"),
    ("stampede --first-ms 2000000", {}, "from 1 to 1048576"),
    ("stampede --svg {here}/none/x", {}, "there is no such directory"),
    ("doctor x --seconds nan", {}, "from 0.1 on"),
    ("doctor x:67419", {}, "HOST or HOST:PORT"),
    ("doctor :1883", {}, "HOST or HOST:PORT"),
)


@pytest.mark.parametrize("words, more, said", WRONG, ids=[f"{x[0]} {x[1] or ''}" for x in WRONG])
def test_wrong_arguments(words, more, said, tmp_path):
    if words.startswith("board"):
        pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")
    (tmp_path / "file").write_bytes(b"\xff")
    (tmp_path / "decoder-1.hex").write_bytes(b"\xff\n")
    tool, *words = words.format(here=tmp_path, file=tmp_path / "file").split()
    path = ROOT / "tools" / f"{tool}.py"
    command = [str(path)] if path.exists() else ["-m", tool]
    done = subprocess.run(
        [sys.executable, *command, *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tools'}{os.pathsep}{ROOT}", **more},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    assert done.returncode in (1, 2), done
    assert said in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_what_does(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/at/home")
    assert arguments.path("~/a") == Path("/at/home/a") and arguments.path("a") == Path("a")
    number = arguments.at_least(0.1, float, 2)
    assert number("0.1") == 0.1 and number("2") == 2
    for text in ("0", "2.1", "nan", "inf"):
        with pytest.raises(ArgumentTypeError, match="from 0.1 to 2"):
            number(text)
    with pytest.raises(ValueError):
        arguments.at_least(0)("x")
    assert arguments.new_file(str(tmp_path / "new")) == str(tmp_path / "new")
    (tmp_path / "old").write_text("x")
    arguments.new_file(str(tmp_path / "old"))
    assert (tmp_path / "old").read_text() == "x"


def test_profiler(monkeypatch, capsys):
    """Here because it asks for valgrind first."""
    import profiler

    monkeypatch.setattr(profiler.counting, "valgrind", lambda: "valgrind")
    for words, said in (
        (["--rows", "publish9"], "there is no row publish9; there are publish0, "),
        (["--package", "/nope"], "/nope is no umqtt_plus"),
    ):
        monkeypatch.setattr(sys, "argv", ["profiler.py", *words])
        with pytest.raises(SystemExit):
            profiler.main()
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, said",
    [
        ({"BROKER": "localhost:x"}, "Port could not be cast"),
        ({"BROKER": "localhost:99999"}, "Port out of range"),
        ({"BROKER": "localhost"}, "BROKER=host:port, or a URL"),
        ({"BROKER": "localhost:1", "BROKER_VERSIONS": "five"}, "BROKER_VERSIONS: invalid"),
    ],
)
def test_a_broker_that_is_named_wrong(given, said, tmp_path, monkeypatch, capsys):
    """Nothing is written down of it."""
    import certs
    from brokers import matrix

    if not certs.find_openssl():
        pytest.skip(certs.MISSING)
    monkeypatch.setattr(matrix, "CACHE", tmp_path / "brokers")
    monkeypatch.setattr(matrix, "write", None)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert matrix.main([]) == 1
    assert said in capsys.readouterr().out
    assert list((tmp_path / "brokers").iterdir()) == []
