"""The program of the smallest heap, in stages: import, construct, connect, or all of fit.py."""

import os

stage = os.getenv("BENCH_STAGE")

if stage == "all":
    import fit  # noqa: F401
else:
    from umqtt_plus import MQTTClient

    if stage != "import":
        c = MQTTClient(b"fit", "127.0.0.1", int(os.getenv("BENCH_PORT")), buffer_size=256)
        if stage != "construct":
            c.connect()
            c.disconnect()
    print("fits")
