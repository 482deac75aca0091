"""What went wrong, and what to do about it; and how far it has come."""

import sys


class Problem(Exception):
    """Told to the user as it is, without a traceback. It says what to do next."""


class Bar:
    """A progress bar on a terminal; elsewhere one line at the end."""

    def __init__(self, title, total, out=None):
        self.title = title
        self.total = max(total, 1)
        self.done = 0
        self.out = out or sys.stdout
        self.shown = -1
        self.add(0)

    def add(self, amount):
        self.done += amount
        percent = min(100, self.done * 100 // self.total)
        if percent == self.shown:
            return
        self.shown = percent
        if self.out.isatty():
            filled = percent * 30 // 100
            print(f"\r{self.title} [{'#' * filled:<30}] {percent:3} %", end="", file=self.out)
            self.out.flush()

    def close(self):
        """The end, also after an error."""
        end = "\n" if self.out.isatty() else f"{self.title} {self.shown} %\n"
        print(end=end, file=self.out)
        self.out.flush()
