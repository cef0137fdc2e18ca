"""A simulated VTN of OpenADR 3.0 or 3.1: OAuth client credentials, programs and events, page by page."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from exporter.simulation.service import Service

CLIENT_ID: Final = "prairie-1"
CLIENT_SECRET: Final = "simulated"
PROGRAM: Final = "prairie-ers"

_MOST: Final = 50
_BASE: Final = "/openadr3"


class Vtn:
    """Serves programs and events. Both may be changed at any time.

    Args:
        clock: Unix seconds.
        host: Where it listens.
        port: 0 lets the system choose.
        version: 3.0 or 3.1, which do not understand each other's targets and scopes.
        token_seconds: How long a token is valid.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        host: str,
        port: int,
        *,
        version: str = "3.1",
        token_seconds: int = 3_600,
    ) -> None:
        self.programs: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.tokens_issued = 0
        self.ignores_skip = False
        self.lies: Any = None  # what it answers instead of a list
        self._clock = clock
        self._version = version
        self._token_seconds = token_seconds
        self._tokens: dict[str, float] = {}  # until when each is valid
        routes = [
            web.post(f"{_BASE}/auth/token", self._token),
            web.get(f"{_BASE}/programs", self._list_programs),
            web.get(f"{_BASE}/events", self._list_events),
        ]
        if version == "3.1":
            routes.append(web.get(f"{_BASE}/auth/server", self._auth_server))
        self.service = Service("vtn", host, port, routes)

    @property
    def url(self) -> str:
        """Its base path."""
        return self.service.url + _BASE

    def revoke_tokens(self) -> None:
        """Let every token be refused from now on."""
        self._tokens.clear()

    async def _auth_server(self, request: web.Request) -> web.Response:  # noqa: ARG002 -- a handler has one
        return web.json_response({"tokenURL": f"{self.url}/auth/token"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        scope = "read_all" if self._version == "3.0" else "read_targets"
        if form.get("grant_type") != "client_credentials" or form.get("scope") != scope:
            return web.json_response({"error": "invalid_scope"}, status=400)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        token = secrets.token_hex(16)
        self._tokens[token] = self._clock() + self._token_seconds
        self.tokens_issued += 1
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self._token_seconds})

    async def _list_programs(self, request: web.Request) -> web.Response:
        return self._page(request, self.programs)

    async def _list_events(self, request: web.Request) -> web.Response:
        program = request.query.get("programID")
        events = [event for event in self.events if program is None or event["programID"] == program]
        if self._version == "3.1" and request.query.get("active") == "true":
            events = [event for event in events if self._is_active(event)]
        return self._page(request, events)

    def _page(self, request: web.Request, objects: Iterable[Mapping[str, Any]]) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self._tokens.get(token, 0.0) <= self._clock():
            return _problem(403, "the token is not valid")
        limit, skip = int(request.query.get("limit", _MOST)), int(request.query.get("skip", 0))
        if not 0 <= limit <= _MOST:
            return _problem(400, f"limit is more than {_MOST}")
        targets = request.query.getall("targets", [])
        found = [each for each in objects if not targets or _is_for(each.get("targets"), targets)]
        if self.lies is not None:
            return web.json_response(self.lies)
        if self.ignores_skip:
            skip = 0
        return web.json_response(found[skip : skip + limit])

    def _is_active(self, event: Mapping[str, Any]) -> bool:
        """Whether the event has not ended. An event whose end is unknown has not."""
        period = event.get("intervalPeriod") or {}
        start, length = period.get("start"), period.get("duration")
        if not start or not isinstance(length, str) or not length.startswith("PT") or not length.endswith("M"):
            return True
        minutes = int(length[2:-1]) * len(event.get("intervals") or [0])
        return datetime.fromisoformat(start) + timedelta(minutes=minutes) > datetime.fromtimestamp(self._clock(), UTC)


def _is_for(targets: Sequence[str] | None, wanted: Sequence[str]) -> bool:
    return not targets or bool(set(targets) & set(wanted))


def _problem(status: int, title: str) -> web.Response:
    return web.json_response({"status": status, "title": title}, status=status, content_type="application/problem+json")


def program(name: str = PROGRAM, identifier: str = "p-1", **fields: Any) -> dict[str, Any]:
    """Make a program. Its payloads are in kW."""
    descriptors = [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload, "units": "KW"}
        for payload in ("IMPORT_CAPACITY_LIMIT", "DISPATCH_SETPOINT", "DISPATCH_SETPOINT_RELATIVE")
    ]
    return {
        "id": identifier,
        "objectType": "PROGRAM",
        "createdDateTime": "2026-01-01T00:00:00Z",
        "modificationDateTime": "2026-01-01T00:00:00Z",
        "programName": name,
        "payloadDescriptors": descriptors,
    } | fields


def event(
    identifier: str, start: float | str, length: str, *payloads: tuple[str, Any], **fields: Any
) -> dict[str, Any]:
    """Make an event with one interval per payload, each as long as ``length``. ``start`` may be unix seconds."""
    begin = start if isinstance(start, str) else datetime.fromtimestamp(start, UTC).isoformat()
    return {
        "id": identifier,
        "objectType": "EVENT",
        "createdDateTime": "2026-01-01T00:00:00Z",
        "modificationDateTime": "2026-01-01T00:00:00Z",
        "programID": "p-1",
        "eventName": identifier,
        "intervalPeriod": {"start": begin, "duration": length},
        "intervals": [
            {"id": number, "payloads": [{"type": payload, "values": [value]}]}
            for number, (payload, value) in enumerate(payloads)
        ],
    } | fields
