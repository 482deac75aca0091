"""Certificates for tests and small installations: a CA, servers, devices; PEM to DER for boards.

    python tools/certs.py make DIR --host broker.local --host 192.168.1.10 --device sensor1
        DIR/ca.crt, server.crt, server.key and sensor1.crt, sensor1.key for the broker (PEM), and
        ca.der, sensor1.der, sensor1.key.der for the board. What is there is kept: call it again
        for another device. ca.key stays at home: who has it can be anybody.
    python tools/certs.py der FILE.pem ...
        FILE.der beside each (a bundle gives FILE.der, FILE.2.der ...): what every board reads

It needs the command openssl (not for `der`), and nothing from PyPI. Keys are ECDSA P-256, which
a board signs with ten times faster than RSA.
"""

import argparse
import base64
import binascii
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

MISSING = "the command openssl is missing (apt install openssl, or OPENSSL=path)"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CONFIG = """\
[ca]
default_ca = here
[here]
database = {work}/index
new_certs_dir = {work}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
organizationName = optional
commonName = supplied
[req]
distinguished_name = name
[name]
[ext]
{extensions}
"""


class CertError(Exception):
    """openssl failed, or a file is not what it should be."""


def find_openssl():
    return shutil.which(os.environ.get("OPENSSL") or "openssl")


def to_der(text, what="file"):
    """The certificates and keys of a PEM text, as a list of DER bytes. DER comes back as it is."""
    if text[:1] == b"\x30":
        return [text]
    found = []
    for kind, body in _PEM.findall(text):
        if b"ENCRYPTED" in kind or b"ENCRYPTED" in body:
            raise CertError(f"{what}: the key has a passphrase; remove it: openssl pkey -in KEY")
        if b"PARAMETERS" not in kind:
            try:
                found.append(base64.b64decode(body))
            except binascii.Error:
                raise CertError(f"{what}: damaged, or not all of it is there") from None
    if not found:
        raise CertError(f"{what}: neither PEM nor DER")
    return found


class Authority:
    """A CA in a directory; made when it is not there.

    issue() writes NAME.crt and NAME.key (PEM), NAME.der and NAME.key.der, and returns NAME.crt.
    """

    def __init__(self, directory, name="umqtt_plus test CA", file="ca"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = file
        if not (self.directory / f"{file}.crt").exists():
            usage = "keyUsage = critical,keyCertSign,cRLSign"
            self._make(file, name, ["basicConstraints = critical,CA:TRUE", usage], None, None)

    def issue(self, file, name, hosts=(), start=None, end=None, self_signed=False):
        """A certificate for name (its CN).

        hosts: it is a server's, with these names and addresses; without, a device's.
        start, end: datetime; a day ago and two years ahead otherwise.
        """
        usage = "serverAuth" if hosts else "clientAuth"
        extensions = ["basicConstraints = CA:FALSE", f"extendedKeyUsage = {usage}"]
        if hosts:
            kinds = ("IP" if re.fullmatch(r"[\d.]+|.*:.*", host) else "DNS" for host in hosts)
            names = ",".join(f"{k}:{host}" for k, host in zip(kinds, hosts, strict=True))
            extensions.append(f"subjectAltName = {names}")
        return self._make(file, name, extensions, start, end, None if self_signed else self.file)

    def _make(self, file, name, extensions, start, end, signer=None):
        here = self.directory
        key, cert = here / f"{file}.key", here / f"{file}.crt"
        now = datetime.now(timezone.utc)
        dates = [start or now - timedelta(days=1), end or now + timedelta(days=730)]
        if not 0 < len(name) <= 64 or any(sign in name for sign in "/\\\n"):
            raise CertError(f"{name!r}: a name has 1 to 64 characters, no / or \\")
        if signer:
            with open(here / f"{signer}.key", "rb"):
                pass  # what openssl says of one that is not there, or not ours, is no help
        with tempfile.TemporaryDirectory(dir=here) as work:
            Path(work, "index").touch()
            config = Path(work, "openssl.cnf")
            config.write_text(_CONFIG.format(work=work, extensions="\n".join(extensions)))
            if not key.exists():
                curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
                _openssl("genpkey", *curve, "-out", key)
                key.chmod(0o600)
            request = Path(work, "request")
            subject = ["-subj", f"/CN={name}", "-config", config]
            _openssl("req", "-new", "-key", key, "-out", request, *subject)
            who = ["-selfsign", "-keyfile", key]
            if signer:
                who = ["-cert", here / f"{signer}.crt", "-keyfile", here / f"{signer}.key"]
            span = [date.astimezone(timezone.utc).strftime("%Y%m%d%H%M%SZ") for date in dates]
            limits = ["-startdate", span[0], "-enddate", span[1], "-extensions", "ext"]
            files = ["-in", request, "-out", cert]
            _openssl("ca", "-batch", "-notext", "-config", config, *who, *limits, *files)
        write_der(cert, here / f"{file}.der")
        write_der(key, here / f"{file}.key.der")
        return cert


def _openssl(*words):
    program = find_openssl()
    if not program:
        raise CertError(MISSING)
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise CertError(f"openssl {words[0]} failed:\n{done.stderr}")


def write_der(source, target=None):
    """Convert a PEM file; the files that were written. A private key is the caller's alone."""
    source = Path(source)
    # sensor1.key lies beside sensor1.crt
    ending = ".key.der" if source.suffix == ".key" else ".der"
    target = Path(target or source.with_suffix(ending))
    pieces = to_der(source.read_bytes(), source)
    places = [target] + [target.with_suffix(f".{i}.der") for i in range(2, len(pieces) + 1)]
    secret = source.suffix == ".key" or b"KEY-----" in source.read_bytes()
    for place, piece in zip(places, pieces, strict=True):
        if secret:
            place.unlink(missing_ok=True)  # one that was there would keep its owner and mode
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
        with open(handle, "wb") as file:
            file.write(piece)
    return places


def make(directory, hosts, devices, name):
    authority = Authority(directory, name)
    wanted = [("server", hosts[0], hosts)] if hosts else []
    for file, common_name, names in wanted + [(device, device, ()) for device in devices]:
        if (authority.directory / f"{file}.crt").exists():
            print(f"{file}: kept")
            continue
        print(f"{file}: {authority.issue(file, common_name, names)}")
    ca = authority.directory / "ca.der"
    print(f"On the board: mpremote cp {ca} :   and ssl=True, ssl_params={{'cadata': 'ca.der'}}")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make")
    maker.add_argument("directory")
    maker.add_argument("--host", action="append", default=[], help="name or address of the broker")
    maker.add_argument("--device", action="append", default=[])
    maker.add_argument("--name", default="umqtt_plus CA", help="of the CA")
    der = verbs.add_parser("der")
    der.add_argument("files", nargs="+")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "make":
            make(options.directory, options.host, options.device, options.name)
        else:
            for file in options.files:
                print(*write_der(file))
    except CertError as error:
        sys.exit(f"certs: {error}")
    except OSError as error:
        sys.exit(f"certs: {trouble(error)}")


def trouble(error):
    """An OSError in words, and of a file or directory that is not ours: whose it is."""
    if not error.filename:
        return str(error)
    text = f"{error.filename}: {error.strerror}"
    if not isinstance(error, PermissionError):
        return text
    place = Path(error.filename)
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    try:
        owner = place.owner()
    except (OSError, KeyError, NotImplementedError):  # a number without a name; Windows
        return text
    return f"{text}. {place} is {owner}'s: call this as {owner}, or with files of your own"


if __name__ == "__main__":
    main()
