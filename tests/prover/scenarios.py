"""What is explored: who sends what, with which tables, and how much may go wrong."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str = ""
    out: tuple = ()  # QoS of the messages out
    inn: tuple = ()  # and of those in
    program: tuple = None  # what the application does: a message, "sub", "clean", "persist"
    slots: int = 2
    ids: int = 2  # packet ids are 1 to ids
    handler: bool = True
    inbox_qos: int = 2
    discard: bool = False
    echo: int = -1  # the handler publishes this message and those behind it
    chain: int = -1  # on_published() publishes this message
    retry_ms: int = 0
    max_bytes: int = 0  # 0: the file never fills
    flash: str = "atomic"
    method: str = "B"
    oracle: bool = True  # compare what is recovered with what reading.py makes of the file
    ahead: bool = True  # S14 and S5, looked at with each write
    links: int = 1
    powers: int = 1
    losses: int = 0  # how often the server loses its session
    bads: int = 0  # how often a handler raises or disconnects
    damages: int = 0  # how often the journal is damaged
    shorts: int = 0  # how often the link takes only a part for now
    fulls: int = 0  # how often an operation of the flash fails
    ticks: int = 0  # how often retry_ms passes without an answer
    version: int = 4  # 4 is 3.1.1, 5 is 5.0
    window: int = 0  # Receive Maximum of the server; 0: none
    refusals: int = 0  # how often the server refuses a message

    def __post_init__(self):
        if self.program is None:
            object.__setattr__(self, "program", tuple(range(len(self.out))))


LIST = (
    Scenario("out", "1 QoS 1 and 2 QoS 2 out, 2 places, ids 1 to 2", out=(2, 1, 2)),
    Scenario("out3", "the same, 3 places, ids 1 to 3", out=(2, 1, 2), slots=3, ids=3),
    Scenario("in", "2 QoS 2 in", inn=(2, 2)),
    Scenario("in1", "2 QoS 1 in, written down, too", inn=(1, 1), inbox_qos=1),
    Scenario("in12", "QoS 1 and 2 in, the first not written down", inn=(1, 2)),
    Scenario("bare", "2 QoS 2 in, without the inbox", inn=(2, 2), inbox_qos=3),
    Scenario("both", "QoS 2 and 1 out, QoS 2 in", out=(2, 1), inn=(2,)),
    Scenario(
        "all", "1 QoS 1 and 2 QoS 2 out, 2 QoS 2 in", out=(2, 1, 2), inn=(2, 2), powers=0, links=0
    ),
    Scenario("all1", "the same, 2 QoS 1 in", out=(2, 1, 2), inn=(1, 1), links=0),
    Scenario("lossy", "the server may lose its session", out=(2,), inn=(2, 2), losses=1),
    Scenario("discard", "the same, discard=True", out=(2, 2), losses=1, discard=True),
    Scenario(
        "clean",
        "a clean session between two others",
        out=(2, 2),
        inn=(2,),
        program=(0, "clean", "persist", 1),
    ),
    Scenario("bad", "a handler raises or disconnects", inn=(2, 2), bads=1),
    Scenario("bad1", "the same with QoS 1, written down", inn=(1, 2), inbox_qos=1, bads=1),
    Scenario("full", "the flash is full for a moment", out=(2,), inn=(2,), fulls=1, links=0),
    Scenario("damage", "the journal is damaged or gone", out=(2, 2), inn=(2,), damages=1),
    Scenario("small", "the file is written anew again and again", out=(2, 1, 2), max_bytes=160),
    Scenario("small_in", "the same, messages in", inn=(2, 2), max_bytes=90),
    Scenario(
        "bad_small",
        "a small file, and a handler that disconnects",
        inn=(2, 2),
        max_bytes=90,
        bads=1,
    ),
    Scenario("fat", "the same on FAT", out=(2,), inn=(2,), max_bytes=120, flash="fat"),
    Scenario("echo", "the handler publishes", out=(2, 1), inn=(2, 2), echo=0, program=()),
    Scenario(
        "chain",
        "on_published() publishes, one id",
        out=(1, 2, 2),
        slots=1,
        ids=1,
        chain=2,
        program=(0, 1),
    ),
    Scenario("store", "a server that owns at PUBREL", out=(2, 2), method="A"),
    Scenario("short", "a link that takes a part for now", out=(2,), inn=(2,), shorts=1),
    Scenario(
        "sub", "subscribing in between", out=(2, 2), program=("sub", 0, "sub", 1, "sub"), ids=3
    ),
    Scenario("qos0", "QoS 0 between QoS 2", out=(0, 2, 0)),
    Scenario("alone", "no handler for messages", out=(2, 1), handler=False),
    Scenario("timer", "retry_ms passes", out=(2, 1), retry_ms=1000, ticks=2),
    Scenario("out5", "5.0: QoS 2 and 1 out", version=5, out=(2, 1)),
    Scenario("in5", "5.0: QoS 2 and 1 in", version=5, inn=(2, 1)),
    Scenario("both5", "5.0: QoS 2 both ways", version=5, out=(2,), inn=(2,)),
    Scenario(
        "window5",
        "5.0: Receive Maximum 1, 3 places",
        version=5,
        out=(2, 1, 2),
        slots=3,
        ids=3,
        window=1,
    ),
    Scenario("refused5", "5.0: the server may refuse", version=5, out=(2, 1), refusals=1),
    Scenario("refuses5", "5.0: a handler refuses, raises ...", version=5, inn=(2, 1), bads=1),
    Scenario(
        "lossy5",
        "5.0: the server may lose its session",
        version=5,
        out=(2, 1),
        losses=1,
        window=1,
    ),
    Scenario("lost5", "the same, all sent at once", version=5, out=(2, 1, 2), losses=1),
    Scenario("lossy_in5", "the same, messages in", version=5, inn=(2, 2), losses=1),
    Scenario("discard5", "the same, discard=True", version=5, out=(2, 2), losses=1, discard=True),
    Scenario(
        "full5",
        "5.0: the flash is full for a moment",
        version=5,
        out=(2,),
        refusals=1,
        losses=1,
        fulls=1,
        links=0,
    ),
    Scenario(
        "clean5",
        "5.0: a clean session between two others",
        version=5,
        out=(2, 2),
        program=(0, "clean", "persist", 1),
    ),
)


# the full bounds: two cuts of each kind, and what is said here
TWO = {"links": 2, "powers": 2}
FULL = {
    "full": {"out": (2, 1), "links": 1, "powers": 2},
    "short": {"shorts": 2},
    "out5": {"out": (2, 1, 2)},
    "refuses5": {"inn": (2, 2)},
}


def named(name, full=False, **more):
    for scenario in LIST:
        if scenario.name == name:
            if full:
                more = {**TWO, **FULL.get(name, {}), **more}
            if "out" in more and scenario.program == tuple(range(len(scenario.out))):
                more.setdefault("program", None)
            return replace(scenario, **more)
    raise LookupError(name)
