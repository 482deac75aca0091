"""What manifest.py freezes; package.json and the versions agree with it."""

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "manifest.py"
PACKAGE = ROOT / "umqtt_plus"
PACKAGE_JSON = ROOT / "package.json"


class Options:
    """The `options` of a manifest: what include() passed, over the manifest's own defaults."""

    def __init__(self, given):
        self._given = given

    def defaults(self, **values):
        self.__dict__.update({**values, **self._given})


def evaluate(wanted=None, **functions):
    """Run manifest.py as a board's include() would; its package() call and all its names."""
    found = {}

    def package(name, files=None, base_path=".", opt=None):
        found.update(package=name, files=files, opt=opt)

    def metadata(**values):
        found.update(metadata=values)

    names = {
        "options": Options({"slice": wanted} if wanted else {}),
        "package": package,
        "metadata": metadata,
        **functions,
    }
    exec(compile(MANIFEST.read_text(), str(MANIFEST), "exec"), names)
    return {**names, **found}


def slices():
    """{slice: its own modules}, in the order of manifest.py."""
    return evaluate()["SLICES"]


def modules(wanted=None):
    """The modules that a board gets for include(..., slice=wanted), with what they need."""
    return [Path(file).stem for file in evaluate(wanted)["files"]]


def imports(inside):
    """What these modules import of umqtt_plus: (when they are loaded, inside functions)."""
    eager, late = set(), set()
    for module in inside:
        tree = ast.parse((PACKAGE / f"{module}.py").read_text())
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = {node.module}
            elif isinstance(node, ast.Import):
                names = {a.name.partition(".")[2] for a in node.names if "umqtt_plus" in a.name}
            else:
                continue
            (eager if id(node) in top else late).update(names - {""})
    return eager, late


def versions():
    """{file: the version it tells}."""
    found = {
        "umqtt_plus/__init__.py": quoted(PACKAGE / "__init__.py", "__version__"),
        "manifest.py": evaluate()["metadata"]["version"],
        "package.json": json.loads(PACKAGE_JSON.read_text())["version"],
        "pyproject.toml": quoted(ROOT / "pyproject.toml", "version"),
    }
    return found


def quoted(file, name):
    return re.search(rf'^{name} = "(.+)"$', file.read_text(), re.M)[1]


def package_json(files=None, version=None):
    """What mip reads: the files, beside it. files: of the package; its .py files by default."""
    files = files or [f"{module}.py" for module in sorted(modules("all"))]
    paths = [f"{PACKAGE.name}/{file}" for file in files]
    return {
        "version": version or quoted(PACKAGE / "__init__.py", "__version__"),
        "urls": [[path, path] for path in paths],
        "deps": [],
    }


def text(package):
    """As JSON, a file a line."""
    urls = ",\n".join(f"    {json.dumps(pair)}" for pair in package["urls"])
    version, deps = json.dumps(package["version"]), json.dumps(package["deps"])
    return f'{{\n  "version": {version},\n  "urls": [\n{urls}\n  ],\n  "deps": {deps}\n}}\n'


def write():
    """package.json anew, from manifest.py and the version of the package."""
    PACKAGE_JSON.write_text(text(package_json()))
