"""Tokens that stand for a password, and the clock they need. For the profiles of clouds.py.

Each is a password: called at each connect(), it returns (token, seconds for which it holds).
MicroPython has SHA-256, so HMAC is made here; it cannot sign with RSA or elliptic curves, so RS256
and ES256 tokens come from elsewhere: see Timed. Objects, since MicroPython prints what is in a
closure.
"""

from binascii import a2b_base64, b2a_base64
from json import dumps, loads
from time import gmtime, time


def unix_time():
    """Seconds since 1970, on boards that count from 2000, too. OSError: the clock is not set."""
    year = gmtime()[0]
    if year < 2024:
        raise OSError(71, "clock: it says %d, tokens have dates: ntptime.settime()" % year)
    return int(time()) + (946684800 if gmtime(0)[0] == 2000 else 0)


def hmac_sha256(key, msg):
    """HMAC (RFC 2104) of two bytes objects: 32 bytes."""
    from hashlib import sha256

    if len(key) > 64:
        key = sha256(key).digest()
    key = key + bytes(64 - len(key))
    msg = sha256(bytes([x ^ 0x36 for x in key]) + msg).digest()
    return sha256(bytes([x ^ 0x5C for x in key]) + msg).digest()


def quote(x):
    """The str x with all but letters, digits and -_.~ as %XX."""
    return "".join(
        [
            chr(c)
            if c < 128 and (chr(c).isalpha() or chr(c).isdigit() or c in b"-_.~")
            else "%%%02X" % c
            for c in x.encode()
        ]
    )


def _safe(x):
    """base64url without padding."""
    return b2a_base64(x)[:-1].replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=")


class SAS:
    """Shared access signatures of Azure for resource, a str; key: base64, as it is shown."""

    def __init__(self, resource, key, life_s=3600, policy=None):
        try:
            self._key = a2b_base64(key)
        except ValueError:
            self._key = None
        if not self._key:
            raise ValueError("key: not base64")
        self._where = quote(resource)
        self.life_s = life_s
        self._more = "&skn=" + quote(policy) if policy else ""

    def __call__(self):
        x = self._where
        end = str(unix_time() + self.life_s)
        sign = str(b2a_base64(hmac_sha256(self._key, (x + "\n" + end).encode()))[:-1], "ascii")
        x = "SharedAccessSignature sr=%s&sig=%s&se=%s" % (x, quote(sign), end)
        return x + self._more, self.life_s


class JWT:
    """JSON Web Tokens with the dict claims, iat and exp; key: str or bytes, as they are."""

    def __init__(self, claims, key, life_s=3600, alg="HS256"):
        if alg != "HS256":
            raise ValueError(
                "alg: MicroPython cannot sign with %s, only HS256; get tokens from elsewhere, with"
                " a function as password (tokens.Timed)" % alg
            )
        self.claims = claims
        self.life_s = life_s
        self._key = key.encode() if isinstance(key, str) else key

    def __call__(self):
        x = dict(self.claims)
        x["iat"] = now = unix_time()
        x["exp"] = now + self.life_s
        x = _safe(b'{"alg":"HS256","typ":"JWT"}') + b"." + _safe(dumps(x).encode())
        return x + b"." + _safe(hmac_sha256(self._key, x)), self.life_s


class Timed:
    """Tokens made elsewhere: f() gives a JWT (str or bytes), whose exp says how long it holds.

    most_s: what the server takes between iat and exp. OSError(71): f() gives none that goes.
    """

    def __init__(self, f, most_s=0):
        self.f = f
        self.most_s = most_s

    def __call__(self):
        x = self.f()
        try:
            y = (x if isinstance(x, bytes) else x.encode()).split(b".")
            y = y[1].replace(b"-", b"+").replace(b"_", b"/")
            y = loads(a2b_base64(y + b"==="[: -len(y) % 4]))
            end = y["exp"]
            life = end - y.get("iat", end)
        except Exception:
            end = 0  # and nothing of x may be in a message
        if not end:
            raise OSError(71, "token: no JWT with exp")
        if 0 < self.most_s < life:
            raise OSError(71, "token: exp is %d s after iat, %d at most" % (life, self.most_s))
        life = end - unix_time()
        if life <= 0:
            raise OSError(71, "token: it expired %d s ago" % -life)
        return x, life
