"""`deploy`, cut off: by its cable, by the board's power, by a full flash, by damage on the way.

Each time the board has all the old files or all the new ones, and the next deploy gets through.
littlefs is real, and the power goes at each write to its flash in turn.
"""

import pytest

pytest.importorskip("mpremote", reason="no mpremote here: pip install mpremote")

from board import deploy, install  # noqa: E402
from board.target import BoardError, Target  # noqa: E402
from serial_board import put  # noqa: E402

pytest_plugins = ["deploy_place"]


@pytest.fixture(scope="module")
def old(fresh):
    """Another version of all of it, by deploy: the same names, other contents."""
    files = {path: b"old " + path.encode() + data[:300] for path, data in fresh.items()}
    return {**files, deploy.RECORD: deploy.record({**files, "boot.py": fresh["boot.py"]})}


# -- cut off --------------------------------------------------------------------------------------


def outcome(chip, before, after, note):
    """What is on the board: "old" or "new", all of it; nothing else but the stage of a deploy."""
    stage = (install.STAGE, install.TODO)
    there = {path: x for path, x in chip.files().items() if path.split("/")[0] not in stage}
    assert there in (before, after), (note, sorted(set(there.items()) ^ set(before.items())))
    return "old" if there == before else "new"


def test_a_cable_pulled_anywhere_leaves_the_old_files_whole(board, tool, fresh, old):
    """The board stays powered. The tool says so; the next deploy gets through."""
    chip = board()
    before = {**old, "boot.py": fresh["boot.py"]}
    put(chip, before)
    whole = []
    start = chip.heard
    disk = chip.power_off()
    chip.power_up()
    assert tool("deploy", chip.port)[0] == 0
    total = chip.heard - start
    assert total > 50000
    seen = set()
    for at in [1, 30, 500, *range(2000, total, total // 6), total - 400, total - 150]:
        chip.power_up(disk)
        chip.cut_after(at)
        status, out, err = tool("deploy", chip.port)
        assert status == 1, (at, out)
        assert "Plug it in again" in err or "does not answer" in err, err
        assert "Traceback" not in out + err
        chip.power_up()
        result = outcome(chip, before, fresh, at)
        seen.add(result)
        whole.append((at, result))
        status, out, err = tool("deploy", chip.port)
        assert status == 0, (at, err)
        assert chip.files() == fresh
    assert "old" in seen, whole


def test_the_power_gone_at_any_write_leaves_old_or_new(board, tool, fresh, old):
    """littlefs is real, and so is the cut: the process is killed. boot.py finishes it."""
    names = ["main.py", "sensor.mpy", "lib/umqtt_plus/client.mpy", "lib/umqtt_plus/wifi.mpy"]
    new = {name: fresh[name][:200] for name in names}
    before = {"boot.py": fresh["boot.py"], **{name: old[name] for name in names}}
    before["lib/umqtt_plus/gone.mpy"] = b"of the old version"
    after = {"boot.py": fresh["boot.py"], **new}
    chip = board()
    put(chip, before)
    disk = chip.power_off()
    results = []
    for cut in range(1, 400):
        chip.power_up(disk, cut=cut)
        try:
            with Target(chip.port) as target:
                install.Files(target).install(new, ["lib/umqtt_plus/gone.mpy"])
            done = True
        except install.Problem:
            done = False
        chip.power_up(cut=0)
        with Target(chip.port):
            pass  # boot.py has run
        results.append(outcome(chip, before, after, cut))
        if done:
            break
    assert done and results[-1] == "new", results
    assert results == sorted(results, reverse=True), "from some write on it is the new one"
    assert results.count("old") > 10 and results.count("new") > 5, results


TODO = b"0 main.py\n1 lib/a.mpy\n- old.py\nend"


@pytest.mark.parametrize("size", [0, 1, 9, 10, 20, len(TODO) - 4, len(TODO) - 1, len(TODO)])
def test_a_list_that_is_not_whole_does_not_count(size, board, fresh):
    """On a FAT file system a file may be there in part."""
    before = {"boot.py": fresh["boot.py"], "main.py": b"old", "old.py": b"", "lib/b.py": b""}
    begun = {"deploy/0": b"new", "deploy/1": b"new", "deploy.todo": TODO[:size]}
    chip = board(starts=())
    put(chip, before)
    with Target(chip.port) as target:
        target.run("import os\nos.mkdir('deploy')")
        for path, data in begun.items():
            target.write(path, data)
    chip.power_up(starts=("boot.py",))
    with Target(chip.port):
        pass  # boot.py has run
    if size == len(TODO):
        after = {**before, "main.py": b"new", "lib/a.mpy": b"new"}
        del after["old.py"]
        assert chip.files() == after
    else:
        assert chip.files() == {**before, **begun}
        assert b"Error" not in chip.said


def test_files_damaged_on_their_way_are_not_used(board, tool, fresh, old):
    chip = board()
    before = {**old, "boot.py": fresh["boot.py"]}
    put(chip, before)
    swaps = []

    def damage(data):
        # within the base64 text of a piece: another letter
        at = data.find(b"TQYAH")
        if at < 0 or swaps:
            return data
        swaps.append(at)
        return data[: at + 9] + (b"A" if data[at + 9] != 65 else b"B") + data[at + 10 :]

    chip.damage = damage
    status, out, err = tool("deploy", chip.port)
    assert swaps and status == 1
    assert "was damaged on its way; nothing was changed. Deploy again" in err, err
    chip.damage = None
    assert chip.files() == before


def test_what_an_earlier_one_began_is_finished_first(board, tool, fresh):
    """Only the cable was pulled, after the new files were complete: no reset, so no boot.py."""
    chip = board(starts=())
    put(chip, {"main.py": b"old"})
    with Target(chip.port) as target:
        files = install.Files(target)
        begun = {"main.py": b"half way", "notes.txt": b"x"}
        begun[deploy.RECORD] = deploy.record({"boot.py": b"", **begun})
        files._stage(begun, (), lambda n: None)
    assert set(chip.files()) == {"main.py", "deploy/0", "deploy/1", "deploy/2", "deploy.todo"}
    assert tool("deploy", chip.port)[0] == 0
    assert chip.files() == {**fresh, "notes.txt": b"x"}


# -- no space -------------------------------------------------------------------------------------


def test_no_space_is_seen_beforehand(board, tool):
    chip = board(blocks=20)
    status, out, err = tool("deploy", chip.port)
    assert status == 1
    assert "KB are needed on the board, and " in err and "Make room" in err
    assert chip.files() == {}


def test_no_space_in_the_middle(board, tool, monkeypatch, fresh, old):
    """As when something on the board writes meanwhile."""
    monkeypatch.setattr(install, "enough", lambda changed, facts: None)
    chip = board(blocks=20)
    put(chip, {"main.py": old["main.py"]})
    status, out, err = tool("deploy", chip.port, "--replace")
    assert status == 1
    assert "no space is left on the board" in err and "Nothing was changed" in err
    assert chip.files() == {"main.py": old["main.py"]}


# -- errors of scripts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last, number",
    [
        ("OSError: [Errno 28] ENOSPC", 28),
        ("OSError: 28", 28),
        ("OSError: -202", 0),
        ("ValueError: 1", 0),
    ],
)
def test_the_number_of_an_error(last, number):
    assert BoardError(f"Traceback:\n  File\n{last}\r\n").errno == number
