"""Which MQTT statement is proven by which test: reads the tests, runs none.

The statements and error cases are in tests/conformance/*.csv. A test covers one by naming its id
(MQTT-2.3.1-1, X311-3.3.3-a, E40): in its docstring, in a comment inside or right above it, in its
decorators, or in a table that it uses, itself or through functions (also one imported from another
test module). An id in a module's docstring or in another function counts for nothing: no test says
that it checks it.

    make coverage                      the table; fails when an id has no test
    make coverage ARGS=--markdown      the same for README files
    make coverage ARGS=E40             which tests name this id
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
CITATION = re.compile(
    r"(?<![\w.-])(?:MQTT-\d+\.\d+\.\d+-\d+|X311-\d+(?:\.\d+)+-[a-z]|E\d\d)(?![\w-]|\.\d)"
)
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


def read(directory):
    """{id: what it says} of all that must be covered, and {id: reason} of what cannot be."""
    wanted = {}
    for file, column in (("statements.csv", "paraphrase"), ("errors.csv", "title")):
        with open(directory / file, newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                if row["id"] in wanted:
                    raise ValueError(f"{row['id']} is there twice")
                wanted[row["id"]] = row[column]
    with open(directory / "exceptions.csv", newline="", encoding="utf-8") as lines:
        exceptions = {row["id"]: row["reason"] for row in csv.DictReader(lines)}
    unknown = sorted(set(exceptions) - set(wanted))
    if unknown:
        raise ValueError(f"exceptions.csv has ids that are in no list: {', '.join(unknown)}")
    return wanted, exceptions


def check(tests=ROOT / "tests", lists=ROOT / "tests" / "conformance"):
    """(wanted, exceptions, covered, complaints): complaints is empty when all is well."""
    wanted, exceptions = read(Path(lists))
    covered, loose = collect(Path(tests))
    complaints = []
    for key, text in wanted.items():
        if key in exceptions:
            if key in covered:
                complaints.append(f"{key} is excepted, but has a test: {covered[key][0]}")
        elif key not in covered:
            hint = " (named, but where no test uses it)" if key in loose else ""
            complaints.append(f"{key} has no test{hint}: {text}")
    for key in sorted(set(covered) - set(wanted)):
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


def main(argv=None):
    parser = argparse.ArgumentParser(description="MQTT statements and the tests that prove them.")
    parser.add_argument("ids", nargs="*", help="show every test that names these ids")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--brief", action="store_true", help="only what is missing, and the count")
    options = parser.parse_args(argv)
    wanted, exceptions, covered, complaints = check()
    if options.ids:
        for key in options.ids:
            print(f"{key}  {wanted.get(key, 'is in no list')}")
            for test in covered.get(key, ["no test"]):
                print(f"    {test}")
        return 0 if all(key in wanted for key in options.ids) else 1
    if options.markdown:
        print("| id | tests | proven by |\n|---|---|---|")
        for key in wanted:
            count = len(covered.get(key, ()))
            print(f"| {key} | {count} | {cell(key, exceptions, covered)} |")
    elif not options.brief:
        width = max(map(len, wanted))
        for key in wanted:
            count = len(covered.get(key, ()))
            print(f"{key:{width}}  {count or '-':>3}  {cell(key, exceptions, covered)}")
    out = sys.stderr if options.markdown else sys.stdout
    for line in complaints:
        print(line, file=out)
    needed = len(wanted) - len(exceptions)
    proven = sum(1 for key in wanted if key in covered and key not in exceptions)
    tests = len({test for key in covered if key in wanted for test in covered[key]})
    print(
        f"{proven} of {needed} statements and error cases covered, by {tests} tests; "
        f"{len(exceptions)} exceptions",
        file=out,
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
