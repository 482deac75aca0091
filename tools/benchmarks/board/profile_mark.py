"""The mark that profile_lines.py puts in front of every statement of a copy of the client.

callgrind cuts its counts at each call of micropython.opt_level(), which nothing else calls; the
number of the statement goes into a log. Off until the counted run begins.
"""

import os
from array import array

from micropython import opt_level

log = array("H", bytes(2 * int(os.getenv("BENCH_MARKS", "2"))))
used = 0
on = False


def mark(i):
    global used
    if on:
        log[used] = i
        used += 1
        opt_level()


def start():
    global on
    on = True
    mark(0)


def stop():
    global on
    mark(1)
    on = False
    for i in range(used):
        print("mark", log[i])
