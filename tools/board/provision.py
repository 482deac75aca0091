"""secrets.py onto the board: from a file, from the environment, or asked. Its values are never
printed, and never an argument of a program, which others could see."""

import ast
import getpass
import os
import sys
from pathlib import Path

from board import ports
from board.chips import BOARDS
from board.install import Files
from board.problem import Problem
from board.target import Target

TEMPLATE = BOARDS / "common" / "secrets_example.py"
# name in secrets.py: (variable, what is asked; None: not asked, and None unless it is given)
ASKED = {
    "NETWORKS": ("UMQTT_WIFI_SSID", "name of the Wi-Fi"),
    "COUNTRY": ("UMQTT_COUNTRY", None),
    "HOST": ("UMQTT_HOST", "the broker's address"),
    "PORT": ("UMQTT_PORT", None),
    "USER": ("UMQTT_USER", None),
    "PASSWORD": ("UMQTT_PASSWORD", None),
    "NAME": ("UMQTT_NAME", None),
}
WIFI_PASSWORD = "UMQTT_WIFI_PASSWORD"


def run(file=None, port=None, dry=False):
    text = from_file(file) if file else from_environment()
    values = checked(text, file or "the environment")
    same = untouched(values)
    if "NETWORKS" in same:
        raise Problem(
            f"{file or 'the environment'}: {' and '.join(same)} as in {TEMPLATE.name}: fill in "
            "your network and your broker"
        )
    for name, value in values.items():
        note = ", as in the example: is it your broker's?" if name in same else ""
        print(f"    {name:<10}{summary(value)}{note}")
    try:
        port = ports.find(port)
    except Problem as problem:
        if not dry:
            raise
        print(problem)
        return
    if dry:
        print(f"would be secrets.py on the board at {port}; nothing was changed")
        return
    with Target(port) as target:
        facts = target.facts()
        files = Files(target)
        files.finish()
        changed = files.changes({"secrets.py": text.encode()})
        files.install(changed, (), facts)
        target.reset()
    print("secrets.py is on the board; it starts" if changed else "it was there; the board starts")


def untouched(values):
    """Names of what the template has just so. Its address may be right, its password not."""
    example = constants(TEMPLATE.read_text(encoding="utf-8"), TEMPLATE.name)
    ours, theirs = ({word for _, word in x["NETWORKS"]} for x in (values, example))
    found = ["NETWORKS"] if ours & theirs else []
    return found + ["HOST"] * (values["HOST"] == example["HOST"])


def summary(value):
    """What may be shown of a value."""
    if isinstance(value, list):
        return f"{len(value)} network{'s' * (len(value) != 1)}"
    return "not given" if value is None else "given"


def from_file(file):
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError as error:
        how = f"Copy boards/common/{TEMPLATE.name}, and fill it in"
        raise Problem(f"{file}: {error.strerror}. {how}") from None
    except UnicodeDecodeError:
        raise Problem(f"{file} is not text in UTF-8") from None


def from_environment():
    values = {name: given(*how) for name, how in ASKED.items()}
    password = os.environ.get(WIFI_PASSWORD)
    if password is None:
        password = ask("password of the Wi-Fi (empty: open)", WIFI_PASSWORD, getpass.getpass)
    values["NETWORKS"] = [(values["NETWORKS"], password)]
    port = values["PORT"] or "1883"
    if not port.isdigit():
        raise Problem("UMQTT_PORT is no number")
    values["PORT"] = int(port)
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())


def given(variable, question):
    value = os.environ.get(variable)
    if value or not question:
        return value or None
    return ask(question, variable, input)


def ask(question, variable, how):
    if not sys.stdin.isatty():
        raise Problem(f"nobody can be asked here: set {variable}, or name --file secrets.py")
    try:
        return how(f"{question}: ")
    except EOFError:
        raise Problem("ended") from None


def constants(text, source):
    """{name: value} of those in it; Problem without telling what stands there."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or "?"
        raise Problem(f"{source}: line {line} is not Python") from None
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                raise Problem(f"{source}: line {node.lineno} is no constant") from None
            for target in node.targets:
                if not isinstance(target, ast.Name):
                    raise Problem(f"{source}: line {node.lineno}: one name a line")
                values[target.id] = value
    return values


def checked(text, source):
    """The constants of a secrets.py that may do."""
    values = constants(text, source)
    missing = [name for name in ASKED if name not in values]
    if missing:
        raise Problem(f"{source} lacks {', '.join(missing)}; {TEMPLATE.name} has all")
    networks = values["NETWORKS"]
    if not isinstance(networks, list) or not networks:
        raise Problem(f"{source}: NETWORKS is no list of (name, password)")
    for network in networks:
        if not isinstance(network, tuple) or [type(x) for x in network] != [str, str]:
            raise Problem(f"{source}: NETWORKS is no list of (name, password)")
        ssid, password = network
        if not 1 <= len(ssid.encode()) <= 32:
            raise Problem(f"{source}: the name of a Wi-Fi has 1 to 32 bytes")
        if password and not 8 <= len(password) <= 64:
            raise Problem(f"{source}: the password of a Wi-Fi has 8 to 64 characters, or none")
    if not isinstance(values["HOST"], str) or not values["HOST"]:
        raise Problem(f"{source}: HOST is no name or address")
    if type(values["PORT"]) is not int or not 0 < values["PORT"] < 65536:
        raise Problem(f"{source}: PORT is no number from 1 to 65535")
    if values["PASSWORD"] is not None and values["USER"] is None:
        raise Problem(f"{source}: a PASSWORD needs a USER")
    if any(sign in (values["NAME"] or "") for sign in "+#"):
        raise Problem(f"{source}: NAME is a part of topics, without + and #")
    return {name: values[name] for name in ASKED}
