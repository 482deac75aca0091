"""TLS over a connected socket. Loaded when it is asked for.

tls_params.py makes the context for ssl=True; tls_errors.py says in words what failed.
"""

import io
import select


class TLS(io.IOBase):
    """The stream, and what it needs until it is up; from then on calls go straight to it.

    sock: a non-blocking socket, or another stream. ctx: an SSLContext, or True for one made of
    params; params: also server_hostname, if the certificate is not for host. The handshake runs
    with the writes and blocks for its arithmetic only; OSError(71, what to do) when it fails.
    Allocates until the first answer is read.
    """

    def __init__(self, sock, host, ctx, params):
        self.get = get = params.get
        self.sock = sock
        self.host = get("server_hostname", host)  # None: up
        self.cert = None  # the server's, until it is up
        if ctx is True:
            from .tls_params import context

            ctx = context(get)
            ctx.verify_callback = self._seen
        self.tls = ctx.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
        self._ev = 1  # the events asked for
        self._poll = select.poll()
        self._poll.register(self.tls, 1)

    def _seen(self, cert, depth):
        self.cert = bytes(cert)  # the last one is the server's
        return 0

    def _do(self, name, args):
        f = getattr(self.tls, name)
        try:
            n = f(*args)
        except (OSError, ValueError) as e:
            from .tls_errors import explain

            raise explain(self, e)
        if n:
            setattr(self, name, f)
            self.host = self.cert = None
        return n

    def write(self, *args):
        return self._do("write", args)

    def readinto(self, *args):
        # nothing can come before the handshake is done; in TLS 1.3 then a refusal
        return None if self.host else self._do("readinto", args)

    def ioctl(self, op, arg):
        n = -22  # EINVAL
        if op == 3:  # MP_STREAM_POLL
            n = 0
            if arg != self._ev:
                self._ev = arg
                self._poll.modify(self.tls, arg)
            for _, n in self._poll.ipoll(0):
                pass
        return n

    def close(self):
        self.tls.close()
        self.sock.close()  # a handshake that failed has let go of it
