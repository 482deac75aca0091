"""The commands of tools/firmware, short of building: that takes minutes and a network."""

import os
import re
import socket
import struct
import subprocess
import sys

import pytest
from benchmarks import sizes
from firmware import build, fetch, gateway, packaging, ppp, session, table, unit
from firmware.__main__ import arguments, main
from umqtt_harness.micropython import MicroPythonError, find_mpy_cross


def test_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--help"],
        env={**os.environ, "PYTHONPATH": str(packaging.ROOT / "tools")},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    for command in ("package", "release", "table", "emulate", "session", "run"):
        assert f"python -m firmware {command}" in done.stdout


@pytest.mark.parametrize(
    "words, complaint",
    [
        ([], "required: COMMAND"),
        (["sell"], "invalid choice: 'sell'"),
        (["release"], "required: DIR"),
        (["table", "--slice", "most"], "invalid choice: 'most'"),
        (["emulate", "test_nothing.py"], "test_nothing.py: no unit test"),
        (["run", "/no/such/file.py"], "/no/such/file.py: no such file"),
        (["session", "mqtt"], "mqtt: no kind of session; there are 3.1.1, 5.0, websocket, tls"),
    ],
)
def test_arguments_that_are_wrong(words, complaint, capsys):
    with pytest.raises(SystemExit) as caught:
        arguments(words)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_arguments_that_are_right():
    assert arguments(["table"]).slices is None
    assert arguments(["table", "--slice", "qos0", "--slice", "all"]).slices == ["qos0", "all"]
    assert arguments(
        ["emulate", "test_codec.py"]
        if "test_codec.py" in unit.files()
        else ["emulate", unit.files()[0]]
    ).files


def test_the_manifests_freeze_what_is_there():
    assert "umqtt_plus" not in build.frozen()
    assert f'include("{packaging.MANIFEST}", slice="core+aio")' in build.frozen("core+aio")
    for place, files in re.findall(
        r'^freeze\("([^$"]+)", \((.*)\), opt=0\)$', unit.manifest(), re.M
    ):
        for file in re.findall(r'"([^"]+)"', files):
            assert os.path.isfile(os.path.join(place, file))
    assert '"fakes/network.py"' in unit.manifest()
    assert '"tests/vectors/violations.py"' in unit.manifest()


def test_a_changed_source_is_built_again(tmp_path):
    before = build.fingerprint(build.frozen("core"), [tmp_path])
    assert before == build.fingerprint(build.frozen("core"), [tmp_path])
    assert before != build.fingerprint(build.frozen("aio"), [tmp_path])
    (tmp_path / "test_new.py").write_text("")
    assert before != build.fingerprint(build.frozen("core"), [tmp_path])


@pytest.mark.parametrize("name", [*table.PUBLISHERS, *table.SLICES])
def test_the_measuring_script_runs(name, micropython):
    """On the unix port; three figures, the client costs something."""
    front, client, heap = map(int, micropython.run(table.script(name), mpy=True).stdout.split())
    assert 0 < front < client and front <= heap


@pytest.mark.parametrize("name", ["3.1.1", "5.0", "asyncio"])
def test_a_session_on_this_machine(name, broker, micropython, capsys):
    """The script that the chip runs, but for the line that it takes there."""
    kind = session.KINDS[name]
    child = micropython.start(kind.text(broker.host, broker.port), heapsize="512k")
    if name == "asyncio":
        session.restart(broker)
    assert session.show(child.wait(30).stdout, broker.violations) == 0
    how = "0 bytes of heap" if name == "asyncio" else "heap locked"
    assert f"10 each published, [10, 10, 10] came back: {how}" in capsys.readouterr().out
    assert len(broker.packets(type="CONNECT")) == 1 + (name == "asyncio")


@pytest.mark.parametrize("name", ["websocket", "tls"])
def test_a_session_with_mosquitto(name, monkeypatch, capsys):
    monkeypatch.setattr(session.mosquitto, "find_mosquitto", lambda: None)
    assert session.one(None, name) == 0
    assert "left out: Mosquitto is not installed" in capsys.readouterr().out
    text = session.KINDS[name].text("h", 1, now=(2026, 1, 1, 0, 0, 0, 0, 0), ca=b"0")
    compile(text, name, "exec")


LINE = """\
import sys
class machine:
    free = True
    def disable_irq():
        was, machine.free = machine.free, False
        return was
    def enable_irq(state):
        machine.free = state
    class UART:
        IRQ_RXIDLE = 64
        def __init__(self, *args, **words):
            pass
        def irq(self, handler, trigger):
            self.handler = handler
class network:
    class PPP:
        def __init__(self, stream):
            self.stream = stream
        def connect(self):
            self.stream.irq(self.poll, 64)
            self.poll()
        def isconnected(self):
            return True
        def poll(self, *_):
            print("free" if machine.free else "undisturbed")
            if polls == "broken":
                raise OSError
sys.modules["machine"] = machine
sys.modules["network"] = network
polls = "well"
"""
POLLED = """
uart.handler(uart)
polls = "broken"
try:
    uart.handler(uart)
except OSError:
    pass
print(machine.free)
"""


def test_nothing_comes_between_when_the_line_is_read(micropython):
    """lwIP is not locked meanwhile: neither its timers nor another poll() may run."""
    said = micropython.run(LINE + session.BY_PPP + POLLED).stdout.split()
    assert said == ["undisturbed"] * 3 + ["True"]


def test_a_session_that_breaks(monkeypatch, capsys):
    def one(image, name):
        raise MicroPythonError("broken")

    monkeypatch.setattr(session, "one", one)
    monkeypatch.setattr(session.build, "build", lambda *_: None)
    assert session.run(["tls"]) == 1
    assert "FAIL: broken" in capsys.readouterr().out


def test_a_session_that_loses_something(capsys):
    assert session.show("10 9 10 1 0 9000") == 1
    assert session.show("10 10 10 1 0 9000", ["what it did"]) == 1
    assert "what it did" in capsys.readouterr().out


def test_the_publishers_load_what_make_size_sees(tmp_path):
    try:
        find_mpy_cross()
    except MicroPythonError as error:
        pytest.skip(str(error))
    loaded = sizes.path_modules(tmp_path)
    for path, name in (("qos0", "publisher, QoS 0"), ("qos2", "publisher, QoS 2")):
        assert {f"{module}.py" for module in table.modules(name)} == set(loaded[path])


FIGURES = {
    "board": "test",
    "micropython": "1.25.0",
    "gcc": "12",
    "bare": 1000,
    "rows": {
        "publisher, QoS 0": {
            "modules": ["client"],
            "flash": 8192,
            "import": 1228,
            "client": 2,
            "heap": 1229,
        },
        "publisher, QoS 2": {
            "modules": ["client"],
            "flash": 11265,
            "import": 2049,
            "client": 2,
            "heap": 2048,
        },
        "all": {"modules": ["client"], "flash": 10**6, "import": 1, "client": 2, "heap": 10**6},
    },
}


def test_goals_are_told():
    text = "\n".join(table.lines(FIGURES))
    assert "flash 8192: ok; import 1228: ok" in text
    assert "flash 11264: ABOVE by 1; import 2048: ABOVE by 1" in text
    assert table.above(FIGURES)
    rows = FIGURES["rows"]
    fine = {"flash": 11264, "import": 2048, "heap": 9999}
    for change, above in (({}, False), ({"flash": 11265}, True), ({"import": 2049}, True)):
        row = {**rows["publisher, QoS 2"], **fine, **change}
        assert table.above({**FIGURES, "rows": {"publisher, QoS 2": row}}) == above
    assert not table.above({**FIGURES, "rows": {"all": rows["all"]}})


def test_the_table_ends_with_1_above_a_goal(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(table, "measure", lambda: FIGURES)
    assert main(["table", "--json", str(tmp_path / "figures.json")])
    assert "ABOVE" in capsys.readouterr().out
    assert '"publisher, QoS 2"' in (tmp_path / "figures.json").read_text()


@pytest.mark.parametrize("bad", [None, "table", "unit", "session"])
def test_emulate_is_all_of_it(bad, monkeypatch, capsys):
    """In a row, each to its end, and one that fails is enough."""
    rows = {} if bad != "table" else FIGURES["rows"]
    monkeypatch.setattr(table, "measure", lambda: {**FIGURES, "rows": rows})
    done = []

    def part(name):
        return lambda *_, **__: done.append(name) or int(name == bad)

    monkeypatch.setattr(unit, "run", part("unit"))
    monkeypatch.setattr(session, "run", part("session"))
    assert main(["emulate"]) == int(bad is not None)
    assert done == ["unit", "session"]
    assert "bytes of a slice" in capsys.readouterr().out
    done.clear()
    assert main(["emulate", unit.files()[0]]) == int(bad == "unit")
    assert done == ["unit"]


class Chip:
    """Instead of an emulated one: answers for each file."""

    answers = {}

    def __init__(self, image):
        assert image == "image"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, source, timeout):
        answer = self.answers[re.search(r"test_\w+\.py", source)[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    "answer, status, closing",
    [
        (
            "ok   test_a.py 3\n3 passed, 0 failed, 0 skipped on micropython\n",
            0,
            "3 passed, 0 failed",
        ),
        ("FAIL test_a.py::test_b\n2 passed, 1 failed, 0 skipped on micropython\n", 1, "1 failed"),
        (MicroPythonError("MemoryError"), 1, "0 passed, 1 failed"),
        ("", 1, "0 passed, 1 failed"),
    ],
)
def test_the_counts_of_an_emulated_run(answer, status, closing, monkeypatch, capsys):
    monkeypatch.setattr(unit, "Chip", Chip)
    monkeypatch.setattr(unit, "image", lambda: "image")
    Chip.answers = {"test_a.py": answer}
    assert unit.run(["test_a.py"]) == status
    assert closing in capsys.readouterr().out.splitlines()[-1]


def test_a_step_that_breaks_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "CACHE", tmp_path / "cache")

    @fetch.once
    def thing(directory):
        (directory / "half").write_text("")
        if broken:
            raise SystemExit("no network")

    broken = True
    with pytest.raises(SystemExit):
        thing()
    assert not (tmp_path / "cache" / "thing").exists()
    broken = False
    assert (thing() / "half").exists() and thing() == tmp_path / "cache" / "thing"
    assert (tmp_path / "cache" / ".gitignore").read_text() == "*\n"


def test_ppp_gives_the_address_and_refuses_the_rest():
    sent, packets = [], []
    line = ppp.Line(sent.append, packets.append)

    def answers():
        return [bytes(unframed(data)) for data in sent]

    wants = b"\x03\x06" + bytes(4) + b"\x81\x06" + bytes(4)
    line.feed(ppp.frame(ppp.IPCP, b"\x01\x07\x00\x10" + wants))
    given = b"\x03\x06" + ppp.PEER + b"\x81\x06" + ppp.OURS
    assert answers() == [b"\x80\x21\x03\x07\x00\x10" + given]
    sent.clear()
    line.feed(ppp.frame(ppp.IPCP, b"\x01\x08\x00\x10" + given))
    assert answers()[0] == b"\x80\x21\x02\x08\x00\x10" + given
    assert not line.up
    line.feed(ppp.frame(ppp.IPCP, b"\x02\x01\x00\x04"))
    assert line.up
    sent.clear()
    line.feed(ppp.frame(0x8057, b"\x01\x01\x00\x04"))  # IPv6
    assert answers()[0][:3] == b"\xc0\x21\x08"
    whole = ppp.frame(ppp.IPV4, b"\x7e\x7d\x00 packet")
    for i in range(len(whole)):
        line.feed(whole[i : i + 1])
    line.feed(whole.replace(b"packet", b"pocket"))
    assert packets == [b"\x7e\x7d\x00 packet"] and line.damaged == 1


def unframed(data):
    """What a frame of ppp.py holds, its check sequence left out: protocol and payload."""
    out, escaped = bytearray(), False
    for byte in data.strip(b"\x7e"):
        if byte == 0x7D:
            escaped = True
        else:
            out.append(byte ^ 0x20 if escaped else byte)
            escaped = False
    return out[2:-2]


class Board:
    """The TCP of a board, by hand, on the gateway's line."""

    def __init__(self, gateway):
        self.sock = socket.create_connection(("127.0.0.1", gateway.port), 5)
        self.sock.settimeout(10)
        self.part = b""

    def send(self, port, seq, ack, flags, data=b""):
        tcp = struct.pack(">HHIIBBHHH", 5000, port, seq, ack, 0x50, flags, 1000, 0, 0) + data
        head = struct.pack(">BBHIBBH", 0x45, 0, 20 + len(tcp), 0, 64, 6, 0) + ppp.PEER + ppp.OURS
        self.sock.sendall(ppp.frame(ppp.IPV4, head + tcp))

    def receive(self):
        """The next segment: (seq, ack, flags, data); its checksums hold."""
        while self.part.count(b"\x7e") < 2:
            data = self.sock.recv(4096)
            assert data, "the gateway is gone"
            self.part += data
        frame, _, self.part = self.part[1:].partition(b"\x7e")
        ip = bytes(unframed(frame)[2:])
        assert gateway.checksum(ip[:20]) == b"\0\0"
        pseudo = ip[12:20] + b"\0\x06" + (len(ip) - 20).to_bytes(2, "big")
        assert gateway.checksum(pseudo + ip[20:]) == b"\0\0"
        seq, ack = struct.unpack(">II", ip[24:32])
        return seq, ack, ip[33], ip[20 + (ip[32] >> 4) * 4 :]


def test_the_gateway_carries_a_connection():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    line = gateway.Gateway()
    try:
        board = Board(line)
        board.send(port, 99, 0, 2)
        assert board.receive() == (0, 100, 0x12, b"")
        board.send(port, 99, 0, 2)  # as if it had been slow
        assert board.receive() == (0, 100, 0x12, b"")
        peer, _ = server.accept()
        board.send(port, 100, 1, 0x18, b"ping")
        assert board.receive() == (1, 104, 0x10, b"")
        board.send(port, 100, 1, 0x18, b"ping")  # as if the answer had been lost
        assert board.receive() == (1, 104, 0x10, b"")
        peer.settimeout(10)
        assert peer.recv(10) == b"ping"
        peer.sendall(b"x" * 1500)
        assert board.receive() == (1, 104, 0x18, b"x" * gateway.MSS)
        assert len(board.receive()[3]) == 1000 - gateway.MSS  # the window
        board.send(port, 104, 1001, 0x10)
        assert board.receive() == (1001, 104, 0x18, b"x" * 500)
        board.send(port, 104, 1501, 0x10)
        peer.close()
        assert board.receive() == (1501, 104, 0x11, b"")
        board.send(1, 0, 0, 2)  # nobody listens there
        assert board.receive()[2] & 4
        board.sock.close()
    finally:
        line.close()
        server.close()
