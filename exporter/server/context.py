"""What the server may see of the running site. The composition root provides it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from exporter.decision.explain import Explanation
from exporter.decision.prospect import Outlook
from exporter.exposition.publication import LatestPublication
from exporter.exposition.views import SiteView
from exporter.polling.attempts import FailureLog, SourceStatus
from exporter.sources.alertmanager import Firing

_STUCK_AFTER: Final = 3  # evaluation intervals
_STUCK_AFTER_SECONDS: Final = 15.0
"""At the shortest intervals too: a busy machine is late by seconds, whatever the interval."""


async def _no_alertmanager() -> None:
    """Return that the alerts are unknown."""


@dataclass(frozen=True, kw_only=True)
class ServerContext:
    """The running site as the server sees it."""

    site: str
    latest: LatestPublication
    evaluation_interval: float  # s
    reload: Callable[[bool], Awaitable[str | None]] | None = (
        None  # takes allow_shrink, returns why the reload was rejected, or None; None if not allowed
    )
    ready: Callable[[], bool]  # whether the first round of polls is over
    explain: Callable[[SiteView, str], Explanation | None]  # of the verdict of the rig with this name
    outlook: Callable[[], Outlook | None]  # the latest, if `ai.outlook` is set
    failures: FailureLog  # of polls
    sources: Callable[[], Sequence[SourceStatus]]
    config: Callable[[], str]  # the settings in use as YAML, secrets masked
    alerts: Callable[[], Awaitable[Firing]] = _no_alertmanager  # that fire, most severe first
    is_active: Callable[[], bool] = lambda: True  # whether no other exporter may be serving the site

    @property
    def oldest(self) -> float:
        """Seconds after which a publication is too old to be the present."""
        return max(_STUCK_AFTER * self.evaluation_interval, _STUCK_AFTER_SECONDS)

    def is_stuck(self) -> bool:
        """Whether the latest publication, or the start if there is none, is so old that evaluations must be stuck."""
        return self.latest.age() > self.oldest
