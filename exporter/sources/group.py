"""Several sources of one quantity, each asked on its own rhythm, so that one may stand in for or check another."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog

from exporter.model.failures import SOURCE_ADVICE, Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_DEADLINE: Final = 30.0  # s, for one fetch with all its requests
_LONGEST_REST: Final = 3600.0  # s
_EARLY: Final = 0.9  # who asks the panel on the same interval comes now and then a little early


def named(quantity: str, members: Sequence[SourceSettings]) -> dict[str, SourceSettings]:
    """Name the members for their ``source`` label: by quantity and kind, counted where a kind comes more than once."""
    kinds = [settings.kind for settings in members]
    return {
        f"{quantity}:{kind}" + (f"-{kinds[: index + 1].count(kind)}" if kinds.count(kind) > 1 else ""): settings
        for index, (kind, settings) in enumerate(zip(kinds, members, strict=True))
    }


class SourceGroup:
    """The sources of one quantity, by name, in the operator's order."""

    def __init__(self, members: Mapping[str, SourceSettings], context: SourceContext) -> None:
        self._context = context
        self._telemetry = context.telemetry
        self._members: dict[str, _Member] = {}
        self._left_out: set[str] = set()
        self._compared: set[str] = set()
        self.replace(members)

    def replace(self, members: Mapping[str, SourceSettings]) -> None:
        """Ask these from now on; one that stays keeps what it knows."""
        if self._telemetry is not None:
            for gone in self._members.keys() - members.keys():
                self._telemetry.forget_source(gone)
        kept = {name: member for name, member in self._members.items() if members.get(name) == member.settings}
        self._members = {
            name: kept.get(name) or _Member(name, settings, self._context) for name, settings in members.items()
        }

    async def ask(self) -> list[tuple[str, Reading[Any]]]:
        """Give the name and value of each member that has one. Raises the first member's Failure where none has."""
        answers = await asyncio.gather(*(member.ask() for member in self._members.values()))
        readings = [
            (name, answer) for name, answer in zip(self._members, answers, strict=True) if isinstance(answer, Reading)
        ]
        if not readings:
            self._forget_disagreements()
            raise next(answer for answer in answers if isinstance(answer, Failure))
        return readings

    def tell_disagreement(self, quantity: str, taken: float, values: Sequence[float]) -> None:
        """Export how far ``values`` differ, relative to the one ``taken``; with fewer than two nothing is known."""
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
            self.tell_disagreement(quantity, 0.0, ())

    def tell_outliers(self, values: Mapping[str, float], outliers: Collection[str], median: float) -> None:
        """Count values that are left out of those that came; say so once, until the source agrees again."""
        for name in outliers:
            if name not in self._left_out:
                _log.warning("source left out", source=name, value=values[name], median=median)
            if self._telemetry is not None:
                self._telemetry.source_outliers.labels(name).inc()
        agreeing = (self._left_out & values.keys()) - set(outliers)
        for name in agreeing:
            _log.info("source counts again", source=name)
        self._left_out = self._left_out.union(outliers) - agreeing


class _Member:
    """One source: not asked again before its interval is over, and left alone for as long as it asked for."""

    def __init__(self, name: str, settings: SourceSettings, context: SourceContext) -> None:
        self.name = name
        self.settings = settings
        self._source = settings.build(context)
        self._clock: Callable[[], float] = context.clock
        self._telemetry: Telemetry | None = context.telemetry
        self._not_before = float("-inf")
        self._answer: Reading[Any] | Failure | None = None

    async def ask(self) -> Reading[Any] | Failure:
        """Give a fresh value, or why there is none."""
        now = self._clock()
        if self._answer is None or now >= self._not_before:
            before = self._answer
            self._answer = self._fresh(await self._fetch(), now)
            self._not_before = now + self._rest(self._answer)
            self._tell(before, self._answer)
        return self._fresh(self._answer, now)

    def _fresh(self, answer: Reading[Any] | Failure, now: float) -> Reading[Any] | Failure:
        if isinstance(answer, Reading) and now - answer.observed_at > self.settings.max_age:
            return Failure(Reason.STALE, f"observed {now - answer.observed_at:.0f} s ago")
        return answer

    async def _fetch(self) -> Reading[Any] | Failure:
        """Ask it. One that hangs, or has a bug, must not take the others with it."""
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
        return reading

    def _rest(self, answer: Reading[Any] | Failure) -> float:
        """Seconds until it is asked again: a failed one at the next occasion, unless it was asked too often."""
        if isinstance(answer, Reading):
            return self.settings.interval * _EARLY
        if answer.retry_after is not None:
            return min(answer.retry_after, _LONGEST_REST)
        return 2 * self.settings.interval if answer.reason is Reason.RATE_LIMITED else 0.0

    def _tell(self, before: Reading[Any] | Failure | None, answer: Reading[Any] | Failure) -> None:
        """Log once when it goes down and once when it is back; count every fetch."""
        if isinstance(answer, Failure):
            if not isinstance(before, Failure):
                reason, detail, advice = answer.reason.value, answer.detail, SOURCE_ADVICE[answer.reason]
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
