"""Runs the proof in several processes and tells what it found."""

import multiprocessing
import sys
import time

from . import damage, mutations
from .explore import Failure, World
from .scenarios import LIST, named

COLUMNS = "states steps runs power_cuts link_cuts images ends residual".split()
NOT_HERE = """\
cuts: of the link + of power. power, link: how many places of a cut were looked at, bytes of a
packet and of a record counted one by one. images: journals that the real code read back.
residual: paths left where the server began a session and the client could not note it (SP 1).
Asked with MQTT 5.0: S7 (resends only after SP 1), S11 (Receive Maximum), S15 after SP 0. S12: the
cap of 256 open ids is ours. S19 counts per life: after a reboot a completion whose DEL was lost is
reported once more."""


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


SLOW = ("all", "all1", "both", "out3", "lossy", "clean")
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
    """{"scenario": [...], "damage": [...], "mutation": [...]}, in the order of the lists.

    say(kind, result) is called when one is done. The long ones begin first.
    """
    todo = tasks(full, seconds, names)
    order = [(task[0], task[1]) for task in todo]
    todo.sort(key=lambda task: task[1] not in SLOW)
    found = {kind: [] for kind in KINDS}
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for kind, result in pool.imap_unordered(job, todo):
            found[kind].append(result)
            if say:
                say(kind, result)
    for kind, results in found.items():
        results.sort(key=lambda result, kind=kind: order.index((kind, result["name"])))
    return found


def bad(kind, found):
    """Whether a result is a failure."""
    if kind == "mutation":
        return not found["caught"].invariant
    return bool(found["problem"])


HEADS = ("worlds", "steps", "runs", "power", "link", "images", "ends", "residual")


def tables(found, full):
    """What is printed in the end."""
    if found["scenario"]:
        heads = "".join(head.rjust(10) for head in HEADS)
        yield f"{'scenario':<10}{'cuts':<5}{heads}     s  what"
        for one in found["scenario"]:
            cells = "".join(str(one[name]).rjust(10) for name in COLUMNS)
            cells += f"{one['seconds']:6.0f}  {one['about']}"
            yield f"{one['name']:<10}{one['bounds']:<5}{cells}"
            if one["problem"]:
                yield "FAILED: " + one["problem"]
        yield from sums(found["scenario"])
    for one in found["damage"]:
        what = "journals with damage" if one["name"] == "bits" else "open ids in, then it closes"
        yield f"{one['name']}: {one['problem'] or 'holds'}, {one['count']} {what}"
    if found["mutation"]:
        yield ""
        more = "   without S14 and S16" if full else ""
        yield f"{'mutation':<58}{'caught by':<11}{'runs':>5}  {'scenario':<10}{more}"
        yield from map(mutation_line, found["mutation"])
        caught = sum(not bad("mutation", one) for one in found["mutation"])
        yield f"{caught} of {len(found['mutation'])} mutations caught"
    yield NOT_HERE


def mutation_line(one):
    caught, deep = one["caught"], one["deep"]
    text = f"{one['name']:<58}{caught.invariant or 'NOT CAUGHT':<11}{caught.runs:>5}"
    text += f"  {caught.scenario:<10}"
    if deep:
        text += f"   {deep.invariant or '-':<6}{deep.runs:>6}"
    return text.rstrip()


def sums(many):
    total = {name: sum(one[name] for one in many) for name in COLUMNS}
    boots = sum(one["boots"] for one in many)
    yield (
        f"{len(many)} scenarios: {total['states']} worlds, {total['steps']} steps between them, "
        f"{total['runs']} runs of the client, {boots} boots, {total['power_cuts']} power cuts, "
        f"{total['link_cuts']} link cuts"
    )
