"""Every source there is, found by itself: it reads its fixture, and turns nonsense of each kind into its failure."""

import asyncio
import dataclasses
import importlib
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from source_site import FIXTURES, HOSTS, Handler, answers, instant, load_case, placed, serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.registry import ROOMS, kinds, settings_classes
from exporter.sources.tariffs.template import templates

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "sources.md"
SOURCES = [(room, kind) for room in ROOMS for kind in kinds(room)]
ASKING = [(room, kind) for room, kind in SOURCES if "{server}" in str(load_case(room, kind)["settings"])]

each_source = pytest.mark.parametrize(("room", "kind"), SOURCES)
each_asking_source = pytest.mark.parametrize(("room", "kind"), ASKING)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def ask(session: aiohttp.ClientSession, room: str, kind: str, server: str, **changes: Any) -> Reading[Any]:
    case = load_case(room, kind)
    said = placed(case["settings"], server)
    for member in said.get("sources", [said]):
        member.update(changes)
    settings = settings_classes(room)[kind].model_validate(said)
    return await settings.build(SourceContext(session, clock=lambda: instant(case["now"]))).fetch()


async def failure_of(session: aiohttp.ClientSession, room: str, kind: str, server: str, **changes: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        await ask(session, room, kind, server, **changes)
    return caught.value


def plain(value: Any) -> Any:
    """Return a reading's value as fixtures write it: without absent and empty fields, and with times as numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {name: plain(item) for name, item in dataclasses.asdict(value).items()}
        return {name: item for name, item in fields.items() if item not in (None, "", {}, [])}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return instant(value)
    return value


def close(value: Any) -> Any:
    """What equals a plain value but for the last digits of its numbers."""
    if isinstance(value, dict):
        return {name: close(item) for name, item in value.items()}
    if isinstance(value, list):
        return [close(item) for item in value]
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value


def test_every_room_has_sources() -> None:
    for room in ROOMS:
        assert kinds(room), room


@each_source
def test_its_file_is_named_after_its_kind(room: str, kind: str) -> None:
    settings = settings_classes(room)[kind]
    assert settings.model_fields["kind"].default == kind
    assert all(field.description for name, field in settings.model_fields.items() if name != "kind")


@each_source
def test_its_rhythm_and_age_are_its_own_or_its_rooms(room: str, kind: str) -> None:
    settings = settings_classes(room)[kind]
    package = importlib.import_module(f"exporter.sources.{room}")
    shared = [base for base in settings.__mro__ if base.__module__ == package.__name__] or [SourceSettings]
    for key in ("interval", "max_age"):
        own = any(
            key in base.__annotations__
            for base in settings.__mro__
            if base.__module__.startswith(f"{package.__name__}.")
        )
        if not own:
            assert settings.model_fields[key].default == shared[0].model_fields[key].default, key


def test_day_ahead_prices_outlast_the_day() -> None:
    assert all(settings.model_fields["max_age"].default > 86_400 for settings in settings_classes("tariffs").values())
    assert all(settings.model_fields["max_age"].default > 4 * 86_400 for settings in settings_classes("fx").values())


def test_what_machines_tell_does_not_outlive_them_by_much() -> None:
    for room in ("gpus", "meters"):
        for settings in settings_classes(room).values():
            fields = settings.model_fields
            assert fields["max_age"].default <= 2.5 * fields["interval"].default


def test_a_value_that_would_be_absent_most_of_the_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"max_age .* is shorter than interval"):
        settings_classes("bitcoin")["coinbase"](interval="1h", max_age="10m")


@each_source
async def test_it_reads_its_fixture(session: aiohttp.ClientSession, room: str, kind: str) -> None:
    case = load_case(room, kind)
    async with serve(answers(case)) as server:
        reading = await ask(session, room, kind, server)
    assert plain(reading.value) == close(plain(case["value"]))
    assert reading.observed_at == instant(case.get("observed_at", case["now"]))


async def _page(request: web.Request) -> web.Response:
    return web.Response(text="<!DOCTYPE html><html><body>Please log in</body></html>", content_type="text/html")


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(50):
        await response.write(b" " * 2**20)
    return response


async def _loop(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": str(request.url)})


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5000"})
    await response.prepare(request)
    await response.write(b'[{"result": 1')
    assert request.transport is not None
    request.transport.close()
    return response


async def _slow(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


def _status(status: int, headers: Mapping[str, str] | None = None) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text="no", headers=headers)

    return handle


def _body(text: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/json")

    return handle


NONSENSE: dict[str, tuple[Handler, Reason]] = {
    "a login page with status 200": (_page, Reason.AUTH),
    "50 megabytes": (_huge, Reason.TOO_LARGE),
    "a redirect loop": (_loop, Reason.GARBLED),
    "status 500": (_status(500), Reason.SERVER_ERROR),
    "status 503": (_status(503), Reason.NOT_READY),
    "status 404": (_status(404), Reason.GARBLED),
    "status 401": (_status(401), Reason.AUTH),
    "status 403": (_status(403), Reason.AUTH),
    "status 429": (_status(429, {"Retry-After": "17"}), Reason.RATE_LIMITED),
    "half an answer": (_cut, Reason.GARBLED),
    "truncated JSON": (_body('{"data": {"amount": "70'), Reason.GARBLED),
    "an empty answer": (_body(""), Reason.GARBLED),
    "binary": (_body("\x00\x01\x02"), Reason.GARBLED),
    "NaN": (_body('{"data": {"amount": NaN}, "result": NaN}'), Reason.GARBLED),
    "nesting without end": (_body("[" * 200_000), Reason.GARBLED),
}


@each_asking_source
@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_a_classified_failure(
    session: aiohttp.ClientSession, room: str, kind: str, nonsense: str
) -> None:
    handler, reason = NONSENSE[nonsense]
    async with serve(handler) as server:
        failure = await failure_of(session, room, kind, server)
    assert failure.reason is reason, failure
    assert failure.retry_after == (17 if reason is Reason.RATE_LIMITED else None)


@each_asking_source
async def test_no_answer_in_time_is_a_timeout(session: aiohttp.ClientSession, room: str, kind: str) -> None:
    async with serve(_slow) as server:
        for timeout in (0.05, 0.5, 5.0):  # a busy machine may need longer to connect
            failure = await failure_of(session, room, kind, server, timeout=timeout)
            if failure.reason is not Reason.UNREACHABLE:
                break
    assert failure.reason is Reason.TIMEOUT


@each_asking_source
async def test_a_closed_port_refuses(session: aiohttp.ClientSession, room: str, kind: str) -> None:
    async with serve(_page) as server:
        pass
    assert (await failure_of(session, room, kind, server)).reason is Reason.REFUSED


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a market")])
    hosts = [x509.IPAddress(ipaddress.ip_address(host)) for host in HOSTS]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "market.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@each_asking_source
async def test_an_unknown_certificate_is_a_tls_failure(
    session: aiohttp.ClientSession, tls: ssl.SSLContext, room: str, kind: str
) -> None:
    async with serve(answers(load_case(room, kind)), tls) as server:
        failure = await failure_of(session, room, kind, server)
    assert failure.reason is Reason.TLS


@each_asking_source
async def test_a_known_certificate_is_accepted(
    session: aiohttp.ClientSession, tls: ssl.SSLContext, certificate: Path, room: str, kind: str
) -> None:
    async with serve(answers(load_case(room, kind)), tls) as server:
        reading = await ask(session, room, kind, server, ca_file=certificate)
    assert plain(reading.value) == close(plain(load_case(room, kind)["value"]))


WRONG: list[Any] = [None, "x", "", {}, [], [[]], True, -1, 0, 1e300, "-1", "1e999", 10**400]


def mutations(document: Any) -> Iterator[Any]:
    """Every version of a JSON document in which one value, at whatever depth, is of a wrong kind."""
    yield from WRONG
    if isinstance(document, dict):
        for name, item in document.items():
            yield {key: value for key, value in document.items() if key != name}
            for mutated in mutations(item):
                yield document | {name: mutated}
    if isinstance(document, list):
        for index, item in enumerate(document[:2]):
            for mutated in mutations(item):
                yield [*document[:index], mutated, *document[index + 1 :]]


def mutated_cases(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "rpc" in case:
        for rpc in mutations(case["rpc"]):
            if isinstance(rpc, dict):
                yield case | {"rpc": rpc}
        return
    for index, answer in enumerate(case["answers"]):
        try:
            document = json.loads(answer["body"])
        except ValueError:
            continue
        for mutated in mutations(document):
            changed = answer | {"body": json.dumps(mutated)}
            yield case | {"answers": [*case["answers"][:index], changed, *case["answers"][index + 1 :]]}


@each_asking_source
async def test_no_wrong_value_anywhere_does_more_than_fail(
    session: aiohttp.ClientSession, room: str, kind: str
) -> None:
    current = load_case(room, kind)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answers(current)(request)

    async with serve(handle) as server:
        for case in mutated_cases(load_case(room, kind)):
            current = case
            try:
                reading = await ask(session, room, kind, server)
            except Failure as failure:
                assert failure.reason is not Reason.INTERNAL, case  # noqa: PT017
            else:
                assert_sane(reading.value)


def assert_sane(value: Any) -> None:
    """No number that is not finite, and none beyond what its source may believe, gets through."""
    match plain(value):
        case {"difficulty": difficulty, "height": height}:
            assert difficulty >= 1
            assert height >= 0
        case [*items]:
            for item in items:
                assert_sane(item)
        case {"start": start, "end": end, "price": price}:
            assert start < end
            assert -20 <= price <= 20


def test_each_template_has_a_fixture() -> None:
    assert templates()
    assert sorted(templates()) == sorted(file.stem for file in (FIXTURES / "templates").glob("*.yml"))


@pytest.mark.parametrize("name", templates())
async def test_a_template_reads_its_market(session: aiohttp.ClientSession, name: str) -> None:
    case = load_case("templates", name)
    async with serve(answers(case)) as server:
        settings = settings_classes("tariffs")["template"].model_validate(placed(case["settings"], server))
        reading = await settings.build(SourceContext(session, clock=lambda: instant(case["now"]))).fetch()
    assert plain(reading.value) == close(plain(case["value"]))


@pytest.mark.parametrize("name", templates())
def test_a_template_knows_where_its_market_is(name: str) -> None:
    said = load_case("templates", name)["settings"]
    settings = settings_classes("tariffs")["template"].model_validate(
        {key: value for key, value in said.items() if key != "url"}
    )
    assert "$" not in settings.model_dump()["url"]


@each_source
def test_it_is_documented(room: str, kind: str) -> None:
    assert f"| `{kind}` |" in DOCUMENTATION.read_text()


def test_each_template_is_documented() -> None:
    text = DOCUMENTATION.read_text()
    assert all(f"`{name}`" in text for name in templates())
