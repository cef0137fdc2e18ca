"""Ratings and capacities that are off by a factor of a thousand are refused with the likely unit."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.inventory.listed import InventoryError
from exporter.inventory.load import Inventory, Names, load_inventory
from exporter.inventory.model import BlockSettings, InventorySettings
from exporter.model.fields import paths_relative_to
from exporter.model.fleet import Rig
from exporter.model.nameplate import rated, rating_deviations

NAMES = Names(blocks={}, tariffs=(), schedules=())


def load(**fleet: Any) -> Inventory:
    return load_inventory(InventorySettings.model_validate(fleet), NAMES)


def errors(**fleet: Any) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        load(**fleet)
    return list(map(str, caught.value.errors))


@pytest.mark.parametrize(
    ("terahash", "watts", "expected"),
    [
        (104, 3.068, "rated_watts: 3.068 W at 104 TH/s are 0.0295 J/TH, and rigs have 8 to 150: is it in kilowatts?"),
        (104, "3.050", "rated_watts: 3.05 W at 104 TH/s are 0.0293 J/TH, and rigs have 8 to 150: is it in kilowatts?"),
        (0.104, 3068, "rated_terahash: 3068 W at 0.104 TH/s are 2.95e+04 J/TH, and rigs have 8 to 150: is it in PH/s?"),
        (95_000, 3250, "rated_terahash: 3250 W at 95000 TH/s are 0.0342 J/TH, and rigs have 8 to 150: is it in GH/s?"),
        (100, 20_000, "rated_watts: 20000 W at 100 TH/s are 200 J/TH, and rigs have 8 to 150."),
        (None, 3.5, "rated_watts: 3.5 W is not the power of a rig: is it in kilowatts?"),
        (None, 800_000, "rated_watts: 800000 W is not the power of a rig: is it in milliwatts?"),
        (0.104, None, "rated_terahash: 0.104 TH/s is not the hashrate of a rig: is it in PH/s?"),
        (95_000, None, "rated_terahash: 95000 TH/s is not the hashrate of a rig: is it in GH/s?"),
    ],
)
def test_a_rating_in_another_unit_is_refused(terahash: float | None, watts: object, expected: str) -> None:
    row = {"address": "127.60.0.5", "rated_terahash": terahash, "rated_watts": watts}
    assert errors(rigs=[row]) == [f"fleet.rigs.0: {expected} If it is right, set accept_implausible: true"]
    assert load(rigs=[row | {"accept_implausible": True}]).rigs[0].accept_implausible
    assert load(rigs=[row], defaults={"accept_implausible": True}).rigs


@pytest.mark.parametrize(("terahash", "watts"), [(13.5, 1323), (580, 5510), (1.2, 18), (104, 3068), (None, 15)])
def test_a_plausible_rating_is_accepted(terahash: float | None, watts: float) -> None:
    assert load(rigs=[{"address": "127.60.0.5", "rated_terahash": terahash, "rated_watts": watts}]).warnings == ()


def test_a_wrong_default_is_one_error_at_its_key() -> None:
    found = errors(defaults={"rated_watts": 3.5}, ranges=[{"cidr": "127.60.0.0/24"}])
    assert found == [
        (
            "fleet.defaults: rated_watts: 3.5 W is not the power of a rig: is it in kilowatts? If it is right, set "
            "accept_implausible: true"
        )
    ]


def csv(directory: Path, *rows: str) -> Inventory:
    text = "\n".join(("address,#model,rated_terahash,rated_watts", *rows))
    (directory / "rigs.csv").write_text(text, encoding="utf-8")
    with paths_relative_to(directory):
        return load(csv=["rigs.csv"])


def test_a_rating_is_compared_with_the_nameplate_of_a_scanned_model(tmp_path: Path) -> None:
    with pytest.raises(
        InventoryError, match=r"12000 W is 3.93 times the nameplate of the S19j Pro \(3050 W at 100 TH/s\)"
    ):
        csv(tmp_path, "127.60.0.5,Antminer S19j Pro,100,12000")
    inventory = csv(tmp_path, "127.60.0.5,Antminer S19j Pro,100,4600", "127.60.0.6,Antminer S19j Pro,104,3068")
    assert inventory.warnings == (
        f"{tmp_path}/rigs.csv:2: 4600 W is 1.51 times the nameplate of the S19j Pro (3050 W at 100 TH/s)",
    )


def test_many_doubtful_ratings_are_a_few_warnings(tmp_path: Path) -> None:
    inventory = csv(tmp_path, *(f"127.60.0.{number},Antminer S19j Pro,100,4600" for number in range(1, 31)))
    assert len(inventory.warnings) == 6
    assert inventory.warnings[-1] == "25 more rigs have ratings that differ from the nameplate of their model"


RIG = Rig(name="a", address="127.60.0.5")


@pytest.mark.parametrize(
    ("hashrate", "power", "expected"),
    [
        (104e12, 3.068, (104e12, 3068.0)),
        (0.104e12, 3068.0, (96e12, 3068.0)),
        (None, 3.05, (100e12, 3050.0)),
        (104e12, 4000.0, (104e12, 4000.0)),
        (120e12, 4200.0, (120e12, 4200.0)),
    ],
)
def test_a_rating_that_contradicts_the_nameplate_is_replaced_by_it(
    hashrate: float | None, power: float, expected: tuple[float, float]
) -> None:
    rig = Rig(name="a", address="127.60.0.5", rated_hashrate=hashrate, rated_power=power)
    filled = rated(rig, "Antminer S19j Pro", 100e12)
    assert filled.rated_power == pytest.approx(expected[1], rel=0.09)
    assert filled.rated_hashrate == pytest.approx(expected[0], rel=0.09)


def test_an_accepted_rating_stays_whatever_the_nameplate_says() -> None:
    rig = Rig(name="a", address="127.60.0.5", rated_hashrate=104e12, rated_power=12_000.0, accept_implausible=True)
    assert rated(rig, "Antminer S19j Pro", None) == rig


def test_a_rating_of_an_unknown_model_has_no_deviation() -> None:
    assert rating_deviations(RIG, "Antminer S19j Pro") == []
    assert rating_deviations(Rig(name="a", address="x", rated_power=3.0), "Nobody's X1") == []


def test_a_capacity_in_watts_is_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"800000 is above the largest plausible capacity, 250,000 kW: is it in watts"
    ):
        BlockSettings(capacity_kilowatts=800_000)
    assert BlockSettings(capacity_kilowatts=250_000).capacity_kilowatts == 250_000
