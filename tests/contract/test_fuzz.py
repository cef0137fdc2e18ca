"""Hostile input to every parser and translator: it gives finite values or a classified failure, and nothing else.

``make chaos`` sends many more. ``HASHMARGIN_FUZZ`` multiplies the number of inputs here, too.
"""

import asyncio
import dataclasses
import io
import json
import math
import os
import random
import re
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutate import mutated, mutated_bytes
from rig_replay import NETWORK, replaying
from source_site import answers, instant, load_case, placed, serve

from exporter.model.failures import Failure
from exporter.model.fields import parse_duration
from exporter.model.fleet import Credentials
from exporter.model.secrets import mask_urls
from exporter.server.negotiation import negotiate
from exporter.server.web_config import WebConfigError, WebConfigFile
from exporter.settings import document
from exporter.settings.load import ConfigError, load
from exporter.sources.contract import SourceContext
from exporter.sources.http import Answer
from exporter.sources.registry import ROOMS, kinds, settings_classes
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.tables import read_table
from exporter.sources.tariffs.http_csv import read_csv

EFFORT = int(os.environ.get("HASHMARGIN_FUZZ", "1"))
SEED = int(os.environ.get("HASHMARGIN_FUZZ_SEED", "21"))
RIGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "fixtures" / "rigs").glob("*.json"))
}
SOURCES = [
    (room, kind)
    for room in ROOMS
    for kind in kinds(room)
    if "{server}" in str(load_case(room, kind)["settings"]) and (room, kind) != ("gpus", "http_sd")  # it asks any host
]
MOST_SECONDS = 300  # an answer without an end, and no busy machine
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
hostile = settings(
    max_examples=100 * EFFORT, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(value: Any, at: str = "value") -> None:
    """Fail for a number that is not finite, and for a text with control characters or broken Unicode."""
    if isinstance(value, float):
        assert math.isfinite(value), at
    elif isinstance(value, str):
        assert not CONTROL.search(value), at
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            check(getattr(value, part.name), f"{at}.{part.name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check(inner, f"{at}[{key!r}]")
    elif isinstance(value, tuple | list | frozenset):
        for inner in value:
            check(inner, at)


# --- rigs -------------------------------------------------------------------------------------------------------------


def hostile_rig(fixture: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """Change some of the answers of a recorded rig."""

    def some(answered: Mapping[str, Any]) -> dict[str, Any]:
        return {
            asked: mutated(answer, chance) if chance.random() < 0.3 else answer for asked, answer in answered.items()
        }

    changed = dict(fixture)
    for protocol in ("rpc", "v3"):
        if protocol in fixture:
            changed[protocol] = some(fixture[protocol])
    if "http" in fixture:
        changed["http"] = {port: some(pages) for port, pages in fixture["http"].items()}
    return changed


@pytest.mark.parametrize("name", RIGS)
async def test_a_rig_that_answers_anything_gives_values_or_a_failure(name: str) -> None:
    fixture = RIGS[name]
    reader, chance = native_readers()[fixture["reader"]], random.Random(f"{SEED} {name}")
    address = f"{NETWORK}.{100 + list(RIGS).index(name)}"
    target = Target(address, Credentials("root", "root"))
    async with replaying(address, fixture) as replay:
        for number in range(15 * EFFORT):
            replay.fixture = hostile_rig(fixture, chance)
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    identity = await reader.identify(target)
                    reading = await reader.read(target, identity)
            except Failure as failure:
                check(str(failure), f"input {number}: failure")
            else:
                check(identity, f"input {number}: identity")
                check(reading, f"input {number}: reading")


# --- sources ----------------------------------------------------------------------------------------------------------


def hostile_case(case: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """Change the answers of a recorded source: parts of JSON, bytes of everything else."""
    if "rpc" in case:
        return {**case, "rpc": {method: mutated(result, chance) for method, result in case["rpc"].items()}}
    changed = []
    for answer in case["answers"]:
        try:
            body = json.dumps(mutated(json.loads(answer["body"]), chance))
        except ValueError:
            body = mutated_bytes(answer["body"].encode(), chance).decode(errors="replace")
        changed.append({**answer, "body": body})
    return {**case, "answers": changed}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.mark.parametrize(("room", "kind"), SOURCES)
async def test_a_source_that_answers_anything_gives_values_or_a_failure(
    session: aiohttp.ClientSession, room: str, kind: str
) -> None:
    case, chance = load_case(room, kind), random.Random(f"{SEED} {room} {kind}")
    respond = answers(case)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await respond(request)

    async with serve(handler) as server:
        source = settings_classes(room)[kind].model_validate(placed(case["settings"], server))
        for number in range(10 * EFFORT):
            respond = answers(hostile_case(case, chance))
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    reading = await source.build(SourceContext(session, clock=lambda: instant(case["now"]))).fetch()
            except Failure as failure:
                check(str(failure), f"input {number}: failure")
            else:
                check(reading, f"input {number}")


# --- files and texts --------------------------------------------------------------------------------------------------

YAML = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
    st.builds(
        lambda key, value: f"{key}: {value}\n".encode(errors="surrogatepass"),
        st.sampled_from(["site", "fleet", "polling", "web", "tariffs", "state", "rate_limit", "basic_auth_users"]),
        st.one_of(
            st.sampled_from(
                [
                    *("!!timestamp x", "!!int x", "!!float x", "!!bool x", "!!python/object:os.system x", "!!set {a}"),
                    *(
                        "2026-99-99",
                        "2026-02-31",
                        "9" * 5_000,
                        "[" * 3_000,
                        "{a: b}",
                        "'a\\0b'",
                        '"a\\0b"',
                        '"\\ud800"',
                    ),
                    *('{path: "a\\0b"}', '{csv: ["a\\0b"]}', "{interval: '" + "9" * 400 + "w'}", "&a [*a]", "<<: 5"),
                ]
            ),
            st.text(max_size=80),
        ),
    ),
)


def refused_or_read(read: Callable[[], object], *refusals: type[Exception]) -> None:
    with suppress(*refusals):
        read()


@hostile
@given(YAML)
def test_any_configuration_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.yml"
    path.write_bytes(content)
    document.read(path)
    refused_or_read(lambda: load(path), ConfigError)


@hostile
@given(YAML)
def test_any_web_configuration_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "web.yml"
    path.write_bytes(content)
    refused_or_read(lambda: WebConfigFile(path), WebConfigError)


@hostile
@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_any_zip_is_read_or_refused(content: bytes, seed: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", random.Random(seed).choice((0, 8, 12, 14))) as archive:
        archive.writestr("prices.csv", b"time,price\n" + content)
    for body in (mutated_bytes(packed.getvalue(), random.Random(seed)), b"PK\x03\x04" + content, content):
        refused_or_read(lambda body=body: read_csv(Answer("host", 200, {}, body), ("time", "price")), Failure)


@hostile
@given(st.text(max_size=300), st.lists(st.text(max_size=10), max_size=3))
def test_any_table_is_read_or_refused(text: str, wanted: list[str]) -> None:
    refused_or_read(lambda: read_table(text, wanted), ValueError)


@hostile
@given(st.one_of(st.text(max_size=40), st.from_regex(r"\d+[wdhms]", fullmatch=True)))
def test_any_duration_is_read_or_refused(text: str) -> None:
    refused_or_read(lambda: check(parse_duration(text)), ValueError)


@hostile
@given(st.text(max_size=200), st.text(max_size=100))
def test_any_headers_of_a_scrape_are_negotiated(accept: str, encoding: str) -> None:
    assert negotiate(accept, encoding).content_type


@hostile
@given(
    st.sampled_from(["sig", "X-Amz-Signature", "auth", "api_key", "Token", "pwd", "session_id"]),
    st.text("abc%", min_size=4),
)
def test_secrets_in_urls_are_masked(name: str, secret: str) -> None:
    assert secret not in mask_urls(f"https://host/path?zone=1&{name}={secret}&end=1").replace("path", "")
