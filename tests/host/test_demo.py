"""The demo: what it tells, its exit status, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / "tools" / "demo.py")]
PROMISES = 12
DEADLINE_S = 60


def environment(**changes):
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    env["PYTHONIOENCODING"] = "utf-8"
    return {**env, **changes}


def demo(*args, **env):
    return subprocess.run(
        [*DEMO, *args],
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE_S,
    )


def test_story_in_plain_lines():
    done = demo("--speed", "4")  # no terminal: plain by itself
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    story = (
        r"broker  listens on 127\.0\.0\.1:\d+",
        r"sensor  connected, on MicroPython",
        r"sensor  publishes \w+ \(QoS 0\), memory \(QoS 1\), \w+ \(QoS 2\)",
        r"you     asked for a reading every 125 ms",
        r"broker  sent it again, marked DUP",
        r"sensor  blinked 1 x, answered 1 x",
        r"broker  stopped, with [2-8] readings not acknowledged yet",
        r"sensor  is back, session resumed, [2-8] messages resent with DUP",
        r"broker  of \d+ QoS 1 and 2 readings 0 lost; QoS 2 doubled: 0",
        r"sensor  noticed after \d\.\d s: no answer to its PINGREQ",
        r"sensor  is back, session new, subscribed again",
        r'broker  published the will: status "offline", retained',
        rf"all {PROMISES} promises kept",
    )
    at = 0
    for line in story:
        found = re.compile(line).search(done.stdout, at)
        assert found, f"no {line!r} there:\n{done.stdout[at:]}"
        at = found.end()
    assert done.stdout.count("✓") == 2 * PROMISES  # when seen, and in the list at the end
    assert "✗" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_broken_promise_is_named():
    """A broker that hands on every copy of a QoS 2 message, as NanoMQ does.

    The answer to the command that is cut off may be on its way just then, and come twice, too.
    """
    done = demo("--speed", "4", "--quirk", "no_qos2_dedup")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("not seen: ")]
    assert line.endswith("restart: nothing lost or doubled"), line
    twice = "command delivered twice, done once" in line
    assert done.stdout.count("✗") == 1 + twice


def test_without_micropython_it_says_so():
    done = demo(MICROPYTHON="/no/such/program")
    assert done.returncode == 1
    assert "MICROPYTHON=/no/such/program is not a program" in done.stderr
    assert "Traceback" not in done.stderr


class Terminal:
    """The demo on a terminal of 80 x 24, read all along."""

    def __init__(self, *args, **env):
        pty = pytest.importorskip("pty", reason="no pseudo terminals here")
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*DEMO, *args],
            env=environment(TERM="xterm", COLUMNS="80", LINES="24", **env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.raw = b""
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # Linux: the other end is closed
                data = b""
            with self.changed:
                self.raw += data
                self.changed.notify_all()
            if not data:
                return

    def expect(self, text):
        with self.changed:
            assert self.changed.wait_for(lambda: text.encode() in self.raw, 20), self.raw[-2000:]

    def end(self):
        """(exit status, everything it wrote)"""
        try:
            status = self.process.wait(DEADLINE_S)
            self.reader.join(5)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            os.close(self.master)
        return status, self.raw.decode("utf-8").replace("\r\n", "\n")


def pictures(text):
    """Each picture as lines without escape codes."""
    for picture in text.split("\x1b[H")[1:]:
        yield re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", picture.split("\x1b[J")[0]).split("\n")


def test_live_view():
    terminal = Terminal("--speed", "8", NO_COLOR="1")
    status, text = terminal.end()
    assert status == 0, text[-3000:]
    assert not re.search(r"\x1b\[[0-9;]*m", text), "NO_COLOR is set"
    shown = list(pictures(text))
    assert len(shown) > 30
    assert max(len(line) for lines in shown for line in lines) <= 80
    assert max(map(len, shown)) <= 24
    first, last = "\n".join(shown[0]), "\n".join(shown[-1])
    assert "✓" not in first
    assert last.count("✓") == PROMISES, last
    assert "sensor  unplugged" in last
    assert any("is down" in line for lines in shown for line in lines)
    assert "all 12 promises kept" in text.split("\x1b[?1049l")[1], "it stays on the screen"


def test_colors_where_they_are_wanted_and_ctrl_c():
    terminal = Terminal("--speed", "4")
    terminal.expect("heap of 64 KB")
    terminal.process.send_signal(signal.SIGINT)
    status, text = terminal.end()
    assert status == 130
    assert "\x1b[32m" in text
    assert "Traceback" not in text
    assert text.endswith("\x1b[?25h\x1b[?1049lstopped\n"), text[-300:]


def test_ctrl_c_ends_the_sensor():
    process = subprocess.Popen(
        [*DEMO, "--plain"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    watch = threading.Timer(20, process.kill)
    watch.start()
    try:
        lines = []
        while not lines or "heap of" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        sensor = children(process.pid)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 130
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    assert rest.endswith("stopped\n")
    assert not any(Path(f"/proc/{pid}").exists() for pid in sensor)


def children(pid):
    """Process ids of its children; needs Linux."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        pytest.skip("no /proc here to look for the sensor's process")
    found = [int(p) for task in tasks.iterdir() for p in (task / "children").read_text().split()]
    assert found, "no sensor is running"
    return found
