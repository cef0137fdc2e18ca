"""The sites that a Prometheus knows, for commands with ``--site``."""

from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import ask_prometheus


class UnknownSiteError(Exception):
    """No series has this site. The message is one sentence with the nearest name, or with all."""


async def check_site(endpoint: Endpoint, site: str | None) -> None:
    """Raise UnknownSiteError if hashmargin's series have sites, and this is none of them. Raises Failure."""
    if site is None:
        return
    try:
        found = await ask_prometheus(endpoint, "group by (site) (mining_block_convertible)")
    except Failure as failure:
        if failure.reason is Reason.NOT_READY:  # nothing is scraped: the command's own query reports it
            return
        raise
    known = {series.labels.get("site", "") for series in found}
    if site not in known:
        raise UnknownSiteError(unknown("site", site, known - {""}))
