"""Run the unit tests on MicroPython: micropython tests/unit/run.py [test_codec.py ...]

With no names it runs every test_*.py beside it. Works on a board, too:
    mpremote mount . run tests/unit/run.py
One file at a time is imported, run and dropped, so that a small heap is enough. Prints a line for
each failure and skip, a line a file, and a closing count; the exit status is 1 after a failure.
"""

import gc
import os
import sys

try:
    HERE = __file__.rpartition("/")[0] or "."
except NameError:  # mpremote run sends the text of this file, which has no name then
    HERE = "tests/unit"

for place in (HERE + "/../..", HERE):
    if place not in sys.path:
        # Behind what is there: MICROPYPATH decides which umqtt_plus is tested.
        sys.path.append(place)


class Count:
    passed = 0
    failed = 0
    skipped = 0


def show(error):
    if hasattr(sys, "print_exception"):
        sys.print_exception(error)
    else:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stdout)


def run_file(name, count):
    """Import one test module, run its test_* functions, drop it."""
    before = count.passed + count.failed + count.skipped
    try:
        module = __import__(name)
    except Exception as error:
        print("FAIL", name + ".py: cannot be imported")
        show(error)
        count.failed += 1
        return
    failed = count.failed
    util = sys.modules.get("util")
    for function in sorted(dir(module)):
        if not function.startswith("test_"):
            continue
        gc.collect()
        try:
            if util:
                util.begin()
            getattr(module, function)()
            count.passed += 1
        except Exception as error:
            # By name: the class in util.py is not imported here.
            if type(error).__name__ == "Skip":
                print("SKIP", name + ".py::" + function + ":", error)
                count.skipped += 1
            else:
                print("FAIL", name + ".py::" + function)
                show(error)
                count.failed += 1
    total = count.passed + count.failed + count.skipped - before
    if total == 0:
        print("FAIL", name + ".py: has no test_ function")
        count.failed += 1
    elif count.failed == failed:
        print("ok  ", name + ".py", total)
    if util and util.left_out:
        print("    ", util.left_out, "rows left out, for the time they take here")
        util.left_out = 0


def main(names):
    names = names or sorted(os.listdir(HERE))
    count = Count()
    for name in names:
        name = name.replace("\\", "/").rpartition("/")[2]
        if name.endswith(".py"):
            name = name[:-3]
        if not name.startswith("test_"):
            continue
        run_file(name, count)
        sys.modules.pop(name, None)
        gc.collect()
    print(
        "%d passed, %d failed, %d skipped on %s"
        % (count.passed, count.failed, count.skipped, sys.implementation[0])
    )
    return count.failed == 0 and count.passed + count.skipped > 0


if __name__ == "__main__" and not main(sys.argv[1:]):
    sys.exit(1)
