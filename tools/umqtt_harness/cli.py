"""The command line of the broker."""

import argparse
import asyncio
import errno
import signal
import sys

from .core import Broker
from .faults import QUIRKS, QUIRKS_5
from .profiles import PROFILES

_QUIRKS = sorted({**QUIRKS, **QUIRKS_5})


def _user(text):
    name, colon, password = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError("write it as name:password")
    return name, password


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m umqtt_harness.broker",
        description="A small MQTT 3.1.1 and 5.0 broker for tests and for trying things.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=1883, help="0 takes a free one (%(default)s)")
    parser.add_argument(
        "--user", type=_user, action="append", default=[], metavar="NAME:PASSWORD",
        help="may be given more than once; without it everybody may connect",
    )  # fmt: skip
    parser.add_argument(
        "--quirk", action="append", default=[], choices=_QUIRKS, metavar="NAME",
        help="a deviation of a real broker: " + ", ".join(_QUIRKS),
    )  # fmt: skip
    parser.add_argument(
        "--like", choices=sorted(PROFILES), help="limits and quirks of a real broker",
    )  # fmt: skip
    parser.add_argument("--control", action="store_true", help="obey the topics $CONTROL/...")
    parser.add_argument("--verbose", action="store_true", help="print every connection and packet")
    return parser


async def _serve(options):
    broker = Broker(
        options.host,
        options.port,
        users=dict(options.user),
        quirks=options.quirk,
        like=options.like,
        control=options.control,
        log_limit=10_000 if options.control else 0,
        on_event=(lambda event: print(event, flush=True)) if options.verbose else None,
    )
    await broker.start()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows: KeyboardInterrupt ends main() instead
            break
    print(f"listening on {broker.host}:{broker.port}", flush=True)
    await ended.wait()
    await broker.aclose()


def main(arguments=None):
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:
        pass
    except (OSError, OverflowError) as error:
        text = str(error)
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            text = "the port is taken; stop the other broker or choose another --port"
        print(f"cannot listen on {options.host}:{options.port}: {text}", file=sys.stderr)
        return 1
    return 0
