# What a board's firmware gets of umqtt_plus, frozen at -O3. In the board's own manifest:
#
#     include("path/to/umqtt_plus/manifest.py")                        the synchronous client
#     include("path/to/umqtt_plus/manifest.py", slice="link+store")    with what is named
#
# One include() names all of it: MicroPython ignores a second one of the same file. A slice brings
# those it needs, so "link" is enough for core and link.
options.defaults(slice="core")

SLICES = {
    # Publishing QoS 0, for MQTTClient(..., inflight=0): half of core.
    "qos0": ("__init__", "client", "codec", "keepalive", "protocol", "reasons", "transport"),
    # Publishing QoS 1 and 2, too.
    "qos2": ("acks", "inflight", "verbs"),
    # All that MQTTClient can do.
    "core": (
        "message",
        "more",
        "options",
        "receive",
        "retry",
        "stream",
        "subscribe",
        "tls",
        "topic",
    ),
    # The asyncio front.
    "aio": ("aio", "aio_verbs", "mailbox"),
    # The queue for the time without a link, in RAM.
    "outbox": ("outbox",),
    # Reconnecting by itself.
    "link": ("reconnect",),
    # The session that survives a reset or deep sleep.
    "store": ("inbox", "journal", "lost", "media", "queue", "recover", "sleep", "store"),
    # MQTT 5.0.
    "v5": (
        "aio5",
        "alias5",
        "auth",
        "connect5",
        "limits5",
        "message5",
        "properties",
        "reasons5",
        "stream5",
        "v5",
        "verbs5",
    ),
    # Looks after the Wi-Fi.
    "wifi": ("wifi",),
}
NEEDS = {
    "qos2": ("qos0",),
    "core": ("qos2",),
    "aio": ("core",),
    "outbox": ("core",),
    "link": ("core", "outbox"),
    "store": ("core", "outbox"),
    "v5": ("core",),
    "wifi": ("core",),
}

wanted = options.slice.replace("all", "+".join(SLICES)).split("+")
for name in wanted:
    if name not in SLICES:
        raise ValueError(f"umqtt_plus: no slice {name!r}; there are {', '.join(SLICES)}, all")
    wanted.extend(NEEDS.get(name, ()))

try:
    metadata(version="0.1.0", description="MQTT client that allocates nothing in steady state")
except Exception:
    pass  # a manifest that includes this one, or another one before it, has told its own
package(
    "umqtt_plus",
    files=[f"{module}.py" for name in SLICES if name in wanted for module in SLICES[name]],
    opt=3,
)
