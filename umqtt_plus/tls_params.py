"""An SSLContext out of ssl_params, for ssl=True. The server is verified unless told otherwise.

cadata (or cafile): the CA, or several. cert, key: a client certificate. psk: (identity, key), two
bytes objects, instead of certificates. cert_reqs=0, without a CA: trust anybody.
cadata, cert, key: bytes, or the name of a file; DER or PEM. Other keys count for nothing.
"""

import tls


def der(what, x):
    """All that x holds, as DER: many boards read no other. ValueError: there is nothing."""
    if isinstance(x, str):
        if "-----B" in x:
            x = x.encode()
        else:
            with open(x, "rb") as f:
                x = f.read()
    if x[:1] == b"\x30":
        return (x,)
    from binascii import a2b_base64

    found = []
    try:
        for x in x.split(b"-----BEGIN ")[1:]:
            kind, _, x = x.partition(b"-----")
            if b"PARAM" not in kind:
                found.append(a2b_base64(x.partition(b"-----")[0]))
                if found[-1][:1] != b"\x30" or b"ENCR" in kind:
                    found.clear()
    except ValueError:
        pass
    if not found:
        raise ValueError(
            what + ": not DER or PEM (openssl x509 or pkey -outform DER; no passphrase)"
        )
    return found


def context(get):
    """get: of ssl_params. ValueError: they do not go. About 1 KB of heap a certificate."""
    ctx = tls.SSLContext(0)  # PROTOCOL_TLS_CLIENT: verifies
    ca = get("cadata") or get("cafile")
    psk = get("psk")
    if ca:
        for x in der("cadata", ca):
            ctx.load_verify_locations(x)
    elif psk:
        if not hasattr(ctx, "psk_key"):
            raise ValueError("psk: not in this firmware (MicroPython 1.29 and newer)")
        ctx.psk_identity, ctx.psk_key = psk
    elif get("cert_reqs") is None:
        raise ValueError("ssl: no CA to verify the server. ssl_params={'cadata': 'ca.der'}")
    else:
        ctx.verify_mode = get("cert_reqs")
    if get("cert") or get("key"):
        if not (get("cert") and get("key")):
            raise ValueError("ssl: cert and key go together")
        ctx.load_cert_chain(der("cert", get("cert"))[0], der("key", get("key"))[0])
    return ctx
