"""`provision`: from a file, the environment or a terminal, and never shown."""

import os
import pty
import subprocess
import sys
import threading

import pytest

pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")

from board import chips, provision  # noqa: E402
from board.__main__ import main  # noqa: E402
from serial_board import SerialBoard  # noqa: E402

ROOT = chips.ROOT
SECRET = "correct horse battery"
FILE = f"""\
# a comment
NETWORKS = [("my network", {SECRET!r}), ("phone", "")]
COUNTRY = "DE"
HOST = "192.168.1.10"
PORT = 1883
USER = "me"
PASSWORD = {SECRET!r} \\
    "!"
NAME = None
"""


@pytest.fixture
def chip(tmp_path):
    with SerialBoard(tmp_path) as board:
        yield board


@pytest.fixture
def variables(monkeypatch):
    """Set these and no others."""

    def put(**values):
        for name in list(os.environ):
            if name.startswith("UMQTT_"):
                monkeypatch.delenv(name)
        for name, value in values.items():
            monkeypatch.setenv(f"UMQTT_{name}", value)

    put()
    return put


def test_a_file_gets_onto_the_board_and_is_not_shown(chip, tmp_path, capfd):
    file = tmp_path / "secrets.py"
    file.write_text(FILE)
    words = ["provision", "--port", chip.port, "--file", str(file)]
    assert main([*words, "--dry-run"]) == 0
    assert chip.files() == {}
    assert main(words) == 0
    assert chip.files() == {"secrets.py": FILE.encode()}
    assert main(words) == 0
    out, err = capfd.readouterr()
    assert "2 networks" in out and "PASSWORD  given" in out and "NAME      not given" in out
    assert "it was there" in out
    for value in (SECRET, "my network", "192.168.1.10", "'me'"):
        assert value not in out + err


def test_from_the_environment(chip, variables, capfd):
    variables(WIFI_SSID="home", WIFI_PASSWORD=SECRET, HOST="10.0.0.1", PORT="1884", NAME="barn")
    assert main(["provision", "--port", chip.port]) == 0
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    values = {}
    exec(chip.files()["secrets.py"], values)
    assert values["NETWORKS"] == [("home", SECRET)] and values["PORT"] == 1884
    assert (values["HOST"], values["NAME"], values["USER"]) == ("10.0.0.1", "barn", None)


def test_asked_on_a_terminal(chip, variables, monkeypatch, capsys):
    """A real terminal; the password is typed without an echo."""
    master, slave = pty.openpty()
    shown = b""

    def type_in():
        nonlocal shown
        for question, answer in (
            (b"name of the Wi-Fi: ", "home"),
            (b"broker's address: ", "10.0.0.1"),
            (b"password of the Wi-Fi (empty: open): ", SECRET),
        ):
            while question not in shown:
                shown += os.read(master, 1000)
            os.write(master, answer.encode() + b"\n")

    typist = threading.Thread(target=type_in, daemon=True)
    typist.start()
    script = (
        "import os, sys; os.login_tty(0) if hasattr(os, 'login_tty') else None\n"
        "from board.__main__ import main; "
        f"sys.exit(main(['provision', '--port', {chip.port!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        timeout=60,
    )
    os.close(slave)
    typist.join(10)
    try:
        while True:
            shown += os.read(master, 1000)
    except OSError:
        pass
    os.close(master)
    assert done.returncode == 0, shown
    assert SECRET.encode() not in shown
    values = {}
    exec(chip.files()["secrets.py"], values)
    assert values["NETWORKS"] == [("home", SECRET)] and values["HOST"] == "10.0.0.1"


@pytest.mark.parametrize(
    "values, complaint",
    [
        ({}, "nobody can be asked here: set UMQTT_WIFI_SSID, or name --file"),
        ({"WIFI_SSID": "home", "HOST": "h"}, "set UMQTT_WIFI_PASSWORD"),
        ({"WIFI_SSID": "home", "WIFI_PASSWORD": SECRET}, "set UMQTT_HOST"),
        (
            {"WIFI_SSID": "home", "WIFI_PASSWORD": "short", "HOST": "h"},
            "has 8 to 64 characters, or none",
        ),
        ({"WIFI_SSID": "x" * 33, "WIFI_PASSWORD": "", "HOST": "h"}, "1 to 32 bytes"),
        ({"WIFI_SSID": "x", "WIFI_PASSWORD": "", "HOST": "h", "PORT": "many"}, "UMQTT_PORT"),
        (
            {"WIFI_SSID": "x", "WIFI_PASSWORD": "", "HOST": "h", "PORT": "70000"},
            "PORT is no number",
        ),
        ({"WIFI_SSID": "x", "WIFI_PASSWORD": "", "HOST": "h", "PASSWORD": SECRET}, "needs a USER"),
        ({"WIFI_SSID": "x", "WIFI_PASSWORD": "", "HOST": "h", "NAME": "a/#"}, "without + and #"),
    ],
)
def test_an_environment_that_does_not_do(values, complaint, variables, capsys):
    variables(**values)
    assert main(["provision", "--port", "/dev/null"]) == 1
    err = capsys.readouterr().err
    assert complaint in err and "short" not in err


@pytest.mark.parametrize(
    "change, complaint",
    [
        ((f"{SECRET!r} \\", f"{SECRET}"), "line 7 is not Python"),
        (("PORT = 1883", "PORT = int('1883')"), "line 5 is no constant"),
        (("COUNTRY", "COUNTY"), "lacks COUNTRY; secrets_example.py has all"),
        (('NETWORKS = [("my network"', 'NETWORKS = [("my network", "x"'), "no list of (name, "),
        (("PORT = 1883", "PORT = '1883'"), "PORT is no number"),
        (('HOST = "192.168.1.10"', "HOST = None"), "HOST is no name"),
    ],
)
def test_a_file_that_does_not_do(change, complaint, tmp_path, capsys):
    file = tmp_path / "secrets.py"
    assert change[0] in FILE
    file.write_text(FILE.replace(*change))
    assert main(["provision", "--port", "/dev/null", "--file", str(file)]) == 1
    out, err = capsys.readouterr()
    assert complaint in err and SECRET not in out + err


def test_no_file(capsys, tmp_path):
    assert main(["provision", "--file", str(tmp_path / "secrets.py")]) == 1
    assert "Copy boards/common/secrets_example.py, and fill it in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("", "", "NETWORKS and HOST as in secrets_example.py: fill in your network"),
        ("192.168.1.10", "10.0.0.1", "secrets.py: NETWORKS as in"),
        ("my network", "home", "NETWORKS and HOST as in"),  # its password is still to be filled in
        ('[("my', '[("home", "12345678"), ("my', "NETWORKS and HOST as in"),
        ("its password", "12345678", ""),
    ],
)
def test_the_template_is_to_be_filled_in(old, new, said, tmp_path, capsys):
    """An address like that of the example may be right: it is only pointed at."""
    text = provision.TEMPLATE.read_text()
    assert list(provision.checked(text, "template")) == list(provision.ASKED)
    file = tmp_path / "secrets.py"
    file.write_text(text.replace(old, new))
    words = ["provision", "--port", "/dev/nope", "--file", str(file)]
    assert main([*words, "--dry-run"]) == bool(said)
    out, err = capsys.readouterr()
    assert said in err and bool(err) == bool(said)
    assert out.count("HOST      given, as in the example: is it your broker's?") == (not said)
    assert "its password" not in out + err


def test_no_secret_is_in_git():
    done = subprocess.run(
        ["git", "ls-files", "*secrets.py"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        pytest.skip("no git repository here")
    assert done.stdout == ""
