"""Runs first: finishes what `make deploy` began, where a power cut came between its renames.

deploy copies what is new to deploy/, under numbers, checks it, and writes deploy.todo last, whose
last word is "end". Until then the old files count, from then on the new ones: a board never runs
half of each. The list is not in deploy/ itself: after a power cut within a rename littlefs hides
an entry too much of the directory that the file left, until something is written.
"""

import os


def finish():
    try:
        with open("deploy.todo") as f:
            lines = f.read().split("\n")
    except OSError:
        return  # nothing to do, as nearly always
    if lines.pop() != "end":
        return  # cut off while it was written: the old files count
    for line in lines + ["/ deploy"]:
        number, _, name = line.partition(" ")
        try:
            if number == "-":
                os.remove(name)
            elif number == "/":
                os.rmdir(name)
            else:
                os.rename("deploy/" + number, name)
        except OSError as e:
            if e.errno != 2 and number != "/":  # ENOENT: done before the cut
                raise
    os.remove("deploy.todo")


finish()
