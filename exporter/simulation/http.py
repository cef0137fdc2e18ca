"""HTTP/1.1 of the small web servers of rigs: parsing requests, framing answers, digest authentication."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from exporter.simulation.faults import Fault, encode
from exporter.simulation.machine import Machine, Vitals
from exporter.simulation.wire import Reply

_NONCE_SECONDS: Final = 600
"""How long lighttpd, the server on Antminers, accepts a nonce."""

_PAIR: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]*))')


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of a page."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Http:
    """HTTP on some port; ``page`` answers a request. A client may keep the connection."""

    def __init__(self, name: str, page: Callable[[Machine, Request, float], Response]) -> None:
        self._name = name
        self._page = page

    def take(self, received: bytearray) -> Request | None:
        """Take one request with its body. If it is not HTTP, the request has no method."""
        if received and not received[:1].isalpha():
            received.clear()
            return Request("", "", {})
        head, end, rest = bytes(received).partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(text) if (text := headers.get("content-length", "")).isdecimal() else 0
        if len(rest) < length:
            return None
        del received[: len(head) + len(end) + length]
        method, path = (*first.split(" "), "", "")[:2]
        return Request(method, path, headers, rest[:length])

    def answer(self, machine: Machine, request: Request, now: float) -> Reply:
        """Answer one request. The connection is closed only if the client asks for it."""
        response = self._response(machine, request, now)
        data = frame(response.status, len(response.body), response.content_type, response.headers) + response.body
        close = request.headers.get("connection", "").lower() == "close" or not request.method
        return Reply(data, f"{self._name} {request.method} {request.path}", close)

    def _response(self, machine: Machine, request: Request, now: float) -> Response:
        if not request.method:
            return error_page(HTTPStatus.BAD_REQUEST)
        if machine.fault is Fault.REDIRECT:
            return error_page(HTTPStatus.FOUND, {"Location": f"https://{machine.address}{request.path}"})
        return self._page(machine, request, now)

    def prefix(self, length: int, content_type: str) -> bytes:
        """Return the head of a good answer."""
        return frame(HTTPStatus.OK, length, content_type, {})


class Pages:
    """A JSON API beside an HTML index, without login. A rig with the login fault refuses everybody."""

    def __init__(self, index: str, pages: Mapping[str, Callable[[Machine, Vitals], Any]]) -> None:
        self._index = f"<!doctype html><html lang=en><head>{index}</head><body></body></html>".encode()
        self._pages = pages

    def __call__(self, machine: Machine, request: Request, now: float) -> Response:
        """Answer a request."""
        if machine.fault is Fault.AUTH_REFUSED:
            return error_page(HTTPStatus.UNAUTHORIZED)
        page = self._pages.get(request.path)
        if request.method == "GET" and page is not None:
            return Response(encode(page(machine, machine.vitals(now)), machine.fault))
        if request.method == "GET" and request.path in {"/", "/index.html"}:
            return Response(self._index, content_type="text/html")
        return error_page(HTTPStatus.NOT_FOUND)


def frame(status: HTTPStatus, length: int, content_type: str, headers: Mapping[str, str]) -> bytes:
    """Write the head of a response."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def error_page(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    """Make an error page in HTML. Rigs send one even if their API is JSON."""
    text = (
        f"<html><head><title>{status.value} {status.phrase}</title></head><body><h1>{status.phrase}</h1></body></html>"
    )
    return Response(text.encode(), status, "text/html", headers or {})


@dataclass(frozen=True, slots=True)
class Digest:
    """Digest authentication (RFC 7616 with MD5, as lighttpd does it). A nonce carries its own time and proof."""

    realm: str
    username: str
    password: str = field(repr=False)

    def challenge(self, machine: Machine, request: Request, now: float) -> Response | None:
        """Refuse a request without valid credentials. Returns None if they are valid."""
        given = {
            name: quoted or plain for name, quoted, plain in _PAIR.findall(request.headers.get("authorization", ""))
        }
        nonce = given.get("nonce", "")
        stale = False
        if machine.fault is not Fault.AUTH_REFUSED and self._proves(given, request.method):
            issued = (
                int(nonce.partition(":")[0] or "0", 16) if nonce == self._nonce(machine, nonce.partition(":")[0]) else 0
            )
            if abs(now - issued) <= _NONCE_SECONDS:
                return None
            stale = True
        fresh = self._nonce(machine, f"{int(now):x}")
        header = f'Digest realm="{self.realm}", charset="UTF-8", nonce="{fresh}", qop="auth"' + (
            ", stale=true" if stale else ""
        )
        return error_page(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": header})

    def _proves(self, given: Mapping[str, str], method: str) -> bool:
        if given.get("username") != self.username or given.get("realm") != self.realm:
            return False
        secret = _md5(f"{self.username}:{self.realm}:{self.password}")
        parts = [given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop")]
        return given.get("response") == _md5(":".join([secret, *parts, _md5(f"{method}:{given.get('uri', '')}")]))

    def _nonce(self, machine: Machine, issued: str) -> str:
        return f"{issued}:{_md5(f'{issued} {machine.serial}')}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
