"""Checks that every request passes first: rate limit, client certificate, login. Adds the headers of every response."""

import asyncio
import time
from typing import Any, Final

from aiohttp import hdrs, web

from exporter.server.admission import HOLD_SECONDS, Handler, OverloadedError, client_of
from exporter.server.customers import CUSTOMER, HOME, may_open
from exporter.server.health import HEALTHY_PATH, READY_PATH
from exporter.server.logins import Logins
from exporter.server.settings import WebSettings
from exporter.server.web_config import RateLimit, TlsServerConfig, WebConfigFile

_SAFE_METHODS: Final = {hdrs.METH_GET, hdrs.METH_HEAD}
_OTHER_SITES: Final = {"cross-site", "same-site"}
_HEADERS: Final = {
    hdrs.SERVER: "hashmargin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def add_guard(app: web.Application, settings: WebSettings, file: WebConfigFile) -> None:
    """Check the requests to every path of the application, including unknown ones."""
    logins, bucket = Logins(), _Bucket()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        config = file.current().config
        if not bucket.allows(config.rate_limit):
            raise web.HTTPTooManyRequests(text="Too many requests.\n")
        if config.tls_server_config is not None and not _is_admitted(request, config.tls_server_config):
            raise web.HTTPForbidden(text="This connection has no accepted client certificate.\n")
        if request.method not in _SAFE_METHODS and request.headers.get("Sec-Fetch-Site") in _OTHER_SITES:
            raise web.HTTPForbidden(text="Requests from pages of other sites are not accepted.\n")
        is_open = {
            HEALTHY_PATH: config.healthy_without_login,
            READY_PATH: settings.open_health_checks,
        }
        if config.basic_auth_users and not is_open.get(request.path, False):
            given = request.headers.get(hdrs.AUTHORIZATION, "")
            user = await logins.user(given, config.basic_auth_users, client_of(request.remote))
            if user is None:
                challenge = {hdrs.WWW_AUTHENTICATE: 'Basic realm="hashmargin", charset="UTF-8"'}
                raise web.HTTPUnauthorized(text="Unauthorized.\n", headers=challenge)
            if user in config.customer_users:
                _admit_customer(request, config.customer_users[user])
        return await handler(request)

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        put_headers(response, file)

    async def close(_app: web.Application) -> None:
        logins.close()

    app.middlewares.extend((_hold, guard))
    app.on_cleanup.append(close)
    app.on_response_prepare.append(add_headers)


def _admit_customer(request: web.Request, customer: str) -> None:
    """Note whose login it is. Raises 403 for a path that shows more than a customer's rigs."""
    if request.path == "/":
        raise web.HTTPFound(HOME)
    if not may_open(request.path) or request.method not in _SAFE_METHODS:
        raise web.HTTPForbidden(text=f"This login shows the rigs of {customer} alone: see {HOME}\n")
    request[CUSTOMER] = customer


@web.middleware
async def _hold(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hold the responses to an overload back: clients that ask again at once would keep the event loop busy."""
    try:
        return await handler(request)
    except OverloadedError:
        await asyncio.sleep(HOLD_SECONDS)
        raise


def put_headers(response: web.StreamResponse, file: WebConfigFile) -> None:
    """Add the headers of every response, then those of the web configuration."""
    response.headers.update(_HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    wanted = file.current().config.http_server_config.headers
    for name, value in wanted.model_dump(by_alias=True, exclude_none=True).items():
        response.headers.popall(name, None)
        if value:
            response.headers[name] = value


def _is_admitted(request: web.Request, tls: TlsServerConfig) -> bool:
    """Whether the connection would still be accepted. It may be older than this configuration."""
    certificate: dict[str, Any] = request.get_extra_info("peercert") or {}
    if not request.secure or (tls.requires_client_certificate and not certificate):
        return False
    names = {name for _, name in certificate.get("subjectAltName", ())}
    return not tls.client_allowed_sans or not names.isdisjoint(tls.client_allowed_sans)


class _Bucket:
    """A token bucket for the rate limit."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._limit: RateLimit | None = None
        self._at = 0.0

    def allows(self, limit: RateLimit) -> bool:
        """Take a token if there is one. A changed limit starts with a full bucket."""
        if not limit.interval:
            return True
        now = time.monotonic()
        grown = limit.burst if limit != self._limit else self._tokens + (now - self._at) / limit.interval
        self._limit, self._at, self._tokens = limit, now, min(grown, limit.burst)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
