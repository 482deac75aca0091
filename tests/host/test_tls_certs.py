"""tools/certs.py: a CA, a server and devices out of one command; PEM to DER."""

import base64
import stat
import subprocess
import sys
from pathlib import Path

import certs
import pytest

TOOL = Path(certs.__file__)


def run(*words, status=0):
    done = subprocess.run(
        [sys.executable, str(TOOL), *map(str, words)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    if not certs.find_openssl():
        pytest.skip(certs.MISSING)
    place = tmp_path_factory.mktemp("certs") / "new"
    said = run("make", place, "--host", "broker.local", "--host", "192.168.1.10", "--device", "s1")
    assert "'cadata': 'ca.der'" in said
    return place


def test_make(place):
    """What openssl thinks of it."""
    for name in ("server", "s1"):
        words = ["verify", "-CAfile", place / "ca.crt", place / f"{name}.crt"]
        assert subprocess.run(["openssl", *words], capture_output=True, timeout=20).returncode == 0
    words = ["x509", "-noout", "-text", "-in", place / "server.crt"]
    text = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=20).stdout
    assert "DNS:broker.local, IP Address:192.168.1.10" in text
    for file in place.iterdir():
        assert file.is_file(), "a directory is left"
        mode = stat.S_IMODE(file.stat().st_mode)
        assert mode == (0o600 if ".key" in file.name else 0o644), file


def test_another_device(place):
    """Called again it keeps what is there."""
    before = {file: file.read_bytes() for file in place.iterdir()}
    assert "server: kept" in run("make", place, "--host", "x", "--device", "s2")
    assert all(file.read_bytes() == data for file, data in before.items())
    assert (place / "s2.key.der").exists()


def test_der(place, tmp_path):
    """A bundle gives a file each; DER stays as it is; a key is for its owner only."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes((place / "ca.crt").read_bytes() + (place / "server.crt").read_bytes())
    run("der", bundle)
    assert (tmp_path / "bundle.der").read_bytes() == (place / "ca.der").read_bytes()
    assert (tmp_path / "bundle.2.der").read_bytes() == (place / "server.der").read_bytes()
    data = (place / "ca.der").read_bytes()
    assert certs.to_der(data) == [data]
    key = tmp_path / "k.pem"
    key.write_bytes((place / "s1.key").read_bytes())
    run("der", key)
    assert stat.S_IMODE((tmp_path / "k.der").stat().st_mode) == 0o600


def test_der_of_a_pair(place, tmp_path):
    """sensor.crt and sensor.key give two files, and the key is nobody else's, even if an older
    one was."""
    for end in ("crt", "key"):
        (tmp_path / f"s1.{end}").write_bytes((place / f"s1.{end}").read_bytes())
    old = tmp_path / "s1.key.der"
    old.write_bytes(b"old")
    old.chmod(0o644)
    run("der", tmp_path / "s1.crt", tmp_path / "s1.key")
    for name, mode in (("s1.der", 0o644), ("s1.key.der", 0o600)):
        assert (tmp_path / name).read_bytes() == (place / name).read_bytes()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_a_key_that_is_not_ours(place, tmp_path, monkeypatch):
    """Root may open all, so open() is a fake. Whose file it is is said, and nothing begun."""
    there = sorted(place.iterdir())

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(certs, "open", refuse, raising=False)
    monkeypatch.setattr(Path, "owner", lambda self: "anna")
    with pytest.raises(SystemExit) as caught:
        certs.main(["make", str(place), "--device", "s9"])
    assert str(caught.value) == (
        f"certs: {place / 'ca.key'}: Permission denied. {place / 'ca.key'} is anna's: "
        "call this as anna, or with files of your own"
    )
    assert sorted(place.iterdir()) == there, "no s9.key without its certificate"
    monkeypatch.undo()
    (tmp_path / "ca.crt").write_bytes((place / "ca.crt").read_bytes())
    said = run("make", tmp_path, "--device", "s9", status=1)
    assert said == f"certs: {tmp_path / 'ca.key'}: No such file or directory\n"


def test_a_key_that_somebody_else_wrote_is_made_anew(place, tmp_path, monkeypatch):
    """Its mode cannot be changed by us; it was emptied, and then an error."""
    (tmp_path / "s1.key").write_bytes((place / "s1.key").read_bytes())
    old = tmp_path / "s1.key.der"
    old.write_bytes(b"old")
    number = old.stat().st_ino
    with open(old) as held:  # so that its number is not given away again
        certs.write_der(tmp_path / "s1.key")
        assert old.stat().st_ino != number and held.read() == "old"
    assert old.read_bytes() == (place / "s1.key.der").read_bytes()


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65])
def test_a_name_that_is_none(name, tmp_path):
    if not certs.find_openssl():
        pytest.skip(certs.MISSING)
    said = run("make", tmp_path, "--device", name, status=1)
    assert said.count("\n") <= 1 and "a name has 1 to 64 characters" in said


def test_what_cannot_be_converted(tmp_path):
    box = base64.b64encode(b"0123").decode()
    for text, said in (
        ("rubbish", "neither PEM nor DER"),
        (
            f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{box}\n-----END ENCRYPTED PRIVATE KEY-----",
            "pass",
        ),
        ("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----", "damaged, or not all"),
    ):
        file = tmp_path / "x.pem"
        file.write_text(text)
        assert said in run("der", file, status=1)
    assert "No such file" in run("der", tmp_path / "none", status=1)
    assert not list(tmp_path.glob("*.der"))
