"""Real brokers for the interop suite (tests/interop): fetched, started on free loopback ports with
a directory of their own, stopped by their process ids. `python -m brokers` runs the matrix.

One file a broker; each has a class Broker (see common.py). deviations.py says where one of them
is known to differ, what the client does then, and why that is right.
"""
