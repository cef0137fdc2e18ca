"""What a scraper gets over a real socket."""

import asyncio
import gzip
import select
import socket
import struct
import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from site_server import published, served
from small_site import small_site
from structlog.testing import capture_logs

from exporter.exposition.publication import Body, Encoding, Format, Publication
from exporter.server import serve
from exporter.server.settings import WebSettings

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


async def test_a_scrape_returns_the_publication() -> None:
    async with served() as site, site.get("metrics") as answer:
        body = await answer.read()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Content-Encoding" not in answer.headers
        assert int(answer.headers["Content-Length"]) == len(body)
        assert site.latest.publication is not None
        assert body == b"".join(site.latest.publication.body(Encoding(Format.TEXT, gzip=False)).chunks)


async def test_openmetrics_and_gzip_are_returned_on_request() -> None:
    async with served() as site, site.get("metrics", **{"Accept": OPENMETRICS, "Accept-Encoding": "gzip"}) as answer:
        body = await answer.read()
        assert answer.headers["Content-Type"] == (
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
        )
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) == len(body)
        families = {family.name for family in read_openmetrics(gzip.decompress(body).decode())}
        assert "mining_rig_margin_usd_per_day" in families


async def test_head_has_the_same_headers_and_no_body() -> None:
    async with served() as site:
        async with site.get("metrics") as got, site.client.head(f"{site.url}metrics") as head:
            assert head.status == 200
            assert head.headers["Content-Length"] == got.headers["Content-Length"]
            assert await head.read() == b""
        async with site.get("metrics") as again:  # the connection is still in step
            assert again.status == 200


async def test_the_next_publication_is_prepared_in_the_requested_encodings() -> None:
    async with served() as site:
        async with site.get("metrics", **{"Accept": OPENMETRICS, "Accept-Encoding": "gzip"}):
            pass
        latest = published(small_site())
        site.latest.publish(latest)
        assert latest.ready(Encoding(Format.OPENMETRICS, gzip=True))
        assert not latest.ready(Encoding(Format.TEXT, gzip=False))


async def test_a_scrape_before_the_first_evaluation_returns_503() -> None:
    async with served() as site:
        site.latest.publication = None
        async with site.get("metrics") as answer:
            assert answer.status == 503
            assert "no evaluation yet" in await answer.text()


async def test_a_scrape_returns_503_if_evaluations_are_stuck() -> None:
    async with served() as site:
        site.clock.now += 45
        async with site.get("metrics") as answer:
            assert answer.status == 200
        site.clock.now += 1
        async with site.get("metrics") as answer:
            assert answer.status == 503
            assert "46 s old" in await answer.text()
        site.latest.publish(published(small_site()))
        async with site.get("metrics") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    async with served() as site, site.client.request(method, f"{site.url}metrics") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"


async def test_the_health_check_returns_503_if_evaluations_are_stuck() -> None:
    async with served() as site:
        for seconds, status in ((45, 200), (1, 503)):
            site.clock.now += seconds
            async with site.get("-/healthy") as answer:
                assert answer.status == status
                assert await answer.read() == b""


async def test_healthy_and_ready() -> None:
    async with served() as site:
        for path, ready, status in (("-/healthy", False, 200), ("-/ready", False, 503), ("-/ready", True, 200)):
            site.flags["ready"] = ready
            async with site.get(path) as answer:
                assert answer.status == status


@pytest.mark.parametrize(("origin", "expected"), [("cross-site", "pages of other sites"), ("same-origin", "Reloading")])
async def test_pages_of_other_sites_cannot_reload(origin: str, expected: str) -> None:
    headers = {"Sec-Fetch-Site": origin}
    async with served() as site, site.client.post(f"{site.url}-/reload", headers=headers) as answer:
        assert answer.status == 403
        assert expected in await answer.text()


@pytest.mark.parametrize("path", ["", "metrics", "-/healthy", "nowhere", "static/style.css"])
async def test_every_response_has_the_security_headers(path: str) -> None:
    async with served() as site, site.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Server"] == "hashmargin"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


class EndlessPublication(Publication):
    """Larger than any socket's buffer."""

    def body(self, encoding: Encoding) -> Body:  # noqa: ARG002
        return Body((b"#" * 1_048_575 + b"\n",) * 256, 256 * 1_048_576)


def endless() -> Publication:
    return EndlessPublication(small_site(), tuple, {})


async def read_all(reader: asyncio.StreamReader) -> int:
    """How many bytes come before the other side ends the connection, politely or not."""
    received = 0
    try:
        while chunk := await reader.read(1_048_576):
            received += len(chunk)
    except ConnectionResetError:
        pass
    return received


async def test_a_scraper_that_does_not_read_is_disconnected_after_its_timeout() -> None:
    async with served(publication=endless) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as lazy:
            lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n\r\n")
            hung_up = select.poll()
            hung_up.register(lazy, 0)  # only that the other side is gone, not that there is something to read
            events = await asyncio.to_thread(hung_up.poll, 30_000)
    assert events
    assert events[0][1] & select.POLLHUP


async def test_a_scraper_that_disconnects_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with served(publication=endless) as site:
        with capture_logs() as logs:
            with socket.create_connection(("127.0.0.1", site.port)) as gone:
                gone.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.to_thread(gone.recv, 1_000)
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection
            async with asyncio.timeout(600):
                while not logs:  # noqa: ASYNC110 -- the log has no event to wait for
                    await asyncio.sleep(0.01)
    assert [(each["event"], each["log_level"]) for each in logs] == [("client disconnected", "debug")]
    assert not caplog.records


class SlowPublication(Publication):
    """Takes its time for the first scrape of an encoding."""

    def __init__(self) -> None:
        super().__init__(small_site(), tuple, {})
        self.requested, self.made = threading.Event(), threading.Event()

    def ready(self, encoding: Encoding) -> bool:  # noqa: ARG002
        return False

    def body(self, encoding: Encoding) -> Body:  # noqa: ARG002
        self.requested.set()
        assert self.made.wait(600)
        return Body((b"#\n",), 2)


async def test_a_scraper_that_disconnects_before_the_response_begins_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = SlowPublication()
    async with served(publication=lambda: slow) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as gone:
            gone.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.to_thread(slow.requested.wait, 600)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection
        async with site.get("-/healthy") as answer:  # after it the server has noticed
            assert answer.status == 200
        with capture_logs() as logs:
            slow.made.set()
            async with asyncio.timeout(600):
                while not logs and not caplog.records:  # noqa: ASYNC110 -- the log has no event to wait for
                    await asyncio.sleep(0.01)
    assert [(each["event"], each["log_level"]) for each in logs] == [("client disconnected", "debug")]
    assert not caplog.records


async def test_a_request_that_never_ends_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_IDLE_SECONDS", 0.1)
    async with served() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
        assert await read_all(reader) == 0
        writer.close()


async def test_an_endless_header_is_rejected(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")
        assert b" 400 " in await reader.readline()
        assert await read_all(reader) < 1_000
        writer.close()
    assert not caplog.records


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
    ids=["no request", "version", "header", "tls", "too large", "length"],
)
async def test_a_malformed_request_is_rejected_with_our_headers(request_bytes: bytes) -> None:
    async with served() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(request_bytes)
        status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        writer.close()
    assert status.startswith(("HTTP/1.1 400 ", "HTTP/1.0 400 "))
    found = dict(header.split(": ", 1) for header in headers if header)
    assert found["Server"] == "hashmargin"
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Content-Security-Policy"].startswith("default-src 'none'")
    assert found["Cache-Control"] == "no-store"


async def test_a_connection_beyond_the_limit_replaces_the_one_that_was_idle_longest() -> None:
    async with served(settings=WebSettings(listen_address="127.0.0.1:0", max_connections=2)) as site:
        request = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
        (first, gone), (second, kept) = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(2)]
        for reader, writer in ((first, gone), (second, kept)):
            writer.write(request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with site.get("-/healthy") as answer:
            assert answer.status == 200
        with pytest.raises(ConnectionResetError):
            await first.read()
        kept.write(request)
        await second.readuntil(b"HTTP/1.1 200")
        gone.close()
        kept.close()


async def test_the_server_listens_on_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with served(settings=WebSettings(listen_address="[::1]:0")) as site, site.get("-/healthy") as answer:
        assert site.url.startswith("http://[::1]:")
        assert answer.status == 200


@pytest.mark.parametrize("address", ["9852", "localhost", "localhost:http", "127.0.0.1:99999", ""])
def test_an_address_without_a_port_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        WebSettings(listen_address=address)
