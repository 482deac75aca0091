"""What CPython lacks of MicroPython, so that umqtt_plus runs on it unchanged. For tests only.

install() does two things.
- It adds to the process what cannot hurt others: the module `micropython`, and ticks_ms, ticks_us,
  ticks_add, ticks_diff, sleep_ms and sleep_us in `time`.
- It lets the modules of umqtt_plus, and no others, import our socket, select, asyncio and gc, and
  gives them our open().

The shims are strict: they have MicroPython's methods with MicroPython's answers (None for
would-block) and nothing else, so that code which leans on CPython fails here, too.
"""

import builtins
import importlib.machinery
import sys
import time

from . import aio, file, gc, io, micropython, select, socket, ticks

_PACKAGE = "umqtt_plus"
_REPLACED = {"asyncio": aio, "gc": gc, "io": io, "socket": socket, "select": select}


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name in _REPLACED:
        return _REPLACED[name]
    return builtins.__import__(name, globals, locals, fromlist, level)


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module with an import statement of our own."""

    def exec_module(self, module):
        names = dict(vars(builtins))
        names["__import__"] = _import
        names["open"] = file.open
        module.__dict__["__builtins__"] = names
        super().exec_module(module)
        if module.__name__ == _PACKAGE + ".aio":
            aio.awaitable(module._Readable)

    def set_data(self, path, data, **kwargs):
        """Write no .pyc: the package's directory is what gets copied to boards."""


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install():
    if _Finder in sys.meta_path:
        return
    for name in list(sys.modules):
        if name == _PACKAGE or name.startswith(_PACKAGE + "."):
            raise RuntimeError(f"{name} was imported before the shims were installed")
    sys.modules.setdefault("micropython", micropython)
    for name in ticks.NAMES:
        setattr(time, name, getattr(ticks, name))
    sys.meta_path.insert(0, _Finder)
