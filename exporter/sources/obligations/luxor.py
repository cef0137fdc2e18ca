"""Luxor Energy: ancillary services that were awarded and called, by its API. Amounts and prices are texts.

https://docs.luxor.tech/energy/api/ancillary_services
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import Reading
from exporter.model.units import WATTS_PER_KILOWATT, per_kilowatt_hour
from exporter.sources.contract import UNEXPECTED, SourceContext, in_words, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.obligations import Obligations, ObligationSettings

_PAGE: Final = 100
_MAX_PAGES: Final = 20
_BEFORE: Final = timedelta(hours=1)
_MAX_PRICE: Final = 20.0  # USD per kW and hour: four times ERCOT's cap


class Settings(HttpSettings, ObligationSettings):
    """One site. The key goes into ``bearer_token_file``.

    An award of Q kW is a floor: Q kW must run, so that they can be called. A call of Q kW is a reduction.
    """

    kind: Literal["luxor"] = "luxor"
    url: str = Field(default="https://app.luxor.tech/api", description="Address of the API.")
    site_id: str = Field(pattern=r"^[0-9A-Za-z-]+$", description="Identifier (UUID) of the site at Luxor.")

    def connect(self, context: SourceContext) -> "_Luxor":
        """Create the source."""
        return _Luxor(self, context)


class _Luxor(HttpSource[Settings]):
    async def fetch(self) -> Reading[Obligations]:
        """Request awards and calls, page by page. Those that are over are left out."""
        now = self._clock()
        awards = await self._all("as_awards", _award)
        calls = await self._all("as_calls", _call)
        oldest = (datetime.fromtimestamp(now, UTC) - _BEFORE).timestamp()
        return Reading(tuple(each for each in (*calls, *awards) if each.end is None or each.end > oldest), now)

    async def _all(self, name: str, read: Callable[[Mapping[str, Any]], Obligation]) -> list[Obligation]:
        found: list[Obligation] = []
        path = f"/v1/energy/{name.replace('_', '-')}"
        for page in range(1, _MAX_PAGES + 1):
            asked = {"site_id": self._settings.site_id, "page_number": str(page), "page_size": str(_PAGE)}
            answer = await self._endpoint.get_json(path, asked)
            with translating():
                rows = answer[name]
                for number, row in enumerate(rows, start=1):
                    found += self._read(name, number, row, read)
                if len(rows) < _PAGE:
                    return found
        raise Failure(Reason.TOO_LARGE, f"more than {_MAX_PAGES} pages of {name}")

    def _read(
        self, name: str, number: int, row: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Obligation]
    ) -> list[Obligation]:
        """Read one row. A call that cannot be read is not none: what is owed is then unknown."""
        try:
            return [read(row)]
        except UNEXPECTED as error:
            detail = f"row {number} of {name}: {in_words(error)}"
            self._discards.note(name, detail)
            if name != "as_calls":
                return []
            return [Obligation(kind=ObligationKind.CALL, start=self._clock(), event=f"row {number}", unclear=detail)]


def _award(row: Mapping[str, Any]) -> Obligation:
    price = row.get("clearing_price")
    dollars = None if price is None else per_kilowatt_hour(number(price), "MWh")
    if dollars is not None and abs(dollars) > _MAX_PRICE:
        raise ValueError(f"a price of {price!r:.20} USD per MW and hour")
    return _base(row, kind=ObligationKind.AWARD, floor=number(row["quantity_kw"]) * WATTS_PER_KILOWATT, price=dollars)


def _call(row: Mapping[str, Any]) -> Obligation:
    return _base(row, kind=ObligationKind.CALL, reduction=number(row["quantity_kw"]) * WATTS_PER_KILOWATT)


def _base(row: Mapping[str, Any], **given: Any) -> Obligation:
    start, end = (datetime.fromisoformat(row[key]) for key in ("start_time", "end_time"))
    if not start < end:
        raise ValueError("it ends before it begins")
    service = str(row["as_type"])
    kind: ObligationKind = given["kind"]
    return Obligation(
        start=_unix(start),
        end=_unix(end),
        event=f"{service} {kind} {row.get('opr_date') or start.date().isoformat()}",
        program=str(row.get("as_iso_name") or ""),
        reason=service,
        **given,
    )


def _unix(time: datetime) -> float:
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
