"""Why does it not connect? Runs umqtt_plus/doctor.py under MicroPython's unix port. make doctor

    make doctor ARGS="broker.example --tls --cafile ca.pem --user sensor1"
    make doctor ARGS="192.168.1.10:1883 --topic sensors/test"

The password is asked for, or taken from MQTT_PASSWORD in the environment; it is never shown.
Ends with status 1 when something is wrong, and says what to change.
"""

import argparse
import getpass
import json
import os
import sys
import tempfile
from pathlib import Path

from arguments import at_least
from umqtt_harness.micropython import MicroPythonError, Runner

SCRIPT = """
import json
import sys
from umqtt_plus.doctor import check

settings = json.loads(sys.stdin.readline())
sys.exit(1 if check(**settings) else 0)
"""


def settings(arguments):
    """The arguments of check(), from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server", metavar="HOST[:PORT]")
    parser.add_argument("--tls", action="store_true", help="over TLS; port 8883 if none is named")
    parser.add_argument("--cafile", help="the CA, PEM or DER")
    parser.add_argument("--cert", help="a client certificate, PEM or DER")
    parser.add_argument("--key", help="its key")
    parser.add_argument("--user")
    parser.add_argument("--client-id", default="umqtt_plus_doctor")
    parser.add_argument("--topic", help="one that may be published and subscribed to")
    parser.add_argument("--version", type=int, choices=(4, 5), default=4, help="4 is MQTT 3.1.1")
    parser.add_argument(
        "--seconds", type=at_least(0.1, float), default=10, help="for each step (%(default)s)"
    )
    found = parser.parse_args(arguments)
    host, _, port = found.server.partition(":")
    if not host or port and not (port.isdigit() and 0 < int(port) < 65536):
        parser.error(f"{found.server}: HOST or HOST:PORT")
    params = {}
    for name, value in (("cadata", found.cafile), ("cert", found.cert), ("key", found.key)):
        if value:
            if not Path(value).is_file():
                parser.error(f"{value}: no such file")
            params[name] = str(Path(value).resolve())
    password = os.environ.get("MQTT_PASSWORD")
    if found.user and password is None:
        try:
            password = getpass.getpass(f"password of {found.user}: ")
        except EOFError:
            parser.error("nobody can be asked here: set MQTT_PASSWORD")
    return {
        "server": host,
        "port": int(port or 0),
        "ssl": found.tls or None,
        "ssl_params": params,
        "client_id": found.client_id,
        "user": found.user,
        "password": password if found.user else None,
        "topic": found.topic,
        "version": found.version,
        "timeout_ms": int(found.seconds * 1000),
    }


def main(arguments=None):
    told = settings(arguments)
    with tempfile.TemporaryDirectory() as directory:
        try:
            runner = Runner(directory)
            child = runner.start(SCRIPT)
        except MicroPythonError as error:
            print(error, file=sys.stderr)
            return 2
        try:
            child.send_line(json.dumps(told))
            result = child.wait(8 * told["timeout_ms"] / 1000 + 10, check=False)
        finally:
            runner.close()
    print(result.stdout, end="")
    if result.returncode not in (0, 1):
        print(result.stderr, end="", file=sys.stderr)
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
