"""For brokers on Erlang from Debian packages: an `erl` that runs from the cache, and an epmd that
is ours: started in the foreground, on loopback, ended with its broker.
"""

from . import common, debian


def wrapper(tree, place):
    """Write a program `erl` into place/bin; that directory, for PATH."""
    binaries = tree.find("usr/lib/erlang/erts-*/bin/beam.smp").parent
    libraries = "" if tree.whole else f"export LD_LIBRARY_PATH={tree.libraries()}\n"
    lines = (
        f"export ROOTDIR={binaries.parents[1]} BINDIR={binaries} EMU=beam PROGNAME=erl\n"
        f'{libraries}exec {binaries}/erlexec "$@"\n'
    )
    return debian.script(place / "bin" / "erl", lines).parent


def epmd(broker, tree, port):
    """Nodes look for one, and would start it as a daemon that stays behind."""
    program = tree.find("usr/lib/erlang/erts-*/bin/epmd")
    process = broker.run([program, "-address", common.HOST, "-port", port])
    process.wait_until(lambda: common.listens(port), 10)
    return {"ERL_EPMD_PORT": port, "ERL_EPMD_ADDRESS": common.HOST}
