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
    "qos0": (
        "__init__",
        "client",
        "codec",
        "errors",
        "keepalive",
        "opening",
        "protocol",
        "reasons",
    ),
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
        "tls_errors",
        "tls_params",
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
    # MQTT over WebSocket.
    "ws": ("ws", "ws_frames"),
    # MQTT 5.0; with asyncio; for link and for store.
    "v5": (
        "alias5",
        "auth",
        "auto5",
        "connect5",
        "expiry5",
        "limits5",
        "message5",
        "properties",
        "reasons5",
        "request",
        "stream5",
        "v5",
        "verbs5",
    ),
    "aio5": ("aio5", "aio_request", "mailbox5"),
    "link5": ("outbox5", "reconnect5"),
    "store5": ("store5",),
    # Profiles of clouds, tokens made on the device, who this device is.
    "clouds": ("clouds", "identity", "rules", "tokens"),
    # Says why it does not connect.
    "doctor": ("doctor",),
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
    "ws": ("core",),
    "v5": ("core",),
    "aio5": ("aio", "v5"),
    "link5": ("link", "v5"),
    "store5": ("store", "v5"),
    "clouds": ("core", "ws"),
    "doctor": ("core",),
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
