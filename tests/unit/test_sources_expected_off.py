"""What is meant to be off: a file that people edit, and values that a Prometheus has."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError
from source_site import instant, serve
from structlog.testing import capture_logs

from exporter.model.failures import Failure, Reason
from exporter.model.obligations import ObligationKind
from exporter.model.readings import ExpectedOff
from exporter.sources.contract import Source, SourceContext
from exporter.sources.expected_off import maintenance, prometheus

NOON = "2026-03-21T12:00:00Z"


class File:
    """A maintenance file, and the source that reads it, at a time of the test's choice."""

    def __init__(self, path: Path, session: aiohttp.ClientSession, **settings: Any) -> None:
        self.path = path
        self.now = NOON
        context = SourceContext(session, clock=lambda: instant(self.now))
        self.source: Source[ExpectedOff] = maintenance.Settings(path=path, **settings).build(context)

    async def off(self, text: str | None = None) -> ExpectedOff:
        if text is not None:
            self.path.write_text(text, encoding="utf-8")
        return (await self.source.fetch()).value


@pytest.fixture
async def session() -> Any:
    async with aiohttp.ClientSession() as opened:
        yield opened


CSV = """\
rig, block, from, until, reason
# what the electricians asked for
a-01,,2026-03-21 12:00,2026-03-21 13:00,"fans, new ones"
a-02
,c1,2026-03-21T08:00:00-05:00,,

"""
YAML = """\
- {rig: a-01, from: 2026-03-21 12:00:00, until: 2026-03-21 13:00, reason: "fans, new ones"}
- rig: a-02
- {block: c1, from: 2026-03-21T08:00:00-05:00}
"""


def planned(**off: Any) -> ExpectedOff:
    return ExpectedOff(kind=ObligationKind.MAINTENANCE, **off)


@pytest.mark.parametrize(("name", "text"), [("m.csv", CSV), ("m.yml", YAML), ("m.yaml", YAML), ("m", CSV)])
@pytest.mark.parametrize(
    ("now", "rigs", "blocks"),
    [
        ("2026-03-21T11:59:59Z", ("a-02",), ()),
        ("2026-03-21T12:00:00Z", ("a-01", "a-02"), ()),
        ("2026-03-21T12:59:59Z", ("a-01", "a-02"), ()),
        ("2026-03-21T13:00:00Z", ("a-02",), ("c1",)),
    ],
)
async def test_it_lasts_from_its_beginning_until_its_end(
    tmp_path: Path, session: aiohttp.ClientSession, name: str, text: str, now: str, rigs: Any, blocks: Any
) -> None:
    file = File(tmp_path / name, session)
    file.now = now
    assert await file.off(text) == planned(rigs=rigs, blocks=blocks)


UNFIT = [
    "2026-02-31",
    "2026-02-31T25:61:00Z",
    "9" * 5_000,
    "!!timestamp x",
    "!!int x",
    "!!python/object:os.system x",
    "0001-01-01T00:00:00+23:00",
    "9999-12-31T23:59:59-23:00",
    "9999-12-31T23:59:59-24:00",
    "&a [*a]",
    "[" * 300 + "]" * 300,
]


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize("name", ["m.yml", "m.csv"])
async def test_an_entry_with_an_unfit_time_is_left_out_and_the_others_stay(
    tmp_path: Path, session: aiohttp.ClientSession, name: str, value: str
) -> None:
    file = File(tmp_path / name, session)
    yaml, csv = f"- {{rig: a}}\n- {{rig: b, from: {value}}}\n- {{rig: c}}\n", f"rig,from\na,\nb,{value}\nc,\n"
    with capture_logs() as logs:
        assert await file.off(yaml if name == "m.yml" else csv) == planned(rigs=("a", "c"))
    assert [log["lines"] for log in logs] == [1]


@pytest.mark.parametrize("text", ["rig\ra\rb\r", "rig\r\na\r\nb\r\n", 'rig,reason\na,"fans,\nnew ones"\nb,\n'])
async def test_lines_may_end_in_any_way(tmp_path: Path, session: aiohttp.ClientSession, text: str) -> None:
    file = File(tmp_path / "m.csv", session)
    file.path.write_bytes(text.encode())
    assert await file.off() == planned(rigs=("a", "b"))


async def test_a_csv_file_with_an_endless_cell_is_a_failure(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    with pytest.raises(Failure, match="not CSV after line 1"):
        await File(tmp_path / "m.csv", session).off("rig\n" + "a" * 200_000)


@pytest.mark.parametrize("text", ["[" * 3_000, "{a: " * 3_000, "\x00", "- a\n--- b\n", "a: b"])
async def test_a_text_that_is_no_list_is_a_failure(tmp_path: Path, session: aiohttp.ClientSession, text: str) -> None:
    with pytest.raises(Failure):
        await File(tmp_path / "m.yml", session).off(text)


async def test_times_without_a_zone_are_local(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    file = File(tmp_path / "m.csv", session, timezone="America/Chicago")
    text = "rig,from\na,2026-03-21 07:00\nb,2026-03-21 07:01\n"
    assert await file.off(text) == planned(rigs=("a",))


async def test_a_change_counts_at_the_next_look(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    file = File(tmp_path / "m.csv", session)
    assert await file.off("rig\na\n") == planned(rigs=("a",))
    assert await file.off("rig\na\nb\n") == planned(rigs=("a", "b"))
    assert await file.off("") == planned()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "m.csv",
            "rig,block,from,until,reason\na,,,,\na,c1,,,\n,,,,broken\nb,,yesterday,,\nc,,,,,,\nd,,,,x,y\n",
            [
                "line 3: name a rig or a block, and not both",
                "line 4: name a rig or a block, and not both",
                "line 5: from: ",
                "line 7: more values than columns: ",
            ],
        ),
        ("m.yml", "- rig: a\n- a-02\n- {rig: b, til: x}\n- {rig: c}\n", ["entry 2: ", "entry 3: til: "]),
        (
            "m.csv",
            "rig,from,until\na\nb,2026-03-21 13:00,2026-03-21 12:00\nb,2026-03-21 13:00,2026-03-21T12:00-02:00\nc\n",
            ["line 3: until: it ends before it begins"],
        ),
    ],
)
async def test_bad_lines_are_named_once_and_the_others_count(
    tmp_path: Path, session: aiohttp.ClientSession, name: str, text: str, expected: list[str]
) -> None:
    file = File(tmp_path / name, session)
    with capture_logs() as logs:
        assert await file.off(text) == planned(rigs=("a", "c"))
        assert await file.off() == planned(rigs=("a", "c"))
    (log,) = logs
    assert log["lines"] == len(expected)
    assert all(line.startswith(beginning) for line, beginning in zip(log["errors"], expected, strict=True)), log[
        "errors"
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, Reason.NOT_READY),
        (b"\xff\xfe\x00", Reason.NOT_READY),
        (b"rig: a", Reason.GARBLED),
        (b"- {rig: a", Reason.GARBLED),
        (b"- rig: a\n" * 1_000_000, Reason.TOO_LARGE),
    ],
)
async def test_a_file_that_can_not_be_read_is_a_failure(
    tmp_path: Path, session: aiohttp.ClientSession, content: bytes | None, reason: Reason
) -> None:
    file = File(tmp_path / "m.yml", session)
    if content is not None:
        file.path.write_bytes(content)
    with pytest.raises(Failure) as caught:
        await file.off()
    assert caught.value.reason is reason
    assert await file.off("- rig: a") == planned(rigs=("a",))


@pytest.mark.parametrize(
    ("labels", "series", "off"),
    [
        ({}, [({}, "1")], ExpectedOff(site=True)),
        ({}, [({"grid": "ercot"}, "0")], ExpectedOff()),
        ({"rig_label": "unit"}, [({"unit": "a"}, "1"), ({"unit": "b"}, "0")], ExpectedOff(rigs=("a",))),
        ({"block_label": "c"}, [({"c": "c1"}, "1"), ({"c": "c2"}, "2")], ExpectedOff(blocks=("c1", "c2"))),
    ],
)
async def test_a_value_tells_of_rigs_blocks_or_the_site(
    session: aiohttp.ClientSession, labels: dict[str, str], series: Any, off: ExpectedOff
) -> None:
    async def answer(request: web.Request) -> web.Response:
        result = [{"metric": metric, "value": [1774094400, value]} for metric, value in series]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(answer) as server:
        source = prometheus.Settings(url=server, query="event", **labels).build(SourceContext(session))
        assert (await source.fetch()).value == off


def test_a_value_is_of_rigs_or_of_blocks() -> None:
    with pytest.raises(ValidationError, match="rig_label or block_label"):
        prometheus.Settings(url="http://127.50.0.1/", query="event", rig_label="rig", block_label="block")
