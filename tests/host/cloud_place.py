"""Fixtures of the tests of clouds.py, which name this file in pytest_plugins, behind "secure"."""

import base64
import contextlib
import json
import subprocess
import time

import certs as tool
import providers
import pytest


@pytest.fixture(scope="session")
def signer(tmp_path_factory):
    """token(**claims): a JWT with RS256; public_key is beside it. As a back end would make it."""
    if not tool.find_openssl():
        pytest.skip(tool.MISSING)
    place = tmp_path_factory.mktemp("signer")

    def openssl(*args, **options):
        done = subprocess.run(
            ["openssl", *args], check=True, cwd=place, capture_output=True, timeout=60, **options
        )
        return done.stdout

    openssl("genrsa", "-out", "key.pem", "2048")
    openssl("rsa", "-in", "key.pem", "-pubout", "-out", "public.pem")

    def coded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def token(**claims):
        now = int(time.time())
        claims = {"aud": "proj", "iat": now, "exp": now + 3600, **claims}
        text = coded(b'{"alg":"RS256","typ":"JWT"}') + "." + coded(json.dumps(claims).encode())
        return (
            text + "." + coded(openssl("dgst", "-sha256", "-sign", "key.pem", input=text.encode()))
        )

    token.public_key = place / "public.pem"
    return token


@pytest.fixture
def cloud(certs, request):
    """cloud(name): a running provider."""
    with contextlib.ExitStack() as stack:

        def start(name, **options):
            kind = name.split()[0].capitalize()
            if kind == "Clearblade":
                options["public_key"] = request.getfixturevalue("signer").public_key
            provider = getattr(providers, kind)(**options)
            ca = certs / "ca.crt" if kind == "Aws" else None
            return stack.enter_context(providers.Cloud(provider, certs, ca))

        yield start


@pytest.fixture
def told(lines, request):
    """told(server, script): the lines that it prints."""

    def told(server, script, env=(), timeout=40):
        env = {"AZURE_KEY": providers.AZURE_KEY, **dict(env)}
        return lines(server.port, providers.HEAD + script, env=env, timeout=timeout)

    return told
