"""Tokens made on the device: HMAC, SAS, JWT, and the clock without which there are none."""

import umqtt_plus.tokens as room
from umqtt_plus.tokens import JWT, SAS, Timed, hmac_sha256, quote, unix_time
from util import each, raises, same

NOW = 1790000000  # in 2026
KEY = "c2VjcmV0IGtleQ=="  # "secret key"


class clock:
    """with clock(seconds since 1970, epoch=1970 or 2000): the board's clock says so."""

    def __init__(self, now, epoch=1970, year=2026):
        self.now = now
        self.epoch = epoch
        self.year = year

    def gmtime(self, *at):
        return (self.epoch if at else self.year, 1, 1, 0, 0, 0, 0, 1)

    def time(self):
        return self.now - (946684800 if self.epoch == 2000 else 0)

    def __enter__(self):
        self.before = room.gmtime, room.time
        room.gmtime, room.time = self.gmtime, self.time

    def __exit__(self, *error):
        room.gmtime, room.time = self.before


def test_hmac():
    """The test cases of RFC 4231, short and long keys; the caller's key is not changed."""

    def check(key, msg, wanted):
        same("".join(["%02x" % x for x in hmac_sha256(key, msg)]), wanted)

    each(
        [
            (
                b"\x0b" * 20,
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                b"\xaa" * 20,
                b"\xdd" * 50,
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                b"\xaa" * 131,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ],
        check,
    )
    key = bytearray(b"Jefe")
    same(hmac_sha256(key, b""), hmac_sha256(b"Jefe", b""))
    same(key, bytearray(b"Jefe"))


def test_quote():
    same(quote("aZ09-_.~"), "aZ09-_.~")
    same(quote("a b/c+d=e&f%\n"), "a%20b%2Fc%2Bd%3De%26f%25%0A")
    same(quote("\u00e9\u20ac"), "%C3%A9%E2%82%AC")


def test_time():
    """The same seconds on boards whose clock counts from 1970 and from 2000."""
    for epoch in (1970, 2000):
        with clock(NOW, epoch):
            same(unix_time(), NOW)
    with clock(NOW + 0.9):
        same(unix_time(), NOW)


def test_no_time():
    """A clock that was never set: what to do is said, and nothing of a token is made."""
    makers = (SAS("r", KEY), JWT({}, "k"), unix_time)
    each([(f, year) for f in makers for year in (1970, 2000, 2021, 2023)], no_time)
    with clock(NOW, 1970, 2024):
        SAS("r", KEY)()


def no_time(f, year):
    with clock(NOW, 1970, year):
        with raises(OSError, 71) as caught:
            f()
        same(
            caught.error.args[1],
            "clock: it says %d, tokens have dates: ntptime.settime()" % year,
        )


def test_sas():
    """As a second implementation made it; a policy has its name behind."""
    with clock(NOW):
        where = "sr=hub.azure-devices.net%2Fdevices%2Fd1"
        token, life = SAS("hub.azure-devices.net/devices/d1", KEY)()
        same(life, 3600)
        sign = "DeN5P6skYli0yM%2BxlOvMtDWFPoqR5MzkkhGlc56eI7I%3D"
        same(token, "SharedAccessSignature %s&sig=%s&se=1790003600" % (where, sign))
        token, life = SAS("hub.azure-devices.net/devices/d1", KEY, 60, "a b")()
        same((token[-20:], life), ("&se=1790000060&skn=a%20b"[-20:], 60))
    with clock(NOW + 1):
        assert "se=1790003601" in SAS("r", KEY)()[0]


def test_keys():
    """No base64: said at once, without the key."""

    def check(key):
        with raises(ValueError, "key: not base64"):
            SAS("r", key)

    each([("",), (b"",), ("*",)], check)


def test_jwt():
    with clock(NOW):
        token, life = JWT({"username": "u"}, "secret", 600)()
    head, body, sign = token.split(b".")
    same(head, b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9")
    same(life, 600)
    same(b"=" in token or b"+" in token or b"/" in token, False)
    x = room.loads(room.a2b_base64(body + b"==="[: -len(body) % 4]))
    same(x, {"username": "u", "iat": NOW, "exp": NOW + 600})
    mine = hmac_sha256(b"secret", head + b"." + body)
    same(room._safe(mine), sign)


def test_claims_are_the_callers():
    claims = {"a": 1}
    f = JWT(claims, "k")
    with clock(NOW):
        one = f()[0]
        same(claims, {"a": 1})
        same(f()[0], one)
    with clock(NOW + 5):
        assert f()[0] != one


def test_what_cannot_be_signed():
    """Said plainly, with the way out; the key is not in it."""

    def check(alg):
        with raises(ValueError) as caught:
            JWT({}, "-----BEGIN PRIVATE KEY----- hush", alg=alg)
        text = str(caught.error)
        assert "MicroPython cannot sign with " + alg in text and "tokens.Timed" in text
        assert "hush" not in text

    each([("RS256",), ("ES256",), ("none",)], check)


def elsewhere(iat, exp):
    x = {"exp": exp}
    if iat:
        x["iat"] = iat
    return b"e30." + room._safe(room.dumps(x).encode()) + b".c2ln"


def test_timed():
    """How long a token from elsewhere holds is what it says itself."""
    with clock(NOW):
        token = elsewhere(NOW - 10, NOW + 90)
        same(Timed(lambda: token)(), (token, 90))
        token = str(token, "ascii")
        same(Timed(lambda: token, 100)(), (token, 90))
        token = elsewhere(None, NOW + 1)
        same(Timed(lambda: token, 100)(), (token, 1))


def test_timed_minds():
    """Too old, too long, or no token at all: OSError, so that a Link tries again."""

    def check(token, text):
        with clock(NOW):
            with raises(OSError, 71) as caught:
                Timed(lambda: token, 100)()
            same(caught.error.args[1], text)

    each(
        [
            (elsewhere(NOW - 9, NOW), "token: it expired 0 s ago"),
            (elsewhere(NOW - 9, NOW - 5), "token: it expired 5 s ago"),
            (elsewhere(NOW, NOW + 101), "token: exp is 101 s after iat, 100 at most"),
            ("", "token: no JWT with exp"),
            (None, "token: no JWT with exp"),
            ("a.b.c", "token: no JWT with exp"),
            ("no token today", "token: no JWT with exp"),
            (b"e30.e30.e30", "token: no JWT with exp"),
            (b"e30.\xff\xfe.e30", "token: no JWT with exp"),
            (b"e30.W10.e30", "token: no JWT with exp"),
        ],
        check,
    )
