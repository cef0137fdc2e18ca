"""What the server is told of the site: given by the composition root, read by the pages."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.decision.explain import Explanation
from exporter.exposition.publication import LatestPublication
from exporter.exposition.views import SiteView
from exporter.polling.attempts import FailureLog, SourceStatus


@dataclass(frozen=True, kw_only=True)
class ServerContext:
    """The running site as the server sees it."""

    site: str
    newsstand: LatestPublication
    evaluation_interval: float  # s
    reload: Callable[[], Awaitable[str | None]] | None = None  # gives the reason of a refusal; None where not allowed
    ready: Callable[[], bool]  # whether the first round of polls is over, whatever its result
    explain: Callable[[SiteView, str], Explanation | None]  # why the rig of this name has its verdict
    failures: FailureLog  # of polls
    sources: Callable[[], Sequence[SourceStatus]]
    config: Callable[[], str]  # what runs, secrets masked
