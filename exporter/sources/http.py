"""HTTP requests with a total deadline, a size limit, few redirects, and every error classified.

A failure quotes the server's reason, but of a URL only the host: paths, queries and user names may be secret.
"""

import asyncio
import json
import math
import socket
import ssl
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Generic, NoReturn, Self, TypedDict, TypeVar, Unpack

import aiohttp
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from exporter import __version__
from exporter.file_stamp import why_unreadable
from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, Duration, SettingsGroup, is_offline
from exporter.model.secrets import MASK, looks_secret, mask_secrets
from exporter.sources.contract import SourceContext
from exporter.sources.shared import SharedAnswers
from exporter.sources.stated import is_html, reason_from, stated_error, stated_reason
from exporter.steady_clock import elapsed

DEADLINE: Final = 10.0
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_REDIRECTS: Final = 3
_MAX_TAGGED: Final = 8
_LONGEST_QUOTE: Final = 120
_SHORTEST_SECRET: Final = 4
_AGENT: Final = {"User-Agent": f"hashmargin/{__version__}"}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_REASONS: Final[dict[int, Reason]] = {
    HTTPStatus.UNAUTHORIZED: Reason.AUTH,
    HTTPStatus.FORBIDDEN: Reason.AUTH,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Reason.AUTH,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
    HTTPStatus.SERVICE_UNAVAILABLE: Reason.NOT_READY,
}


class Options(TypedDict, total=False):
    """Options of a request. ``deadline`` (s) covers all of it, including redirects and the body.

    ``secrets`` are texts that no failure may quote from the answer.
    """

    params: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, str]
    ssl: ssl.SSLContext | bool
    deadline: float
    max_bytes: int
    secrets: Collection[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response with any status."""

    host: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    age: float = 0.0  # s, since it was received
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def check(self) -> Self:
        """Return the answer if its status is a success. Raises a classified Failure with the server's reason if not."""
        if self.status == HTTPStatus.NO_CONTENT:
            raise Failure(Reason.NOT_READY, f"{self.host} answered with status 204: it has no data for this request")
        if HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES:
            return self
        broken = self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        words = self.quote(stated_reason(self.body))
        reason = _REASONS.get(self.status, Reason.SERVER_ERROR if broken else reason_from(words))
        detail = f"{self.host} answered with status {self.status}" + (f": {words}" if words else "")
        advice = _ADVICE_FOR_REFUSAL if reason is Reason.GARBLED else ""
        raise Failure(reason, detail, retry_after=self._retry_after(), advice=advice)

    def check_stated(self, document: Any) -> None:
        """Raise a Failure if ``document``, read from this answer, states an error in spite of its status."""
        stated = stated_error(document)
        if stated:
            words = self.quote(stated)
            reason = reason_from(words)
            advice = _ADVICE_FOR_REFUSAL if reason is Reason.GARBLED else ""
            raise Failure(reason, f"{self.host} answered with an error: {words}", advice=advice)

    def quote(self, text: str) -> str:
        """Return ``text`` from the answer for a message: on one line, bounded, without secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, MASK)
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in mask_secrets(text)).split())
        return line if len(line) <= _LONGEST_QUOTE else f"{line[: _LONGEST_QUOTE - 3]}..."

    def _retry_after(self) -> float | None:
        """Read the Retry-After header, seconds or a date, as seconds from now."""
        text = self.headers.get("Retry-After", "")
        if text.isdecimal():
            return float(text)
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            return None

    def text(self, *, otherwise: str = "utf-8-sig") -> str:
        """Decode the body as UTF-16 if it is marked so, else as UTF-8, or ``otherwise`` if it is not UTF-8.

        Raises a Failure for HTML, which is a login page or an error page and never data.
        """
        marked = self.body.startswith((b"\xff\xfe", b"\xfe\xff"))
        try:
            try:
                text = self.body.decode("utf-16" if marked else "utf-8-sig")
            except UnicodeDecodeError:
                text = self.body.decode(otherwise)
        except UnicodeDecodeError:
            advice = "url leads to a file that is no text, such as a program or an archive: give that of the data"
            raise Failure(Reason.GARBLED, f"{self.host} answered bytes that are not text", advice=advice) from None
        if is_html(text):
            words = self.quote(stated_reason(self.body))
            page = f'a web page ("{words}")' if words else "a web page"
            reason = reason_from(words)
            advice = "open url in a browser: give the address of the data, and log in past any proxy between"
            raise Failure(
                reason,
                f"{self.host} answered {page} instead of data",
                advice=advice if reason is Reason.GARBLED else "",
            )
        return text

    def json(self) -> Any:
        """Read the body as JSON with finite numbers; integers are exact. Raises a Failure for anything else."""
        text = self.text()
        if not text.strip():
            raise Failure(
                Reason.GARBLED, f"{self.host} answered with an empty body instead of JSON", advice=_ADVICE_FOR_EMPTY
            )
        try:
            return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            quote = self.quote(text[: 4 * _LONGEST_QUOTE])
            detail = f"{self.host} answered text that is not JSON: {quote}"
            raise Failure(Reason.GARBLED, detail, advice=_advice_for(text)) from None


async def exchange(
    session: aiohttp.ClientSession, method: str, url: str, payload: Any = None, **options: Unpack[Options]
) -> Answer:
    """Send one request and return the answer with any status. Raises a Failure if it is too late or too large."""
    host = _host(url)
    deadline = options.get("deadline", DEADLINE)
    try:
        async with asyncio.timeout(deadline):
            answer = await _follow(session, method, URL(url), payload, options)
            return replace(answer, secrets=tuple(_secrets(url, options)))
    except TimeoutError as error:
        connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
        reason = Reason.UNREACHABLE if connecting else Reason.TIMEOUT
        raise Failure(reason, f"{host} did not answer within {deadline:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        _classify(host, error)


def _secrets(url: str, options: Options) -> Iterator[str]:
    """Yield the texts of a request that no message may quote from the answer."""
    yield from options.get("secrets", ())
    for value in options.get("headers", {}).values():
        yield from (value, *value.split())
    for values in (options.get("params") or {}, options.get("form") or {}):
        yield from (value for name, value in values.items() if looks_secret(name))
    yield from filter(None, (URL(url).user, URL(url).password))


async def _follow(session: aiohttp.ClientSession, method: str, url: URL, payload: Any, options: Options) -> Answer:
    """Follow a few redirects on the same host. Another host must not receive the secrets in the headers."""
    params = options.get("params")
    for _ in range(MAX_REDIRECTS + 1):
        async with session.request(
            method,
            url,
            params=params,
            json=payload,
            data=options.get("form"),
            headers=_AGENT | dict(options.get("headers", {})),
            ssl=options.get("ssl", True),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=options.get("deadline", DEADLINE) / 2),
        ) as response:
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or target is None or method != "GET":
                body = await _read(response, options.get("max_bytes", MAX_BYTES))
                return Answer(_host(str(url)), response.status, response.headers, body)
            here, url, params = url, url.join(URL(target)), None
            if url.host != here.host or url.scheme not in ("https", here.scheme):
                raise Failure(
                    Reason.GARBLED,
                    f"{here.host} redirects to {_host(str(url))}, another host or scheme",
                    advice="set url to that address if it is right; if it is a login page, give a login or a token",
                )
    detail = f"{_host(str(url))} redirects more than {MAX_REDIRECTS} times"
    raise Failure(Reason.GARBLED, detail, advice="open url in a browser, and give the address where it ends")


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise Failure(Reason.TOO_LARGE, f"{response.url.host} answered more than {max_bytes} bytes")
    return bytes(body)


def _classify(host: str, error: Exception) -> NoReturn:
    """Raise the Failure for a transport error. The detail holds only its kind and the system's message."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            cause = error.certificate_error
            words = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "refused"
            failure = Failure(Reason.TLS, f"the certificate of {host}: {words}")
        case aiohttp.ClientSSLError():
            failure = Failure(Reason.TLS, f"no TLS with {host}: {error.strerror or 'handshake failed'}")
        case aiohttp.ClientConnectorDNSError():
            cause = error.os_error
            words = "unknown host name" if isinstance(cause, socket.gaierror) else str(cause)
            failure = Failure(Reason.UNREACHABLE, f"{host}: {words}")
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            failure = Failure(Reason.REFUSED, f"{host} refuses the connection")
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() | ValueError():
            detail = f"{host} did not answer with valid HTTP: {type(error).__name__}"
            failure = Failure(Reason.GARBLED, detail, advice="check the port in url, and http:// or https://")
        case OSError():
            failure = Failure(Reason.UNREACHABLE, f"{host}: {error.strerror or type(error).__name__}")
        case _:
            failure = Failure(Reason.UNREACHABLE, f"{host}: {type(error).__name__}")
    try:
        raise failure from None
    finally:
        del failure  # which holds this frame


def _host(url: str) -> str:
    try:
        parsed = URL(url)
        return f"{parsed.host}:{parsed.port}" if parsed.explicit_port else str(parsed.host)
    except ValueError:
        return "the address"


_ADVICE_FOR_REFUSAL: Final = "it refuses the request: correct what its words name in url, query or parameters"
_ADVICE_FOR_EMPTY: Final = "check the path in url, and whether the server needs a login to answer more than nothing"


def _advice_for(text: str) -> str:
    """Return what to do about an answer that is not JSON, by what it looks like."""
    text = text.lstrip()
    if text.startswith("<"):
        return "it answers XML: ask for JSON with a header Accept, or give the address of the JSON"
    if text.startswith(("# HELP", "# TYPE")):
        return "that is a page of metrics: give the address of the Prometheus that scrapes it"
    if text.startswith(("{", "[")):
        return "its JSON is broken or cut off: look at the proxy between, and try url with curl"
    if "," in text.partition("\n")[0] or ";" in text.partition("\n")[0]:
        return "it looks like CSV: use kind http_csv, or give the address of the JSON"
    return "try url with curl: it must answer JSON"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number too large")
    return value


class _Request(SettingsGroup):
    url: str = Field(description="Address of the server. Secrets belong in `parameters` and `headers`.")
    timeout: Duration = Field(default=DEADLINE, description="Longest time for one request, including redirects.")
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to send; shown masked.")
    parameters: dict[str, SecretStr] = Field(default={}, description="Query parameters of the URL; shown masked.")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        url = URL(value)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("is not an http:// or https:// address")
        if url.user or url.password:
            raise ValueError("must not hold a user name or password: give username and password_file")
        return value


class HttpLogin(SettingsGroup):
    """The login of an HTTP server."""

    username: str | None = Field(default=None, pattern="^[^:]*$", description="User name for basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password for basic authentication.")
    password_file: ConfigPath | None = Field(default=None, description="File with the password, read at each request.")
    bearer_token: SecretStr | None = Field(default=None, description="Token for bearer authentication.")
    bearer_token_file: ConfigPath | None = Field(default=None, description="File with the token, read at each request.")

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        logins = (self.password, self.password_file, self.bearer_token, self.bearer_token_file)
        if sum(login is not None for login in logins) > 1:
            raise ValueError("give only one of password, password_file, bearer_token and bearer_token_file")
        incomplete = (self.username is None) != (self.password is None and self.password_file is None)
        if incomplete and not is_offline():
            raise ValueError("username and password (or password_file) belong together")
        return self


class HttpSettings(HttpLogin, _Request):
    """Settings of every HTTP source: address, login, trusted certificates.

    It does not inherit SourceSettings: the interval and age of a room would be hidden by those of this class.
    """

    ca_file: ConfigPath | None = Field(default=None, description="Certificates (PEM) to trust instead of the system's.")
    verify_tls: bool = Field(default=True, description="False accepts any certificate. Use it only as a last resort.")

    @property
    def where(self) -> str:
        """Host of the server, with its port if the URL has one."""
        return _host(self.url)


S = TypeVar("S", bound=HttpSettings)


class Endpoint:
    """The server of one HTTP source: session, address, login and certificates."""

    def __init__(
        self,
        settings: HttpSettings,
        session: aiohttp.ClientSession,
        shared: SharedAnswers[Answer] | None = None,
    ) -> None:
        self._settings = settings
        self._session = session
        self._shared = shared or SharedAnswers(elapsed)
        self._ssl: ssl.SSLContext | bool = settings.verify_tls
        self._tagged: dict[str, tuple[str, Answer]] = {}  # by URL: entity tag and answer

    async def get_json(
        self, path: str = "", params: Mapping[str, str] | None = None, *, max_bytes: int = MAX_BYTES
    ) -> Any:
        """GET ``path`` below the configured URL and read its JSON. Raises Failure only, also for a stated error."""
        answer = (await self.ask("GET", path, params=params, max_bytes=max_bytes)).check()
        document = answer.json()
        answer.check_stated(document)
        return document

    async def get_text(
        self, path: str = "", params: Mapping[str, str] | None = None, *, max_bytes: int = MAX_BYTES
    ) -> str:
        """GET ``path`` below the configured URL and read its text. Raises Failure only."""
        return (await self.ask("GET", path, params=params, max_bytes=max_bytes)).check().text()

    async def ask(
        self,
        method: str = "GET",
        path: str = "",
        *,
        payload: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        placeholders: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
        share: float | None = None,
    ) -> Answer:
        """Send one request with the configured login and return the answer with any status. Raises Failure only.

        ``{name}`` in the configured URL and query is replaced by ``placeholders``. With ``share`` (s) an answer that
        another source got to the same request in that time is returned instead.
        """
        settings = self._settings
        url = URL(_fill(settings.url.rstrip("/") + path if path else settings.url, placeholders))
        parameters = {name: value.get_secret_value() for name, value in settings.parameters.items()} | dict(
            params or {}
        )
        url = url.update_query({name: _fill(value, placeholders) for name, value in parameters.items()})
        sent = {name: value.get_secret_value() for name, value in settings.headers.items()}
        sent = sent | _login(settings) | dict(headers or {})

        async def request() -> Answer:
            answer = await exchange(
                self._session,
                method,
                str(url),
                payload,
                headers=sent | self._condition(method, str(url)),
                ssl=self._trust(),
                deadline=settings.timeout,
                max_bytes=max_bytes,
                secrets=[value.get_secret_value() for value in settings.parameters.values()],
            )
            return self._remember(str(url), answer)

        if share is None:
            return await request()
        trust = (settings.verify_tls, settings.ca_file)
        key = (method, str(url), json.dumps(payload), tuple(sorted(sent.items())), trust, max_bytes)
        shared, age = await self._shared.get(key, share, request)
        return replace(shared, age=age)

    async def post_form(self, url: str, form: Mapping[str, str], secrets: Collection[str] = ()) -> Answer:
        """POST a form to another URL, such as a token server, without the login. Raises Failure only.

        No failure quotes ``secrets``.
        """
        trust, deadline = self._trust(), self._settings.timeout
        return await exchange(self._session, "POST", url, form=form, secrets=secrets, ssl=trust, deadline=deadline)

    def _trust(self) -> ssl.SSLContext | bool:
        """Return the certificates to trust. A ``ca_file`` is read at the first request."""
        ca_file = self._settings.ca_file
        if ca_file is not None and self._ssl is True:
            try:
                self._ssl = ssl.create_default_context(cafile=str(ca_file))
            except OSError as error:
                why = "holds no certificates" if isinstance(error, ssl.SSLError) else why_unreadable(error)
                raise Failure(Reason.TLS, f"{ca_file} {why}") from None
        return self._ssl

    def _condition(self, method: str, url: str) -> dict[str, str]:
        tagged = self._tagged.get(url) if method == "GET" else None
        return {"If-None-Match": tagged[0]} if tagged is not None else {}

    def _remember(self, url: str, answer: Answer) -> Answer:
        """Keep an answer with an entity tag, and return it again if the server answers that it has not changed."""
        if answer.status == HTTPStatus.NOT_MODIFIED and url in self._tagged:
            return self._tagged[url][1]
        tag = answer.headers.get("ETag")
        if tag is not None and answer.status == HTTPStatus.OK:
            if len(self._tagged) >= _MAX_TAGGED:  # URLs with dates change every day
                self._tagged.clear()
            self._tagged[url] = (tag, answer)
        return answer


class HttpSource(Generic[S]):
    """Base of the sources that request over HTTP."""

    def __init__(self, settings: S, context: SourceContext) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, context.session, context.shared)
        self._clock = context.clock
        self._discards = context.discards


def basic(username: str, password: str) -> dict[str, str]:
    """Return the header of basic authentication."""
    return {"Authorization": aiohttp.encode_basic_auth(username, password)}


def read_secret(path: Path) -> str:
    """Read a file that holds a secret. Raises a Failure AUTH if it is unreadable."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Reason.AUTH, f"{path} {why_unreadable(error)}") from None


def _login(settings: HttpSettings) -> dict[str, str]:
    password = read_secret(settings.password_file) if settings.password_file else _reveal(settings.password)
    if settings.username is not None and password is not None:
        return basic(settings.username, password)
    token = read_secret(settings.bearer_token_file) if settings.bearer_token_file else _reveal(settings.bearer_token)
    return {"Authorization": f"Bearer {token}"} if token is not None else {}


def _fill(text: str, placeholders: Mapping[str, str] | None) -> str:
    for name, value in (placeholders or {}).items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
