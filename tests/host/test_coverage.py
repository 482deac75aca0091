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
        """E0 00, C0E40, 0xE40, MQTT-2.3.1-, 1E40, E400, xE40, E40v51, MQTT6-2.3.1-1, X5-3-a."""
    '''
    assert covered(test_x=text) == ({}, set())
    assert covered(test_x="def test_a():\n    print('E100', \"E10140\")\n") == ({}, set())
    found, _ = covered(test_x="def test_a():\n    print('E100 ', 'E06 E102', 'E40')\n")
    assert sorted(found) == ["E06", "E100", "E102", "E40"]


def test_the_ids_of_both_versions(covered):
    """The numbers of the two overlap, the ids do not."""
    ids = "MQTT-3.1.2-6 MQTT5-3.1.2-6 X311-4.5-a X5-3.2.2.3.3-a E40 E40v5 E80 E102"
    found, loose = covered(test_x=f"def test_a():\n    pass  # {ids}, E41v5.\n")
    assert sorted(found) == sorted([*ids.split(), "E41v5"])
    assert not loose


def test_not_the_brokers_own_tests(covered):
    assert covered(test_broker_x="def test_a():\n    pass  # E40\n") == ({}, set())


STATEMENTS = """id,applies_to,paraphrase
MQTT-2.3.1-1,client-send,never 0
MQTT5-2.2.1-3,client-send,never 0
MQTT5-3.1.2-10,server-only,the will goes
"""
ERRORS = "id,title,version\nE40,id 0,both\nE41,id 0 in an ack,3.1.1\nE80,twice,5.0\n"


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "statements.csv").write_text(STATEMENTS)
    (tmp_path / "errors.csv").write_text(ERRORS)
    (tmp_path / "exceptions.csv").write_text("id,reason\nE41,not here\n")
    (tmp_path / "tests").mkdir()
    return tmp_path


def complaints(tool, lists, text, versions=("3.1.1",)):
    (lists / "tests" / "test_x.py").write_text(f"def test_a():\n    pass  # {text}\n")
    return tool.check(lists / "tests", lists, versions)[3]


def test_complaints(tool, lists):
    assert complaints(tool, lists, "MQTT-2.3.1-1 E40") == []
    assert complaints(tool, lists, "MQTT-2.3.1-1 E40 MQTT5-3.1.2-10") == []  # the server's
    assert complaints(tool, lists, "E40") == ["MQTT-2.3.1-1 has no test: never 0"]
    (excepted,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E41")
    assert excepted == "E41 is excepted, but has a test: test_x.py::test_a"
    (slip,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E99")
    assert slip.startswith("E99 is in no list")


def test_complaints_about_the_other_version(tool, lists):
    """A version that is not complete may lack tests; its ids are known all the same."""
    assert complaints(tool, lists, "MQTT-2.3.1-1 E40 E80 E40v5") == []
    assert complaints(tool, lists, "E40v5 E80", ("5.0",)) == ["MQTT5-2.2.1-3 has no test: never 0"]
    assert len(complaints(tool, lists, "E40", ("5.0",))) == 3  # it proves nothing for 5.0
    assert len(complaints(tool, lists, "E80", ("3.1.1", "5.0"))) == 4
    (slip,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E80v5")
    assert slip.startswith("E80v5 is in no list")
    (lists / "exceptions.csv").write_text("id,reason\nE80,later\nE41,not here\n")
    (excepted,) = complaints(tool, lists, "MQTT-2.3.1-1 E40 E80")
    assert excepted.startswith("E80 is excepted, but has a test")


def test_an_exception_must_be_in_a_list(tool, lists):
    (lists / "exceptions.csv").write_text("id,reason\nE42,no such\n")
    with pytest.raises(ValueError, match="E42"):
        complaints(tool, lists, "E40")


@pytest.mark.parametrize("row", ["E40,again,3.1.1", "E81,what,5.1", "E80,again,5.0"])
def test_a_wrong_list(tool, lists, row):
    (lists / "errors.csv").write_text(f"{ERRORS}{row}\n")
    with pytest.raises(ValueError, match=row[:3]):
        complaints(tool, lists, "E40")


def test_the_table_of_each_version(tool, lists, monkeypatch, capsys):
    (lists / "tests" / "test_x.py").write_text("def test_a():\n    pass  # MQTT-2.3.1-1 E40 E80\n")
    check = tool.check
    monkeypatch.setattr(tool, "check", lambda versions: check(lists / "tests", lists, versions))
    monkeypatch.setattr(tool, "COMPLETE", ("3.1.1",))
    assert tool.main([]) == 0
    text = capsys.readouterr().out
    old, new = text.split("MQTT 5.0\n", 1)
    assert "MQTT 3.1.1\n" in old and "E40 " in old and "exception: not here" in old
    assert "E40v5" in new and "NO TEST" in new
    assert "MQTT 3.1.1: 2 of 2 statements and error cases covered, by 1 tests; 1 exceptions" in new
    assert "MQTT 5.0: 1 of 3 statements and error cases covered, by 1 tests; 0 exceptions" in new
    assert tool.main(["--version", "5.0"]) == 1
    text = capsys.readouterr().out
    assert "MQTT 3.1.1" not in text and "E40v5 has no test: id 0" in text
    assert tool.main(["--markdown"]) == 0
    assert "### MQTT 5.0\n\n| id | tests | proven by |" in capsys.readouterr().out
    assert tool.main(["E80", "E40v5"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "    test_x.py::test_a",
        "E40v5  id 0",
        "    no test",
    ]
    assert tool.main(["E77"]) == 1


def test_the_lists_of_this_tree(tool):
    wanted, exceptions, server = tool.read(tool.LISTS)
    assert len(server) == 120
    assert {version: len(ids) for version, ids in wanted.items()} == {"3.1.1": 171, "5.0": 326}
    for ids in (*wanted.values(), server):
        for key in ids:
            assert tool.CITATION.fullmatch(key), key
    assert all(exceptions.values())
    assert set(tool.COMPLETE) <= set(tool.VERSIONS)
