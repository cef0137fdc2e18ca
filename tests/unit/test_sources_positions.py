"""A file of day-ahead positions: its times and hours, days on which clocks change, edits, and what is unknown."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from structlog.testing import capture_logs

from exporter.model.failures import Failure
from exporter.model.readings import DatedPositions
from exporter.sources.contract import Guarded, SourceContext
from exporter.sources.positions.schedule import Settings

CHICAGO = ZoneInfo("America/Chicago")
NOW = 1_774_094_400.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def source_of(path: Path, text: str, session: aiohttp.ClientSession) -> Guarded:
    path.write_text(text)
    return Settings(path=path, timezone=CHICAGO).build(SourceContext(session, clock=lambda: NOW))


async def read(source: Guarded) -> DatedPositions:
    found: DatedPositions = (await source.fetch()).value
    return found


def at(text: str, zone: ZoneInfo = CHICAGO) -> float:
    """Unix seconds of a local time, or of one with an offset."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "start,end,kilowatts\n2027-03-01 06:00,2027-03-01 07:00,2500\n2027-03-01 07:00,2027-03-01 08:00,0\n",
        "from;until;kilowatts\n2027-03-01T12:00Z;2027-03-01T13:00Z;2500\n2027-03-01T07:00;2027-03-01T08:00;0\n",
        "date,hour,kilowatts\n# bought on Sunday\n2027-03-01,6,2500\n2027-03-01,07:00,0\n",
        "date,hour_ending,kilowatts\n2027-03-01,7,2500\n2027-03-01,08:00,0\n",
    ],
)
async def test_hours_are_given_by_times_or_by_date_and_hour(
    tmp_path: Path, session: aiohttp.ClientSession, text: str
) -> None:
    found = await read(source_of(tmp_path / "positions.csv", text, session))
    assert found.complete
    assert [found.at(at(f"2027-03-01 {time}")) for time in ("05:59", "06:00", "06:59", "07:00", "08:00")] == [
        set(),
        {2500.0},
        {2500.0},
        {0.0},
        set(),
    ]


async def test_yaml_and_the_last_hour_of_a_day(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    found = await read(
        source_of(tmp_path / "positions.yml", "- {date: 2027-03-01, hour_ending: 24, kilowatts: 3}\n", session)
    )
    assert [(slot.start, slot.end) for slot in found.slots] == [(at("2027-03-01 23:00"), at("2027-03-02 00:00"))]


@pytest.mark.parametrize(
    ("rows", "first", "second"),
    [
        ("2026-11-01,2,5\n", {5.0}, {5.0}),  # one line is for both hours
        ("2026-11-01,2,5\n2026-11-01,2,6\n", {5.0}, {6.0}),
        ("2026-11-01,2,5\n2026-11-01,2*,6\n", {5.0}, {6.0}),
        ("2026-11-01,02X,6\n2026-11-01,2,5\n", {5.0}, {6.0}),
        ("2026-11-01,02X,6\n", set(), {6.0}),
    ],
)
async def test_the_hour_that_occurs_twice(
    tmp_path: Path, session: aiohttp.ClientSession, rows: str, first: set[float], second: set[float]
) -> None:
    text = "date,hour_ending,kilowatts\n2026-11-01,1,4\n" + rows + "2026-11-01,3,7\n"
    found = await read(source_of(tmp_path / "positions.csv", text, session))
    assert found.complete
    hours = ("00:30-05:00", "01:30-05:00", "01:30-06:00", "02:30-06:00")
    assert [found.at(at(f"2026-11-01T{hour}")) for hour in hours] == [{4.0}, first, second, {7.0}]


async def test_a_day_of_23_hours_has_no_gap(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """ERCOT's hour endings on that day are 1, 2, 4 to 24."""
    rows = "".join(f"2027-03-14,{hour},{hour}\n" for hour in range(1, 25) if hour != 3)
    found = await read(source_of(tmp_path / "positions.csv", f"date,hour_ending,kilowatts\n{rows}", session))
    assert found.complete
    midnight = at("2027-03-14 00:00")
    hours = [found.at(midnight + 3600 * hour + 1800) for hour in range(23)]
    assert hours == [{float(hour)} for hour in range(1, 25) if hour != 3]


async def test_lines_with_an_error_are_logged_once_and_leave_other_hours_unknown(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    path = tmp_path / "positions.csv"
    path.write_text(
        "date,hour,hour_ending,start,end,kilowatts\n"
        "2027-03-01,6,,,,2500\n"
        "2027-03-01,24,,,,1\n"
        "2027-03-01,,0,,,1\n"
        "2027-03-01,,,,,1\n"
        "2027-03-01,6,7,,,1\n"
        "2027-03-01,six,,,,1\n"
        "2027-03-14,2,,,,1\n"
        "2027-03-15,2*,,,,1\n"
        ",,,2027-03-01 08:00,2027-03-01 08:00,1\n"
        "2027-03-02,6,,,,-1\n"
        "2027-03-01,6,,,,2400\n"
    )
    source = Settings(path=path, timezone=CHICAGO).build(SourceContext(session, clock=lambda: NOW))
    with capture_logs() as logs:
        found: DatedPositions = (await source.fetch()).value
        await source.fetch()
    (entry,) = logs
    assert entry["errors"] == [
        "line 3: hour: must be 0 to 23",
        "line 4: hour_ending: must be 1 to 24",
        "line 5: give start and end, or date and hour, or date and hour_ending",
        "line 6: give start and end, or date and hour, or date and hour_ending",
        "line 7: hour: 'six' must be an hour such as 7, 07:00 or 2*",
        "line 8: hour: 02:00 does not exist on 2027-03-14, when the clocks change",
        "line 9: hour: 02:00 occurs only once on 2027-03-15",
        "line 10: it ends before it begins",
        "line 11: kilowatts: '-1' must be 0 or more",
        "2027-03-01 06:00-06:00: 2500 and 2400 kW: give one line with their sum",
    ]
    assert not found.complete
    assert found.at(at("2027-03-01 06:30")) == {2400.0, 2500.0}


async def test_an_edit_counts_and_a_file_that_cannot_be_read_is_a_failure(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    path = tmp_path / "positions.csv"
    source = Settings(path=path).build(SourceContext(session, clock=lambda: NOW))
    with pytest.raises(Failure, match="does not exist"):
        await source.fetch()
    for text, expected in (("5", {5.0}), ("10", {10.0})):
        path.write_text(f"start,end,kilowatts\n2026-03-21T12:00Z,2026-03-21T13:00Z,{text}\n")
        assert (await source.fetch()).value.at(NOW) == expected
    path.write_text("start,end,kilowatts\n2026-03-21T12:00Z,2026-03-21T13:00Z,20000000\n")
    with pytest.raises(Failure, match="position in kW 2e\\+07 is outside 0 to 1e\\+07"):
        await source.fetch()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match="UTF-8"):
        await source.fetch()
