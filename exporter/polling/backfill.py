"""Fills the history of blocks from a recorder, once after the start and after each reload, in the background."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from exporter.decision.backfill import missing_hours, recorded_hours
from exporter.decision.history import BlockHistory, BlockHour, MarginHistory
from exporter.decision.settings import DecisionSettings
from exporter.economics.settings import SiteSettings
from exporter.model.failures import SOURCE_ADVICE, Failure
from exporter.model.fleet import UNASSIGNED, Rig
from exporter.polling.guard import Guard
from exporter.sources.backfill import BackfillSettings, Wanted, recorded
from exporter.sources.contract import SourceContext
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_NAME: Final = "backfill"
_FIRST_RETRY: Final = 30.0  # s
_LONGEST_RETRY: Final = 3_600.0  # s


class Backfill:
    """Asks a recorder for the hours that blocks lack, until it has answered.

    Args:
        settings: the recorder.
        context: HTTP session and clock.
        telemetry: counts requests and failures, of the source ``backfill``.
        history: returns the history as it is.
        receive: takes the hours of one block.
        first_retry: seconds after the first failure.
    """

    def __init__(
        self,
        settings: BackfillSettings,
        context: SourceContext,
        telemetry: Telemetry,
        history: Callable[[], MarginHistory],
        receive: Callable[[str, Iterable[BlockHour]], None],
        *,
        first_retry: float = _FIRST_RETRY,
    ) -> None:
        self._settings = settings
        self._context = context
        self._telemetry = telemetry
        self._history = history
        self._receive = receive
        self._first_retry = first_retry
        self._guard = Guard()

    async def run(self, rigs: Iterable[Rig], site: SiteSettings, decision: DecisionSettings) -> None:
        """Fill the history of the blocks of ``rigs``, and return. A failure is tried again, ever less often."""
        names: dict[str, list[str]] = defaultdict(list)
        for rig in rigs:
            if rig.block != UNASSIGNED:
                names[rig.block].append(rig.name)
        rest = self._first_retry
        while True:
            failure = await self._attempt(names, site, decision)
            if failure is None:
                return
            if rest == self._first_retry:
                _log.warning(
                    "history cannot be filled, and verdicts wait for evidence of their own",
                    reason=failure.reason,
                    detail=failure.detail,
                    advice=failure.advised(SOURCE_ADVICE),
                )
            await asyncio.sleep(rest)
            rest = min(2 * rest, _LONGEST_RETRY)

    async def _attempt(
        self, names: Mapping[str, list[str]], site: SiteSettings, decision: DecisionSettings
    ) -> Failure | None:
        now, past = self._context.clock(), self._history().blocks
        wanted = {
            block: Wanted(hours, rigs)
            for block, rigs in names.items()
            if (hours := missing_hours(past.get(block, BlockHistory()), now, decision.history))
        }
        filled = 0
        self._telemetry.source_requests.labels(_NAME).inc()
        try:
            async for block, rows in recorded(self._settings, self._context.session, wanted, site):
                found = await asyncio.to_thread(list, recorded_hours(rows, site, decision.coverage))
                self._receive(block, found)
                filled += len(found)
        except Exception as error:  # noqa: BLE001 -- a bug here must not stop the exporter
            failure = error if isinstance(error, Failure) else self._guard.classified(error)
            self._telemetry.source_up.labels(_NAME).set(0)
            self._telemetry.source_failures.labels(_NAME, failure.reason).inc()
            return failure
        self._telemetry.source_up.labels(_NAME).set(1)
        _log.info("history filled", blocks=len(wanted), hours=filled)
        return None
