"""`monitor`, `test-target` and `build`, and the command line of all the tools for boards."""

import ast
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")

import mpremote.main  # noqa: E402
from board import chips, monitor, ports, unit  # noqa: E402
from board.__main__ import arguments, main  # noqa: E402
from board.problem import Bar, Problem  # noqa: E402
from serial_board import SerialBoard  # noqa: E402

ROOT = chips.ROOT
SECRET = "correct horse battery"


@pytest.fixture
def chip(tmp_path):
    with SerialBoard(tmp_path) as board:
        yield board


# -- the command line -----------------------------------------------------------------------------


def test_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "board", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    for command in ("flash", "deploy", "provision", "monitor", "test-target", "build"):
        assert f"python -m board {command} " in done.stdout


def test_which_board(capsys):
    assert main(["deploy"]) == 1
    assert "which board? BOARD= one of ESP32_GENERIC, " in capsys.readouterr().err
    assert main(["flash", "--board", "PICO", "x.uf2"]) == 1
    assert "there is no board PICO; there are ESP32_GENERIC, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        arguments(["flash", "--board", "RPI_PICO_W"])


def test_the_boards_are_those_of_the_project():
    directories = {place.name for place in chips.BOARDS.iterdir() if place.is_dir()}
    assert {*chips.ALL, "common"} == directories
    text = (chips.BOARDS / "README.md").read_text()
    for name, board in chips.ALL.items():
        (row,) = re.findall(rf"^\| \[{name}\].*$", text, re.M)
        given = {}
        exec((chips.BOARDS / name / "board.py").read_text(), given)
        assert f"| {given['BUFFER_SIZE']} | {given['INFLIGHT']} |" in row
        assert f"at {board.offset:#x}".replace("0x0", "0") in row or board.port == "rp2"


def test_without_mpremote_it_says_what_to_install(tmp_path):
    (tmp_path / "mpremote.py").write_text("raise ModuleNotFoundError('x', name='mpremote')")
    done = subprocess.run(
        [sys.executable, "-m", "board", "provision", "--dry-run"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'tools'}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stderr == "provision: no mpremote here: pip install mpremote esptool\n"


class Out:
    def __init__(self, terminal):
        self.text = ""
        self.isatty = lambda: terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_the_bar():
    out = Out(True)
    bar = Bar("copying", 200, out)
    for _ in range(200):
        bar.add(1)
    bar.close()
    assert out.text.count("\r") == 101 and out.text.endswith(f"[{'#' * 30}] 100 %\n")
    out = Out(False)
    bar = Bar("copying", 0, out)
    bar.add(0)
    bar.close()
    assert out.text == "copying 0 %\n"


# -- monitor --------------------------------------------------------------------------------------


def test_mpremotes_own_parser_takes_the_command(monkeypatch):
    """Its main() takes the words apart; only what they would do is left out."""
    seen = []
    for name in ("connect", "resume", "repl"):
        parser = mpremote.main._COMMANDS[name][1]

        def do(state, options, name=name):
            seen.append((name, vars(options)))
            state.did_action()

        monkeypatch.setitem(mpremote.main._COMMANDS, name, (do, parser))
    monkeypatch.setattr(sys, "argv", ["mpremote", *monitor.console("/dev/ttyACM7")])
    assert mpremote.main.main() == 0
    assert [name for name, _ in seen] == ["connect", "resume", "repl"]
    assert seen[0][1]["device"] == ["/dev/ttyACM7"]


def test_the_console_shows_what_the_board_prints(chip):
    """Really mpremote, on a terminal: it does not interrupt, and Ctrl-] ends it."""
    chip.power_up(starts=("boot.py", "main.py"))
    from board import install
    from board.target import Target

    text = b"import time\nfor i in range(10**6):\n    print('reading', i)\n    time.sleep_ms(50)\n"
    with Target(chip.port) as target:
        install.Files(target).install({"main.py": text})
    chip.wait_said("reading 1")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "board", "monitor", "--port", chip.port],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while shown.count(b"reading ") < 5:
            shown += os.read(master, 1000)
        os.write(master, b"\x1d")
        process.wait(15)
    finally:
        process.kill()
        process.wait(10)
        os.close(master)
    assert process.returncode == 0, shown
    numbers = [int(n) for n in re.findall(rb"reading (\d+)\r?\n", shown)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and b"Error" not in shown


def test_a_dry_monitor(capsys):
    assert main(["monitor", "--dry-run", "--port", "/dev/ttyACM7"]) == 0
    assert main(["monitor", "--dry-run", "--mqtt", "10.0.0.1:1884", "--topic", "barn/#"]) == 0
    assert capsys.readouterr().out == (
        "would run: mpremote connect /dev/ttyACM7 resume repl\n"
        "would subscribe to barn/# at 10.0.0.1:1884\n"
    )


def test_the_subscriber(broker):
    lines, failed = [], []

    def subscribe():
        try:
            monitor.subscribe(broker.host, broker.port, "barn/#", count=5, out=lines.append)
        except Problem as problem:
            failed.append(problem)

    thread = threading.Thread(target=subscribe, daemon=True)
    thread.start()
    broker.wait_for(direction="out", type="SUBACK")
    broker.publish("barn/reading", b'{"temperature": 31.5}', qos=1)
    broker.publish("barn/state", b"online", retain=True)
    broker.publish("barn/raw", b"\xff\x00")
    broker.publish("barn/evil", b"\x1b[2Jgone\n" + b"x" * 200)
    broker.publish("barn/\x1b[2Jevil", b"x")
    thread.join(10)
    assert not thread.is_alive() and not failed
    assert lines[:3] == [
        'barn/reading {"temperature": 31.5}',
        "barn/state online",
        "barn/raw ff 00",
    ]
    assert lines[3].startswith(r"barn/evil '\x1b[2Jgone\n")
    assert lines[4] == r"'barn/\x1b[2Jevil' x"
    broker.wait_for(direction="in", type="DISCONNECT")
    assert len(broker.packets(direction="in", type="PUBACK")) == 1
    assert broker.violations == []


def test_the_subscriber_pings_and_gives_up(monkeypatch):
    import socket

    monkeypatch.setattr(monitor, "KEEP_ALIVE_S", 0.2)
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    stream = monitor.Stream(ours)
    with ours, theirs:
        with pytest.raises(Problem, match="does not answer any more"):
            stream.packet()
        assert theirs.recv(100) == b"\xc0\x00" * 2
        theirs.sendall(b"\x30\x03\x00\x01")
        theirs.sendall(b"a\xd0\x00")
        assert stream.packet() == (0x30, b"\x00\x01a") and stream.packet() == (0xD0, b"")
        theirs.sendall(bytes((0x30, 0x80, 0x80, 1)) + bytes(16384))
        assert stream.packet() == (0x30, bytes(16384))
        theirs.recv(100)
        theirs.close()
        with pytest.raises(Problem, match="closed the connection"):
            stream.packet()


def test_the_subscriber_pings_while_messages_flow(monkeypatch):
    """What the broker sends does not keep us alive there; one ping is enough, though."""
    import socket

    monkeypatch.setattr(monitor, "KEEP_ALIVE_S", 0.2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        stream = monitor.Stream(ours)
        time.sleep(0.15)
        theirs.sendall(b"\x30\x03\x00\x01a")
        assert stream.packet() == (0x30, b"\x00\x01a")
        assert theirs.recv(100) == b"\xc0\x00"
        monkeypatch.setattr(monitor, "KEEP_ALIVE_S", 600)
        theirs.sendall(b"\x30\x03\x00\x01b")
        assert stream.packet() == (0x30, b"\x00\x01b")
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)


def test_a_broker_that_is_not_there_or_refuses(broker_factory, capsys, monkeypatch):
    broker = broker_factory(users={"me": SECRET})
    words = ["monitor", "--mqtt", f"{broker.host}:{broker.port}", "--user", "me"]
    monkeypatch.setenv("MQTT_PASSWORD", SECRET + "?")
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "user or password" in err and SECRET not in err
    monkeypatch.setenv("MQTT_PASSWORD", SECRET)
    broker.publish("barn/state", b"online", retain=True)
    assert main([*words, "--count", "1"]) == 0
    assert capsys.readouterr().out == "barn/state online\n"
    broker.stop()
    assert main(words) == 1
    assert 'make broker ARGS="--host 0.0.0.0"' in capsys.readouterr().err
    assert main(["monitor", "--mqtt", "10.0.0.1:http"]) == 1
    assert broker.violations == []


# -- test-target ----------------------------------------------------------------------------------

FEW = ["test_topic.py", "test_message.py"]


def test_unit_tests_run_on_a_board(chip, capsys):
    """Read from here by the board, through mpremote's mount; nothing is left on it."""
    assert main(["test-target", "--port", chip.port, *FEW]) == 0
    out = capsys.readouterr().out
    for name in FEW:
        assert f"ok   {name} " in out
    assert "umqtt_plus of here" in out and " 0 failed" in out.splitlines()[-1]
    assert chip.files() == {}


def test_the_package_on_the_board_is_the_one_that_is_tested(chip, capsys):
    assert main(["deploy", "--board", "RPI_PICO_W", "--port", chip.port]) == 0
    before = chip.files()
    assert main(["test-target", "--port", chip.port, FEW[0]]) == 0
    assert "umqtt_plus as it is on the board" in capsys.readouterr().out
    assert chip.files() == before


def test_a_failing_test_fails(chip, tmp_path, monkeypatch, capsys):
    """One that is wrong, one that cannot be imported, one in which the board's heap runs out."""
    place = tmp_path / "tests" / "unit"
    place.mkdir(parents=True)
    for name in ("run.py", "util.py"):
        (place / name).write_text((ROOT / "tests" / "unit" / name).read_text())
    (place / "test_a.py").write_text("def test_a():\n    assert 1 == 2\ndef test_b():\n    pass\n")
    (place / "test_b.py").write_text("import nothing\n")
    (place / "test_c.py").write_text("def test_c():\n    bytearray(10 ** 9)\n")
    (place / "test_d.py").write_text("import time\ndef test_d():\n    time.sleep(20)\n")
    monkeypatch.setattr(unit, "TESTS", tmp_path / "tests")
    monkeypatch.setattr(unit, "ROOT", tmp_path)
    monkeypatch.setattr(unit, "prepare", prepare_without_package)
    assert main(["test-target", "--port", chip.port, "test_a.py", "test_b.py", "test_c.py"]) == 1
    out = capsys.readouterr().out
    assert "FAIL test_a.py::test_a" in out and "AssertionError" in out
    assert "FAIL test_b.py: cannot be imported" in out and "MemoryError" in out
    assert out.splitlines()[-1] == "1 passed, 3 failed, 0 skipped on the board"
    monkeypatch.setattr(unit, "FILE_S", 1)
    assert main(["test-target", "--port", chip.port, "test_d.py"]) == 1
    assert "the link to the board broke" in capsys.readouterr().err


PREPARE = unit.prepare


def prepare_without_package(place, with_package):
    PREPARE(place, False)


def test_a_cable_pulled_during_the_tests(chip, capsys):
    chip.cut_after(20000)
    assert main(["test-target", "--port", chip.port, *FEW]) == 1
    out, err = capsys.readouterr()
    assert "the link to the board broke" in err or "cannot read from here" in err, out + err


def test_names_of_unit_tests(capsys, monkeypatch):
    assert main(["test-target", "--port", "/dev/null", "test_nothing.py"]) == 1
    assert "test_nothing.py is no unit test; there are test_" in capsys.readouterr().err
    monkeypatch.setattr(ports.list_ports, "comports", list)
    assert main(["test-target", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in unit.all_files())


# -- build ----------------------------------------------------------------------------------------


def test_the_command_of_a_build(tmp_path, capsys):
    (tmp_path / "ports" / "rp2" / "boards").mkdir(parents=True)
    words = ["build", "--board", "RPI_PICO_W", str(tmp_path)]
    assert main([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    manifest = ROOT / "boards" / "RPI_PICO_W" / "manifest.py"
    assert f"make -C {tmp_path}/ports/rp2 " in out
    assert "BOARD=RPI_PICO_W" in out and f"FROZEN_MANIFEST={manifest}" in out
    (tmp_path / "ports" / "rp2" / "Makefile").write_text("all:\n\t@echo $(BOARD)\n")
    assert main(words) == 0
    assert f"{tmp_path}/ports/rp2/build-RPI_PICO_W/firmware.uf2" in capsys.readouterr().out
    (tmp_path / "ports" / "rp2" / "Makefile").write_text("all:\n\t@exit 3\n")
    assert main(words) == 1
    assert "arm-none-eabi-gcc" in capsys.readouterr().err
    assert main(["build", "--board", "ESP32_GENERIC", str(tmp_path)]) == 1
    assert "has no ports/esp32" in capsys.readouterr().err


def test_the_programs_parse():
    for file in Path(ROOT / "tools" / "board").glob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text())), file
