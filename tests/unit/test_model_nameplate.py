"""The table of nameplates: what is in it is plausible, and rigs find theirs by whatever name they go."""

import csv
from importlib.resources import files

import pytest

from exporter.model.fleet import Rig
from exporter.model.nameplate import nameplate, rated

TERA = 1e12
TABLE = files("exporter.model") / "nameplates.csv"
RIG = Rig(name="a", address="127.50.0.1")


def test_every_row_is_plausible_and_names_its_source() -> None:
    rows = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
    assert len({(row["model"], row["terahash"]) for row in rows}) == len(rows) > 50
    for row in rows:
        terahash, watts = float(row["terahash"]), float(row["watts"])
        assert 9 <= watts / terahash <= 100, row
        assert row["model"] in row["source"].replace(". (", " (")
        stated = row["source"].partition(" at ")[2].removesuffix(" J/TH)")
        assert not stated or watts / terahash == pytest.approx(float(stated), rel=0.001), row
        found = nameplate(row["model"], terahash * TERA)
        assert found is not None
        assert (found.hashrate, found.power) == (terahash * TERA, watts)


@pytest.mark.parametrize(
    ("model", "watts"),
    [
        ("S21", 3500),
        ("Antminer S21", 3500),
        ("Bitmain Antminer S21 XP", 3645),
        ("S21e XP Hyd.", 5590),
        ("S23 Hyd.", 5510),
        ("S21 XP Hyd", 5676),
        ("s19k pro", 2760),
        ("M60", 3422),
        ("M60S VK40", 3441),
        ("M30S++_VH60", 3472),
        ("M30S++ VG40", 3472),
        ("WhatsMiner M66S", 5513),
        ("1466", 3230),
        ("AvalonMiner 1466", 3230),
        ("A1466", 3230),
        ("Avalon Nano 3S", 140),
    ],
)
def test_a_model_is_found_by_whatever_name_it_goes(model: str, watts: float) -> None:
    found = nameplate(model, 200 * TERA)
    assert found is not None
    assert found.power == watts


@pytest.mark.parametrize("model", ["", "S", "S2", "M6", "M60SX", "S21 Pro Max", "L9", "KS5", "Unknown", "146", "11466"])
def test_what_is_not_in_the_table_has_no_nameplate(model: str) -> None:
    assert nameplate(model, 200 * TERA) is None


def test_of_several_bins_the_nearest_is_taken_and_none_where_the_hashrate_is_unknown() -> None:
    watts = [nameplate("S19j Pro", rate * TERA).power for rate in (95, 99.5, 101, 103.4, 110)]
    assert watts == [2832, 3050, 3050, 3068, 3068]
    assert nameplate("S19j Pro", None) is None
    assert nameplate("S19 Pro", None).power == 3250


@pytest.mark.parametrize(
    ("listed", "hashrate", "power"),
    [
        ({}, 200 * TERA, 3500.0),
        ({"rated_hashrate": 190 * TERA}, 190 * TERA, 3290 * 190 / 188),
        ({"rated_power": 3600.0}, 200 * TERA, 3600.0),
        ({"rated_hashrate": 190 * TERA, "rated_power": 3600.0}, 190 * TERA, 3600.0),
    ],
)
def test_what_the_inventory_says_stays(listed: dict[str, float], hashrate: float, power: float) -> None:
    rig = rated(Rig(name="a", address="127.50.0.1", **listed), "S21", 201 * TERA)
    assert (rig.rated_hashrate, rig.rated_power) == pytest.approx((hashrate, power))


def test_a_rig_that_is_tuned_down_keeps_the_bin_of_its_sticker() -> None:
    assert rated(RIG, "S19k Pro", 62 * TERA).rated_hashrate == 115 * TERA
    rig = rated(RIG, "S19k Pro", 62 * TERA, 121.8 * TERA)
    assert (rig.rated_hashrate, rig.rated_power) == (120 * TERA, 2760.0)


def test_an_unknown_model_leaves_the_rig_as_it_is_but_for_its_sticker() -> None:
    assert rated(RIG, "Unknown", 201 * TERA) is RIG
    rig = rated(RIG, "Unknown", 201 * TERA, 210 * TERA)
    assert (rig.rated_hashrate, rig.rated_power) == (210 * TERA, None)
    assert rated(rig, "Unknown", 201 * TERA, 220 * TERA) is rig
