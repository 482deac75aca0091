"""Runs first: finishes what `make deploy` began, where a power cut came between its renames.

deploy copies what is new to deploy/, under numbers, checks it, and writes deploy/todo last. Until
then the old files count, from then on the new ones: a board never runs half of each.
"""

import os


def finish():
    try:
        with open("deploy/todo") as f:
            lines = f.read().split("\n")
    except OSError:
        return  # nothing to do, as nearly always
    for line in lines:
        number, _, name = line.partition(" ")
        try:
            if number == "-":
                os.remove(name)
            elif name:
                os.rename("deploy/" + number, name)
        except OSError as e:
            if e.errno != 2:  # ENOENT: done before the cut
                raise
    os.remove("deploy/todo")
    os.rmdir("deploy")


finish()
