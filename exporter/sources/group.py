"""Several sources of one quantity, each requested at its own interval, so that one can replace or check another."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

import structlog

from exporter.model.failures import SOURCE_ADVICE, Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import Doubted, Kept, MemberState, SourceContext, SourceSettings
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_DEADLINE: Final = 30.0  # s, for one fetch with all its requests
_EARLY: Final = 0.9  # a group polled at its members' interval sometimes asks slightly early


def named(quantity: str, members: Sequence[SourceSettings]) -> dict[str, SourceSettings]:
    """Name the members for their ``source`` label: quantity and kind, numbered if a kind occurs more than once."""
    kinds = [settings.kind for settings in members]
    return {
        f"{quantity}:{kind}" + (f"-{kinds[: index + 1].count(kind)}" if kinds.count(kind) > 1 else ""): settings
        for index, (kind, settings) in enumerate(zip(kinds, members, strict=True))
    }


class SourceGroup:
    """The sources of one quantity, by name, in the configured order."""

    def __init__(self, members: Mapping[str, SourceSettings], context: SourceContext) -> None:
        self._context = context
        self._telemetry = context.telemetry
        self._members: dict[str, _Member] = {}
        self._left_out: set[str] = set()
        self._compared: set[str] = set()
        self.replace(members)

    def replace(self, members: Mapping[str, SourceSettings]) -> None:
        """Switch to new members. One whose settings did not change keeps its value."""
        for gone in self._members.keys() - members.keys():
            self._context.members.pop(gone, None)
            if self._telemetry is not None:
                self._telemetry.forget_source(gone)
        kept = {name: member for name, member in self._members.items() if members.get(name) == member.settings}
        self._members = {
            name: kept.get(name) or _Member(name, settings, self._context) for name, settings in members.items()
        }

    @property
    def is_empty(self) -> bool:
        """Whether it has no members."""
        return not self._members

    def weighed(self, name: str) -> bool:
        """Whether this member compared its value with an earlier one. After a start it has none."""
        return self._members[name].weighed

    async def ask(self) -> list[tuple[str, Reading[Any]]]:
        """Return name and reading of each member that has one. Raises the first member's Failure if none has."""
        members = tuple(self._members.values())
        await asyncio.gather(*(member.request() for member in members))
        for member in members:
            member.hear([other for other in members if other is not member])
        answers = [member.answer() for member in members]
        readings = [
            (name, answer) for name, answer in zip(self._members, answers, strict=True) if isinstance(answer, Reading)
        ]
        if not readings:
            self._forget_disagreements()
            raise next(answer for answer in answers if isinstance(answer, Failure))
        return readings

    def export_disagreement(self, quantity: str, taken: float, values: Sequence[float]) -> None:
        """Export the spread of ``values`` relative to the one ``taken``. Absent with fewer than two values."""
        if self._telemetry is None:
            return
        if len(values) > 1 and taken > 0:
            self._telemetry.source_disagreement.labels(quantity).set((max(values) - min(values)) / taken)
            self._compared.add(quantity)
        else:
            self._compared.discard(quantity)
            self._telemetry.source_disagreement.remove(quantity)

    def _forget_disagreements(self) -> None:
        for quantity in tuple(self._compared):
            self.export_disagreement(quantity, 0.0, ())

    def export_deviations(self, values: Mapping[str, float], outliers: Collection[str], median: float) -> None:
        """Export how far each member is from the median. Count the outliers; log each when it begins and ends."""
        for name in outliers:
            if name not in self._left_out:
                deviation = f"{values[name] / median - 1:+.1%}"
                _log.warning("source left out", source=name, value=values[name], median=median, deviation=deviation)
            if self._telemetry is not None:
                self._telemetry.source_outliers.labels(name).inc()
        for name, state in self._context.members.items():
            left_out = f"{values[name] / median - 1:+.1%} from the median" if name in outliers else ""
            self._context.members[name] = replace(state, left_out=left_out)
        agreeing = (self._left_out & values.keys()) - set(outliers)
        for name in agreeing:
            _log.info("source counts again", source=name)
        self._left_out = self._left_out.union(outliers) - agreeing
        if self._telemetry is not None:
            for name in self._members:
                if name in values:
                    self._telemetry.source_deviation.labels(name).set(values[name] / median - 1)
                else:
                    self._telemetry.source_deviation.remove(name)


class _Member:
    """One source of a group. It is not requested before its interval, or the wait that it demanded, is over."""

    def __init__(self, name: str, settings: SourceSettings, context: SourceContext) -> None:
        self.name = name
        self.settings = settings
        self._source = settings.build(context.named(name))
        self._context = context
        self._telemetry: Telemetry | None = context.telemetry
        self._not_before = float("-inf")
        self._answer: Kept[Any] | Failure | None = None
        self._before: Kept[Any] | Failure | None = None  # the answer to the request before
        self._requested_at: float | None = None  # None if the answer was exported
        self._seconded: Reading[Any] | None = None  # a doubted value that another member confirms
        self._state = MemberState(kind=settings.kind, interval=settings.interval, max_age=settings.max_age)

    @property
    def weighed(self) -> bool:
        """Whether the value could be compared with an earlier one."""
        return self._source.weighed

    @property
    def latest(self) -> Kept[Any] | Failure | None:
        """The answer to the latest request."""
        return self._answer

    async def request(self) -> None:
        """Request a value, if it is time."""
        now = self._context.timer()
        if self._answer is None or now >= self._not_before:
            self._before, self._requested_at = self._answer, now
            self._answer = await self._fetch()

    def hear(self, others: Sequence[Self]) -> None:
        """Believe a value that is doubted if another member's agrees, whether that is doubted, too, or not."""
        if isinstance(self._answer, Doubted):
            reading = self._answer.reading
            if any(
                self.settings.agree(reading.value, other.value)
                for other in map(_last_reading, others)
                if other is not None
            ):
                self._seconded = reading

    def answer(self) -> Reading[Any] | Failure:
        """Return a fresh value, or the failure. Call it after every :meth:`request`."""
        if self._seconded is not None:
            self._answer, self._seconded = Kept(self._source.believe(self._seconded), self._context), None
        if self._requested_at is not None:
            fetched = self._answer
            assert fetched is not None  # noqa: S101 -- for mypy: it was requested
            answer = self._fresh()
            if isinstance(answer, Failure):
                self._answer = answer
            self._record(fetched, answer)
            self._not_before = self._requested_at + self._rest(answer)
            self._export(self._before, answer)
            self._requested_at = None
        return self._fresh()

    def _fresh(self) -> Reading[Any] | Failure:
        answer = self._answer
        if not isinstance(answer, Kept):
            assert answer is not None  # noqa: S101 -- for mypy: it was requested
            return answer
        if answer.age > self.settings.max_age:
            return Failure(Reason.STALE, f"observed {answer.age:.0f} s ago")
        return answer.reading

    async def _fetch(self) -> Kept[Any] | Failure:
        """Request the value. A member that hangs or has a bug must not affect the others."""
        try:
            async with asyncio.timeout(_DEADLINE):
                reading: Reading[Any] = await self._source.fetch()
        except Failure as failure:
            return failure
        except TimeoutError:
            return Failure(Reason.TIMEOUT, f"no answer within {_DEADLINE:g} s")
        except Exception as error:  # noqa: BLE001
            if not isinstance(self._answer, Failure):
                _log.error("unexpected error", source=self.name, exc_info=error)
            return Failure(Reason.INTERNAL, type(error).__name__)
        return Kept(reading, self._context)

    def _rest(self, answer: Reading[Any] | Failure) -> float:
        """Seconds until the next request. A failed member is retried with the group, unless it limits its requests."""
        if isinstance(answer, Reading):
            return self.settings.interval * _EARLY
        wait = 2 * self.settings.interval if answer.reason is Reason.RATE_LIMITED else 0.0
        return min(wait if answer.retry_after is None else answer.retry_after, self.settings.longest_rest)

    def _record(self, fetched: Kept[Any] | Failure, answer: Reading[Any] | Failure) -> None:
        """Keep the state of this member for the page of the sources."""
        state = self._state
        if isinstance(fetched, Kept):
            state = replace(state, observed_at=fetched.reading.observed_at)
        if isinstance(answer, Failure):
            now = self._context.clock()
            state = replace(state, failing_since=state.failing_since or now, failed_at=now, failure=answer, left_out="")
        else:
            state = replace(state, failing_since=None)
        self._state = self._context.members[self.name] = state

    def _export(self, before: Kept[Any] | Failure | None, answer: Reading[Any] | Failure) -> None:
        """Log when the member fails and when it is back. Count every request."""
        if isinstance(answer, Failure):
            if not isinstance(before, Failure):
                reason, detail, advice = answer.reason.value, answer.detail, answer.advised(SOURCE_ADVICE)
                _log.warning("source is down", source=self.name, reason=reason, detail=detail, advice=advice)
        elif isinstance(before, Failure):
            _log.info("source is back", source=self.name)
        telemetry = self._telemetry
        if telemetry is None:
            return
        telemetry.source_requests.labels(self.name).inc()
        telemetry.source_up.labels(self.name).set(isinstance(answer, Reading))
        if isinstance(answer, Reading):
            telemetry.source_last_success.labels(self.name).set(answer.observed_at)
        else:
            telemetry.source_failures.labels(self.name, answer.reason).inc()


def _last_reading(member: _Member) -> Reading[Any] | None:
    """Return the value that a member gives, or that is doubted."""
    latest = member.latest
    return latest.reading if isinstance(latest, Kept | Doubted) else None
