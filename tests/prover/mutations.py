"""Faults built into the real code on purpose: an invariant must catch each of them.

Each of faults.py and faults5.py is tried in its scenarios in turn until one fails. The text that
it replaces must be there, so that a change of the client that makes a mutation void is noticed.
"""

import time
from collections import namedtuple

from . import damage, faults, faults5
from .audit import Broken
from .explore import Failure, World
from .rooms import recoded
from .scenarios import named

LIST = {**faults.LIST, **faults5.LIST}


def changes(name):
    _, *rest = LIST[name]
    return tuple(zip(*[iter(rest)] * 4, strict=True))


Caught = namedtuple("Caught", "invariant why scenario runs seconds")


def check(name, deep=False, seconds=60):
    """Caught, with invariant None when nothing was.

    deep: without S14, S16 and S5 in the file, which look into the client and catch most faults at
    once; so it shows what comes of the fault.
    """
    begun = time.monotonic()
    runs = 0
    with recoded(changes(name)):
        where = LIST[name][0].split()
        # where it takes two power cuts in a row to see what comes of it
        more = [(one, {"powers": 2, "links": 0}) for one in where] if deep else []
        for one, bounds in [(one, {}) for one in where] + more:
            try:
                if one == "bits":
                    runs += 1
                    if not deep:
                        damage.check()
                    continue
                world = World(named(one, oracle=not deep, ahead=not deep, **bounds))
                try:
                    world.search(time.monotonic() + seconds)
                finally:
                    runs += world.machine.runs
            except Failure as failure:
                broken = failure.args[0]
            except Broken as error:
                broken = error
            else:
                continue
            words = broken.args if isinstance(broken, Broken) else ("crash", repr(broken))
            return Caught(*words, one, runs, time.monotonic() - begun)
    return Caught(None, "not caught", LIST[name][0], runs, time.monotonic() - begun)
