"""How the demo looks: a live view of at most 80 columns, or plain lines.

Only draws what demo.Demo knows. The live view needs nothing but ANSI codes and leaves the terminal
as it was; NO_COLOR is respected.
"""

import os
import shutil
import sys

_COLUMNS = {  # what the packet table shows: from the sensor, from the broker
    "CONNECT": ("CONNECT", "CONNACK"),
    "PUBLISH": ("PUBLISH", "PUBLISH"),
    "PUBACK": ("PUBACK", "PUBACK"),
    "PUBREC": ("PUBREC", "PUBREC"),
    "PUBREL": ("PUBREL", "PUBREL"),
    "PUBCOMP": ("PUBCOMP", "PUBCOMP"),
    "SUB": ("SUBSCRIBE", "SUBACK"),
    "PING": ("PINGREQ", "PINGRESP"),
}
_BOLD, _DIM, _GREEN, _RED, _CYAN, _YELLOW = 1, 2, 32, 31, 36, 33
_WHO = {"broker": _CYAN, "sensor": _GREEN, "you": _YELLOW, "demo": _RED}


def supports_live_view():
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def number(name, value):
    if name == "memory_kb":
        return f"{value / 1024:.0f} MB" if value > 10240 else f"{value} KB"
    if name == "temperature":
        return f"{value:.1f} C"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


class Look:
    """Colours and signs, as far as the output knows them."""

    def __init__(self, color):
        self.color = color and "NO_COLOR" not in os.environ
        try:
            "▁█✓✗·─→".encode(sys.stdout.encoding or "ascii")
            self.bars, self.tick, self.cross, self.open = "▁▂▃▄▅▆▇█", "✓", "✗", "·"
            self.rule = "─"
        except UnicodeEncodeError:
            self.bars, self.tick, self.cross, self.open = "_.,-=+*#", "+", "X", "."
            self.rule = "-"

    def paint(self, text, *codes):
        if not self.color:
            return text
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m"

    def spark(self, values):
        if not values:
            return ""
        low, high = min(values), max(values)
        if low == high:
            return self.bars[0] * len(values)
        top = len(self.bars) - 1
        return "".join(self.bars[round((v - low) / (high - low) * top)] for v in values)


def story_line(look, entry):
    seconds, who, text = entry
    return f"{seconds:5.1f} s  {look.paint(f'{who:7}', _WHO[who])} {text[:62]}"


def promise_lines(look, promises, kept, final=False):
    """Two columns of promises with their ticks."""
    cells = []
    for promise, text in promises.items():
        if kept.get(promise):
            cells.append(f"{look.paint(look.tick, _GREEN)} {text:36}")
        elif final:
            cells.append(f"{look.paint(look.cross, _RED)} {look.paint(f'{text:36}', _RED)}")
        else:
            cells.append(f"{look.open} {look.paint(f'{text:36}', _DIM)}")
    half = (len(cells) + 1) // 2
    cells += [""] * (2 * half - len(cells))
    return [f" {a} {b}".rstrip() for a, b in zip(cells[:half], cells[half:], strict=True)]


def packet_lines(look, demo):
    head = "packets ".ljust(10) + "".join(f"{name:>8}" for name in _COLUMNS) + "  DUP"
    lines = [look.paint(head, _DIM)]
    for i, (label, direction) in enumerate((("sensor", "in"), ("broker", "out"))):
        counts = (demo.packets[direction, types[i]] for types in _COLUMNS.values())
        line = f"by {label}".ljust(10) + "".join(f"{n or '-':>8}" for n in counts)
        lines.append(line + f"{demo.copies[direction] or '-':>5}")
    return lines


def reading_lines(look, demo):
    lines = []
    for qos in (0, 1, 2):
        if qos not in demo.readings:
            lines.append(look.paint(f"QoS {qos}", _DIM))
            continue
        name, values, count = demo.readings[qos]
        value = number(name, values[-1]) if values else ""
        spark = look.paint(f"{look.spark(values):24}", _CYAN)
        lines.append(f"QoS {qos}  {name.split('_')[0]:12}{value:>10}   {spark}   {count} readings")
    return lines


def sensor_line(look, demo):
    state = demo.sensor_state
    line = f"sensor  {look.paint(state, _GREEN if state[0] == 'c' else _RED)}"
    if demo.stats:
        line += f", heap {demo.stats['heap'] / 1024:.0f} KB"
        for key, text in (("resent", "resent"), ("duplicates_dropped", "duplicates")):
            if demo.stats.get(key):
                line += f", {text} {demo.stats[key]}"
    return line


def screen(look, promises, demo, rows):
    """The lines of one picture."""
    title = look.paint("umqtt_plus", _BOLD) + f"  {demo.act}"
    gap = 79 - len("umqtt_plus  ") - len(demo.act) - 6
    up = demo.broker_state == "listens"
    where = f"{demo.broker.host}:{demo.broker.port}"
    top = [
        title + " " * gap + f"{demo.seconds:4.0f} s",
        look.rule * 79,
        f"broker  {where} {look.paint(demo.broker_state, _GREEN if up else _RED)}",
        sensor_line(look, demo),
        "",
        *reading_lines(look, demo),
        *packet_lines(look, demo),
        "",
    ]
    bottom = ["", *promise_lines(look, promises, demo.kept)]
    room = max(3, rows - len(top) - len(bottom))
    story = [story_line(look, entry) for entry in demo.story[-room:]]
    return top + story + [""] * (min(room, 16) - len(story)) + bottom


class PlainView:
    """Each line once, as it comes: for logs and pipes."""

    def __init__(self, promises):
        self.promises = promises
        self.look = Look(color=sys.stdout.isatty())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def draw(self, demo):
        pass

    def began(self, demo):
        print(f"\n{self.look.paint(demo.act, _BOLD)}", flush=True)

    def said(self, demo):
        print(story_line(self.look, demo.story[-1]), flush=True)

    def ticked(self, demo, promise):
        tick = self.look.paint(self.look.tick, _GREEN)
        print(f"{'':9}{tick} {self.promises[promise]}", flush=True)

    def report(self, demo):
        print()
        for line in reading_lines(self.look, demo) + [""] + packet_lines(self.look, demo):
            print(line)
        self.verdict(demo)

    def verdict(self, demo):
        look = self.look
        print()
        for line in promise_lines(look, self.promises, demo.kept, final=True):
            print(line)
        missing = [text for promise, text in self.promises.items() if not demo.kept.get(promise)]
        print()
        if missing:
            print(look.paint(f"not seen: {'; '.join(missing)}", _RED))
        else:
            total = sum(demo.packets.values())
            print(
                f"all {len(self.promises)} promises kept, "
                f"{total} packets in {demo.story[-1][0]:.0f} s"
            )
        sys.stdout.flush()


class LiveView(PlainView):
    """One screen, drawn again and again; what remains behind is the story and the verdict."""

    def __init__(self, promises):
        self.promises = promises
        self.look = Look(color=True)

    def __enter__(self):
        sys.stdout.write("\x1b[?1049h\x1b[?25l")  # another screen, no cursor
        return self

    def __exit__(self, *_):
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()

    def draw(self, demo):
        rows = shutil.get_terminal_size((80, 24)).lines
        lines = screen(self.look, self.promises, demo, rows)[:rows]
        # long lines are cut by the terminal, not wrapped, while ?7 is off
        picture = "\n".join(f"{line}\x1b[K" for line in lines)
        sys.stdout.write(f"\x1b[?7l\x1b[H{picture}\x1b[J\x1b[?7h")
        sys.stdout.flush()

    def began(self, demo):
        self.draw(demo)

    def said(self, demo):
        self.draw(demo)

    def ticked(self, demo, promise):
        self.draw(demo)

    def report(self, demo):
        for entry in demo.story:
            print(story_line(self.look, entry))
        super().report(demo)
