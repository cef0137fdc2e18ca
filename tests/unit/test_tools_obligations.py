"""The list of what is owed, and the report of an event."""

import csv
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.compliance_state import documents, remembered
from exporter.economics.compliance import ComplianceMemory, Delivery, Limits, Outcome, Tally
from exporter.model.failures import Failure
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import Reading
from exporter.server.obligation_records import delivery_record, obligation_record
from exporter.state import State
from exporter.tools import obligations, online

START = datetime(2026, 11, 1, 5, 30, tzinfo=UTC).timestamp()  # half past midnight in Chicago, whose clocks go back
CHICAGO = ZoneInfo("America/Chicago")
UTC_ZONE = ZoneInfo("UTC")


def delivery(number: int, **changes: Any) -> Delivery:
    start = START + 900 * number
    given: dict[str, Any] = {"cap": 4e6, "delivered": 3.9e6, "measured": 900.0, "power_source": "meter"}
    fixed = {"source": "utility", "event": "e-7", "kind": ObligationKind.CALL, "program": "ERS", "reason": "heat"}
    return Delivery(start=start, end=start + 900, **(fixed | given | {"outcome": Outcome.KEPT} | changes))


def answer(*deliveries: Delivery, owed: tuple[Obligation, ...] = (), known: dict[str, bool] | None = None) -> Any:
    content = {
        "site": "prairie-1",
        "known": {"utility": True} if known is None else known,
        "obligations": [asdict(obligation_record(each)) for each in owed],
        "deliveries": [asdict(delivery_record(each)) for each in deliveries],
    }
    return json.loads(json.dumps(content))


EVENT = [
    delivery(number, outcome=Outcome.FAILED if number == 1 else Outcome.KEPT, delivered=4.1e6 if number == 1 else 3.9e6)
    for number in range(4)
]


def test_the_csv_has_one_line_per_interval_with_the_offsets_of_the_local_time() -> None:
    rows = list(csv.DictReader(io.StringIO(obligations.as_csv(obligations.deliveries(answer(*EVENT), "e-7"), CHICAGO))))
    assert [row["start"] for row in rows] == [
        "2026-11-01T00:30:00-05:00",
        "2026-11-01T00:45:00-05:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:15:00-05:00",
    ]
    assert [row["outcome"] for row in rows] == ["kept", "failed", "kept", "kept"]
    assert rows[1] | {"start": "", "end": ""} == {
        "source": "utility",
        "program": "ERS",
        "event": "e-7",
        "kind": "call",
        "start": "",
        "end": "",
        "cap_kilowatts": "4000.0",
        "floor_kilowatts": "",
        "baseline_kilowatts": "",
        "delivered_kilowatts": "4100.0",
        "measured_per_cent": "100.0",
        "power_source": "meter",
        "outcome": "failed",
    }


def test_the_hour_that_occurs_twice_has_two_offsets() -> None:
    rows = obligations.as_csv(answer(*(delivery(number) for number in (2, 6)))["deliveries"], CHICAGO)
    assert "2026-11-01T01:00:00-05:00" in rows
    assert "2026-11-01T01:00:00-06:00" in rows


def test_the_report_sums_energy_and_intervals() -> None:
    text = obligations.as_markdown("prairie-1", answer(*EVENT)["deliveries"], UTC_ZONE)
    assert "# Event e-7" in text
    assert "| Intervals kept | 3 of 4 |" in text
    assert "| Energy used | 3.950 MWh |" in text
    assert "| Blocks | whole site |" in text
    assert "Payment" not in text
    assert "baseline |" not in text.split("start")[0]


def test_a_baseline_and_a_payment_are_shown_where_they_are_known() -> None:
    award = [
        delivery(number, kind=ObligationKind.AWARD, cap=None, floor=5e6, price=0.008, baseline=9e6, blocks=("c1", "c2"))
        for number in range(96)
    ]
    text = obligations.as_markdown("s", answer(*award)["deliveries"], UTC_ZONE)
    assert "| Payment for capacity | $960.00 |" in text  # 5 MW at $8 per MW and hour for 24 h
    assert "| Energy of the baseline | 216.000 MWh |" in text
    assert "| Blocks | c1, c2 |" in text


def test_an_interval_that_was_not_measured_leaves_the_energy_unknown() -> None:
    missing = delivery(4, delivered=None, measured=0.0, outcome=Outcome.NOT_MEASURED)
    text = obligations.as_markdown("s", answer(*EVENT, missing)["deliveries"], UTC_ZONE)
    assert "| Energy used | unknown |" in text
    assert "| Intervals not measured | 1 |" in text


def test_what_a_spreadsheet_would_run_is_quoted() -> None:
    text = obligations.as_csv(answer(delivery(0, event="=cmd()", program="+1"))["deliveries"], UTC_ZONE)
    assert "'=cmd()" in text
    assert "'+1" in text


def test_an_unknown_event_names_the_nearest() -> None:
    with pytest.raises(obligations.NoEventError, match="did you mean"):
        obligations.deliveries(answer(*EVENT), "e-8")
    with pytest.raises(obligations.NoEventError, match="no interval of any event"):
        obligations.deliveries(answer(), "e-8")


def test_the_list_shows_what_is_owed_and_what_is_not_known() -> None:
    owed = (
        Obligation(kind=ObligationKind.CALL, start=START, source="u", event="e", cap=4e6, reason="heat"),
        Obligation(kind=ObligationKind.CALL, start=START, end=START + 900, source="u", event="f", unclear="level 2"),
        Obligation(kind=ObligationKind.AWARD, start=0, source="u", event="g", floor=5e6),
    )
    text = obligations.as_text(answer(*EVENT, owed=owed, known={"u": True, "b": False}), CHICAGO)
    assert "4,000" in text
    assert "1970" not in text  # the award has no beginning
    assert "level 2" in text
    assert "unknown: the obligations of b" in text
    assert "failed" in text
    assert obligations.as_text(answer(), UTC_ZONE) == "nothing is owed"
    assert obligations.as_text(answer(known={}), UTC_ZONE) == "no source of obligations is configured"


def test_an_answer_of_another_shape_is_a_failure() -> None:
    for read in (
        lambda: obligations.as_text({}, UTC_ZONE),
        lambda: obligations.deliveries({}, "e"),
        lambda: obligations.as_csv([{}], UTC_ZONE),
        lambda: obligations.as_markdown("s", [{}], UTC_ZONE),
    ):
        with pytest.raises(Failure):
            read()


def test_a_wrong_time_zone_is_an_input_error() -> None:
    result = CliRunner().invoke(main, ["obligations", "list", "--timezone", "Texas"])
    assert result.exit_code != 0
    assert "America/Chicago" in result.output


def test_what_a_restart_keeps_is_read_again() -> None:
    limits = Limits(Obligation(kind=ObligationKind.CALL, start=START, source="u", event="e", blocks=("c1",)), 4e6, None)
    memory = ComplianceMemory(
        observed_at=START + 60,
        samples={("c1",): ((START, 1.0), (START + 60, 2.0))},
        baselines={("u", "e"): 5.0},
        open={("u", "e"): Tally(delivery=delivery(0), limits=limits, energy=3.0, allowed=4.0)},
        closed=(*EVENT, delivery(200)),
        counts={("u", "call", "kept"): 2},
    )
    kept = documents(memory)
    assert [name for name in kept if name.startswith("deliveries")] == [
        "deliveries 2026-11-01",
        "deliveries 2026-11-03",
    ]
    assert remembered(State(documents=kept)) == memory
    assert documents(ComplianceMemory()) == {}
    assert remembered(State()) == ComplianceMemory()
    without = {name: text for name, text in kept.items() if name != "compliance"}
    assert remembered(State(documents=without)).closed == memory.closed
    broken = kept | {"deliveries 2026-11-01": Reading("[1]", START)}
    assert remembered(State(documents=broken)).closed == (delivery(200),)


@pytest.mark.parametrize(
    ("owed", "words"),
    [
        ((), "now: nothing; 0 later"),
        (
            (
                Obligation(kind=ObligationKind.CALL, start=0, cap=4e6, level=2),
                Obligation(kind=ObligationKind.AWARD, start=0, floor=5e6),
                Obligation(kind=ObligationKind.CALL, start=0, reduction=5e5),
                Obligation(kind=ObligationKind.CALL, start=0, unclear="x"),
                Obligation(kind=ObligationKind.CAP, start=100, cap=0),
            ),
            "now: call level 2 cap 4,000 kW, award at least 5,000 kW, call less 500 kW, ...; 1 later",
        ),
        ((Obligation(kind=ObligationKind.CALL, start=0, unclear="x"),), "now: call unclear (x); 0 later"),
    ],
)
def test_check_config_shows_what_is_owed(owed: tuple[Obligation, ...], words: str) -> None:
    assert online.described(owed, now=50.0) == words
