"""HTTP as rigs serve it: one question per connection, no redirects, and the logins of their firmware."""

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.logins import login_attempt
from exporter.sources.rigs.transport import (
    MAX_ANSWER,
    TLS_PORT,
    NoProtocol,
    NoSuchPage,
    OtherPage,
    exchange,
    keeps_connections,
    parse_json,
)

HTTP_PORT: Final = 80
HTTPS_PORT: Final = TLS_PORT
_HTTP: Final = b"HTTP/1."
_KEEPING: Final = b"HTTP/1.1"
"""The HTTP version that keeps a connection by default."""
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"  # after the one before, or the head
_LONGEST_HEAD: Final = 16_384
_MOST_DIGITS: Final = len(str(MAX_ANSWER))
_OK: Final = int(HTTPStatus.OK)  # a member of an Enum takes as long as ten function calls
_NO_CONTENT: Final = int(HTTPStatus.NO_CONTENT)  # has no length, and no body
_NO_VERDICT: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.TOO_MANY_REQUESTS)
"""Failures that are no evidence about a login: there is no such page, or it is requested too often."""
_JSON_VALUE: Final = re.compile(rb"\s*(?:[\[{\"\-\d]|true|false|null)")
_PAGE_LOST: Final = frozenset({Reason.AUTH, Reason.GARBLED})
"""What costs the one page that it happens to, of those that a read can do without."""
_NO_HEADERS: Final[Mapping[str, str]] = {}
_CHALLENGE: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class Head:
    """The status and the headers of an answer."""

    __slots__ = ("_raw", "status")

    def __init__(self, raw: bytes) -> None:
        """Parse what precedes the body. Raises Failure."""
        status = raw[len(_HTTP) + 2 : len(_HTTP) + 5]
        if not raw.startswith(_HTTP) or not status.isdigit():
            raise NoProtocol("not HTTP")
        self.status = int(status)
        self._raw = raw

    def header(self, name: str) -> str:
        """Return a header's value, whatever the case of its name; empty if it is missing."""
        found = _line(name).search(self._raw)
        return "" if found is None else found[1].decode("latin-1").strip()


@cache
def _line(name: str) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n%b:([^\r\n]*)" % name.encode(), re.IGNORECASE)


_LENGTH: Final = _line("content-length")


class _HttpFraming:
    """An HTTP/1.x answer: a length, chunks, or everything until the connection ends."""

    __slots__ = ("_body_at", "_chunked", "_keeps", "_length", "head")

    def __init__(self, *, keeps: bool) -> None:
        """Know whether the request asked to keep the connection."""
        self.head: Head | None = None
        self._keeps = keeps
        self._body_at = 0
        self._chunked = False
        self._length: int | None = None

    def complete(self, received: bytearray) -> bool:
        """See :class:`exporter.sources.rigs.transport.Framing`."""
        if self.head is None:
            end = received.find(_HEAD_END, 0, _LONGEST_HEAD)
            if end < 0:
                if len(received) > _LONGEST_HEAD or not _HTTP.startswith(received[: len(_HTTP)]):
                    raise NoProtocol("not HTTP")
                return False
            raw = bytes(received[:end])
            self.head = Head(raw)
            self._body_at = end + len(_HEAD_END)
            self._length = _length(raw)
            if self._length is None:
                self._chunked = "chunked" in self.head.header("transfer-encoding").lower()
                self._length = 0 if self.head.status == _NO_CONTENT else None
        if self._chunked:
            return received.endswith(_LAST_CHUNK)
        return self._length is not None and len(received) >= self._body_at + self._length

    def content(self, received: bytearray) -> bytes:
        """See :class:`exporter.sources.rigs.transport.Framing`."""
        if self.head is None:
            raise NoProtocol("not HTTP")
        body = bytes(received[self._body_at :])
        if self._chunked:
            return _join_chunks(body)
        if self._length is not None and len(body) < self._length:
            raise Failure(Reason.GARBLED, "the answer was cut short")
        return body if self._length is None else body[: self._length]

    def keeps_connection(self, received: bytearray) -> bool:
        """See :class:`exporter.sources.rigs.transport.Framing`."""
        if not self._keeps or self.head is None or not received.startswith(_KEEPING):
            return False
        if "close" in self.head.header("connection").lower():
            return False
        return self._chunked or (self._length is not None and len(received) == self._body_at + self._length)


def _length(raw: bytes) -> int | None:
    found = _LENGTH.search(raw)
    if found is None or not (length := found[1].strip()):
        return None
    if not length.isdigit():
        raise Failure(Reason.GARBLED, "an odd content length")
    if len(length) > _MOST_DIGITS or (number := int(length)) > MAX_ANSWER:
        raise Failure(Reason.TOO_LARGE, f"it announced {length[:20].decode()} bytes")
    return number


def _join_chunks(body: bytes) -> bytes:
    joined, at = bytearray(), 0
    while True:
        end = body.find(b"\r\n", at)
        try:
            size = int(body[at:end].partition(b";")[0], 16)
        except ValueError:
            raise Failure(Reason.GARBLED, "odd chunks") from None
        if end < 0 or size < 0 or len(body) < end + 2 + size:
            raise Failure(Reason.GARBLED, "the answer was cut short")
        if size == 0:
            return bytes(joined)
        joined += body[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def get(
    address: str,
    path: str,
    *,
    port: int = HTTP_PORT,
    headers: Mapping[str, str] = _NO_HEADERS,
    alone: bool = False,
) -> Coroutine[Any, Any, tuple[Head, bytes]]:
    """Ask for a page and give its head and body, whatever the status. Raises Failure.

    If it is ``alone``, no other page of this read is asked: its connection is kept for the next read or not at all.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]) if headers else ""
    return _ask(address, port, f"GET {path}", lines, alone=alone)


async def _ask(
    address: str, port: int, what: str, headers: str, content: bytes = b"", *, alone: bool = False
) -> tuple[Head, bytes]:
    host = f"[{address}]" if ":" in address else address
    keeps = keeps_connections(alone=alone)
    end = "" if keeps else "Connection: close\r\n"
    request = f"{what} HTTP/1.1\r\nHost: {host}\r\n{headers}Accept: */*\r\n{end}\r\n"
    framing = _HttpFraming(keeps=keeps)
    body = await exchange(address, port, request.encode() + content, framing)
    if framing.head is None:
        raise NoProtocol("not HTTP")
    return framing.head, body


async def digest_realm(address: str, path: str) -> str:
    """Ask for a page without a login and return the realm of the digest login that it wants. Raises Failure."""
    head, _ = await get(address, path)
    if head.status != HTTPStatus.UNAUTHORIZED:
        raise OtherPage(Reason.GARBLED, f"it answered HTTP {head.status} where a login belongs")
    return _parse_challenge(head.header("www-authenticate"))["realm"]


def _check(head: Head) -> None:
    if head.status == _OK:
        return
    if head.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise Failure(Reason.AUTH, f"it answered {head.status} to the login")
    if head.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Failure(Reason.RATE_LIMITED, "it answered HTTP 429")
    kind = NoSuchPage if head.status == HTTPStatus.NOT_FOUND else OtherPage
    raise kind(Reason.GARBLED, f"it answered HTTP {head.status}")


async def get_json(
    address: str,
    path: str,
    *,
    port: int = HTTP_PORT,
    headers: Mapping[str, str] = _NO_HEADERS,
    alone: bool = False,
) -> Mapping[str, Any]:
    """Ask for a JSON object, as :func:`get` asks for a page. Raises Failure, for every status but 200 too."""
    head, body = await get(address, path, port=port, headers=headers, alone=alone)
    _check(head)
    try:
        return parse_json(body)
    except Failure:
        if body[:64].lstrip().startswith(b"<"):
            raise NoSuchPage(Reason.GARBLED, "a page for people where JSON belongs") from None
        raise


async def get_value(address: str, path: str, *, port: int = HTTP_PORT, headers: Mapping[str, str] = _NO_HEADERS) -> Any:
    """Ask for any JSON: an array, a plain value or an object. Raises Failure as :func:`get_json` does."""
    return answered(*await get(address, path, port=port, headers=headers))


def answered(head: Head, body: bytes) -> Any:
    """Return the JSON of any kind in an answer. Raises Failure as :func:`get_json` does."""
    _check(head)
    if not _JSON_VALUE.match(body):
        raise OtherPage(Reason.GARBLED, "an answer that is not JSON")
    return parse_json(b'{"value":' + body + b"}")["value"]


async def log_in(address: str, path: str, login: Mapping[str, str], *, port: int = HTTP_PORT) -> Mapping[str, Any]:
    """Send a login, and nothing else, as JSON and give the answer. Raises Failure."""
    content = orjson.dumps(login)
    headers = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    head, body = await _ask(address, port, f"POST {path}", headers, content)
    if head.status // 100 == 4 and head.status not in _NO_VERDICT:  # noqa: PLR2004 - 400 and 422 refuse a login too
        raise Failure(Reason.AUTH, f"it answered {head.status} to the login")
    _check(head)
    return parse_json(body)


async def log_in_by_form(address: str, path: str, login: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
    """Send a login, and nothing else, as a form; give the answer and the cookie that it set. Raises Failure."""
    content = urlencode(login).encode()
    headers = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(content)}\r\n"
    head, body = await _ask(address, HTTP_PORT, f"POST {path}", headers, content)
    _check(head)
    return parse_json(body), head.header("set-cookie").partition(";")[0]


async def visit(
    ask: Callable[[str], Awaitable[Mapping[str, Any]]], paths: Iterable[str], *, seconds: float
) -> tuple[dict[str, Mapping[str, Any]], bool | None]:
    """Ask for pages that a read can do without: a slow or absent web interface does not cost it.

    Args:
        ask: Asks for one page. Raises Failure.
        paths: The pages, the most important first.
        seconds: The time for all of them; those that come too late are lost.

    Returns:
        The pages that came, by path, and whether the login was rejected; None if nothing answered it.
    """
    pages: dict[str, Mapping[str, Any]] = {}
    with suppress(TimeoutError), FastTimeout(seconds):
        for path in paths:
            try:
                pages[path] = await ask(path)
            except Failure as failure:
                if failure.reason is Reason.AUTH and not pages:
                    return {}, True
                if failure.reason not in _PAGE_LOST or isinstance(failure, NoProtocol):
                    break
    return pages, False if pages else None


class DigestSession:
    """Digest login (RFC 2617, MD5) to one rig: challenged once, then each page costs one connection."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        """Make the session; nothing is sent yet."""
        self._address = address
        self._credentials = credentials
        self._challenge: Mapping[str, str] | None = None
        self._uses = 0
        self._accepted = False

    async def get_json(self, path: str) -> Mapping[str, Any]:
        """Ask for a JSON object behind the login. Raises Failure."""
        if self._challenge is None:
            head, body = await get(self._address, path)
            if head.status != HTTPStatus.UNAUTHORIZED:
                _check(head)
                return parse_json(body)
            self._challenge = _parse_challenge(head.header("www-authenticate"))
        with login_attempt(repeated=self._accepted):
            headers = {"Authorization": self._answer(self._challenge, path)}
            answer = await get_json(self._address, path, headers=headers)
        self._accepted = True
        return answer

    def _answer(self, challenge: Mapping[str, str], path: str) -> str:
        self._uses += 1
        count, own = f"{self._uses:08x}", secrets.token_hex(8)
        login, realm, nonce = self._credentials, challenge["realm"], challenge["nonce"]
        who, what = _md5(f"{login.username}:{realm}:{login.password}"), _md5(f"GET:{path}")
        quality = "auth" in challenge.get("qop", "")
        proof = _md5(f"{who}:{nonce}:{count}:{own}:auth:{what}" if quality else f"{who}:{nonce}:{what}")
        parts = {"username": login.username, "realm": realm, "nonce": nonce, "uri": path, "response": proof}
        parts |= {"opaque": challenge["opaque"]} if "opaque" in challenge else {}
        text = ", ".join(f'{name}="{value}"' for name, value in parts.items())
        return f'Digest {text}, qop=auth, nc={count}, cnonce="{own}"' if quality else f"Digest {text}"


def _parse_challenge(header: str) -> Mapping[str, str]:
    scheme, _, rest = header.partition(" ")
    challenge = {name.lower(): quoted or bare for name, quoted, bare in _CHALLENGE.findall(rest)}
    if scheme.lower() != "digest" or not {"realm", "nonce"} <= challenge.keys():
        raise Failure(Reason.AUTH, "it asks for a login that is not digest")
    return challenge


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
