"""What several tools take on their command lines: refused in a line, before the work begins."""

import os
import sys
from argparse import ArgumentTypeError
from pathlib import Path

from umqtt_harness.micropython import MicroPythonError, find_program


def new_file(text):
    """A file to be written."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text} is a directory")
    if not path.absolute().parent.is_dir():
        raise ArgumentTypeError(f"{text}: there is no such directory")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ArgumentTypeError(f"{text} may not be written")
    return text


def path(text):
    """~ behind a = of make is left to us by zsh."""
    return Path(os.path.expanduser(text))


def at_least(least, kind=int, most=float("inf")):
    """A number, which nan is not."""

    def number(text):
        value = kind(text)
        if not least <= value <= most:
            to = "on" if most == float("inf") else f"to {most}"
            raise ArgumentTypeError(f"{text}: from {least} {to}")
        return value

    number.__name__ = kind.__name__  # argparse tells it
    return number


def programs(*finders, **named):
    """Ends with one line when one is not there. named: {variable: program}, where it is set."""
    try:
        for find in finders:
            find()
        for variable, program in named.items():
            find_program(program, variable)
    except MicroPythonError as error:
        sys.exit(str(error))
