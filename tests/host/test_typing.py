"""The type stubs (*.pyi) beside the modules say what the modules are, and nothing else.

Both are compared as syntax trees: names, parameters, defaults, kinds. INTERNAL says which public
names of the code are not for programs; a name that is in neither fails, so does one in both.
"""

import ast
import copy
import json
import re
from pathlib import Path

import pytest

import umqtt_plus

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "umqtt_plus"
STUBS = {file.stem: file for file in sorted(PACKAGE.glob("*.pyi"))}

# Public by name in a module that has a stub, but not for programs.
INTERNAL = {
    "aio": {"MQTTClient.__getattr__"},
    "lost": {"drop", "tell"},
    "mailbox": {"messages"},  # a method of the client
    "media": {"Backup.regions", "NVS.nvs"},
    "message": {"view"},
    "outbox": {"Outbox.keep"},
    "outbox5": {"split", "Outbox5.__init__"},  # that of Outbox
    "properties": {"encoded", "sized"},
    "protocol": {"Protocol.__getattr__", "Protocol.cb", "Protocol.on_pub"},
    "errors": {"MQTTException.__str__"},
    "request": {"Requests.c"},
    "sleep": {"SleepStore.load", "SleepStore.compact", "SleepStore.write", "SleepStore.sync"},
    "store": {f"Store.{name}" for name in "c t who lost epoch established moving discard".split()}
    | {f"Store.{name}" for name in "load forget part snapshot must messages".split()},
    "ws": {"WebSocket.at", "WebSocket.path"},
}
# Where a verb of the client lives that is none of its class: more.py; with 5.0 the latter.
ROOMS = {
    "protocol.Protocol": ("options", "verbs5"),
    "client.MQTTClient": ("subscribe stream connect5", "verbs5"),
    "aio.MQTTClient": ("aio_verbs mailbox", "aio5"),
}
# In the stub a class of its own, since the one cannot stand for the other.
COPIED = {"aio.MQTTClient": "client.MQTTClient", "aio_request.Requests": "request.Requests"}
# By name only, the stub says; the code takes them as they come, since a "*" costs heap.
BY_NAME = ("client.MQTTClient", "aio.MQTTClient"), ("__init__", "connect")
# Attributes that the stubs promise, and who sets them elsewhere.
ELSEWHERE = {
    "protocol.Protocol": {"version": "auto5", "reason_code": "connect5", "connack": "connect5"}
    | {"unresolved": "connect5"}
    | dict.fromkeys("client_id user pswd keepalive session_present state".split(), "opening"),
    "message.Message": {"number": "inbox"},
    "store.Store": {"path": "journal", "max_bytes": "journal", "flushes": "journal"}
    | {"written": "journal", "accepted": "store", "number": "store"},
    "errors.MQTTException": {"args": None},
    "lost.SessionLost": {"args": None},
}


def tree(name, suffix=".py"):
    return ast.parse((PACKAGE / f"{name}{suffix}").read_text(encoding="utf-8"))


def public(name):
    return not name.startswith("_") or name.startswith("__") and name.endswith("__")


def shape(function):
    """What a caller must know: async, property, parameters with kinds and defaults."""
    arguments = copy.deepcopy(function.args)
    for each in arguments.args + arguments.kwonlyargs + arguments.posonlyargs:
        each.annotation = None
    for each in (arguments.vararg, arguments.kwarg):
        if each:
            each.annotation = None
    decorators = [ast.unparse(d).split(".")[-1] for d in function.decorator_list]
    kinds = {"property", "staticmethod", "classmethod"} & set(decorators)
    return isinstance(function, ast.AsyncFunctionDef), tuple(sorted(kinds)), ast.unparse(arguments)


def functions(body):
    """name -> shapes: several where a stub has overloads."""
    found = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, set()).add(shape(node))
    return found


def classes(module):
    return {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}


def attributes(cls):
    """Names that a class of the code has: assigned in it, or to self in a method of it."""
    found = set()
    for node in ast.walk(cls):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
    for node in cls.body:
        for target in getattr(node, "targets", ()):
            found.update(name.id for name in ast.walk(target) if isinstance(name, ast.Name))
    return found


def declared(cls):
    """Names with a type in a class of a stub."""
    return {node.target.id for node in cls.body if isinstance(node, ast.AnnAssign)}


def imported(module):
    """Names that a module shows because it imports them."""
    found = set()
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
    return found


def assigned(module):
    found = set()
    for node in module.body:
        for target in getattr(node, "targets", ()):
            found.update(name.id for name in ast.walk(target) if isinstance(name, ast.Name))
        if isinstance(node, ast.AnnAssign):
            found.add(node.target.id)
    return {name for name in found if public(name)}


def room(name):
    return functions(tree(name).body)


def as_method(shapes):
    """Shapes of functions f(c, ...) of a room as those of methods f(self, ...)."""
    return {(a, k, re.sub(r"^(client|c)\b", "self", text)) for a, k, text in shapes}


def v5_methods():
    """What V5 puts in the place of methods of the synchronous client."""
    return functions(classes(tree("v5"))["V5"].body)


def verbs(where):
    """name -> shape of each verb that the class has from elsewhere, as 3.1.1 and as 5.0 has it."""
    old, new = {}, {}
    plain, five = ROOMS.get(where, ("", ""))
    known = ast.literal_eval(
        next(n.value for n in tree("more").body if getattr(n, "targets", None))
    )
    late = {"set_auth", "reauthenticate", "publish", "publish_nowait", "published", "disconnect"}
    for name in plain.split():
        old.update({n: as_method(s) for n, s in room(name).items() if n in known})
    for name in [*(n for n in plain.split() if n == "connect5"), five]:
        if name:
            found = room(name)
            new.update({n: as_method(s) for n, s in found.items() if n in known or n in late})
    if where == "client.MQTTClient":
        new.update({n: s for n, s in v5_methods().items() if n in late})
    if where == "aio.MQTTClient":
        new["publish_nowait"] = v5_methods()["publish_nowait"]
    both = {"set_auth", "set_last_will"}  # of Protocol; the others wait, so each front has its own
    new = {n: s for n, s in new.items() if (n in both) == (where == "protocol.Protocol")}
    for found in (old, new):
        found.pop("setup5", None)
    return old, new


def parameters(shapes):
    ((_, _, text),) = shapes
    return [part.strip() for part in text.split(",")]


@pytest.mark.parametrize("name", STUBS)
def test_module_level(name):
    """Functions, classes, constants and what is passed on from other modules."""
    code, stub = tree(name), tree(name, ".pyi")
    internal = INTERNAL.get(name, set())
    have = {n: s for n, s in functions(code.body).items() if public(n)}
    said = functions(stub.body)
    assert not said.keys() & (internal - {"messages", "view"}), "in the stub and internal"
    have.pop("__getattr__", None)  # of __init__: gives the names that the stub imports
    for each in internal & have.keys() - said.keys():
        del have[each]
    assert said == have
    fields = {"Received"} if name == "mailbox" else set()
    wanted = {n for n in classes(code) if public(n)} | fields
    assert {n for n in classes(stub) if public(n)} == wanted - internal
    passed_on = {
        alias.asname
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.asname == alias.name
    }
    if name == "__init__":
        assert passed_on == {"MQTTClient", "MQTTException"}
        assert all(isinstance(getattr(umqtt_plus, n), type) for n in passed_on)
        assert not hasattr(umqtt_plus, "MQTTclient")
    else:
        assert passed_on <= imported(code)
    assert assigned(stub) == assigned(code) - fields


CLASSES = [
    f"{name}.{each}" for name in STUBS for each in classes(tree(name, ".pyi")) if public(each)
]


@pytest.mark.parametrize("where", CLASSES)
def test_class(where):
    """Methods with their parameters, properties, attributes; both ways."""
    name, cls = where.split(".")
    if where == "mailbox.Received":
        told = list(functions(classes(tree(name, ".pyi"))[cls].body))
        for module, fields in (("mailbox", told[:4]), ("mailbox5", told)):
            text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
            found = re.search(r'namedtuple\("Received", (\(.*?\))\)', text).group(1)
            assert list(ast.literal_eval(found)) == fields
        return
    code, stub = classes(tree(name))[cls], classes(tree(name, ".pyi"))[cls]
    internal = {n.split(".")[1] for n in INTERNAL.get(name, ()) if n.startswith(cls + ".")}
    have = {n: s for n, s in functions(code.body).items() if public(n)}
    fields = {n for n in attributes(code) if public(n)}
    bases = [ast.unparse(base) for base in code.bases]
    if where in COPIED:
        other, base = COPIED[where].split(".")
        base = classes(tree(other))[base]
        inherited = {n: s for n, s in functions(base.body).items() if public(n)}
        fields |= {n for n in attributes(base) if public(n)}
        own, given = parameters_of(code), have.pop("__init__", None)
        if given:  # (*args, poll_ms=0, **options): the base's, and its own
            assert own[0] == "*args" and own[-1] == "**options"
            ((a, k, text),) = inherited["__init__"]
            inherited["__init__"] = {(a, k, ", ".join([text, *own[1:-1]]))}
        if where == "aio_request.Requests":
            inherited = {"__init__": inherited["__init__"]}  # ask() and answer() wait
            internal |= {"c"}
        have = {**inherited, **have}
        for gone in ("wait_msg", "check_msg"):
            if gone in fields:
                have.pop(gone, None)
    elif len(bases) == 1 and bases[0] not in ("Exception", "Journal"):
        assert [ast.unparse(base) for base in stub.bases] == bases
    old, new = verbs(where)
    for verb, shapes in old.items():
        have.setdefault(verb, shapes)
    for verb, shapes in new.items():
        if verb in have:  # 5.0 only adds behind, or by name
            before = parameters(have[verb])
            assert [p for p in parameters(shapes) if p in before] == before, verb
        have[verb] = shapes
    said = functions(stub.body)
    assert not said.keys() & internal, "in the stub and internal"
    for each in internal:
        have.pop(each, None)
    if where == "mailbox.Mailbox":
        have = {n: s for n, s in have.items() if n in said}
    if where in BY_NAME[0]:
        for each in BY_NAME[1]:
            ((a, k, text),) = said[each]
            assert "*, " in text
            said[each] = {(a, k, text.replace("*, ", ""))}
    assert said == have
    elsewhere = ELSEWHERE.get(where, {})
    for each, setter in elsewhere.items():
        if setter:
            assert re.search(rf"\.{each}\b.*=", (PACKAGE / f"{setter}.py").read_text()), each
    properties = {n for n, shapes in said.items() for s in shapes if "property" in s[1]}
    told = declared(stub)
    missing = fields - told - internal - properties - set(elsewhere)
    base_told = set()
    for base in stub.bases:
        for each in STUBS:
            found = classes(tree(each, ".pyi")).get(ast.unparse(base))
            base_told |= declared(found) if found else set()
    assert not missing - base_told, "an attribute of the code that the stub does not have"
    more = told - fields - set(elsewhere)
    if where.endswith("MQTTClient"):
        more -= {"sock"}
    assert not more, "an attribute of the stub that the code does not have"


def parameters_of(cls):
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return [part.strip() for part in ast.unparse(node.args).split(",")][1:]
    return []


def test_each_public_module_has_a_stub():
    """What README's examples import, and the examples and boards of this repository."""
    wanted = set()
    for file in [*ROOT.glob("examples/*.py"), *ROOT.glob("boards/*/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("umqtt_plus."):
                wanted.add(node.module.split(".")[1])
    for found in re.findall(r"from umqtt_plus\.(\w+) import", (ROOT / "README.md").read_text()):
        wanted.add(found)
    assert wanted <= STUBS.keys()


def test_stubs_stay_off_the_board():
    """Neither frozen nor copied: all that goes to a board is named .py."""
    text = (ROOT / "manifest.py").read_text(encoding="utf-8")
    assert 'f"{module}.py"' in text and ".pyi" not in text
    urls = json.loads((ROOT / "package.json").read_text())["urls"]
    assert all(name.endswith(".py") and source.endswith(".py") for name, source in urls)
    for directory in ("board", "firmware", "umqtt_harness"):
        for file in (ROOT / "tools" / directory).rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            assert not re.search(r"\.py[*?i]|umqtt_plus/\*", source), file


def test_stubs_are_for_old_type_checkers_too():
    """No syntax that Python 3.10 has not."""
    for file in STUBS.values():
        ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
