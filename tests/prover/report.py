"""Runs the proof in several processes and tells what it found."""

import multiprocessing
import sys
import time

from . import damage, mutations
from .explore import Failure, World
from .scenarios import LIST, named

COLUMNS = "states steps runs power_cuts link_cuts images ends residual".split()
HEADS = "worlds steps runs|power cuts|link cuts|images|ends|residual"
NOT_HERE = """\
Of MQTT 5.0 only, so not asked here: S7 (resends only after SP 1), S11 (Receive Maximum), S15 after
SP 0. S12: the cap of 256 open ids is ours. S19 counts per life: after a reboot a completion whose
DEL was lost is reported once more."""


def explore(name, full, seconds):
    """One scenario, as a dict of strings and numbers."""
    scenario = named(name, full)
    begun = time.monotonic()
    told = [begun]

    def progress(world):
        if time.monotonic() - told[0] > 60:
            told[0] = time.monotonic()
            print(
                f"  {name}: {world.counts['states']} worlds, {told[0] - begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    world = World(scenario)
    try:
        done = world.search(begun + seconds, progress)
        problem = "" if done else f"not finished in {seconds} s"
    except Failure as failure:
        problem = str(failure)
    found = {**world.counts, "steps": world.counts["edges"], "runs": world.machine.runs}
    found.update(
        name=name,
        about=scenario.about,
        bounds=f"{scenario.links}+{scenario.powers}",
        images=world.machine.torn,
        nodes=len(world.machine.nodes),
        boots=world.machine.boots,
        problem=problem,
        seconds=time.monotonic() - begun,
    )
    return found


def mutate(name, full, seconds):
    caught = mutations.check(name, seconds=seconds)
    found = {"name": name, "caught": caught, "deep": None, "seconds": caught.seconds}
    if full:
        found["deep"] = deep = mutations.check(name, True, seconds)
        found["seconds"] += deep.seconds
    return found


def hurt(name, full, seconds):
    begun = time.monotonic()
    problem = ""
    count = 0
    try:
        count = damage.check() if name == "bits" else damage.cap()
    except Exception as error:
        problem = repr(error)
    return {"name": name, "count": count, "problem": problem, "seconds": time.monotonic() - begun}


KINDS = {"scenario": explore, "damage": hurt, "mutation": mutate}


def job(task):
    kind, name, full, seconds = task
    return kind, KINDS[kind](name, full, seconds)


def tasks(full, seconds, names=None):
    found = [("scenario", one.name, full, seconds) for one in LIST]
    found += [("damage", name, full, seconds) for name in ("bits", "cap")]
    found += [("mutation", name, full, 60) for name in mutations.LIST]
    if names:
        known = [task[1] for task in found]
        for name in names:
            if name not in known and name != "mutations":
                raise SystemExit(f"no scenario {name!r}; there are: {', '.join(known)}, mutations")
        found = [t for t in found if t[1] in names or t[0] == "mutation" and "mutations" in names]
    return found


def prove(full, seconds, jobs, names=None, say=None):
    """{"scenario": [...], "damage": [...], "mutation": [...]}, in the order of the lists."""
    todo = tasks(full, seconds, names)
    found = {kind: [] for kind in KINDS}
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for kind, result in pool.imap(job, todo):
            found[kind].append(result)
            if say:
                say(kind, result)
    return found


def bad(kind, found):
    """Whether a result is a failure."""
    if kind == "mutation":
        return not found["caught"].invariant
    return bool(found["problem"])


def head():
    cells = ["scenario".ljust(10), "cuts"] + HEADS.replace(" ", "|", 2).split("|")
    return "  ".join(cell.rjust(10) if i > 1 else cell for i, cell in enumerate(cells)) + "   s"


def line(kind, found):
    if kind == "scenario":
        cells = [found["name"].ljust(10), found["bounds"].ljust(4)]
        cells += [str(found[name]).rjust(10) for name in COLUMNS]
        text = "  ".join(cells) + f"{found['seconds']:6.0f}"
        if found["problem"]:
            text += "\nFAILED: " + found["problem"]
        return text
    if kind == "damage":
        what = "journals with damage" if found["name"] == "bits" else "open ids, then it closes"
        return f"{found['name']:<10}  {found['count']} {what}  {found['problem']}"
    caught = found["caught"]
    text = f"{found['name']:<58}{caught.invariant or 'NOT CAUGHT':<7}{caught.runs:>6}  "
    text += f"{caught.scenario:<10}"
    if found["deep"]:
        text += f"{found['deep'].invariant or '-':<6}{found['deep'].runs:>6}"
    return text.rstrip()


def total(found):
    """The last lines."""
    many = found["scenario"]
    if many:
        sums = {name: sum(one[name] for one in many) for name in COLUMNS}
        yield (
            f"{len(many)} scenarios: {sums['states']} worlds, {sums['steps']} steps between them, "
            f"{sums['runs']} runs of the client, {sums['power_cuts']} power cuts, "
            f"{sums['link_cuts']} link cuts, {sums['images']} journals read back"
        )
    some = found["mutation"]
    if some:
        caught = sum(not bad("mutation", one) for one in some)
        yield f"{caught} of {len(some)} mutations caught"
        yield "waiting for MQTT 5.0: " + "; ".join(mutations.WAITING)
    yield NOT_HERE
