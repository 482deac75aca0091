"""manifest.py, package.json and the package agree, and mip installs what they say."""

import ast
import http.server
import json
import threading
from functools import partial

import pytest
from firmware import packaging, release
from umqtt_harness.micropython import MicroPythonError, find_mpy_cross, find_package

MODULES = {file.stem for file in find_package().glob("*.py")}


@pytest.fixture
def served():
    """served(directory): the URL of a server on loopback that gives its files."""
    servers = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def serve(directory):
        handler = partial(Handler, directory=str(directory))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_every_module_has_one_slice():
    """A new module needs a slice in manifest.py."""
    named = [module for modules in packaging.slices().values() for module in modules]
    assert sorted(named) == sorted(MODULES)


def test_a_slice_brings_what_it_needs():
    qos0, core, link = (set(packaging.modules(name)) for name in ("qos0", "core", "link"))
    assert qos0 < core < link and "outbox" in link and "aio" not in link
    assert set(packaging.modules("aio+store")) > set(packaging.modules("aio"))
    assert set(packaging.modules("all")) == MODULES
    assert packaging.modules() == packaging.modules("core")


@pytest.mark.parametrize("name", packaging.slices())
def test_a_slice_imports_nothing_from_outside_it(name):
    """What it imports on loading, and inside functions, is there.

    But for rooms of MQTT 5.0, which only a client with version=5 asks for.
    """
    inside = set(packaging.modules(name))
    eager, late = packaging.imports(inside)
    assert not eager - inside
    if name not in ("qos0", "qos2"):  # they are for programs that call no more
        assert not {module for module in late - inside if not module.endswith("5")}


def test_frozen_at_o3_under_its_own_name():
    recorded = packaging.evaluate("all")
    assert recorded["opt"] == 3 and recorded["package"] == "umqtt_plus"


def constants(tree):
    """Ints in tuples of constants, as (line, value); names of const() are looked up."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            if getattr(call.func, "id", "") == "const" and isinstance(call.args[0], ast.Constant):
                known[node.targets[0].id] = call.args[0].value

    def value(node):
        if isinstance(node, ast.Tuple):
            parts = [value(part) for part in node.elts]
            return None if None in parts else parts
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            return -node.operand.value if isinstance(node.op, ast.USub) else 0
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, int) else 0
        return known.get(getattr(node, "id", None))

    def flat(parts):
        for part in parts:
            yield from flat(part) if isinstance(part, list) else (part,)

    for node in ast.walk(tree):
        parts = value(node) if isinstance(node, ast.Tuple) else None
        for number in flat(parts or ()):
            yield node.lineno, number


def test_no_frozen_tuple_holds_a_large_int():
    """Frozen, an int beyond 14 bits in a tuple of constants becomes a long one, and ticks_diff()
    takes the address of that for its value."""
    for file in sorted(packaging.PACKAGE.glob("*.py")):
        for line, number in constants(ast.parse(file.read_text())):
            assert -0x2000 <= number <= 0x1FFF, f"{file.name}:{line}: {number} in a tuple"


def test_constants_finds_them():
    text = "A = const(9000)\nx = (1, (A, b''), -2)\ny = (z, 9001)\nw = (-9002, None)"
    assert {number for _, number in constants(ast.parse(text))} == {0, 1, -2, 9000, -9002}


def test_an_unknown_slice_is_named():
    with pytest.raises(ValueError, match="no slice 'asyncio'; there are qos0, .*aio.*, all"):
        packaging.modules("core+asyncio")


def test_beside_a_manifest_that_has_metadata():
    """MicroPython takes one metadata() for all that is included."""

    def metadata(**_):
        raise RuntimeError("Duplicate call to metadata().")

    assert packaging.evaluate("core", metadata=metadata)["files"]


def test_versions_agree():
    versions = packaging.versions()
    assert len(versions) == 4 and len(set(versions.values())) == 1, versions


def test_package_json_is_what_would_be_written():
    assert json.loads(packaging.PACKAGE_JSON.read_text()) == packaging.package_json(), (
        "python -m firmware package writes it anew"
    )


def install(micropython, tmp_path, url):
    done = micropython.run(
        f"""
        try:
            import mip
        except ImportError:
            raise SystemExit(7)
        mip.install("{url}", target="{tmp_path}")
        """,
        check=False,
        timeout=60,
    )
    if done.returncode == 7:
        pytest.skip("this MicroPython has no mip")
    assert "Done" in done.stdout, done
    return done


def version_of(micropython, place):
    """What a MicroPython with the installed files alone says; no other umqtt_plus is there."""
    return micropython.run(
        """
        import sys
        sys.path[:] = [sys.argv[1], ".frozen"]
        import umqtt_plus
        from umqtt_plus.client import MQTTClient
        print(umqtt_plus.__version__, umqtt_plus.__file__)
        """,
        place,
    ).stdout.split()


def test_mip_installs_the_sources(micropython, served, tmp_path):
    install(micropython, tmp_path, served(packaging.ROOT) + "/package.json")
    assert {file.stem for file in (tmp_path / "umqtt_plus").iterdir()} == MODULES
    version, file = version_of(micropython, tmp_path)
    assert version == packaging.package_json()["version"] and file.startswith(str(tmp_path))


def test_mip_installs_a_slice_of_a_release(micropython, served, tmp_path):
    try:
        find_mpy_cross()
    except MicroPythonError as error:
        pytest.skip(str(error))
    release.write(tmp_path / "release")
    install(micropython, tmp_path / "board", served(tmp_path / "release") + "/link.json")
    files = {file.name for file in (tmp_path / "board" / "umqtt_plus").iterdir()}
    assert files == {f"{module}.mpy" for module in packaging.modules("link")}
    version, file = version_of(micropython, tmp_path / "board")
    assert file.endswith(".mpy") and version == packaging.package_json()["version"]


def test_a_release_has_every_slice(tmp_path):
    try:
        find_mpy_cross()
    except MicroPythonError as error:
        pytest.skip(str(error))
    release.write(tmp_path)
    for name in [*packaging.slices(), "all"]:
        listed = json.loads((tmp_path / f"{name}.json").read_text())
        assert listed["version"] == packaging.package_json()["version"]
        for target, url in listed["urls"]:
            assert target == url and (tmp_path / url).stat().st_size
    assert (tmp_path / "package.json").read_text() == (tmp_path / "all.json").read_text()
    assert ".mpy v" in (tmp_path / "README.txt").read_text()
