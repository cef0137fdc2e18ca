"""What a model is called and hashes, by the table of makers' names and codes."""

import csv
import re
from importlib.resources import files
from pathlib import Path

import pytest

from exporter.model.fleet import Rig
from exporter.model.models import BITCOIN_ALGORITHM, UNKNOWN_ALGORITHM, algorithm_of, known_model, model_name
from exporter.model.nameplate import nameplate
from exporter.model.readings import RigIdentity
from exporter.model.snapshot import RigSnapshot
from exporter.sources.rigs.coerce import bitmain_model
from exporter.sources.rigs.firmware import avalon

ROWS = list(csv.DictReader((files("exporter.model") / "models.csv").read_text(encoding="utf-8").splitlines()))


def test_the_table_has_each_name_once_and_an_algorithm_for_each() -> None:
    names = [(row["make"], row["name"].lower().replace(" ", "")) for row in ROWS]
    assert len(set(names)) == len(names) > 100
    assert all(row["algorithm"] for row in ROWS)
    assert all(row["model"] or row["name"].endswith("*") for row in ROWS)


@pytest.mark.parametrize(
    ("make", "reported", "model"),
    [
        ("AntMiner", "BHB68606", "S21"),
        ("AntMiner", "bhb68601", "S21"),
        ("AntMiner", "BHB42XXX", "BHB42XXX"),
        ("AntMiner", "S19JPRO", "S19j Pro"),
        ("AntMiner", "S19-88", "S19 No PIC"),
        ("AntMiner", "S21 Pro", "S21 Pro"),
        ("AvalonMiner", "nano3", "Avalon Nano3"),
        ("AvalonMiner", "NANO3S", "Avalon Nano3s"),
        ("AvalonMiner", "0o3", "Avalon Mini3"),
        ("BitAxe", "801", "GammaTurbo"),
        ("BitAxe", "650", "GammaDuo"),
        ("BitAxe", "999", "999"),
        ("Braiins", "Braiins Mini Miner BMM 100", "BMM 100"),
    ],
)
def test_a_model_is_called_by_its_name_whatever_its_code_and_case(make: str, reported: str, model: str) -> None:
    assert model_name(make, reported) == model


@pytest.mark.parametrize(
    ("model", "algorithm"),
    [
        *(
            (name, "SHA256")
            for name in ("S9 SE", "S19j Pro+", "S19 XP Hyd.", "s21e xp hyd.", "T21", "R4", "V9", "S19a Pro")
        ),
        *((name, "SHA256") for name in ("BHB42XXX", "BHB42601", "U3S23H")),
        *(
            ("KS7", "kHeavyHash"),
            ("KS5 Pro", "kHeavyHash"),
            ("L7", "Scrypt"),
            ("Z15 Pro", "Equihash"),
            ("K7", "Eaglesong"),
        ),
        *((name, UNKNOWN_ALGORITHM) for name in ("S99", "S", "", "KS99", "SU21", "BHB99601", "Antminer")),
    ],
)
def test_an_antminer_hashes_what_the_table_has_for_its_series(model: str, algorithm: str) -> None:
    assert algorithm_of("", "", "AntMiner", model) == algorithm


@pytest.mark.parametrize(
    ("reported", "setting", "model", "algorithm"),
    [
        ("sha256d", "", "S99", "SHA256"),
        ("SHA-256", "", "S99", "SHA256"),
        ("Scrypt", "sha256", "S21", "Scrypt"),
        ("", "sha256", "S99", "SHA256"),
        ("", "scrypt", "S21", "scrypt"),
        ("", "", "S21", "SHA256"),
        ("unknown", "", "S21", UNKNOWN_ALGORITHM),
        ("SHA3-256", "", "S21", "SHA3-256"),
        ("SHA512256d", "", "S21", "SHA512256d"),
    ],
)
def test_the_rig_is_believed_first_then_the_operator_then_the_table(
    reported: str, setting: str, model: str, algorithm: str
) -> None:
    rig = Rig(name="a", address="a", algorithm=setting)
    identity = RigIdentity(reader="x", make="AntMiner", model=model, algorithm=reported)
    snapshot = RigSnapshot(rig=rig, identity=identity)
    assert (snapshot.algorithm, snapshot.mines_bitcoin) == (algorithm, algorithm == "SHA256")


def test_another_makers_model_of_the_same_name_is_not_taken_for_it() -> None:
    assert known_model("Acme", "S21") is None
    assert algorithm_of("", "", "Acme", "S21") == UNKNOWN_ALGORITHM


PUBLIC = list(csv.DictReader((Path(__file__).parents[1] / "fixtures" / "antminer_names.csv").read_text().splitlines()))


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: row["name"])
def test_bitmains_names_in_public_lists_have_their_model_and_only_sha256_is_priced(row: dict[str, str]) -> None:
    """``other`` is any algorithm but SHA-256, whether the table has its name or not."""
    model = bitmain_model(row["name"])
    assert model == row["model"]
    assert bitmain_model(row["name"].lower()) == row["model"]
    assert (algorithm_of("", "", "AntMiner", model) == BITCOIN_ALGORITHM) == (row["algorithm"] == BITCOIN_ALGORITHM)


@pytest.mark.parametrize(("setting", "priced"), [("", False), ("sha256", True), ("kHeavyHash", False)])
def test_the_rating_of_a_rig_that_was_never_identified_is_priced_only_with_its_setting(
    setting: str, priced: bool
) -> None:
    snapshot = RigSnapshot(rig=Rig(name="a-1", address="10.0.0.1", algorithm=setting))
    assert snapshot.mines_bitcoin is priced


OTHERS = list(csv.DictReader((Path(__file__).parents[1] / "fixtures" / "public_names.csv").read_text().splitlines()))
"""Names of other makers' models in public lists. ``model`` is what it is called, for makers that report codes."""


def named(make: str) -> list[dict[str, str]]:
    return [row for row in OTHERS if row["make"] == make]


@pytest.mark.parametrize("row", named("WhatsMiner"), ids=lambda row: row["name"])
def test_a_whatsminer_of_a_public_list_has_the_nameplate_of_its_model_and_no_other(row: dict[str, str]) -> None:
    """Variants are written with an underscore, a space or nothing before them, in any case."""
    name, model = row["name"], row["model"]
    variant = name.removeprefix(model)
    expected = nameplate(model, 1e14)
    for spelling in (name, f"{model}_{variant}", f"{model} {variant}", name.lower(), f"WhatsMiner {name}"):
        assert nameplate(spelling, 1e14) == expected
    assert expected is None or expected.model == model


@pytest.mark.parametrize("row", named("AvalonMiner"), ids=lambda row: row["name"])
def test_an_avalon_of_a_public_list_is_named_whole_and_in_any_case(row: dict[str, str]) -> None:
    code = re.sub("avalon(miner)?", "", row["name"], flags=re.IGNORECASE).strip()
    product = row["name"] if row["name"].lower().startswith("avalon") else f"AvalonMiner {code}"
    names = {avalon._model({"PROD": spelling, "MODEL": code}) for spelling in (product, product.lower())}
    assert len(names) == 1
    name = names.pop()
    assert name.startswith("Avalon ")
    plain = code.partition("-")[0].replace(" ", "").lower()
    assert plain in name.replace(" ", "").lower() or name in ("Avalon Mini3", "Avalon 1566")


@pytest.mark.parametrize("row", named("BitAxe"), ids=lambda row: row["name"])
def test_a_bitaxe_is_named_by_its_board(row: dict[str, str]) -> None:
    assert model_name("BitAxe", row["name"]) == row["model"]


@pytest.mark.parametrize(
    "row",
    [row for row in OTHERS if row["make"] in ("Auradine", "SealMiner", "Braiins", "FutureBit", "ePIC")],
    ids=lambda row: row["name"],
)
def test_of_the_other_makers_of_a_public_list_only_sha256_is_priced(row: dict[str, str]) -> None:
    for name in (row["name"], row["name"].lower(), row["name"].upper()):
        known = algorithm_of("", "", row["make"], model_name(row["make"], name))
        assert (known == BITCOIN_ALGORITHM) == (row["algorithm"] == BITCOIN_ALGORITHM)
