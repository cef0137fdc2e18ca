"""Antpool. At most 600 requests in 10 minutes: more frequent clients are banned.

https://www.antpool.com/userApiGuide. Payments are not read: the documentation does not say which amounts a day has.
"""

import hashlib
import hmac
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from exporter.model.fields import ConfigPath, Duration, is_offline
from exporter.model.readings import PoolWorker
from exporter.model.units import hashes_per_second
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.pools import (
    KeySettings,
    PoolSettings,
    PoolSource,
    checked_total,
    pages,
    secret_of,
    worker_name,
)


class Settings(PoolSettings, KeySettings):
    """Workers of an Antpool account. Key and secret are made in *Setting, API*, with the permission to read only."""

    kind: Literal["antpool"] = "antpool"
    url: str = Field(default="https://antpool.com/api", description="Address of the API.")
    request_interval: Duration = Field(default=0.1, description="Shortest time between two requests to the pool.")
    api_secret: SecretStr | None = Field(default=None, description="Secret that signs the requests; shown masked.")
    api_secret_file: ConfigPath | None = Field(default=None, description="File with that secret, read at each request.")
    hashrate_unit: Literal["H/s", "KH/s", "MH/s", "GH/s", "TH/s"] = Field(
        description="Unit of `last1h` in the worker list, which Antpool does not document. Samples suggest MH/s: "
        "compare one worker with the pool's own page, and confirm it here.",
    )
    page_size: int = Field(default=200, ge=10, le=10_000, description="Workers per page to ask for.")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        given = sum(secret is not None for secret in (self.api_secret, self.api_secret_file))
        if given != 1 and not (is_offline() and not given):
            raise ValueError("needs either api_secret_file or api_secret, which signs the requests")
        return self

    def connect(self, context: SourceContext) -> "_Antpool":
        """Create the source."""
        return _Antpool(self, context)


class _Antpool(PoolSource):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._nonce = 0

    async def workers(self) -> list[PoolWorker]:
        """Read all pages of the worker list."""
        found: list[PoolWorker] = []
        for page in pages():
            form = self._signed() | {
                "coin": "BTC",
                "userId": self.settings.account,
                "pageEnable": "1",
                "page": str(page),
                "pageSize": str(self.settings.page_size),
            }
            answer = await self.post_form("/workers.htm", form)
            with translating():
                data = answer["data"]
                found += await self.read_each(data["rows"], self._worker)
                total = integer(data["totalPage"])
            if page >= total:
                break
        return checked_total(found, len(found), len(found))

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        rate = hashes_per_second(number(row["last1h"]), self.settings.hashrate_unit)
        return PoolWorker(worker_name(row["worker"], self.settings.account), rate)

    def _signed(self) -> dict[str, str]:
        """Sign a request. The nonce must grow with each."""
        self._nonce = max(self._nonce + 1, round(self.clock() * 1e3))
        settings, key, nonce = self.settings, self.settings.key, str(self._nonce)
        secret = secret_of(settings.api_secret, settings.api_secret_file)
        return {
            "key": key,
            "nonce": nonce,
            "signature": signature(secret, settings.account, key, nonce),
        }


def signature(secret: str, user: str, key: str, nonce: str) -> str:
    """Return Antpool's signature: HMAC-SHA256 of user, key and nonce, in upper-case hexadecimal digits."""
    return hmac.new(secret.encode(), f"{user}{key}{nonce}".encode(), hashlib.sha256).hexdigest().upper()
