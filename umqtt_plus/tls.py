"""TLS over a connected socket. Loaded when it is asked for."""


def wrap(sock, host, tls, params):
    """tls: an SSLContext, or True for ssl.wrap_socket with params. The handshake is deferred."""
    params = dict(params)
    if "server_hostname" not in params:
        params["server_hostname"] = host
    if tls is True:
        import ssl

        return ssl.wrap_socket(sock, do_handshake=False, **params)
    return tls.wrap_socket(sock, do_handshake_on_connect=False, **params)
