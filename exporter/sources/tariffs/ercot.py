"""ERCOT (Texas): settlement point prices over its public API, which wants a subscription key and a token per hour.

https://developer.ercot.com. Rows are lists whose order stands in ``fields``; hours are counted 1 to 24 in local time.
"""

from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource, read_secret
from exporter.sources.tariffs import Slots, TariffSettings

_ZONE: Final = ZoneInfo("America/Chicago")
_CLIENT: Final = "fec253ea-0d06-4272-a5e6-b478baeecd70"  # ERCOT's own, the same for everyone
_TOKEN_SECONDS: Final = 3000.0  # it is good for an hour
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
    """One settlement point; ``username`` and ``password_file`` are those of the account at apiexplorer.ercot.com."""

    kind: Literal["ercot"] = "ercot"
    url: str = Field(default="https://api.ercot.com/api/public-reports", description="Where it is asked.")
    interval: Duration = Field(default=300.0, description="How often it is asked; ERCOT allows no less than 5m.")
    point: str = Field(pattern=r"^\w+$", description="The settlement point, such as HB_WEST or LZ_HOUSTON.")
    market: Literal["real_time", "day_ahead"] = Field(
        default="real_time", description="real_time (quarter hours, known when they are over) or day_ahead (hours)."
    )
    subscription_key: SecretStr | None = Field(default=None, description="The API's subscription key.")
    subscription_key_file: ConfigPath | None = Field(default=None, description="File with the subscription key.")
    token_url: str = Field(
        default="https://ercotb2c.b2clogin.com/ercotb2c.onmicrosoft.com/B2C_1_PUBAPI-ROPC-FLOW/oauth2/v2.0/token",
        description="Where the token is got.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.subscription_key is None) == (self.subscription_key_file is None):
            raise ValueError("give subscription_key_file or subscription_key")
        if self.username is None:
            raise ValueError("give username and password_file: those of the account at apiexplorer.ercot.com")
        return self

    def energy(self, context: SourceContext) -> "_Ercot":
        """Make the source."""
        return _Ercot(self, context)


class _Ercot(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._token: tuple[str, float] | None = None  # and when it was got

    async def fetch(self) -> Reading[Slots]:
        """Ask for the days at hand."""
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
        headers = {"Ocp-Apim-Subscription-Key": key, "Authorization": f"Bearer {await self._get_token(now)}"}
        try:
            answer = (await self._endpoint.ask(path=report.path, params=asked, headers=headers)).check().json()
        except Failure as failure:
            if failure.reason is Reason.AUTH:
                self._token = None
            raise
        with translating():
            names = [field["name"] for field in answer["fields"]]
            slots = tuple(_slot(dict(zip(names, row, strict=True))) for row in answer["data"])
        if not slots:
            raise Failure(Reason.NOT_READY, f"no prices of {self._settings.point} yet: is the point's name right?")
        return Reading(slots, now)

    async def _get_token(self, now: float) -> str:
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


def _slot(row: dict[str, Any]) -> PriceSlot:
    """Read one row: quarter hours in real time, hours (``hourEnding``, 01:00 to 24:00) in the day-ahead market."""
    if "hourEnding" in row:
        hour, quarter, length = integer(row["hourEnding"].partition(":")[0]), 1, _HOUR
    else:
        hour, quarter, length = integer(row["deliveryHour"]), integer(row["deliveryInterval"]), _QUARTER
    day = date.fromisoformat(row["deliveryDate"])
    local = datetime.combine(day, time(hour - 1, (quarter - 1) * 15, fold=int(row["DSTFlag"] is True)), _ZONE)
    start = local.timestamp()
    return PriceSlot(start, start + length, per_kilowatt_hour(number(row["settlementPointPrice"]), "MWh"))


def _read_token(answer: dict[str, Any]) -> Any:
    return answer["id_token"] if "id_token" in answer else answer["access_token"]


def _secret(value: SecretStr | None, file: ConfigPath | None) -> str:
    if file is not None:
        return read_secret(file)
    return value.get_secret_value() if value is not None else ""
