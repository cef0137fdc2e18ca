"""PJM: instantaneous load of an area from Data Miner 2, and the forecast of seven days. It needs a subscription key.

https://dataminer2.pjm.com. A key that is not that of a member allows six requests a minute.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, model_validator

from exporter.model.fields import ConfigPath, is_offline
from exporter.model.readings import LoadPoint, Reading, SystemLoad
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource, read_secret
from exporter.sources.loads import LoadSettings, megawatts

_FIVE_MINUTES: Final = 300.0
_HOUR: Final = 3600.0
_ROWS: Final = "5000"
_FORM: Final = "%Y-%m-%d %H:%M"


class Settings(HttpSettings, LoadSettings):
    """Load of one area, such as the whole of PJM or a zone."""

    kind: Literal["pjm"] = "pjm"
    url: str = Field(default="https://api.pjm.com/api/v1", description="Address of the API.")
    interval: float = Field(default=300.0, description="How often the load is requested.")
    area: str = Field(default="PJM RTO", description="Area of the instantaneous load.")
    forecast_area: str = Field(default="RTO_COMBINED", description="Area of the forecast.")
    subscription_key: SecretStr | None = Field(default=None, description="Subscription key of the API.")
    subscription_key_file: ConfigPath | None = Field(default=None, description="File with the subscription key.")

    @model_validator(mode="after")
    def _one_key(self) -> "Settings":
        if (self.subscription_key is None) == (self.subscription_key_file is None) and not is_offline():
            raise ValueError("give subscription_key_file or subscription_key")
        return self

    def connect(self, context: SourceContext) -> "_Pjm":
        """Create the source."""
        return _Pjm(self, context)


class _Pjm(HttpSource[Settings]):
    async def fetch(self) -> Reading[SystemLoad]:
        """Request the load since yesterday and the forecast."""
        now = self._clock()
        settings = self._settings
        moment = datetime.fromtimestamp(now, UTC)
        since = f"{moment - timedelta(hours=24):{_FORM}} to {moment:{_FORM}}"
        loads = await self._items(
            "/inst_load",
            {"fields": "area,datetime_beginning_utc,instantaneous_load", "datetime_beginning_utc": since},
        )
        forecast = await self._items(
            "/load_frcstd_7_day",
            {
                "fields": "forecast_area,forecast_datetime_beginning_utc,forecast_load_mw",
                "forecast_area": settings.forecast_area,
            },
        )
        with translating():
            mine = [row for row in loads if row["area"] == settings.area]
            measured = tuple(_points(mine, "datetime_beginning_utc", "instantaneous_load", _FIVE_MINUTES))
            ahead = tuple(_points(forecast, "forecast_datetime_beginning_utc", "forecast_load_mw", _HOUR))
        return Reading(SystemLoad(measured=measured, forecast=ahead), now)

    async def _items(self, path: str, asked: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        settings = self._settings
        if settings.subscription_key_file is not None:
            key = read_secret(settings.subscription_key_file)
        else:
            key = settings.subscription_key.get_secret_value() if settings.subscription_key is not None else ""
        answer = await self._endpoint.ask(
            path=path,
            params={**asked, "rowCount": _ROWS, "startRow": "1"},
            headers={"Ocp-Apim-Subscription-Key": key},
        )
        document = answer.check().json()
        with translating():
            items: Sequence[Mapping[str, Any]] = document["items"]
            return items


def _points(rows: Sequence[Mapping[str, Any]], time: str, name: str, length: float) -> Iterator[LoadPoint]:
    """Read rows. Times without an offset are UTC; those of the load lag by some seconds and are rounded."""
    for row in rows:
        at = datetime.fromisoformat(row[time])
        start = round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() / 60.0) * 60.0
        yield megawatts(start, start + length, number(row[name]))
