"""What only your board may know. Fill in a copy named secrets.py, which git ignores, and put it on
the board with `make provision` (or: mpremote cp secrets.py :)."""

NETWORKS = [("my network", "its password")]  # the preferred first; "" for an open one
COUNTRY = None  # "DE": which channels are allowed
HOST = "192.168.1.10"  # the broker; an address needs no name server
PORT = 1883  # plain; for TLS give ssl= in sensor.py, see examples/tls_cloud.py
USER = None  # of the broker; None: it asks for no password
PASSWORD = None
NAME = None  # "barn": the first level of all topics; None: made from the number of the chip
