"""Runs the suite (tests/interop) on MicroPython against one endpoint."""

import json
import uuid
from pathlib import Path

from umqtt_harness.micropython import MicroPythonError

SUITE = Path(__file__).resolve().parents[2] / "tests" / "interop" / "suite.py"


class Run:
    """A suite under way. wait() gives (facts, {row: (said, ms)})."""

    def __init__(self, runner, endpoint, version, rows=()):
        more = {k: v() if callable(v) else v for k, v in endpoint.env.items()}
        env = {
            "URL": endpoint.url,
            "VERSION": version,
            "RUN": "i" + uuid.uuid4().hex[:8],  # nothing of an earlier run may be in the way
            "ROWS": " ".join(rows),
            **more,
        }
        self.child = runner.start(SUITE, env=env)

    def wait(self, timeout=300):
        """A row whose program did not come to its end is missing; the last line says why."""
        try:
            result = self.child.wait(timeout, check=False)
            end = "" if not result.returncode else result.stderr or result.stdout
        except MicroPythonError as error:
            end = str(error)
        facts, found = {}, {}
        for line in self.child.stdout.splitlines():
            if not line.startswith("{"):
                continue
            x = json.loads(line)
            if x["row"]:
                found[x["row"]] = (x["said"], x["ms"])
            else:
                facts = x["facts"]
        if end:
            lines = [x for x in end.strip().splitlines() if x.strip()]
            found["(end)"] = ((lines or ["killed"])[-1].strip()[-160:], 0)
        return facts, found
