"""ERCOT (Texas): settlement point prices from its public API, which needs a subscription key and an hourly token.

https://developer.ercot.com. Rows are lists in the order of ``fields``. Hours are counted from 1 to 24 in local time.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, Duration, is_offline
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import SourceContext, flag, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource, read_secret
from exporter.sources.tariffs import Slots, TariffSettings

_ZONE: Final = ZoneInfo("America/Chicago")
_CLIENT: Final = "fec253ea-0d06-4272-a5e6-b478baeecd70"  # of ERCOT, the same for everyone
_TOKEN_SECONDS: Final = 3000.0  # a token is valid for an hour
_ENERGY_WEIGHTED: Final = "EW"  # ending of a type: the same point weighted by energy, such as LZEW beside LZ
_QUARTER: Final = 900.0
_HOUR: Final = 3600.0


class _Report(NamedTuple):
    path: str
    days: tuple[int, ...]  # from today


_REPORTS: Final = {
    "real_time": _Report("/np6-905-cd/spp_node_zone_hub", (-1, 0)),
    "day_ahead": _Report("/np4-190-cd/dam_stlmnt_pnt_prices", (0, 1)),
}


class Settings(HttpSettings, TariffSettings):
    """One settlement point. ``username`` and ``password_file`` are those of the account at apiexplorer.ercot.com."""

    kind: Literal["ercot"] = "ercot"
    url: str = Field(default="https://api.ercot.com/api/public-reports", description="Address of the API.")
    interval: Duration = Field(
        default=300.0, description="How often the prices are requested. ERCOT allows 5m or more."
    )
    point: str = Field(pattern=r"^\w+$", description="Settlement point, such as HB_WEST or LZ_HOUSTON.")
    point_type: str | None = Field(
        default=None,
        pattern=r"^\w+$",
        description="Type of the settlement point, such as LZEW. By default the one that is not weighted by energy.",
    )
    market: Literal["real_time", "day_ahead"] = Field(
        default="real_time", description="real_time (quarter hours, known when they have ended) or day_ahead (hours)."
    )
    subscription_key: SecretStr | None = Field(default=None, description="Subscription key of the API.")
    subscription_key_file: ConfigPath | None = Field(default=None, description="File with the subscription key.")
    token_url: str = Field(
        default="https://ercotb2c.b2clogin.com/ercotb2c.onmicrosoft.com/B2C_1_PUBAPI-ROPC-FLOW/oauth2/v2.0/token",
        description="Address of the token server.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if is_offline():
            return self
        if (self.subscription_key is None) == (self.subscription_key_file is None):
            raise ValueError("give subscription_key_file or subscription_key")
        if self.username is None:
            raise ValueError("give username and password_file: those of the account at apiexplorer.ercot.com")
        return self

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable price."""
        return f"not published yet, or {self.point} is not the name of a settlement point"

    def energy(self, context: SourceContext) -> "_Ercot":
        """Create the source."""
        return _Ercot(self, context)


class _Ercot(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._timer = context.timer
        self._token: tuple[str, float] | None = None  # and its time by the timer

    async def fetch(self) -> Reading[Slots]:
        """Request the days around now."""
        now = self._clock()
        report = _REPORTS[self._settings.market]
        today = datetime.fromtimestamp(now, _ZONE).date()
        first, last = (today + timedelta(days=ahead) for ahead in report.days)
        asked = {
            "deliveryDateFrom": first.isoformat(),
            "deliveryDateTo": last.isoformat(),
            "settlementPoint": self._settings.point,
            "size": "1000",
        }
        key = _secret(self._settings.subscription_key, self._settings.subscription_key_file)
        headers = {"Ocp-Apim-Subscription-Key": key, "Authorization": f"Bearer {await self._get_token()}"}
        try:
            answer = (await self._endpoint.ask(path=report.path, params=asked, headers=headers)).check().json()
        except Failure as failure:
            if failure.reason is Reason.AUTH:
                self._token = None
            raise
        with translating():
            names = [field["name"] for field in answer["fields"]]
            rows = [dict(zip(names, row, strict=False)) for row in answer["data"]]
            slots, bad = _slots(self._of_point(rows))
        if bad and not slots:
            advice = "ERCOT's report has changed: please report it with this line"
            raise Failure(Reason.GARBLED, bad[0], advice=advice)
        if bad:
            self._discards.note("row", bad[0], len(bad))
        return Reading(slots, now)

    def _of_point(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of the configured point and type. A point has several types, each with its own prices."""
        point, wanted = self._settings.point, self._settings.point_type
        rows = [row for row in rows if row.get("settlementPoint", point) == point]
        types = Counter(str(row.get("settlementPointType", "")) for row in rows)
        if wanted is None:
            plain = [each for each in types if not each.endswith(_ENERGY_WEIGHTED)]
            if len(plain) > 1 or (types and not plain):
                raise Failure(Reason.UNSUPPORTED, f"{point} has the types {', '.join(sorted(types))}: set point_type")
            wanted = plain[0] if plain else ""
        elif rows and wanted not in types:
            raise Failure(Reason.UNSUPPORTED, f"{point} has no type {wanted}: it has {', '.join(sorted(types))}")
        return [row for row in rows if str(row.get("settlementPointType", "")) == wanted]

    async def _get_token(self) -> str:
        now = self._timer()
        if self._token is None or now - self._token[1] > _TOKEN_SECONDS:
            settings = self._settings
            form = {
                "username": settings.username or "",
                "password": _secret(settings.password, settings.password_file),
                "grant_type": "password",
                "scope": f"openid {_CLIENT} offline_access",
                "client_id": _CLIENT,
                "response_type": "id_token",
            }
            answer = await self._endpoint.post_form(settings.token_url, form)
            with translating():
                self._token = (str(_read_token(answer.check().json())), now)
        return self._token[0]


def _slots(rows: Sequence[dict[str, Any]]) -> tuple[Slots, list[str]]:
    """Read the rows. Returns the slots, and a message for each unreadable row."""
    slots: list[PriceSlot] = []
    bad: list[str] = []
    for row_number, row in enumerate(rows, start=1):
        try:
            slots.append(_slot(row))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            bad.append(f"row {row_number}: {error}")
    return tuple(slots), bad


def _slot(row: dict[str, Any]) -> PriceSlot:
    """Read one row: a quarter hour in real time, an hour (``hourEnding``, 01:00 to 24:00) in the day-ahead market."""
    if "hourEnding" in row:
        hour, quarter, length = integer(row["hourEnding"].partition(":")[0]), 1, _HOUR
    else:
        hour, quarter, length = integer(row["deliveryHour"]), integer(row["deliveryInterval"]), _QUARTER
    day = date.fromisoformat(row["deliveryDate"])
    local = datetime.combine(day, time(hour - 1, (quarter - 1) * 15, fold=int(flag(row.get("DSTFlag")))), _ZONE)
    start = local.timestamp()
    return PriceSlot(start, start + length, per_kilowatt_hour(number(row["settlementPointPrice"]), "MWh"))


def _read_token(answer: dict[str, Any]) -> Any:
    return answer["id_token"] if "id_token" in answer else answer["access_token"]


def _secret(value: SecretStr | None, file: ConfigPath | None) -> str:
    if file is not None:
        return read_secret(file)
    return value.get_secret_value() if value is not None else ""
