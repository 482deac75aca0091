"""Commands over MQTT for programs that are not Python: the topics $CONTROL/<command>.

A client publishes a JSON object of arguments, for instance {"type": "PUBACK"} to
$CONTROL/drop, and may put any "id" into it. The answer comes on $CONTROL/answer:
{"id": ..., "ok": true, "result": ...} or {"id": ..., "ok": false, "error": "..."}.
Only with `Broker(control=True)` or --control; nothing here is retained.
"""

import json
from dataclasses import asdict, is_dataclass

from .faults import Fault

_COMMANDS = (
    "drop delay hold_acks stall_connack release refuse subscribe_result clear_faults split "
    "refuse_tcp accept_tcp publish kill silence pause_reading resume_reading "
    "answer disconnect advance"
).split()


def _plain(value):
    if is_dataclass(value):
        return asdict(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


class Control:
    def __init__(self, broker):
        self.broker = broker

    def obey(self, command, payload):
        """Carries out one command and answers it, whatever was wrong with it."""
        answer = {}
        try:
            arguments = json.loads(payload or b"{}")
            if not isinstance(arguments, dict):
                raise ValueError("the payload is not a JSON object")
            if "id" in arguments:
                answer["id"] = arguments.pop("id")
            answer["result"] = self._run(command, arguments)
            answer["ok"] = True
        except (ValueError, TypeError, LookupError) as error:
            answer["ok"] = False
            answer["error"] = str(error)
        text = json.dumps(answer, default=_plain).encode()
        self.broker.loop.call_soon(self.broker.route, "$CONTROL/answer", text)

    def _run(self, command, arguments):
        broker = self.broker
        if command in _COMMANDS:
            getattr(broker, command)(**arguments)
        elif command == "fault":
            broker.fault(Fault(**arguments))
        elif command == "raw":
            broker.raw(arguments["client_id"], bytes.fromhex(arguments["data"]))
        elif command == "sessions":
            return broker.sessions
        elif command == "violations":
            return broker.violations
        elif command == "log":
            return broker.log.select(**arguments)[-100:]
        else:
            raise ValueError(f"no command {command!r}")
        return None
