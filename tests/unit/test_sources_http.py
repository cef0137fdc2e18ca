"""The one way out: what may be sent where, what comes back, and what is never shown."""

import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError
from source_site import Handler, serve

from exporter.model.failures import Failure, Reason
from exporter.sources.http import Endpoint, HttpSettings, exchange


class Settings(HttpSettings):
    kind: Literal["any"] = "any"


async def get_json(session: aiohttp.ClientSession, url: str, **options: Any) -> Any:
    return (await exchange(session, "GET", url, **options)).check().json()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def body(text: str, **options: Any) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=text, **options)

    return handle


async def echo(request: web.Request) -> web.Response:
    headers = {name: request.headers[name] for name in ("Authorization", "X-Key") if name in request.headers}
    return web.json_response({"query": dict(request.query), "headers": headers, "body": await request.text()})


async def test_integers_are_exact_and_fractions_finite(session: aiohttp.ClientSession) -> None:
    async with serve(body("[934512955213370500001, 1.5, -0.25]")) as server:
        assert await get_json(session, server) == [934512955213370500001, 1.5, -0.25]


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", "[1e400]", "{", "1" * 5000])
async def test_what_is_not_a_finite_json_number_is_garbled(session: aiohttp.ClientSession, text: str) -> None:
    async with serve(body(text)) as server:
        with pytest.raises(Failure) as caught:
            await get_json(session, server)
    assert caught.value.reason is Reason.GARBLED


async def test_a_post_carries_its_payload(session: aiohttp.ClientSession) -> None:
    async with serve(echo) as server:
        answer = (await exchange(session, "POST", server, {"query": "{ prices }"})).check().json()
    assert json.loads(answer["body"]) == {"query": "{ prices }"}


async def test_a_byte_order_mark_is_not_part_of_the_text(session: aiohttp.ClientSession) -> None:
    async with serve(body("\ufeffa,b")) as server:
        assert (await exchange(session, "GET", server)).check().text() == "a,b"


async def test_the_byte_cap_counts_what_comes_out_of_compression(session: aiohttp.ClientSession) -> None:
    async def bomb(request: web.Request) -> web.Response:
        response = web.Response(body=b" " * 2_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serve(bomb) as server:
        with pytest.raises(Failure) as caught:
            await exchange(session, "GET", server, max_bytes=1_000_000)
    assert caught.value.reason is Reason.TOO_LARGE


async def test_a_redirect_within_the_host_is_followed(session: aiohttp.ClientSession) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/old":
            raise web.HTTPFound("/new?x=1")
        return await echo(request)

    async with serve(handle) as server:
        answer = await get_json(session, server + "/old", headers={"X-Key": "k"}, params={"y": "2"})
    assert answer["query"] == {"x": "1"}
    assert answer["headers"] == {"X-Key": "k"}


async def test_a_redirect_to_another_host_is_not_followed(session: aiohttp.ClientSession) -> None:
    asked = []

    async def other(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({})

    async with serve(other) as target:

        async def handle(request: web.Request) -> web.Response:
            raise web.HTTPFound(target)

        async with serve(handle) as server:
            with pytest.raises(Failure) as caught:
                await get_json(session, server, headers={"X-Key": "k"})
    assert caught.value.reason is Reason.GARBLED
    assert not asked


async def test_a_date_in_retry_after_is_a_wait(session: aiohttp.ClientSession) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=1_000), usegmt=True)
    async with serve(body("", status=429, headers={"Retry-After": later})) as server:
        with pytest.raises(Failure) as caught:
            await get_json(session, server)
    assert caught.value.retry_after == pytest.approx(1_000, abs=600)  # which the test does not take on any machine


async def test_a_name_that_is_not_known_is_unreachable(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(Failure) as caught:
        await get_json(session, "http://nowhere.invalid/")
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize("status", [401, 429, 500, 302])
async def test_no_failure_contains_a_secret(session: aiohttp.ClientSession, status: int) -> None:
    async with serve(body("<secret>", status=status, headers={"Location": "/?token=secret"})) as server:
        url = server.replace("http://", "http://user:secret@") + "/secret"
        with pytest.raises(Failure) as caught:
            await get_json(session, url, params={"token": "secret"}, headers={"X-Key": "secret"})
    assert "secret" not in str(caught.value)
    assert "127." in str(caught.value)


async def test_an_endpoint_sends_login_headers_and_query(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    async with serve(echo) as server:
        settings = Settings(
            url=server + "/?a=1",
            username="user",
            password_file=password,
            headers={"X-Key": "key"},
            parameters={"token": "t", "day": "{date}"},
        )
        endpoint = Endpoint(settings, session)
        answer = (await endpoint.ask(placeholders={"date": "2026-03-21"})).json()
        password.write_text("second\n")
        later = await endpoint.get_json()
    assert answer["query"] == {"a": "1", "token": "t", "day": "2026-03-21"}
    assert answer["headers"] == {"X-Key": "key", "Authorization": aiohttp.encode_basic_auth("user", "first")}
    assert later["headers"]["Authorization"] == aiohttp.encode_basic_auth("user", "second")


async def test_a_bearer_token_is_sent_and_a_lost_file_is_a_login_failure(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    async with serve(echo) as server:
        endpoint = Endpoint(Settings(url=server, bearer_token_file=token), session)
        assert (await endpoint.get_json())["headers"] == {"Authorization": "Bearer abc"}
        token.unlink()
        with pytest.raises(Failure) as caught:
            await endpoint.get_json()
    assert caught.value.reason is Reason.AUTH


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://host/"},
        {"url": "http://user:password@host/"},
        {"url": "nonsense"},
        {"url": "http://host/", "username": "user"},
        {"url": "http://host/", "password": "x"},
        {"url": "http://host/", "bearer_token": "x", "bearer_token_file": "/x"},
        {"url": "http://host/", "timeout": "0s"},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = Settings(
        url="http://host/", username="u", password="hush", headers={"X-Key": "hush"}, parameters={"token": "hush"}
    )
    assert "hush" not in repr(settings) + settings.model_dump_json() + str(settings.model_dump())


async def test_a_ca_file_that_is_not_there_is_a_tls_failure(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    for ca_file in (tmp_path / "missing.pem", empty):
        with pytest.raises(Failure) as caught:
            await Endpoint(Settings(url="https://127.70.0.9/", ca_file=ca_file), session).get_json()
        assert caught.value.reason is Reason.TLS
