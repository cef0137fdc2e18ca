"""The cgminer API on TCP 4028: one JSON command per connection, answered and closed."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from exporter.simulation.faults import Fault, encode
from exporter.simulation.machine import Machine, Vitals
from exporter.simulation.wire import Reply

Command = Callable[[Machine, Vitals], dict[str, Any]]
Refuse = Callable[[int, int, str], dict[str, Any]]
"""Makes a refusal from the time, cgminer's code and the message."""

_INCOMPLETE: Final = b"{"


class Cgminer:
    """A cgminer of some firmware. ``joinable`` are the commands that may be asked for together as ``a+b``."""

    def __init__(
        self,
        name: str,
        commands: Mapping[str, Command],
        *,
        refuse: Refuse,
        joinable: frozenset[str] = frozenset(),
        terminator: bytes = b"",
    ) -> None:
        self._name = name
        self._commands = commands
        self._refuse = refuse
        self._joinable = joinable
        self._terminator = terminator

    def take(self, received: bytearray) -> str | None:
        """Take the command, as JSON or as plain text: cgminer accepts both."""
        if not received:
            return None
        try:
            command = json.loads(bytes(received).rstrip(b"\0\r\n"))
            text = _asked(command) if isinstance(command, dict) else ""
        except ValueError:
            if received.startswith(_INCOMPLETE) and not received.endswith((b"\0", b"\n")):
                return None
            text = received.decode(errors="replace").strip("\0\r\n|")
        received.clear()
        return text

    def answer(self, machine: Machine, request: str, now: float) -> Reply:
        """Answer one command, or several joined ones."""
        vitals = machine.vitals(now)
        names = request.split("+")
        if len(names) == 1:
            payload = self._one(machine, vitals, request)
        elif self._joinable:
            payload = {name: [self._one(machine, vitals, name, joined=True)] for name in names} | {"id": 1}
        else:
            payload = self._refuse(int(now), 14, "Invalid command")
        return Reply(encode(payload, machine.fault) + self._terminator, f"{self._name} {request}")

    def prefix(self, length: int, content_type: str) -> bytes:  # noqa: ARG002 - the answer ends where the connection does
        """Return nothing: answers have no header."""
        return b""

    def _one(self, machine: Machine, vitals: Vitals, name: str, *, joined: bool = False) -> dict[str, Any]:
        command = self._commands.get(name)
        if command is None or (joined and name not in self._joinable):
            return self._refuse(int(vitals.now), 14, "Invalid command")
        if machine.fault is Fault.AUTH_REFUSED:
            return self._refuse(int(vitals.now), 45, f"Access denied to '{name}' command")
        return command(machine, vitals)


def _asked(request: Mapping[str, object]) -> str:
    """Return the command, with its parameter behind it where it has one."""
    return " ".join(str(part) for key in ("command", "cmd", "parameter") if (part := request.get(key)))


def section(
    description: str, code: int, message: str, now: float, name: str, rows: list[dict[str, Any]]
) -> dict[str, Any]:
    """Make an answer of cgminer's shape: a status, and a list of rows under ``name``."""
    status = {"STATUS": "S", "When": int(now), "Code": code, "Msg": message, "Description": description}
    return {"STATUS": [status], name: rows, "id": 1}


def refusal(description: str) -> Refuse:
    """Refuse as cgminer does."""

    def refuse(now: int, code: int, message: str) -> dict[str, Any]:
        status = {"STATUS": "E", "When": now, "Code": code, "Msg": message, "Description": description}
        return {"STATUS": [status], "id": 1}

    return refuse
