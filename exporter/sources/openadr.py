"""OpenADR 3.0 and 3.1: programs and events of a VTN (server), read as a VEN (client) that never writes.

https://github.com/grid-coordination/openadr3-specification. A list has at most 50 objects a page. 3.1 names its token
server, has plain texts as targets, and does not work with 3.0.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import pairwise
from math import inf
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import Field, SecretStr, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, is_offline
from exporter.sources.contract import UNEXPECTED, SourceContext, in_words, number, translating
from exporter.sources.http import Answer, Endpoint, HttpSettings, read_secret

T = TypeVar("T")

_PAGE: Final = 50
_MAX_PAGES: Final = 40
_LEAST_TOKEN_SECONDS: Final = 30.0
_TOKEN_SECONDS: Final = 3600.0  # where the server does not say
_NOW: Final = ("0000-01-01", "0001-01-01")
_FOR_EVER: Final = re.compile(r"P9{3,}Y", re.IGNORECASE)
_DURATION: Final = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?)?", re.IGNORECASE
)
_SECONDS: Final = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0)
_MOST_INTERVALS: Final = 5_000
_MOST_AHEAD: Final = 10_000
"""Intervals of all events that have not ended: three months of quarter hours."""


class OpenAdrSettings(HttpSettings):
    """A VTN and the login of the site there."""

    url: str = Field(
        description="Address of the VTN with its base path, such as https://vtn.example.com/openadr3/3.1.0."
    )
    version: Literal["3.0", "3.1"] = Field(default="3.1", description="Version of OpenADR: 3.0 or 3.1.")
    client_id: str | None = Field(default=None, description="Client ID for OAuth 2 client credentials.")
    client_secret: SecretStr | None = Field(default=None, description="Client secret.")
    client_secret_file: ConfigPath | None = Field(
        default=None, description="File with the client secret, read for each token."
    )
    token_url: str | None = Field(
        default=None,
        description="Address of the token server. By default the one that the VTN names (3.1), or its own (3.0).",
    )
    scope: str | None = Field(
        default=None, description="Scope of the token. By default `read_targets` (3.1) or `read_all` (3.0)."
    )
    programs: tuple[str, ...] = Field(
        default=(), description="Names or IDs of the programs to read. By default all that the VTN shows."
    )
    targets: tuple[str, ...] = Field(
        default=(),
        description="Targets of this site. Events for other targets are not its own. By default all events are.",
    )

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        secrets = (self.client_secret, self.client_secret_file)
        given = sum(secret is not None for secret in secrets)
        if given > 1:
            raise ValueError("give client_secret_file or client_secret, not both")
        if (self.client_id is None) is not (given == 0) and not is_offline():
            raise ValueError("client_id and client_secret_file (or client_secret) belong together")
        return self


class Interval(NamedTuple):
    """One interval of an event: unix seconds, and the payloads by type. Its end is infinite if it is open."""

    start: float
    end: float
    payloads: Mapping[str, Sequence[Any]]


class Event(NamedTuple):
    """An event for this site. ``randomize`` is by how many seconds its start may be later."""

    id: str
    name: str
    program: str  # its name
    priority: int | None
    targets: tuple[str, ...]
    units: Mapping[str, str]  # by payload type
    randomize: float
    intervals: tuple[Interval, ...]
    currencies: Mapping[str, str] = MappingProxyType({})  # by payload type
    unclear: str = ""  # why it could not be read: its intervals are then not known


class Vtn:
    """Requests the programs and events of a VTN."""

    def __init__(self, settings: OpenAdrSettings, context: SourceContext) -> None:
        self._settings = settings
        self._context = context
        self._endpoint = Endpoint(settings, context.session)
        self._token: tuple[str, float] | None = None  # and until when, by the timer

    async def events(self) -> list[Event]:
        """Return the events for this site. One that cannot be read is noted, and has ``unclear``. Raises Failure."""
        programs = await self._programs()
        found: list[Mapping[str, Any]] = []
        active = {"active": "true"} if self._settings.version == "3.1" else {}
        wanted = programs.keys() if self._settings.programs else (None,)
        for program in wanted:
            found += await self._all("/events", active | ({} if program is None else {"programID": program}))
        events: list[Event] = []
        ahead = 0
        for each in found:
            event = self._event(each, programs)
            if event is None:
                continue
            if event.unclear:
                self._context.discards.note("event", event.unclear)
            events.append(event)
            ahead += len(event.intervals)
            if ahead > _MOST_AHEAD:
                advice = "name the programs that this site needs in `programs`"
                raise Failure(Reason.TOO_LARGE, f"its events have more than {_MOST_AHEAD:,} intervals", advice=advice)
        return events

    async def _programs(self) -> dict[str, Mapping[str, Any]]:
        """Return the programs by ID; only the configured ones if any are. Raises Failure if one is missing."""
        with translating():
            programs = {_text(each, "id"): each for each in await self._all("/programs", {})}
        wanted = self._settings.programs
        if not wanted:
            return programs
        chosen = {key: each for key, each in programs.items() if key in wanted or each.get("programName") in wanted}
        names = {name for key, each in chosen.items() for name in (key, each.get("programName"))}
        missing = [name for name in wanted if name not in names]
        if missing:
            known = ", ".join(sorted(str(each.get("programName")) for each in programs.values())) or "none"
            raise Failure(Reason.NOT_READY, f"the VTN has no program {missing[0]}: it has {known}")
        return chosen

    async def _all(self, path: str, asked: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Request a list page by page."""
        found: dict[str, Mapping[str, Any]] = {}
        if self._settings.version == "3.1" and self._settings.targets:
            path += f"?{urlencode([('targets', target) for target in self._settings.targets])}"
        for page in range(_MAX_PAGES):
            answer = await self._ask(path, {**asked, "skip": str(page * _PAGE), "limit": str(_PAGE)})
            document = answer.check().json()
            if not isinstance(document, list):
                answer.check_stated(document)
                raise Failure(Reason.GARBLED, f"{answer.host} answered {path.partition('?')[0]} without a list")
            with translating():
                objects = {_text(each, "id"): each for each in document}
            if objects and objects.keys() <= found.keys():
                raise Failure(Reason.GARBLED, f"{answer.host} repeats a page: it does not follow `skip`")
            found |= objects
            if len(document) < _PAGE:
                return list(found.values())
        raise Failure(Reason.TOO_LARGE, f"more than {_MAX_PAGES} pages of {path}")

    async def _ask(self, path: str, params: Mapping[str, str]) -> Answer:
        """Send a request. A token that is refused is renewed once."""
        headers = await self._authorization()
        answer = await self._endpoint.ask(path=path, params=params, headers=headers)
        if answer.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or not headers:
            return answer
        self._token = None
        return await self._endpoint.ask(path=path, params=params, headers=await self._authorization())

    async def _authorization(self) -> dict[str, str]:
        """Return the header with the token. Empty without a client ID: the login of the settings is then used."""
        settings, now = self._settings, self._context.timer()
        if settings.client_id is None:
            return {}
        if self._token is None or now >= self._token[1]:
            form = {
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "client_secret": self._secret(),
                "scope": settings.scope or ("read_targets" if settings.version == "3.1" else "read_all"),
            }
            answer = (await self._endpoint.post_form(await self._token_url(), form)).check()
            with translating():
                document = answer.json()
                token, seconds = _text(document, "access_token"), number(document.get("expires_in") or _TOKEN_SECONDS)
            self._token = token, now + max(0.9 * seconds, _LEAST_TOKEN_SECONDS)
        return {"Authorization": f"Bearer {self._token[0]}"}

    def _secret(self) -> str:
        settings = self._settings
        if settings.client_secret_file is not None:
            return read_secret(settings.client_secret_file)
        return settings.client_secret.get_secret_value() if settings.client_secret is not None else ""

    async def _token_url(self) -> str:
        settings = self._settings
        if settings.token_url is not None:
            return settings.token_url
        if settings.version == "3.0":
            return settings.url.rstrip("/") + "/auth/token"
        answer = (await self._endpoint.ask(path="/auth/server")).check()
        with translating():
            url = _text(answer.json(), "tokenURL")
        if urlsplit(url).scheme not in ("https", urlsplit(settings.url).scheme):
            raise Failure(Reason.TLS, "the VTN names a token server without TLS: set token_url if that is right")
        return url

    def _event(self, document: Mapping[str, Any], programs: Mapping[str, Mapping[str, Any]]) -> Event | None:
        """Read an event; None if it is for other targets."""
        own = set(self._settings.targets)
        identifier = str(document.get("id"))
        program = programs.get(str(document.get("programID")), {})
        event = Event(
            id=identifier,
            name=str(document.get("eventName") or ""),
            program=str(program.get("programName") or document.get("programID") or ""),
            priority=None,
            targets=(),
            units={},
            randomize=0.0,
            intervals=(),
        )
        try:
            targets = tuple(_targets(document.get("targets") or ()))
            if own and targets and not own.intersection(targets):
                return None
            described = [*(program.get("payloadDescriptors") or ()), *(document.get("payloadDescriptors") or ())]
            period = document.get("intervalPeriod") or {}
            priority, now = document.get("priority"), self._context.clock()
            randomize = _finite_seconds(period.get("randomizeStart"))
            return event._replace(
                priority=None if priority is None else int(number(priority)),
                targets=targets,
                units={each["payloadType"]: str(each["units"]) for each in described if each.get("units")},
                currencies={each["payloadType"]: str(each["currency"]) for each in described if each.get("currency")},
                randomize=randomize,
                intervals=tuple(each for each in _intervals(document, now) if each.end + randomize > now),
            )
        except UNEXPECTED as error:
            return event._replace(unclear=f"event {identifier:.40} cannot be read: {in_words(error)}")


def segments(each: Sequence[T], span: Callable[[T], tuple[float, float]]) -> Iterator[tuple[float, float, list[T]]]:
    """Yield the times between all starts and ends, in order, and what holds in each of them, in the order given.

    ``span`` returns start and end. What has an end before its start holds at no time.
    """
    spans = [(*span(one), index) for index, one in enumerate(each)]
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    waiting = deque(sorted(spans))
    held: dict[int, float] = {}  # ends by index
    for start, end in pairwise(edges):
        held = {index: until for index, until in held.items() if until > start}
        while waiting and waiting[0][0] <= start:
            _, until, index = waiting.popleft()
            if until > start:
                held[index] = until
        yield start, end, [each[index] for index in sorted(held)]


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} is not a text")
    return value


def _targets(targets: Sequence[Any]) -> Iterator[str]:
    """Yield the values of targets: texts in 3.1, lists of values by type in 3.0."""
    for target in targets:
        if isinstance(target, str):
            yield target
        else:
            yield from map(str, target["values"])


def _intervals(event: Mapping[str, Any], now: float) -> Iterator[Interval]:
    """Read the intervals of an event. It repeats them for its own ``duration``, if it has one.

    An interval without its own period begins where the one before it ends. An interval without an end lasts until the
    next one that has its own start begins, or for ever.
    """
    default = event.get("intervalPeriod") or {}
    listed = event.get("intervals") or ()
    changed = event.get("modificationDateTime") or event.get("createdDateTime")
    at_once = now if changed is None else min(_unix(changed), now)
    first = _start(default.get("start"), at_once)
    whole = event.get("duration")
    last = inf if whole is None else (at_once if first is None else first) + duration(whole)
    start, read = first, 0
    while listed:
        begun = start
        for index, interval in enumerate(listed):
            read += 1
            period = interval.get("intervalPeriod") or {}
            own = _start(period.get("start"), at_once)
            start = own if own is not None else start
            if start is None:
                raise ValueError("it has no start")
            seconds = duration(period.get("duration") or default.get("duration"))
            following = listed[index + 1] if index + 1 < len(listed) else {}
            next_start = _start((following.get("intervalPeriod") or {}).get("start"), at_once)
            end = start + seconds if seconds < inf or next_start is None else next_start
            payloads = {_text(each, "type"): list(each["values"]) for each in interval["payloads"]}
            if start < last:
                yield Interval(start, min(end, last), payloads)
            start = end
        repeats = whole is not None and last < inf and start is not None and start < last and start != begun
        if not repeats or read > _MOST_INTERVALS:
            return
        # Those long ago do not count against the limit.
        if start is not None and begun is not None and begun < start < now:
            start += (now - start) // (start - begun) * (start - begun)


def _start(text: str | None, at_once: float) -> float | None:
    """Read a start as unix seconds. The years 0 and 1 mean at once."""
    if not text:
        return None
    return at_once if text.startswith(_NOW) else _unix(text)


def _unix(text: str) -> float:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()


def duration(text: str | None) -> float:
    """Read an ISO 8601 duration as seconds. None, zero and 9999 years are infinite: without an end.

    Raises ValueError for months and years, whose length depends on the calendar.
    """
    if not text or _FOR_EVER.fullmatch(text):
        return inf
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"duration {text!r:.30} is not like PT1H30M: months and years are not used")
    parts = (float((part or "0").replace(",", ".")) for part in match.groups())
    return sum(part * size for part, size in zip(parts, _SECONDS, strict=True)) or inf


def _finite_seconds(text: str | None) -> float:
    seconds = duration(text)
    return 0.0 if seconds == inf else seconds
