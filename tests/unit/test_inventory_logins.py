"""Which logins a rig may receive: named in the fleet, limited to networks, and never a file that a list names."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.inventory.listed import InventoryError
from exporter.inventory.load import Inventory, Names, inventory_files, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.model.fields import offline, paths_relative_to

NAMES = Names(blocks={}, tariffs=(), schedules=())
LOGINS = {
    "day": {"username": "root", "password": "d", "cidr": ["127.60.0.0/24"]},
    "old": {"username": "admin", "password": "o", "cidr": ["127.60.0.0/16", "fd00::/8"]},
}


def load(directory: Path = Path(), **fleet: Any) -> Inventory:
    with paths_relative_to(directory):
        return load_inventory(InventorySettings.model_validate({"logins": LOGINS, **fleet}), NAMES)


def errors(directory: Path = Path(), **fleet: Any) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        load(directory, **fleet)
    return [str(error).replace(f"{directory}/", "") for error in caught.value.errors]


def names(inventory: Inventory) -> list[list[str]]:
    return [[login.name for login in rig.logins] for rig in inventory.rigs]


def test_rigs_and_ranges_name_logins_in_order() -> None:
    inventory = load(
        rigs=[
            {"address": "127.60.0.5", "login": ["old", "day"]},
            {"address": "127.60.0.6", "login": "day"},
            {"address": "127.60.0.7"},
        ],
        ranges=[{"cidr": "127.60.0.8/31", "login": ["day", "old"]}],
    )
    assert names(inventory) == [["old", "day"], ["day"], [], ["day", "old"], ["day", "old"]]
    assert (inventory.rigs[1].logins[0].username, inventory.rigs[1].logins[0].password) == ("root", "d")


def test_a_login_goes_only_to_addresses_within_its_networks() -> None:
    found = errors(rigs=[{"address": "127.60.1.5", "login": "day"}, {"address": "rig.example", "login": "old"}])
    assert found == [
        (
            "fleet.rigs.0: the login 'day' may only be sent to 127.60.0.0/24, and not to 127.60.1.5: add the address "
            "to fleet.logins.day.cidr, or name another login"
        ),
        (
            "fleet.rigs.1: the login 'old' may only be sent to 127.60.0.0/16, fd00::/8, and not to rig.example: add "
            "the address to fleet.logins.old.cidr, or name another login"
        ),
    ]


def test_of_the_defaults_logins_a_rig_gets_those_that_may_be_sent_to_it() -> None:
    inventory = load(
        defaults={"login": ["day", "old"]},
        rigs=[{"address": "127.60.0.5"}, {"address": "127.60.1.5"}, {"address": "a"}],
    )
    assert names(inventory) == [["day", "old"], ["old"], []]


def test_a_rigs_own_password_replaces_the_defaults_logins() -> None:
    (rig,) = load(defaults={"login": ["day"]}, rigs=[{"address": "127.60.0.5", "username": "u", "password": "p"}]).rigs
    assert [(login.name, login.username, login.password) for login in rig.logins] == [("", "u", "p")]


def test_a_login_that_is_not_defined_is_an_error_with_the_nearest_name() -> None:
    assert errors(rigs=[{"address": "127.60.0.5", "login": "dya"}], defaults={"login": "odl"}) == [
        "fleet.defaults.login: there is no login 'odl': did you mean 'old'?",
        "fleet.rigs.0: there is no login 'dya': did you mean 'day'?",
    ]


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ({"password": "x"}, "Field required"),
        ({"password": "x", "cidr": []}, "at least 1"),
        ({"cidr": ["127.0.0.0/8"]}, "give password or password_file"),
        ({"password": "x", "password_file": "y", "cidr": ["127.0.0.0/8"]}, "give password or password_file"),
        ({"password": "x", "cidr": ["ten"]}, "is not a network"),
    ],
)
def test_a_login_needs_one_password_and_networks(login: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        InventorySettings.model_validate({"logins": {"a": login}})


def test_a_login_is_named_or_given_and_not_both() -> None:
    with pytest.raises(ValidationError, match="give login, or username and password, not both"):
        load(rigs=[{"address": "127.60.0.5", "login": "day", "password": "x"}])


def test_a_logins_password_file_is_read_and_a_missing_one_is_an_error_at_its_key(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from file\n", encoding="utf-8")
    login = {"username": "root", "password_file": "secret", "cidr": ["127.60.0.0/24"]}
    rigs = [{"address": "127.60.0.5", "login": "a"}, {"address": "127.60.0.6", "login": "a"}]
    assert load(tmp_path, logins={"a": login}, rigs=rigs).rigs[0].logins[0].password == "from file"
    (tmp_path / "secret").unlink()
    assert errors(tmp_path, logins={"a": login}, rigs=rigs) == [
        "fleet.logins.a.password_file: password_file secret does not exist"
    ]


def test_offline_a_password_file_may_be_missing(tmp_path: Path) -> None:
    login = {"password_file": tmp_path / "nowhere", "cidr": ["127.60.0.0/24"]}
    settings = InventorySettings.model_validate(
        {"logins": {"a": login}, "rigs": [{"address": "127.60.0.5", "login": "a"}]}
    )
    with offline():
        (rig,) = load_inventory(settings, NAMES).rigs
    assert rig.logins[0].password == ""
    assert tmp_path / "nowhere" in inventory_files(settings)


def target_list(directory: Path, **labels: str) -> dict[str, Any]:
    lines = "".join(f"    {name}: '{value}'\n" for name, value in labels.items())
    (directory / "rigs.yml").write_text(f"- targets: [127.60.0.5]\n  labels:\n{lines}", encoding="utf-8")
    return {"file_sd": ["rigs.yml"]}


def test_a_list_names_logins_and_never_a_file(tmp_path: Path) -> None:
    assert names(load(tmp_path, **target_list(tmp_path, login="old|day"))) == [["old", "day"]]
    assert errors(tmp_path, **target_list(tmp_path, password_file="/etc/shadow")) == [
        (
            "rigs.yml: 0: a list of rigs must not name files: remove the label 'password_file', define the login in "
            "fleet.logins and name it in the label `login`"
        )
    ]


def test_a_list_cannot_send_a_login_outside_its_networks(tmp_path: Path) -> None:
    (tmp_path / "rigs.json").write_text('[{"targets": ["127.99.0.5"], "labels": {"login": "day"}}]', encoding="utf-8")
    (found,) = errors(tmp_path, file_sd=["rigs.json"])
    assert "may only be sent to 127.60.0.0/24, and not to 127.99.0.5" in found


def test_user_name_and_password_in_a_list_work_with_a_warning(tmp_path: Path) -> None:
    inventory = load(tmp_path, **target_list(tmp_path, username="root", password="x"))
    assert inventory.rigs[0].logins[0].password == "x"
    assert inventory.warnings == (
        (
            f"{tmp_path}/rigs.yml has labels username or password, which the next version refuses: define the login in "
            "fleet.logins and name it in the label `login`"
        ),
    )


def test_a_label_outside_the_closed_list_sets_nothing(tmp_path: Path) -> None:
    (rig,) = load(tmp_path, **target_list(tmp_path, accept_implausible="true", rack="r1")).rigs
    assert (rig.accept_implausible, rig.rack) == (False, "r1")
