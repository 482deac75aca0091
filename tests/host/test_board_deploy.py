"""`deploy` and `provision` against MicroPython's own prompt and littlefs, by mpremote's transport.

Only the serial line is not real (serial_board.py). What is cut off is in test_board_cuts.py.
"""

import errno
import fcntl
import os
import pty

import pytest

pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")

from board import chips, deploy, ports  # noqa: E402
from board import target as board_target  # noqa: E402
from firmware import packaging  # noqa: E402
from serial_board import linux_only, put  # noqa: E402

pytest_plugins = ["deploy_place"]
SECRETS = """\
NETWORKS = [("my network", "its own password")]
COUNTRY = None
HOST = {host!r}
PORT = {port}
USER = PASSWORD = None
NAME = {name!r}
"""


# -- all goes well --------------------------------------------------------------------------------


def test_an_empty_board_gets_all(board, tool, fresh):
    chip = board()
    status, out, err = tool("deploy", chip.port)
    assert status == 0, err
    assert "0 files are as they should be" in out and "copying 100 %" in out
    assert "make provision" in out and "done" in out
    assert chip.files() == fresh
    assert {"boot.py", "main.py", "sensor.mpy", "board.mpy"} <= set(fresh)
    assert "lib/umqtt_plus/reconnect.mpy" in fresh
    assert fresh["sensor.mpy"][:2] == b"M\x06"


def test_only_what_differs_is_copied(board, tool, fresh):
    chip = board()
    put(chip, {**fresh, "sensor.mpy": b"another", "data.txt": b"the user's"})
    heard = chip.heard
    status, out, err = tool("deploy", chip.port)
    assert status == 0, err
    assert f"{len(fresh) - 1} files are as they should be" in out
    assert "    sensor.mpy " in out and "client.mpy" not in out
    assert chip.heard - heard < 20000
    assert chip.files() == {**fresh, "data.txt": b"the user's"}
    status, out, err = tool("deploy", chip.port)
    assert f"{len(fresh)} files are as they should be" in out and "copying" not in out


def test_what_would_be_imported_instead_is_removed(board, tool, fresh):
    """A .py beside its .mpy is imported instead of it; a module that is no more goes, too."""
    chip = board()
    by_hand = (chips.BOARDS / "common" / "sensor.py").read_bytes()
    stray = {
        "sensor.py": by_hand,
        "lib/umqtt_plus/client.py": b"2",
        "lib/umqtt_plus/gone.mpy": b"3",
    }
    put(chip, {**stray, "lib/other.py": b"4"})
    status, out, err = tool("deploy", chip.port)
    assert status == 0, err
    assert out.count("   remove\n") == 3
    assert chip.files() == {**fresh, "lib/other.py": b"4"}


def test_a_directory_in_the_package_stays(board, tool, fresh):
    """It hides no module: __pycache__ comes along when a PC's directory is copied."""
    chip = board()
    cache = {"lib/umqtt_plus/__pycache__/client.cpython-312.pyc": b"1"}
    put(chip, cache)
    status, _, err = tool("deploy", chip.port)
    assert status == 0, err
    assert chip.files() == {**fresh, **cache}


def test_a_directory_deploy_of_the_user_stays(board, tool, tmp_path):
    """Neither command takes it for its own and clears it."""
    chip = board()
    with board_target.Target(chip.port) as target:
        target.run("import os\nos.mkdir('deploy')")
        target.write("deploy/notes.txt", b"the user's")
    secrets = tmp_path / "secrets.py"
    secrets.write_text(SECRETS.format(host="broker", port=1883, name="barn"))
    for command, words in (("deploy", ()), ("provision", ("--file", str(secrets)))):
        status, _, err = tool(command, chip.port, *words)
        assert status == 1 and "deploy/ on the board holds other files" in err, err
        assert chip.files() == {"deploy/notes.txt": b"the user's"}


def test_other_modules_of_ours_are_kept_up(board, tool, fresh):
    """The user's own program may need the store: old and new do not go together."""
    chip = board()
    put(chip, {"lib/umqtt_plus/store.mpy": b"old"})
    assert tool("deploy", chip.port)[0] == 0
    there = chip.files()
    assert set(there) == {*fresh, "lib/umqtt_plus/store.mpy"}
    assert there["lib/umqtt_plus/store.mpy"][:2] == b"M\x06"


@pytest.mark.parametrize(
    "yours, words",
    [
        ({"main.py": b"import mine\n"}, "main.py on the board is not what make deploy put there"),
        (
            {"boot.py": b"import network\n", "board.py": b"LED = 2\n"},
            "board.py and boot.py on the board are not what make deploy put there",
        ),
        ({"sensor.py": b"# mine\nprint(1)"}, "cp :sensor.py .\n"),
    ],
)
def test_what_somebody_else_wrote_is_not_replaced_unasked(
    yours, words, board, tool, fresh, capsys
):
    """It is named, and nothing is copied beside it."""
    chip = board(starts=())
    put(chip, yours)
    capsys.readouterr()
    for dry in ((), ("--dry-run",)):
        status, out, err = tool("deploy", chip.port, *dry)
        assert status == 1 and words in err and f"mpremote connect {chip.port} cp :" in err, err
        assert "make deploy BOARD=RPI_PICO_W ARGS=--replace; or ARGS=--keep" in err
        assert "    main.py  " in out and "copying" not in out
        assert chip.files() == yours
    assert tool("deploy", chip.port, "--dry-run", "--replace")[0] == 0
    assert chip.files() == yours
    status, _, err = tool("deploy", chip.port, "--replace")
    assert status == 0, err
    assert chip.files() == fresh


@pytest.mark.parametrize("name", ["main.py", "boot.py", "sensor.py"])
def test_what_is_yours_can_stay(name, board, tool, fresh):
    """With --keep the rest comes, each time; the one or the other, not both."""
    chip = board()
    mine = {name: b"print('mine')\n"}
    put(chip, mine)
    for _ in range(2):
        status, out, err = tool("deploy", chip.port, "--keep")
        assert status == 0 and f"yours, and left alone: {name}\n" in out, err
        assert chip.files() == {**fresh, **mine}
    with pytest.raises(SystemExit):
        tool("deploy", chip.port, "--keep", "--replace")
    assert tool("deploy", chip.port)[0] == 1


def test_what_deploy_put_there_is_replaced(board, tool, fresh, monkeypatch):
    """Also by another version, from another PC: the board itself knows. Not so once changed."""
    chip = board()
    older = {"main.py": b"import older\n", "boot.py": fresh["boot.py"]}
    put(chip, {**older, deploy.RECORD: deploy.record(older)})
    status, _, err = tool("deploy", chip.port)
    assert status == 0, err
    assert chip.files() == fresh
    put(chip, {"main.py": older["main.py"]})  # a copy that was saved is the user's
    assert tool("deploy", chip.port)[0] == 1
    put(chip, {"main.py": b"", deploy.RECORD: b"\xff\n"})
    assert tool("deploy", chip.port)[0] == 0
    assert chip.files() == fresh


def test_a_boot_py_of_comments_is_nobodys(board, tool, fresh):
    """As MicroPython puts it on an ESP32."""
    boot = b"# This file is executed on every boot\n#import esp\n\n  #webrepl.start()\r\n"
    chip = board()
    put(chip, {"boot.py": boot, "main.py": b"\n"})
    status, _, err = tool("deploy", chip.port)
    assert status == 0, err
    assert chip.files() == fresh


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["nope", "aio,store", "aio+"])
def test_a_slice_that_is_none(name, words, tool, monkeypatch):
    """Said before a board is looked for."""
    monkeypatch.setattr(ports, "find", None)
    status, out, err = tool("deploy", None, "--slice", name, *words)
    assert status == 1 and out == ""
    assert f"deploy: there is no slice {name.rpartition('+')[2]!r}; there are qos0, " in err
    assert err.endswith("wifi, all\n")


def test_more_slices(board, tool):
    chip = board()
    assert tool("deploy", chip.port, "--slice", "aio")[0] == 0
    assert "lib/umqtt_plus/aio.mpy" in chip.files()


def test_a_dry_run_changes_nothing(board, tool, fresh):
    chip = board()
    status, out, _ = tool("deploy", chip.port, "--dry-run")
    assert status == 0 and "nothing was changed" in out and "client.mpy" in out
    assert chip.files() == {}


def test_a_dry_run_without_a_board(tool, monkeypatch, fresh):
    monkeypatch.setattr(ports.list_ports, "comports", list)
    status, out, _ = tool("deploy", None, "--dry-run")
    assert status == 0 and "no board is attached" in out
    assert all(f"    {path} " in out for path in fresh)


def test_the_program_that_ran_runs_again(board, tool):
    """Also after a dry run: it was interrupted."""
    chip = board(main=True)
    put(chip, {"main.py": b"import time\nprint('at', 'work')\nwhile True: time.sleep_ms(10)\n"})
    chip.wait_said("at work")
    del chip.said[:]
    assert tool("deploy", chip.port, "--dry-run", "--replace")[0] == 0
    chip.wait_said("at work")


def test_from_an_empty_board_to_the_first_message(board, tool, broker, tmp_path, fresh):
    """deploy and provision; then the board's own main.py reports to a real broker."""
    chip = board(main=True)
    assert tool("deploy", chip.port)[0] == 0
    chip.wait_said("no secrets.py on the board: make provision")
    secrets = tmp_path / "secrets.py"
    secrets.write_text(SECRETS.format(host=broker.host, port=broker.port, name="barn"))
    status, out, err = tool("provision", chip.port, "--file", str(secrets))
    assert status == 0, err
    assert "its own password" not in out + err and "1 network" in out
    broker.wait_for(direction="in", type="PUBLISH", topic="barn/reading", timeout=20)
    broker.wait_for(direction="in", type="PUBLISH", topic="barn/state", payload="online")
    status, out, err = tool("deploy", chip.port)  # while it runs
    assert status == 0 and f"{len(fresh)} files are as they should be" in out, err
    assert broker.violations == []


# -- what is attached -----------------------------------------------------------------------------


class Found:
    def __init__(self, device, vid, pid=1, product="Board in FS mode", serial_number="e661"):
        self.__dict__.update(locals())
        self.description = product


@pytest.mark.parametrize(
    "found, words",
    [
        ([], ["no board is attached", "cable that carries data", "dialout"]),
        (
            [Found("/dev/ttyUSB3", 0x10C4, 0xEA60, "CP2102")],
            ["no board is attached", "PORT=/dev/ttyUSB3   CP2102 10c4:ea60"],
        ),
        (
            [Found("/dev/ttyACM0", 0x2E8A, 5), Found("/dev/ttyACM1", 0x2E8A, 5)],
            ["2 boards are attached; name one", "PORT=/dev/ttyACM0", "PORT=/dev/ttyACM1"],
        ),
    ],
    ids=["none", "another", "several"],
)
def test_no_board_and_several(found, words, tool, monkeypatch):
    monkeypatch.setattr(ports.list_ports, "comports", lambda: found)
    status, _, err = tool("deploy", None)
    assert status == 1
    for word in words:
        assert word in err, err


def test_the_only_board_is_found(board, tool, monkeypatch):
    chip = board()
    other = Found("/dev/ttyUSB3", 0x10C4)
    serial = Found("/dev/ttyS0", None)
    monkeypatch.setattr(
        ports.list_ports, "comports", lambda: [other, serial, Found(chip.port, 0x2E8A)]
    )
    status, out, err = tool("deploy", None, "--dry-run")
    assert status == 0 and f"at {chip.port}" in out, err


def test_a_port_that_is_not_there(tool):
    status, _, err = tool("deploy", "/dev/ttyACM77")
    assert status == 1 and "there is no /dev/ttyACM77: is the board plugged in?" in err


def test_a_port_in_use(board, tool):
    chip = board()
    end = os.open(chip.port, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(end, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as every such program does
        status, _, err = tool("deploy", chip.port)
    finally:
        os.close(end)
    assert status == 1
    assert f"{chip.port} is in use by another program" in err and "Thonny" in err


def test_a_port_that_may_not_be_opened(tool, monkeypatch):
    """Root may open all, so the error comes from a fake of open()."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("serial.serialposix.os.open", refuse)
    monkeypatch.setattr(ports.os.path, "exists", lambda path: True)
    status, _, err = tool("deploy", "/dev/ttyACM0")
    assert status == 1 and "usermod -a -G dialout" in err


def test_a_port_without_micropython(tool, monkeypatch):
    """Nobody answers; it does not wait for ever."""
    linux_only()
    monkeypatch.setattr(board_target, "ENTER_S", 0.5)
    master, slave = pty.openpty()
    try:
        status, _, err = tool("deploy", os.ttyname(slave))
    finally:
        os.close(master)
        os.close(slave)
    assert status == 1
    assert "does not answer as MicroPython" in err and "make flash" in err


@pytest.mark.parametrize(
    "facts, name, words",
    [
        ({"version": (1, 23, 0)}, "RPI_PICO_W", ["runs micropython 1.23.0", "1.24 or newer"]),
        ({"mpy": 7}, "RPI_PICO_W", [".mpy version 7", "writes version 6", "MPY_CROSS"]),
        ({"mpy": 0}, "RPI_PICO_W", ["loads no .mpy files"]),
        ({}, "RPI_PICO2_W", ["is Raspberry Pi Pico W with RP2040", "RPI_PICO2_W has an RP2350"]),
        ({}, "ESP32_GENERIC", ["ESP32_GENERIC has an ESP32", "Nothing was changed"]),
        ({"chip": "esp32s3"}, "ESP32_GENERIC", ["ESP32_GENERIC has an ESP32"]),
        ({"chip": "esp32"}, "ESP32_GENERIC_S3", ["ESP32_GENERIC_S3 has an ESP32S3"]),
    ],
)
def test_a_board_that_does_not_fit(facts, name, words, board, tool):
    chip = board(**facts)
    status, _, err = tool("deploy", chip.port, name=name)
    assert status == 1
    for word in words:
        assert word in err, err
    assert chip.files() == {}


@pytest.mark.parametrize(
    "name, facts",
    [
        ("ESP32_GENERIC", {"chip": "esp32"}),
        ("ESP32_GENERIC", {"chip": "esp32", "machine": "Generic ESP32 module with ESP32-UNICORE"}),
        ("ESP32_GENERIC_S3", {"chip": "esp32s3"}),
        ("ESP32_GENERIC_C3", {"chip": "esp32c3"}),
        ("RPI_PICO2_W", {"chip": "rp2350"}),
    ],
)
def test_every_board_is_taken_for_itself(name, facts, board, tool):
    chip = board(**facts)
    status, out, err = tool("deploy", chip.port, name=name)
    assert status == 0, err
    assert chip.files()["board.mpy"] == deploy.wanted(chips.ALL[name], [])["board.mpy"]


def test_a_package_in_the_root_directory_hides_ours(board, tool):
    chip = board()
    put(chip, {"umqtt_plus/__init__.py": b""})
    status, _, err = tool("deploy", chip.port)
    assert status == 1 and "mpremote rm -r :umqtt_plus" in err


# -- frozen ---------------------------------------------------------------------------------------


def freeze(tmp_path, modules, version=None):
    place = tmp_path / "frozen" / "umqtt_plus"
    place.mkdir(parents=True)
    for module in modules:
        text = (packaging.PACKAGE / f"{module}.py").read_text()
        if version:
            text = text.replace(packaging.package_json()["version"], version)
        (place / f"{module}.py").write_text(text)
    return {"frozen": str(place.parent)}


def test_a_frozen_package_is_left_out(board, tool, tmp_path):
    chip = board(**freeze(tmp_path, packaging.modules("all")))
    status, out, err = tool("deploy", chip.port)
    assert status == 0, err
    assert "is frozen into the firmware" in out
    ours = {"boot.py", "main.py", "sensor.mpy", "board.mpy", deploy.RECORD}
    assert set(chip.files()) == ours


def test_a_frozen_package_that_does_not_do(board, tool, tmp_path):
    chip = board(**freeze(tmp_path, packaging.modules("core")))
    status, _, err = tool("deploy", chip.port)
    assert status == 1
    assert "lacks umqtt_plus.outbox, umqtt_plus.reconnect, umqtt_plus.wifi" in err
    assert "manifest.py" in err and chip.files() == {}


def test_a_frozen_package_of_another_version(board, tool, tmp_path):
    chip = board(**freeze(tmp_path, packaging.modules("all"), "0.0.9"))
    status, _, err = tool("deploy", chip.port)
    assert status == 1 and "umqtt_plus 0.0.9 is frozen" in err and "not 0." in err
