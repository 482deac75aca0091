"""Opens TCP and TLS connections with a deadline. Knows nothing of MQTT."""

import select
import socket
from time import ticks_add, ticks_diff, ticks_ms


def open(host, port, tls, tls_params, deadline, wait_ms):
    """Steps towards a non-blocking connected socket, each wait_ms long at most: for s in open(..).

    The last s is the socket, those before are None. Its TLS handshake runs with the first write.
    Tries each address of host in turn, sharing the time left. OSError of the last one; ETIMEDOUT
    at the deadline (ticks_ms). host may be a function that does all that in its own way:
    host(deadline, wait_ms) gives the steps, or a tuple of one open stream. Allocates.
    getaddrinfo has no deadline of its own on boards.
    """
    if callable(host):
        yield from host(deadline, wait_ms)
        return
    found = socket.getaddrinfo(host, port, 0, 1)  # SOCK_STREAM
    left = len(found)
    for a in found:
        s = socket.socket(a[0])
        try:
            s.setblocking(False)
            try:
                s.connect(a[-1])
            except OSError as e:
                # "in progress" has another number on each port; -110 is rp2's (reported)
                if e.args[0] not in (115, 36, 114, 118, 119, -110):
                    raise
            end = ticks_add(ticks_ms(), ticks_diff(deadline, ticks_ms()) // left)
            poller = select.poll()
            poller.register(s, 4)
            got = 0
            while got != 4:  # POLLOUT alone
                if got & 24:  # POLLERR, POLLHUP
                    s.read(1)  # raises what went wrong
                    raise OSError(111)  # ECONNREFUSED
                ms = ticks_diff(end, ticks_ms())
                if ms <= 0:
                    raise OSError(110)  # ETIMEDOUT
                yield
                for _, got in poller.ipoll(min(ms, wait_ms)):
                    pass
            try:
                s.setsockopt(6, 1, 1)  # TCP_NODELAY, which some ports do not name
            except OSError:
                pass
            if tls:
                from .tls import TLS

                s = TLS(s, host, tls, tls_params)
            yield s
            return
        except BaseException as e:
            s.close()
            left -= 1
            if not left or not isinstance(e, OSError):
                raise
