"""Which MQTT statement is proven by which test: reads the tests, runs none.

The statements and error cases are in tests/conformance/*.csv. A test covers one by naming its id:
in its docstring, in a comment inside or right above it, in its decorators, or in a table that it
uses, itself or through functions (also one imported from another test module). An id in a module's
docstring or in another function counts for nothing: no test says that it checks it.

                      3.1.1           5.0
    statement         MQTT-2.3.1-1    MQTT5-2.2.1-3
    without a number  X311-3.3.3-a    X5-3.2.2.3.3-a
    error case        E40             E40v5, or E80 where 3.1.1 has no such case

    make coverage                          a table for each version; fails when an id has no test
    make coverage ARGS="--version 5.0"     one version, also one that is not in COMPLETE yet
    make coverage ARGS=--markdown          the same for README files
    make coverage ARGS=E40                 which tests name this id
"""

import argparse
import ast
import csv
import io
import re
import sys
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "tests" / "conformance"
VERSIONS = ("3.1.1", "5.0")
# An id of one of these without a test is an error. The others are shown, and counted.
COMPLETE = ("3.1.1", "5.0")
CITATION = re.compile(
    r"(?<![\w.-])(?:MQTT5?-\d+\.\d+\.\d+-\d+|X(?:311|5)-\d+(?:\.\d+)+-[a-z]|E1?\d\d(?:v5)?)"
    r"(?![\w-]|\.\d)"
)
# A packet in hex, "E100": as a case it needs another id beside it in its string.
BYTES = re.compile(r"""(["'])(?:[0-9A-F]{2})+\1""")
# These test the bundled broker, which is the witness and not the client.
NOT_CLIENT = ("test_broker_*.py", "test_coverage.py")


class Module:
    """One test file: what each top-level name cites and which other names it uses."""

    def __init__(self, path):
        self.path = path
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path))
        self.tests = {}  # "Class::test_x" -> key of its block
        self.cites = defaultdict(set)
        self.uses = defaultdict(set)
        self.imported = {}  # local name -> (module, name)
        self.functions = set()  # functions that are no tests
        self.loose = set()  # cited in no block
        lines = text.splitlines()
        blocks = []
        self._collect(tree.body, "", lines, blocks)
        self._cite(text, tree, blocks)

    def _collect(self, body, prefix, lines, blocks):
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    source = (node.module.split(".")[-1], alias.name)
                    self.imported[alias.asname or alias.name] = source
            if isinstance(node, ast.ClassDef):
                key = prefix + node.name
                self._block(node, key, lines, blocks)
                self._collect(node.body, key + "::", lines, blocks)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                key = prefix + node.name
                if node.name.startswith("test"):
                    self.tests[key] = key
                    if prefix:  # a class's docstring and comments speak for all its tests
                        self.uses[key].add(prefix[:-2])
                else:
                    self.functions.add(key)
                self._block(node, key, lines, blocks)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and not prefix:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                for key in names:
                    self._block(node, key, lines, blocks)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and not prefix:
                # TABLE.append(...), TABLE.extend(...)
                function = node.value.func
                if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                    self._block(node, function.value.id, lines, blocks)

    def _block(self, node, key, lines, blocks):
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        while first > 1 and lines[first - 2].lstrip().startswith("#"):
            first -= 1
        blocks.append((first, node.end_lineno, key))
        # A class stands for its docstring, comments and decorators; its methods for themselves.
        parts = node.decorator_list if isinstance(node, ast.ClassDef) else [node]
        for child in (child for part in parts for child in ast.walk(part)):
            if isinstance(child, ast.Name) and child.id != key:
                self.uses[key].add(child.id)
            elif isinstance(child, ast.Attribute):
                self.uses[key].add(child.attr)  # self.check, table_module.ROWS
        for argument in getattr(getattr(node, "args", None), "args", ()):
            self.uses[key].add(argument.arg)  # fixtures

    def _cite(self, text, tree, blocks):
        docstring = tree.body[0] if ast.get_docstring(tree) is not None else None
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in (tokenize.STRING, tokenize.COMMENT, *_FSTRING):
                continue
            if BYTES.fullmatch(token.string):
                continue
            for number, line in enumerate(token.string.splitlines(), token.start[0]):
                found = set(CITATION.findall(line))
                if not found or docstring and number <= docstring.end_lineno:
                    self.loose |= found
                    continue
                # The innermost block: a method, not its class.
                around = [b for b in blocks if b[0] <= number <= b[1]]
                if around:
                    size = min(last - first for first, last, _ in around)
                    for first, last, key in around:
                        if last - first == size:
                            self.cites[key] |= found
                else:
                    self.loose |= found


# Python 3.12 splits f-strings into tokens of their own.
_FSTRING = (tokenize.FSTRING_MIDDLE,) if hasattr(tokenize, "FSTRING_MIDDLE") else ()


def reach(modules, module, key, seen):
    """Every id that a block cites itself or through the names it uses."""
    if (module.path, key) in seen:
        return set()
    seen.add((module.path, key))
    found = set() if key in module.functions else set(module.cites.get(key, ()))
    prefix = key.rpartition("::")[0]
    for name in module.uses.get(key, ()):
        if name in module.tests and name != key:
            continue  # one test that names another does not prove what that one proves
        for inner in (name, f"{prefix}::{name}" if prefix else name):
            if inner in module.cites or inner in module.uses:
                found |= reach(modules, module, inner, seen)
        source, original = module.imported.get(name, (None, None))
        if source in modules:
            found |= reach(modules, modules[source], original, seen)
    return found


def collect(directory):
    """{id: sorted names of the tests that cite it}, and ids cited where no test stands behind."""
    modules = []
    for path in sorted(Path(directory).rglob("*.py")):
        hidden = any(part.startswith(".") or part == "shims" for part in path.parts)
        if not hidden and not any(path.match(name) for name in NOT_CLIENT):
            modules.append(Module(path))
    by_name = {module.path.stem: module for module in modules}
    covered = defaultdict(set)
    cited = set()
    for module in modules:
        name = module.path.relative_to(directory).as_posix()
        if module.path.name.startswith("test_"):
            for test, key in module.tests.items():
                for identifier in reach(by_name, module, key, set()):
                    covered[identifier].add(f"{name}::{test}")
        cited |= module.loose
        for ids in module.cites.values():
            cited |= ids
    return {key: sorted(tests) for key, tests in covered.items()}, cited - set(covered)


def ids_of(row):
    """[(id, version)] that a row of errors.csv stands for."""
    if row["version"] == "both":
        return [(row["id"], "3.1.1"), (row["id"] + "v5", "5.0")]
    return [(row["id"], row["version"])]


def read(directory):
    """Three of them: {version: {id: what it says}} that must be covered, {id: reason} of what
    cannot be, and {id: what it says} of the server's duties, which a test may name as well."""
    wanted = {version: {} for version in VERSIONS}
    server = {}
    seen = set()

    def add(key, version, text, client=True):
        if version not in wanted:
            raise ValueError(f"{key}: no version {version!r}")
        if key in seen:
            raise ValueError(f"{key} is there twice")
        seen.add(key)
        (wanted[version] if client else server)[key] = text

    with open(directory / "statements.csv", newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            version = "5.0" if row["id"].startswith(("MQTT5-", "X5-")) else "3.1.1"
            add(row["id"], version, row["paraphrase"], row["applies_to"] != "server-only")
    with open(directory / "errors.csv", newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            for key, version in ids_of(row):
                add(key, version, row["title"])
    with open(directory / "exceptions.csv", newline="", encoding="utf-8") as lines:
        exceptions = {row["id"]: row["reason"] for row in csv.DictReader(lines)}
    unknown = sorted(set(exceptions) - seen)
    if unknown:
        raise ValueError(f"exceptions.csv has ids that are in no list: {', '.join(unknown)}")
    return wanted, exceptions, server


def check(tests=ROOT / "tests", lists=LISTS, versions=COMPLETE):
    """(wanted, exceptions, covered, complaints): complaints is empty when all is well.

    versions: those of which every id needs a test.
    """
    wanted, exceptions, server = read(Path(lists))
    covered, loose = collect(Path(tests))
    complaints = []
    for version, ids in wanted.items():
        for key, text in ids.items():
            if key in exceptions:
                if key in covered:
                    complaints.append(f"{key} is excepted, but has a test: {covered[key][0]}")
            elif key not in covered and version in versions:
                hint = " (named, but where no test uses it)" if key in loose else ""
                complaints.append(f"{key} has no test{hint}: {text}")
    known = {key for ids in wanted.values() for key in ids} | set(server)
    for key in sorted(set(covered) - known):
        complaints.append(f"{key} is in no list, but {covered[key][0]} names it: a slip?")
    return wanted, exceptions, covered, complaints


def cell(key, exceptions, covered):
    if key in exceptions:
        return f"exception: {exceptions[key]}"
    tests = covered.get(key)
    if not tests:
        return "NO TEST"
    more = f" +{len(tests) - 1}" if len(tests) > 1 else ""
    return tests[0] + more


def table(ids, exceptions, covered, markdown):
    if markdown:
        print("| id | tests | proven by |\n|---|---|---|")
    width = max(map(len, ids), default=0)
    for key in ids:
        count = len(covered.get(key, ()))
        if markdown:
            print(f"| {key} | {count} | {cell(key, exceptions, covered)} |")
        else:
            print(f"{key:{width}}  {count or '-':>3}  {cell(key, exceptions, covered)}")


def summary(version, ids, exceptions, covered):
    excepted = sum(1 for key in ids if key in exceptions)
    proven = sum(1 for key in ids if key in covered and key not in exceptions)
    tests = len({test for key in ids for test in covered.get(key, ())})
    return (
        f"MQTT {version}: {proven} of {len(ids) - excepted} statements and error cases covered, "
        f"by {tests} tests; {excepted} exceptions"
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description="MQTT statements and the tests that prove them.")
    parser.add_argument("ids", nargs="*", help="show every test that names these ids")
    parser.add_argument("--version", choices=VERSIONS, help="only this one, and all of it")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--brief", action="store_true", help="only what is missing, and the count")
    options = parser.parse_args(argv)
    demanded = (options.version,) if options.version else COMPLETE
    wanted, exceptions, covered, complaints = check(versions=demanded)
    if options.ids:
        texts = read(LISTS)[2]
        for ids in wanted.values():
            texts.update(ids)
        for key in options.ids:
            print(f"{key}  {texts.get(key, 'is in no list')}")
            for test in covered.get(key, ["no test"]):
                print(f"    {test}")
        return 0 if all(key in texts for key in options.ids) else 1
    out = sys.stderr if options.markdown else sys.stdout
    shown = (options.version,) if options.version else VERSIONS
    if not options.brief:
        for version in shown:
            print(f"{'### ' if options.markdown else ''}MQTT {version}\n")
            table(wanted[version], exceptions, covered, options.markdown)
            print()
    for line in complaints:
        print(line, file=out)
    for version in shown:
        unfinished = "" if version in demanded else " (not complete yet)"
        print(summary(version, wanted[version], exceptions, covered) + unfinished, file=out)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
