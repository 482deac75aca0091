"""MicroPython's module `micropython` for CPython: what changes no result does nothing here."""

_locked = 0


def const(value):
    return value


def opt_level(level=None):
    return 0 if level is None else None


def alloc_emergency_exception_buf(size):
    pass


def heap_lock():
    """Count only: CPython cannot refuse an allocation. The real proof runs on MicroPython."""
    global _locked
    _locked += 1


def heap_unlock():
    global _locked
    _locked -= 1
    return _locked


def heap_locked():
    return _locked


def schedule(function, argument):
    function(argument)


def mem_info(verbose=None):
    pass


def native(function):
    return function


viper = native
