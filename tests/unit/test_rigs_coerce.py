import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.implausible import noting

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@pytest.mark.parametrize(("value", "read"), [(5, 5.0), ("5.5", 5.5), (" 7 ", 7.0), (0, 0.0)])
def test_numbers_and_numeric_text_are_read(value: object, read: float) -> None:
    assert coerce.number(value, 0, 10) == read


@pytest.mark.parametrize(
    "value", [True, None, "", "n/a", "nan", math.nan, math.inf, -1, 11, [], {}, 10**400, "1" * 5000]
)
def test_what_is_no_number_in_range_is_nothing(value: object) -> None:
    assert coerce.number(value, 0, 10) is None


MEASURED = (coerce.watts, coerce.volts, coerce.amperes, coerce.megahertz)


@given(ANYTHING)
def test_every_reader_takes_anything(value: object) -> None:
    numbers = (coerce.rpm, coerce.celsius, coerce.seconds, coerce.counter, coerce.difficulty, coerce.ratio)
    for read in (*numbers, *MEASURED, coerce.percentage):
        known = read(value)
        assert known is None or math.isfinite(known)
    rate = coerce.hashrate(value, "TH/s")
    assert rate is None or 0 <= rate <= coerce.MAX_RIG_HASHRATE
    assert coerce.text(value).isprintable()
    assert len(coerce.text(value)) <= coerce.MAX_TEXT
    coerce.text(value).encode()
    assert all(isinstance(part, str) for part in coerce.endpoint(value))
    shared = coerce.share_time(value, 1_774_130_400.0)
    assert shared is None or 0 < shared <= 1_774_130_400.0 + coerce.CLOCK_SKEW
    assert coerce.flag(value) in {True, False, None}
    assert all(math.isfinite(temperature) for temperature in coerce.sensors(value))


@given(ANYTHING)
def test_a_table_reads_what_its_readers_read(value: object) -> None:
    kinds = (*MEASURED, coerce.rpm, coerce.celsius, coerce.counter, coerce.difficulty, coerce.percentage)
    readers = (*kinds, coerce.hashrate_in("TH/s"), coerce.hashrate_in("parsec"))
    with noting() as noted:
        one_by_one = tuple(read(value) for read in readers)
    with noting() as noted_by_table:
        assert coerce.table(*(("key", read) for read in readers))({"key": value}) == one_by_one
    assert noted_by_table == noted
    assert coerce.table(*(("other", read) for read in readers))({"key": value}) == (None,) * len(readers)


@given(st.text("0123456789.- ") | st.lists(st.integers(-60, 220)).map(lambda each: "-".join(map(str, each))) | ANYTHING)
def test_the_spread_of_sensors_is_that_of_the_sensors_read(value: object) -> None:
    assert coerce.sensor_spread(value) == coerce.spread(coerce.sensors(value))


@pytest.mark.parametrize("read", MEASURED)
@pytest.mark.parametrize("value", [0, 0.0, "0", -1, 1e9])
def test_a_measurement_of_nothing_or_of_what_cannot_be_is_none(read: Callable[[object], object], value: object) -> None:
    assert read(value) is None


def test_units_become_ours() -> None:
    assert coerce.millivolts("13720") == 13.72
    assert coerce.centivolts("23560") == 235.6
    assert coerce.centivolts("n/a") is None
    assert coerce.milliamperes(10_400) == 10.4
    assert coerce.megahertz(545) == 545e6
    assert coerce.percentage("40") == 0.4
    assert coerce.ratio(0.01) == 0.01
    assert (coerce.percentage(101), coerce.ratio(1.01)) == (None, None)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("262K", 262e3),
        ("1.5M", 1.5e6),
        ("483 k", 483e3),
        ("2.5G", 2.5e9),
        ("1T", 1e12),
        (8192, 8192.0),
        ("65536", 65536.0),
    ],
)
def test_difficulties_that_are_written_short_are_read(value: object, read: float) -> None:
    assert coerce.difficulty(value) == read


@pytest.mark.parametrize("value", ["", "K", "none", "-1K", None, True, 0, "0", "0K"])
def test_what_is_no_difficulty_is_none(value: object) -> None:
    assert coerce.difficulty(value) is None


def test_sensors_of_one_part_are_read_together() -> None:
    known = coerce.sensors("61-48-0-255-47")
    assert known == [61.0, 48.0, 47.0]
    assert (coerce.hottest(known), coerce.coolest(known), coerce.mean(known)) == (61.0, 47.0, 52.0)
    assert coerce.sensors([61, "48", None]) == [61.0, 48.0]
    assert (coerce.hottest([None]), coerce.coolest([]), coerce.mean([None])) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "age"), [(1_774_130_390, 10), ("1774130390", 10), ("0:00:10", 10), ("1:01:05", 3_665)]
)
def test_the_time_of_a_share_is_read_as_such_or_as_its_age(value: object, age: float) -> None:
    assert coerce.share_time(value, 1_774_130_400.0) == 1_774_130_400.0 - age


def test_text_is_cut_and_cleaned() -> None:
    assert coerce.text("  rig\x00\x1b[31m\ud800\n7  ") == "rig[31m 7"
    assert len(coerce.text("x" * 5000)) == coerce.MAX_TEXT


def test_a_pool_url_gives_no_login_away() -> None:
    assert coerce.endpoint("stratum+tcp://me:secret@pool.example:3333/x") == ("stratum+tcp", "pool.example:3333")
    assert coerce.endpoint("pool.example:3333") == ("", "pool.example:3333")
    assert coerce.endpoint("stratum+tcp://pool.example:99999999") == ("", "")


@pytest.mark.parametrize(
    ("value", "read"), [("D4:01:02:AB:04:05", "d4:01:02:ab:04:05"), ("d40102AB0405", "d4:01:02:ab:04:05")]
)
def test_mac_addresses_are_written_one_way(value: str, read: str) -> None:
    assert coerce.mac(value) == read


@pytest.mark.parametrize("value", ["", "00:00:00:00:00:00", "02:55:97:22:3M:72", None, "12"])
def test_no_mac_is_empty(value: object) -> None:
    assert coerce.mac(value) == ""


def test_the_mandatory_hashrate_is_converted() -> None:
    assert coerce.realised("110566.89", "GH/s") == pytest.approx(110.56689e12)
    assert coerce.realised(0, "GH/s", 110e12) == 0.0


@pytest.mark.parametrize(
    ("value", "unit", "expected", "reason"),
    [
        (None, "GH/s", None, Reason.GARBLED),
        ("n/a", "GH/s", None, Reason.GARBLED),
        (100.0, "foo", None, Reason.GARBLED),
        (math.nan, "GH/s", None, Reason.IMPLAUSIBLE),
        (math.inf, "GH/s", None, Reason.IMPLAUSIBLE),
        (-1.0, "GH/s", None, Reason.IMPLAUSIBLE),
        (110_000_000.0, "GH/s", None, Reason.IMPLAUSIBLE),
        (1200.0, "GH/s", 1.2e9, Reason.IMPLAUSIBLE),
    ],
)
def test_a_hashrate_no_rig_can_have_fails_the_read(value: object, unit: str, expected: float, reason: Reason) -> None:
    with pytest.raises(Failure) as failure:
        coerce.realised(value, unit, expected)
    assert failure.value.reason is reason


def test_a_garbled_row_keeps_its_position_and_leaves_the_sum_unknown() -> None:
    rows = [None, {"Difficulty Accepted": 7, "URL": "stratum+tcp://b.example:3333"}, "row"]
    assert [index for index, row in enumerate(coerce.items(rows)) if row] == [1]
    assert coerce.first({"POOLS": rows}, "POOLS") == rows[1]
    pools = cgminer.pools({"POOLS": rows})
    assert pools.accepted_difficulty is None
    assert [pool.index for pool in pools.pools] == [1]
    assert cgminer.pools({"POOLS": rows[1:2]}).accepted_difficulty == 7


@pytest.mark.parametrize(
    ("value", "model"),
    [
        ("Antminer S19j Pro (Vnish 1.2.6)", "S19j Pro"),
        ("ANTMINER S21 XP HYD.", "S21 XP Hyd."),
        ("Antminer S19 XP+ Hyd.", "S19 XP+ Hyd."),
        ("Antminer S19 XP+ Hydro", "S19 XP+ Hyd."),
        ("Antminer S21+ Hyd", "S21+ Hyd."),
        ("Antminer S19 (88)", "S19 No PIC"),
        ("Antminer S19 (88) (Vnish 1.2.6)", "S19 No PIC"),
        ("", ""),
        (None, ""),
    ],
)
def test_bitmains_models_are_called_alike_by_all_firmware(value: object, model: str) -> None:
    assert coerce.bitmain_model(value) == model


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("61-48-47-60", [61, 48, 47, 60]),
        ("-10--5-300-0-3", [-10, -5, 3]),
        ([-1, "2", None], [-1, 2]),
        ("", []),
        (None, []),
    ],
)
def test_sensors_of_a_cold_rig_keep_their_sign(value: object, read: list[float]) -> None:
    assert coerce.sensors(value) == read


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ([61.5, 60.0], [61.5, 60.0]),
        ([61.5, 0.0], [61.5, None]),
        ([61.5, float("nan")], [61.5, None]),
        ([61.5, -400.0, 900.0], [61.5, None, None]),
        ([61, "60.5", None, True, {}], [61.0, 60.5, None, None, None]),
        ([61.5] * 9, [61.5] * 5),
        ([61] * 9, [61.0] * 5),
        ([], []),
        ({"a": 1.0}, []),
        (None, []),
    ],
)
def test_values_of_chips_are_read_together_as_one_by_one(values: object, known: list[float | None]) -> None:
    assert coerce.each(values, coerce.celsius, coerce.MAX_TEMPERATURE, 5) == known
