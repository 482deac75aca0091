"""What a failed TLS handshake means, and what to do about it. Loaded when one has failed."""

from time import localtime

_FLAGS = (
    ("future", "%s is not valid yet, and the clock says %s: set it first (ntptime.settime())"),
    ("expired", "%s has expired, if the clock (%s) is right: renew it at the server"),
    ("CN", "%s is not for %s: use a name that is in it, or server_hostname in ssl_params"),
    ("signed by", "%s is %s"),
)
_CERT = "the server's certificate"


def _next(der, i):
    """Where the content of the ASN.1 element at i begins and ends."""
    n = der[i + 1]
    i += 2
    if n > 127:
        k = n - 128
        n = int.from_bytes(der[i : i + k], "big")
        i += k
    return i, i + n


def names(cert):
    """Issuer and subject of a certificate, as DER."""
    i = _next(cert, _next(cert, 0)[0])[0]
    found = []
    while len(found) < 4:  # version, number, then: algorithm, issuer, dates, subject
        end = _next(cert, i)[1]
        if cert[i] == 48:
            found.append(cert[i:end])
        i = end
    return found[1], found[3]


def common_name(name):
    """The CN in a name of names(); "?" when there is none, or not all of it."""
    try:
        i, end = _next(name, name.index(b"\x06\x03\x55\x04\x03") + 5)
        return str(name[i:end], "utf-8") if end <= len(name) else "?"
    except (ValueError, IndexError):  # none, or T61String, BMPString ..
        return "?"


def _signer(cert):
    if not cert:
        return "not signed by the CA given, or self-signed"
    issuer, subject = names(cert)
    if issuer == subject:
        return "self-signed: let a CA sign it, or give the certificate itself as cadata"
    return "signed by '%s', which is not the CA given as cadata" % common_name(issuer)


def explain(c, e):
    """OSError(71, what to do), for e of the stream of c, a tls.TLS."""
    x = e.args[0] if e.args else 0
    if isinstance(e, ValueError):
        date = "%d-%02d-%02d" % localtime()[:3]
        said = []
        for word, text in _FLAGS:
            if word in str(x):
                what = c.host if word == "CN" else _signer(c.cert) if word[0] == "s" else date
                said.append(text % (_CERT, what))
        x = "; ".join(said) or str(x).strip()
    elif x == 12 or x == -32512:  # ENOMEM, MBEDTLS_ERR_SSL_ALLOC_FAILED
        return OSError(12, "no memory for TLS: connect early, gc.collect() before")
    elif x == -29184:  # MBEDTLS_ERR_SSL_INVALID_RECORD
        x = "the server does not speak TLS at this port"
    elif x == -30592 or x == -29312 or x in (32, 104, -32, -104):  # alert, EOF, EPIPE, RESET
        if c.get("psk") and (x == -30592 or not c.host):
            x = "the server refuses the psk: identity, key, or no PSK there"
        elif c.get("cert") and (c.cert or not c.host or c.get("cert_reqs") == 0):
            x = "the server refuses the client certificate: is it signed by its CA, and in date?"
        elif c.cert or not c.host:
            x = "the server wants a client certificate: cert and key in ssl_params"
        elif x == -30592:
            x = "the server refuses: does it know this name, and no newer TLS only?"
        else:
            x = "the server hangs up: is it a TLS port (8883; 1883 is plain)?"
    else:
        x = "failed, " + str(e)
    return OSError(71, "TLS: " + x)  # EPROTO
