"""Which parts of the interpreter the instructions go to, by callgrind's counts of C functions.

And what single steps cost (board/profile_prices.py), so that the counts can be read.
"""

import re
import tempfile
from pathlib import Path

from umqtt_harness.micropython import find_micropython

from . import counting
from .run import Contender

COUNT = 300
FRAMES = "gc_alloc", "gc_free"
# the first that fits
KINDS = [
    ("bytecodes", r"mp_execute_bytecode"),
    ("places for call frames in the heap", r"gc_alloc|gc_free"),
    (
        "names: attributes, methods, globals",
        r"mp_map_|find_qstr|qstr_|mp_obj_instance_|mp_obj_class_lookup|mp_load_|mp_store_|"
        r"mp_convert_member|instance_|dict_|mp_obj_dict|mp_locals|mp_globals",
    ),
    ("calls", r"fun_|mp_call_|mp_setup_code|bound_meth|closure_call|mp_obj_generator|m_del|m_mal"),
    (
        "socket and poll",
        r"socket_|read|write|recv|send|poll|mp_stream|stream_|__libc_|ticks|clock",
    ),
    ("ring buffer and other buffers", r"ring|array_get_buffer|mp_get_buffer|mem(cpy|move|cmp)"),
    ("numbers, items, comparisons", r""),
]
COUNTED = {
    "calls": ("mp_execute_bytecode",),
    "frames on the heap": ("gc_alloc",),
    "names": ("mp_map_lookup",),
    "numbers": ("mp_binary_op",),
    "items": ("array_subscr", "list_subscr"),
}
_NAME = re.compile(r"\((\d+)\)(?: (.*))?")


def functions(text):
    """({C function: instructions of its own}, {C function: how often it was called})."""
    names = {}
    own = {}
    calls = {}

    def name(word):
        number, text = _NAME.match(word).groups()
        if text:
            names[number] = text.split("'")[0].split(".")[0]  # recursion, parts of a function
        return names[number]

    current = callee = None
    inclusive = False
    for line in text.splitlines():
        if line.startswith("fn="):
            current = name(line[3:])
        elif line.startswith("cfn="):
            callee = name(line[4:])
        elif line.startswith("calls="):
            calls[callee] = calls.get(callee, 0) + int(line[6:].split()[0])
            inclusive = True
        elif line[:1] in "+-*0123456789" and line:
            if not inclusive:
                own[current] = own.get(current, 0) + int(line.split()[1])
            inclusive = False
    return own, calls


def measure(contender, port, count=COUNT, **settings):
    """{"total", "frames": instructions an operation, "kinds": {kind: ...}, "counts": {...}}."""
    with tempfile.TemporaryDirectory(prefix="umqtt-profile-") as directory:
        out = Path(directory) / "part"
        words = [counting.valgrind(), "--tool=callgrind", "--dump-before=gc_isenabled"]
        counted = contender.within([*words, f"--callgrind-out-file={out}"])
        counted.answer("profile", "", port, timeout=300, count=count, **settings)
        own, calls = functions(out.with_name("part.2").read_text())
    kinds = dict.fromkeys((kind for kind, _ in KINDS), 0)
    for name, cost in own.items():
        kinds[next(kind for kind, names in KINDS if re.match(names, name.lstrip("_")))] += cost
    return {
        "total": sum(own.values()) / count,
        "frames": sum(own.get(name, 0) for name in FRAMES) / count,
        "kinds": {kind: cost / count for kind, cost in kinds.items()},
        "counts": {
            kind: sum(calls.get(name, 0) for name in names) / count
            for kind, names in COUNTED.items()
        },
    }


STEPS = {
    "add": "add two small numbers",
    "item": "read a byte of a buffer",
    "put": "write a byte of a buffer",
    "load": "load an attribute",
    "store": "store an attribute",
    "store_view": "store an attribute where the class has properties",
    "small": "call an empty method, frame on the stack",
    "large": "call an empty method of 13 locals: its frame lies in the heap",
    "topic": "compare a topic of 10 bytes with the last one, by way of a ring buffer",
    "write": "write 30 bytes to a socket",
    "wait": "ask a poller",
}


def prices(port):
    """{step: instructions}; what a heap frame costs depends on how full the heap is."""
    contender = Contender("prices", "profile_prices.py", [find_micropython()])
    with tempfile.TemporaryDirectory(prefix="umqtt-profile-") as directory:
        out = Path(directory) / "part"
        words = [counting.valgrind(), "--tool=callgrind", "--dump-before=gc_isenabled"]
        counted = contender.within([*words, f"--callgrind-out-file={out}"])
        text = counted.answer("prices", "", port, timeout=120)
        names = [line.split()[1] for line in text.splitlines() if line.startswith("step ")]
        costs = [counting.total(out.with_name(f"part.{2 * i + 2}")) for i in range(len(names))]
    return {name: (cost - costs[0]) / 200 for name, cost in zip(names, costs, strict=True)}
