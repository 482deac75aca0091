"""boards/: each board's sensor as a real MicroPython process with a fake radio, and its manifest.

Where the sources of MicroPython are (make firmware fetches them) its own manifest reader takes
each manifest, too.
"""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from firmware import fetch, packaging

ROOT = Path(__file__).resolve().parents[2]
BOARDS = ROOT / "boards"
CHIPS = {
    "ESP32_GENERIC": "esp32",
    "ESP32_GENERIC_S3": "esp32s3",
    "ESP32_GENERIC_C3": "esp32c3",
    "RPI_PICO_W": "rp2040",
    "RPI_PICO2_W": "rp2350",
}
NEEDED = {"client", "receive", "subscribe", "outbox", "reconnect", "wifi"}  # by sensor.py
RAM = {"esp32": 520, "esp32s3": 512, "esp32c3": 400, "rp2040": 264, "rp2350": 520}  # KB
# Objects are twice as large here as on a board; the fakes take their part, and the compiler.
HEAP = {"esp32s3": "256k", "rp2350": "256k"}
every_board = pytest.mark.parametrize("board", CHIPS)

SECRETS = """\
NETWORKS = [("my network", "its own password")]
COUNTRY = None
HOST = {host!r}
PORT = {port}
USER = PASSWORD = None
NAME = {name!r}
"""
MAIN = """\
import sys
sys.path.append({tests!r})
from fakes.board import Board
board = Board({chip!r})
{more}
import main
"""


@pytest.fixture
def sensor(micropython, broker, tmp_path):
    """sensor(board): main.py of a board, running; `more` is run before it."""

    def start(board, more="", name=None, secrets=True):
        if secrets:
            text = SECRETS.format(host=broker.host, port=broker.port, name=name)
            (tmp_path / "secrets.py").write_text(text)
        script = MAIN.format(tests=str(ROOT / "tests"), chip=CHIPS[board], more=more)
        return micropython.start(
            script,
            path=[tmp_path, BOARDS / board, BOARDS / "common"],
            mpy=True,
            heapsize=HEAP.get(CHIPS[board], "128k"),
        )

    yield start
    assert broker.violations == []


def test_the_boards():
    assert {d.name for d in BOARDS.iterdir() if d.is_dir()} == {*CHIPS, "common"}


@every_board
def test_the_sensor_reports(board, broker, sensor):
    child = sensor(board)
    state = "sensor-0102feff/state"
    broker.wait_for(direction="in", type="PUBLISH", topic=state, payload="online", timeout=15)
    mark = broker.mark()
    broker.publish("sensor-0102feff/interval", b"1", qos=1)
    child.expect("a reading every 1 s")
    event = broker.wait_for(
        direction="in", type="PUBLISH", topic="sensor-0102feff/reading", since=mark, timeout=15
    )
    assert event.qos == 1
    reading = json.loads(broker.messages("sensor-0102feff/reading")[-1].payload)
    assert reading["rssi"] == -61 and 0 <= reading["uptime"] < 60 and reading["free"] > 10000
    expected = {"esp32": 48.9, "rp2040": 25.6, "rp2350": 25.6}.get(CHIPS[board], 33)
    assert reading["temperature"] == expected
    if board.startswith("RPI"):
        assert "pin LED 1" in child.stdout and "watchdog" not in child.stdout
    else:
        assert "watchdog 60000" in child.stdout


def test_the_will_says_offline(broker, sensor):
    child = sensor("RPI_PICO_W", name="barn")
    broker.wait_for(direction="in", type="PUBLISH", topic="barn/state", timeout=15)
    child.kill()
    broker.wait_until(lambda: b"offline" in [m.payload for m in broker.messages("barn/state")])


def test_it_comes_back_when_the_broker_does(broker, sensor):
    child = sensor("ESP32_GENERIC", name="barn")
    child.expect("connected to")
    broker.publish("barn/interval", b"1", qos=1, retain=True)
    child.expect("a reading every 1 s")
    broker.stop(keep_sessions=True, how="rst")
    child.expect("link lost", 15)
    mark = broker.mark()
    broker.start()
    child.expect("connected to", 30)
    broker.wait_for(direction="in", type="PUBLISH", topic="barn/reading", since=mark, timeout=15)


def test_it_comes_back_when_the_access_point_does(broker, sensor):
    vanish = "board.clock.after(6000, lambda: board.air.vanish('my network', 4000))"
    child = sensor("RPI_PICO_W", vanish)
    child.expect("connected to")
    child.expect("Wi-Fi: link to my network lost", 30)
    child.expect("pin LED 0")
    child.expect("Wi-Fi: connected to my network", 60)


def test_nonsense_for_an_interval_is_passed_over(broker, sensor):
    child = sensor("RPI_PICO_W", name="barn")
    child.expect("connected to")
    broker.wait_for(direction="out", type="SUBACK")
    for text in (b"0", b"soon", b"86401", b"\xff", b""):
        broker.publish("barn/interval", text, qos=1)
        child.expect("no interval from 1 to 86400 s")
    broker.publish("barn/interval", b"86400", qos=1)
    child.expect("a reading every 86400 s")


def test_without_secrets_it_says_what_to_do(sensor):
    child = sensor("RPI_PICO_W", secrets=False)
    result = child.wait(check=False)
    assert result.returncode and "no secrets.py on the board: make provision" in result.stdout


def test_an_error_that_nobody_foresaw_resets_the_board(sensor):
    more = """
import sensor, time
sensor.temperature = lambda: 1 // 0
sensor.time = type("", (), {"sleep": print, "ticks_ms": time.ticks_ms})
"""
    result = sensor("ESP32_GENERIC", more).wait()
    assert "ZeroDivisionError" in result.stdout and result.stdout.endswith("10\nreset\n")


def test_the_watchdog_is_fed_for_whoever_interrupts(sensor):
    more = """
import sensor
def interrupted():
    raise KeyboardInterrupt
sensor.temperature = interrupted
"""
    result = sensor("ESP32_GENERIC", more).wait(check=False)
    assert "timer 0 1000" in result.stdout and "KeyboardInterrupt" in result.stdout


def test_uptime_over_wraps_of_the_clock(micropython):
    """ticks_ms() wraps after 12.4 days; asked every 5 days, the sum goes on."""
    result = micropython.run(
        f"""
        import sys
        sys.path[:0] = [{str(ROOT / "tests")!r}, {str(BOARDS / "common")!r}]
        sys.path.append({str(BOARDS / "RPI_PICO_W")!r})
        from fakes.board import Board
        Board("rp2040")
        class secrets:
            pass
        sys.modules["secrets"] = secrets
        import sensor, time
        period = time.ticks_add(0, -1) + 1
        now = 0
        diff = time.ticks_diff
        sensor.time = type("", (), {{"ticks_ms": lambda: now % period, "ticks_diff": diff}})
        class s:
            seconds = ms = ticks = 0
        for day in range(5, 100, 5):
            now = day * 86400000
            assert sensor.Sensor.uptime(s) == day * 86400, day
        print("fine")
        """
    )
    assert result.stdout == "fine\n"


def test_the_template_has_all_that_the_sensor_reads():
    names = set(re.findall(r"secrets\.([A-Z]+)", (BOARDS / "common" / "sensor.py").read_text()))
    template = (BOARDS / "common" / "secrets_example.py").read_text()
    assert names == set(re.findall(r"^([A-Z]+) =", template, re.M))
    assert "secrets.py" in (ROOT / ".gitignore").read_text().split()


@every_board
def test_sizes_fit_the_ram(board):
    """The buffers take at most a thirtieth of the chip's RAM, and fit lwIP."""
    found = {}
    exec((BOARDS / board / "board.py").read_text(), found)
    size, inflight = found["BUFFER_SIZE"], found["INFLIGHT"]
    assert size * (3 + inflight) <= RAM[CHIPS[board]] * 1024 // 30
    assert size * inflight <= (6400 if board.startswith("RPI") else 8192)
    assert set(found) >= {"OUTBOX_BYTES", "WATCHDOG_MS", "LED"}


def included(board):
    """The include() calls of a board's manifest, as (path, keywords)."""
    calls = []
    text = (BOARDS / board / "manifest.py").read_text()
    exec(text, {"include": lambda path, **how: calls.append((path, how))})
    return calls


@every_board
def test_the_manifest(board):
    (port, nothing), (ours, how) = included(board)
    own = "boards" if board.startswith("ESP32") else f"boards/{board}"
    assert port == f"$(PORT_DIR)/{own}/manifest.py" and not nothing
    assert (BOARDS / board / ours).resolve() == packaging.MANIFEST
    assert set(packaging.modules(how["slice"])) >= NEEDED
    for file in ("mpconfigboard.cmake", "mpconfigboard.h"):
        assert f"boards/{board}" in (BOARDS / board / file).read_text()


@every_board
def test_micropython_reads_the_manifest(board, tmp_path):
    micropython = fetch.CACHE / "source" / "micropython"
    reader = micropython / "tools" / "manifestfile.py"
    if not reader.exists():
        pytest.skip("no sources of MicroPython here; make firmware fetches them")
    spec = importlib.util.spec_from_file_location("manifestfile", reader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    port = "esp32" if board.startswith("ESP32") else "rp2"
    library = tmp_path / "micropython-lib"  # Debian does not pack it: empty packages instead
    names = {
        name
        for file in (micropython / "ports" / port / "boards").rglob("manifest.py")
        for name in re.findall(r'require\("([^"]+)"\)', file.read_text())
    }
    for name in names:
        (library / "micropython" / name).mkdir(parents=True)
        (library / "micropython" / name / "manifest.py").write_text("")
    manifest = module.ManifestFile(
        module.MODE_FREEZE,
        {
            "MPY_DIR": str(micropython),
            "PORT_DIR": str(micropython / "ports" / port),
            "MPY_LIB_DIR": str(library),
            "BOARD_DIR": str(BOARDS / board),
        },
    )
    manifest.execute(str(BOARDS / board / "manifest.py"))
    files = {file.target_path: file for file in manifest.files()}
    slices = included(board)[1][1]["slice"]
    frozen = {f"umqtt_plus/{module}.py" for module in packaging.modules(slices)}
    assert {name for name in files if name.startswith("umqtt_plus")} == frozen
    assert all(files[name].opt == 3 for name in frozen)
    assert any(name.startswith("asyncio") for name in files)


@every_board
def test_its_readme_goes_from_empty_to_the_first_message(board):
    text = (BOARDS / board / "README.md").read_text()
    for command in ("flash", "deploy"):
        assert f"make {command} BOARD={board}" in text
    assert "make provision" in text and "make monitor" in text and "## Pins" in text
    for line in re.findall(r"^    mpremote .*cp (?:-r )?(.*) :", text, re.M):
        for path in line.split():
            assert path.startswith("build/") or path == "secrets.py" or (ROOT / path).exists()
    if board.startswith("ESP32"):
        offset = "0x1000" if board == "ESP32_GENERIC" else "0"
        assert f"--chip {CHIPS[board]} " in text and f"write-flash {offset} {board}-" in text
