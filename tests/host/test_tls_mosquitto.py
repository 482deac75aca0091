"""TLS against Mosquitto: who the server is gets checked, and each failure says what to do.

Every test runs on two interpreters: MicroPython's unix port (TLS 1.2) and, where it is there,
Debian's 32-bit one (TLS 1.3).
"""

import contextlib
import re
import socket
import ssl
import subprocess
import sys
import threading
import types

import pytest

pytest_plugins = ["secure"]

CONNECT = """
    start = fds()
    c = client({options})
    c.connect()
    print(round_trip(c, b"x" * 300), c.sock is not None)
    c.disconnect()
    print(fds() - start, "left")
"""
# (listener, what ssl_params are, part of the message)
FAILURES = {
    "wrong CA": ("foreign", "params()", "signed by 'Foreign CA', which is not the CA given"),
    "self-signed": ("self_signed", "params()", "self-signed: let a CA sign it"),
    "wrong host name": ("other_name", "params()", "is not for localhost: use a name"),
    "expired": ("expired", "params()", r"has expired, if the clock \(2\d\d\d-\d\d-\d\d\)"),
    "not valid yet": (
        "future",
        "params()",
        r"not valid yet, and the clock says 2\d\d\d-.*ntptime",
    ),
    "no client certificate": ("mtls", "params()", "wants a client certificate: cert and key"),
    "client certificate of a foreign CA": (
        "mtls",
        "params(cert=DIR + '/foreign_device.der', key=DIR + '/foreign_device.key.der')",
        "refuses the client certificate",
    ),
    "plain server": ("plain", "params()", "hangs up: is it a TLS port"),
    "plain server that is given a client certificate": (
        "plain",
        "params(cert=DIR + '/device.der', key=DIR + '/device.key.der')",
        "hangs up: is it a TLS port",
    ),
}


def run(lines, port, options=""):
    return lines(port, CONNECT.format(options=options))


@pytest.mark.parametrize(
    "options",
    [
        "",
        "ssl_params=params(cadata=DIR + '/ca.crt')",
        "ssl_params={'cafile': DIR + '/ca.crt'}",
        "ssl_params={'cadata': read('ca.der'), 'server_side': False}",
        "ssl_params={'cadata': read('ca.crt', 'r')}",
        "ssl_params={'cadata': '\\n' + read('ca.crt', 'r')}",  # as between triple quotes
        "ssl_params={'cadata': read('foreign_ca.crt', 'r') + read('ca.crt', 'r')}",
        "host='127.0.0.1'",
        "host='127.0.0.1', ssl_params=params(server_hostname='localhost')",
        "ssl_params={'cert_reqs': 0}",
    ],
)
def test_right_ca(listeners, lines, options):
    """DER or PEM, bytes, text or a file, a bundle, an address in the certificate."""
    assert run(lines, listeners.port("server"), options) == ["True True", "0 left"]


@pytest.mark.parametrize("end", ["der", "crt"])
def test_mutual_tls(listeners, lines, end):
    key = "device.key.der" if end == "der" else "device.key"
    options = f"ssl_params=params(cert=DIR + '/device.{end}', key=DIR + '/{key}')"
    assert run(lines, listeners.port("mtls"), options) == ["True True", "0 left"]


@pytest.mark.parametrize("name", FAILURES)
def test_failure(listeners, lines, name):
    """Its own message, soon, and no socket is left behind; a second attempt says the same."""
    listener, params, text = FAILURES[name]
    script = f"c = client(ssl_params={params}, timeout_ms=3000)\nfailure(c)\nfailure(c)\n"
    first, second = lines(listeners.port(listener), script)
    for line in (first, second):
        said, left, ms = line.split("; ")[-3:]
        assert re.search(text, line) and line.startswith("OSError 71 TLS: "), line
        assert left == "0 sockets left" and int(ms.split()[0]) < 3000, line
    others = {other for _, _, other in FAILURES.values()} - {text}
    assert not any(re.search(other, first) for other in others)


def test_nobody_to_trust(listeners, lines):
    """ssl=True verifies: without a CA it does not even begin. It is not an OSError, so a Link
    does not try it for ever."""
    script = (
        "failure(client(ssl_params={}))\nfailure(client(ssl_params={'key': b'', 'cert': b''}))"
    )
    for line in lines(listeners.port("server"), script):
        assert line.startswith("ValueError ssl: no CA to verify the server. ssl_params={'cadata'")
        assert "; 0 sockets left" in line


def test_a_ca_is_used(listeners, lines):
    """cert_reqs=0 beside a CA, as old programs have it, does not turn the check off."""
    (line,) = lines(listeners.port("foreign"), "failure(client(ssl_params=params(cert_reqs=0)))")
    assert "signed by 'Foreign CA', which is not the CA given" in line


@pytest.mark.parametrize(
    ("number", "params", "up", "said"),
    [
        (12, {}, False, "no memory for TLS"),
        (-32512, {}, False, "no memory for TLS"),
        (-29184, {}, False, "does not speak TLS at this port"),
        (-30592, {}, False, "the server refuses: does it know this name"),
        (-30592, {}, True, "wants a client certificate"),
        (-30592, {"cert": "c"}, True, "refuses the client certificate"),
        (-30592, {"psk": (b"secret", b"secret")}, False, "refuses the psk"),
        (-29312, {"psk": (b"secret", b"secret")}, True, "refuses the psk"),
        (-29312, {"psk": (b"secret", b"secret")}, False, "hangs up: is it a TLS port"),
        (-104, {}, False, "hangs up: is it a TLS port"),
        (-104, {"cert": "c"}, False, "hangs up: is it a TLS port"),
        (-30592, {"cert": "c", "cert_reqs": 0}, False, "refuses the client certificate"),
        (-28800, {}, False, "failed, -28800"),
    ],
)
def test_words(number, params, up, said):
    """What errors of mbedtls become, also those that no server here brings about."""
    from umqtt_plus.tls_errors import explain

    stream = types.SimpleNamespace(get=params.get, host=None if up else "h", cert=None)
    error = explain(stream, OSError(number))
    assert error.args[0] == (12 if "memory" in said else 71)
    assert said in error.args[1] and "secret" not in error.args[1]


def test_server_name(listeners, lines, certs):
    """SNI is sent always, and the certificate must be for that name: the host's, or another."""
    options = "ssl_params=params(server_hostname='other.example')"
    assert run(lines, listeners.port("other_name"), options) == ["True True", "0 left"]
    (line,) = lines(listeners.port("server"), f"failure(client({options}))")
    assert "is not for other.example: use" in line
    asked = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.crt", certs / "server.key")
    context.sni_callback = lambda sock, name, _: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            for _ in range(2):
                with contextlib.suppress(OSError):
                    context.wrap_socket(server.accept()[0], server_side=True).close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        lines(port, f"failure(client())\nfailure(client(host='127.0.0.1', {options}))")
        thread.join(5)
    assert asked == ["localhost", "other.example"]


def test_useless_params(listeners, lines):
    """Neither DER nor PEM, no such file, an encrypted key, DER of something else."""
    script = """
    failure(client(ssl_params={'cadata': b'rubbish'}))
    failure(client(ssl_params={'cadata': b''  b'-----BEGIN CERTIFICATE-----\\n$$$$'}))
    failure(client(ssl_params={'cadata': DIR + '/nothing.der'}))
    failure(client(ssl_params={'cadata': b'0\\x03\\x01\\x02\\x03'}))
    box = '-----BEGIN ENCRYPTED PRIVATE KEY-----\\nMAA=\\n-----END ENCRYPTED PRIVATE KEY-----'
    failure(client(ssl_params=params(cert=DIR + '/device.der', key=box)))
    failure(client(ssl_params=params(cert=DIR + '/device.der', key=DIR + '/ca.der')))
    """
    said = lines(listeners.port("server"), script)
    wanted = [
        "ValueError cadata: not DER or PEM",
        "ValueError cadata: not DER or PEM",
        "OSError 2",
        "ValueError invalid cert",
        "ValueError key: not DER or PEM",
        "ValueError invalid key",
    ]
    assert len(said) == len(wanted)
    for line, start in zip(said, wanted, strict=True):
        assert line.startswith(start) and "; 0 sockets left" in line, line


def test_half_a_client_certificate(listeners, lines):
    """cert and key go together: one of them alone would be left out in silence."""
    for one in ("cert=DIR + '/device.der'", "key=DIR + '/device.key.der'"):
        (line,) = lines(listeners.port("mtls"), f"failure(client(ssl_params=params({one})))")
        assert line.startswith("ValueError ssl: cert and key go together; 0 sockets left"), line


def test_psk(listeners, lines, machine):
    """With the right key; a wrong one is told from a wrong certificate."""
    right = f"(b'device', bytes.fromhex('{listeners.psk}'))"
    script = f"failure(client(ssl_params={{'psk': {right}}}))"
    if "not in this firmware" in lines(listeners.port("psk"), script)[0]:
        assert machine == "32bit", "MicroPython 1.29 has it"
        return
    options = f"ssl_params={{'psk': {right}}}"
    assert run(lines, listeners.port("psk"), options) == ["True True", "0 left"]
    wrong = "failure(client(ssl_params={'psk': (b'device', b'wrong key')}))"
    for listener, said in (
        ("psk", "refuses the psk"),
        ("server", "refuses the psk: identity, key, or no PSK there"),
        ("plain", "hangs up: is it a TLS port (8883; 1883 is plain)?"),
    ):
        (line,) = lines(listeners.port(listener), wrong)
        assert line.startswith(f"OSError 71 TLS: the server {said}") and "0 sockets" in line


def test_context_of_ones_own(listeners, lines):
    """ssl= takes an SSLContext: tls.SSLContext, or ssl.SSLContext where there is a module ssl."""
    script = """
    import tls
    try:
        import ssl
    except ImportError:
        ssl = tls
    for kind in (tls, ssl):
        x = kind.SSLContext(kind.PROTOCOL_TLS_CLIENT)
        x.verify_mode = kind.CERT_REQUIRED  # ssl's own default is CERT_NONE
        ca = read("ca.der")
        if kind is tls:
            x.load_verify_locations(ca)
        else:
            x.load_verify_locations(cadata=ca)
        c = client(ssl=x, ssl_params={})
        c.connect()
        print(round_trip(c))
        c.disconnect()
        failure(client(ssl=x, ssl_params={}, port=int(os.getenv("OTHER"))))
    """
    said = lines(listeners.port("server"), script, env={"OTHER": listeners.port("foreign")})
    assert said[0] == said[2] == "True"
    assert "not signed by the CA given, or self-signed; 0 sockets left" in said[1]
    assert said[1].split("; ")[:2] == said[3].split("; ")[:2]


def test_clock_not_set(listeners, lines, tmp_path, monkeypatch):
    """A board without a clock is in 2000 or 2021: the message says so, and what to do."""
    source = tmp_path / "clock.c"
    source.write_text(
        "#include <stdlib.h>\n#include <time.h>\n"
        "time_t time(time_t *t) {\n"
        '    time_t now = atoll(getenv("FAKE_TIME"));\n'
        "    if (t) *t = now;\n"
        "    return now;\n}\n"
    )
    library = tmp_path / "clock.so"
    for program in ("cc", "gcc", "clang"):
        command = [program, "-shared", "-fPIC", "-o", str(library), str(source)]
        try:
            if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
                break
        except FileNotFoundError:
            pass
    else:
        pytest.skip("no C compiler for a false clock")
    if not sys.platform.startswith("linux"):
        pytest.skip("LD_PRELOAD is for Linux")
    for seconds, date in ((946684800, "2000-01-01"), (1609459200, "2021-01-01")):
        env = {"LD_PRELOAD": library, "FAKE_TIME": seconds}
        script = "import time\nprint(time.localtime()[0])\nfailure(client())"
        said = lines(listeners.port("server"), script, env=env)
        if not said[0].startswith(date[:4]):
            pytest.skip("this interpreter cannot be given a false clock (another libc or bitness)")
        assert f"is not valid yet, and the clock says {date}: set it first (ntptime" in said[1]
        assert "0 sockets left" in said[1]


def test_names_in_order(certs):
    """What tls_errors reads out of a certificate is what openssl says."""
    from umqtt_plus.tls_errors import common_name, names

    for file, issuer, subject in (
        ("server", "umqtt_plus test CA", "localhost"),
        ("foreign_device", "Foreign CA", "device"),
        ("self_signed", "localhost", "localhost"),
    ):
        found = names((certs / f"{file}.der").read_bytes())
        assert [common_name(x) for x in found] == [issuer, subject]
        assert (found[0] == found[1]) == (file == "self_signed")


def test_names_in_other_letters(certs):
    """No CN, one that is not UTF-8, one that ends too soon: "?", and no exception."""
    from umqtt_plus.tls_errors import common_name, names

    issuer = names((certs / "foreign.der").read_bytes())[0]
    at = issuer.index(b"Foreign CA")
    for name in (
        b"",
        issuer[:at].replace(b"\x55\x04\x03", b"\x55\x04\x0a"),
        issuer.replace(b"Foreign", b"F\xf6reign"),
        *(issuer[:end] for end in range(len(issuer))),
    ):
        assert common_name(name) == "?", name


def test_signer_in_other_letters(lines, certs, tmp_path):
    """A CA whose name is a T61String: still an OSError that says what to do."""
    old, new = b"\x0c\x0aForeign CA", b"\x14\x0aF\xf6reign CA"
    der = (certs / "foreign.der").read_bytes()
    assert old in der and len(old) == len(new)
    crt = tmp_path / "foreign.crt"
    crt.write_text(ssl.DER_cert_to_PEM_cert(der.replace(old, new)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, certs / "foreign.key")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            with contextlib.suppress(OSError):
                context.wrap_socket(server.accept()[0], server_side=True).close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        (line,) = lines(server.getsockname()[1], "failure(client(timeout_ms=3000))")
        thread.join(5)
    assert line.startswith("OSError 71 TLS: the server's certificate is signed by '?'"), line
    assert "; 0 sockets left" in line
