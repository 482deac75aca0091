"""The coverage tool finds what it should, and complains when something is missing."""

import importlib.util
import textwrap
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "coverage.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("statement_coverage", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def covered(tool, tmp_path):
    def run(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return tool.collect(tmp_path)

    return run


@pytest.mark.parametrize(
    "text",
    [
        'def test_a():\n    """Proves MQTT-2.3.1-1."""\n',
        "def test_a():\n    pass  # [MQTT-2.3.1-1]\n",
        "# MQTT-2.3.1-1: never 0\ndef test_a():\n    pass\n",
        "@mark('MQTT-2.3.1-1')\ndef test_a():\n    pass\n",
        "# MQTT-2.3.1-1\n# and more\n@mark\ndef test_a():\n    pass\n",
        "ROWS = (\n    # MQTT-2.3.1-1\n    1,\n)\n\n\ndef test_a():\n    print(ROWS)\n",
        "ROWS = [('MQTT-2.3.1-1', 1)]\n\n@mark(ROWS)\ndef test_a(row):\n    pass\n",
        "ROWS = []\nROWS.append('MQTT-2.3.1-1')\ndef test_a():\n    print(ROWS)\n",
        "ROWS = ['MQTT-2.3.1-1']\ndef rows():\n    return ROWS\ndef test_a():\n    rows()\n",
    ],
)
def test_a_citation_is_found(covered, text):
    found, loose = covered(test_x=text)
    assert found == {"MQTT-2.3.1-1": ["test_x.py::test_a"]}
    assert not loose


def test_in_a_class_and_in_another_module(covered):
    found, _ = covered(
        test_x='''
        from rows import ROWS

        class TestIt:
            """E40"""
            def test_a(self):
                pass
            def test_b(self):
                print(ROWS)  # E41
        ''',
        rows="ROWS = ['X311-3.3.3-a']\n",
    )
    assert found == {
        "E40": ["test_x.py::TestIt::test_a", "test_x.py::TestIt::test_b"],
        "E41": ["test_x.py::TestIt::test_b"],
        "X311-3.3.3-a": ["test_x.py::TestIt::test_b"],
    }


@pytest.mark.parametrize(
    "text",
    [
        '"""About E40."""\ndef test_a():\n    pass\n',
        "ROWS = ['E40']\ndef test_a():\n    pass\n",
        "def check():\n    pass  # E40\ndef test_a():\n    check()\n",
        "def not_a_test():\n    pass  # E40\n",
    ],
)
def test_no_test_stands_behind_it(covered, text):
    assert covered(test_x=text) == ({}, {"E40"})


def test_bytes_are_no_citation(covered):
    text = '''
    def test_a():
        """E0 00, C0E40, 0xE40, MQTT-2.3.1-, 1E40, E400, xE40."""
    '''
    assert covered(test_x=text) == ({}, set())


def test_not_the_brokers_own_tests(covered):
    assert covered(test_broker_x="def test_a():\n    pass  # E40\n") == ({}, set())


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "statements.csv").write_text("id,paraphrase\nMQTT-2.3.1-1,never 0\n")
    (tmp_path / "errors.csv").write_text("id,title\nE40,id 0\nE41,id 0 in an ack\n")
    (tmp_path / "exceptions.csv").write_text("id,reason\nE41,not here\n")
    (tmp_path / "tests").mkdir()
    return tmp_path


def complaints(tool, lists, text):
    (lists / "tests" / "test_x.py").write_text(f"def test_a():\n    pass  # {text}\n")
    return tool.check(lists / "tests", lists)[3]


def test_complaints(tool, lists):
    assert complaints(tool, lists, "MQTT-2.3.1-1 E40") == []
    assert complaints(tool, lists, "E40") == ["MQTT-2.3.1-1 has no test: never 0"]
    (excepted,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E41")
    assert excepted == "E41 is excepted, but has a test: test_x.py::test_a"
    (slip,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E99")
    assert slip.startswith("E99 is in no list")


def test_an_exception_must_be_in_a_list(tool, lists):
    (lists / "exceptions.csv").write_text("id,reason\nE42,no such\n")
    with pytest.raises(ValueError, match="E42"):
        complaints(tool, lists, "E40")


def test_the_lists_of_this_tree(tool):
    wanted, exceptions = tool.read(TOOL.parent.parent / "tests" / "conformance")
    assert len(wanted) == 175
    for key in wanted:
        assert tool.CITATION.fullmatch(key), key
    assert all(exceptions.values())
