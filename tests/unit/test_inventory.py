"""The fleet: what rows, files and ranges become, and how each error in them is reported."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.inventory.listed import InventoryError
from exporter.inventory.load import Names, inventory_files, load_inventory
from exporter.inventory.model import BlockSettings, CustomerSettings, InventorySettings
from exporter.model.configuration_errors import sentence
from exporter.model.fields import paths_relative_to
from exporter.model.fleet import Credentials, Rig

NAMES = Names(
    blocks={"c1": BlockSettings(tariff="day"), "c2": BlockSettings()},
    tariffs=("day", "ppa"),
    schedules=("nights",),
    tariff="ppa",
)
FREE = Names(blocks={}, tariffs=(), schedules=())


def fleet(names: Names = NAMES, directory: Path = Path(), **settings: Any) -> tuple[Rig, ...]:
    with paths_relative_to(directory):
        return load_inventory(InventorySettings.model_validate(settings), names).rigs


def csv_fleet(directory: Path, text: str, names: Names = NAMES, **settings: Any) -> tuple[Rig, ...]:
    (directory / "rigs.csv").write_text(text, encoding="utf-8")
    return fleet(names, directory, csv=["rigs.csv"], **settings)


def errors(*arguments: Any, **settings: Any) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        fleet(*arguments, **settings)
    return list(map(str, caught.value.errors))


def csv_problems(directory: Path, text: str, names: Names = NAMES) -> list[str]:
    (directory / "rigs.csv").write_text(text, encoding="utf-8")
    return [found.removeprefix(f"{directory}/") for found in errors(names, directory, csv=["rigs.csv"])]


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        InventorySettings.model_validate(settings)
    return "; ".join(map(sentence, caught.value.errors()))


def test_a_row_with_everything_becomes_a_rig_in_our_units() -> None:
    row = {
        "name": "a-01",
        "address": "127.60.0.5",
        "block": "c1",
        "rack": "r1",
        "position": 3,
        "customer": "acme",
        "tariff": "ppa",
        "username": "root",
        "password": "hunter2",
        "rated_terahash": 200,
        "rated_watts": 3500,
        "worker": "acme.{rig}",
        "expected_mining": "nights",
    }
    assert fleet(rigs=[row]) == (
        Rig(
            name="a-01",
            address="127.60.0.5",
            block="c1",
            rack="r1",
            position="3",
            customer="acme",
            tariff="ppa",
            logins=(Credentials("root", "hunter2"),),
            rated_hashrate=200e12,
            rated_power=3500.0,
            worker="acme.{rig}",
            expected_schedule="nights",
        ),
    )


def test_the_csv_file_means_what_the_inline_row_means(tmp_path: Path) -> None:
    text = (
        "name,address,block,rack,position,customer,tariff,username,password,rated_terahash,rated_watts,expected_mining\n"
        "a-01,127.60.0.5,c1,r1,3,acme,ppa,root,hunter2,200,3500,nights\n"
    )
    inline = {
        "name": "a-01",
        "address": "127.60.0.5",
        "block": "c1",
        "rack": "r1",
        "position": "3",
        "customer": "acme",
        "tariff": "ppa",
        "username": "root",
        "password": "hunter2",
        "rated_terahash": 200,
        "rated_watts": 3500,
        "expected_mining": "nights",
    }
    assert csv_fleet(tmp_path, text) == fleet(rigs=[inline])


def test_an_algorithm_is_said_of_a_rig_of_a_range_or_of_all() -> None:
    rigs = fleet(
        defaults={"algorithm": "scrypt"},
        rigs=[{"address": "127.60.0.5", "algorithm": "sha256"}, {"address": "127.60.0.6"}],
        ranges=[{"cidr": "127.60.1.0/31", "algorithm": "sha256"}],
    )
    assert [rig.algorithm for rig in rigs] == ["sha256", "scrypt", "sha256", "sha256"]


@pytest.mark.parametrize("worker", ["acme.{name}", "*.a", "acme.{rig", "**"])
def test_a_worker_that_could_match_nothing_is_refused(worker: str) -> None:
    with pytest.raises(ValidationError, match="is no worker name"):
        fleet(rigs=[{"address": "127.60.0.5", "worker": worker}])


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"name": "a", "mac": "02:00:00:00:00:01", "serial": "S1"}, "a"),
        ({"mac": "02:00:00:00:00:01", "serial": "S1"}, "02:00:00:00:00:01"),
        ({"serial": "S1"}, "S1"),
        ({}, "127.60.0.5"),
    ],
)
def test_identity_is_name_else_mac_else_serial_else_address(row: dict[str, str], name: str) -> None:
    assert fleet(rigs=[{"address": "127.60.0.5", **row}])[0].name == name


def test_a_mac_is_read_however_it_is_written() -> None:
    (rig,) = fleet(rigs=[{"address": "127.60.0.5", "name": "a", "mac": "02-1A-B3-00-00-01", "serial": "S1"}])
    assert (rig.name, rig.mac, rig.serial) == ("a", "02:1a:b3:00:00:01", "S1")


def test_an_invalid_or_duplicate_mac_is_an_error(tmp_path: Path) -> None:
    lines = ["address,name,mac", "127.60.0.5,a,02:1a:b3:00:00:01", "127.60.0.6,b,021ab3000001", "127.60.0.7,c,12345"]
    with pytest.raises(InventoryError) as caught:
        csv_fleet(tmp_path, "\n".join(lines))
    found = "\n".join(map(str, caught.value.errors))
    assert "rigs.csv:3: the MAC address '02:1a:b3:00:00:01' is already taken" in found
    assert "rigs.csv:4: mac: '12345' is not a MAC address" in found


@pytest.mark.parametrize(
    ("row", "tariff"),
    [({"tariff": "ppa", "block": "c1"}, "ppa"), ({"block": "c1"}, "day"), ({"block": "c2"}, "ppa"), ({}, "ppa")],
)
def test_tariff_is_the_rigs_else_its_blocks_else_the_sites(row: dict[str, str], tariff: str) -> None:
    assert fleet(rigs=[{"address": "127.60.0.5", **row}])[0].tariff == tariff


@pytest.mark.parametrize(
    ("row", "tariff"),
    [({"tariff": "ppa"}, "ppa"), ({}, "day"), ({"customer": "birch"}, "ppa"), ({"customer": None}, "ppa")],
)
def test_a_customers_tariff_comes_after_the_rigs_and_before_its_blocks(row: dict[str, Any], tariff: str) -> None:
    customers = {"acme": CustomerSettings(tariff="day"), "birch": CustomerSettings()}
    names = Names(
        blocks={"c1": BlockSettings(tariff="ppa")},
        tariffs=("day", "ppa"),
        schedules=(),
        customers=customers,
        tariff="day",
    )
    rig = {"address": "127.60.0.5", "block": "c1", "customer": "acme", **row}
    assert load_inventory(InventorySettings.model_validate({"rigs": [rig]}), names).rigs[0].tariff == tariff


@pytest.mark.parametrize(
    ("row", "contract"),
    [({"contract": "gold"}, "gold"), ({}, "silver"), ({"customer": "birch"}, ""), ({"customer": None}, "")],
)
def test_a_rigs_own_contract_comes_before_its_customers(row: dict[str, Any], contract: str) -> None:
    customers = {"acme": CustomerSettings(contract="silver"), "birch": CustomerSettings()}
    names = Names(blocks={}, tariffs=(), schedules=(), customers=customers, contracts=("gold", "silver"))
    rig = {"address": "127.60.0.5", "customer": "acme", **row}
    (loaded,) = load_inventory(InventorySettings.model_validate({"rigs": [rig]}), names).rigs
    assert loaded.contract == contract


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"customer": "acme", "contract": "gould"}, "there is no contract 'gould': did you mean 'gold'"),
        ({"contract": "gold"}, "has the contract 'gold' and no customer: set customer"),
    ],
)
def test_a_contract_that_cannot_hold_is_refused(row: dict[str, Any], expected: str) -> None:
    names = Names(blocks={}, tariffs=(), schedules=(), contracts=("gold",))
    settings = InventorySettings.model_validate({"rigs": [{"address": "127.60.0.5", **row}]})
    with pytest.raises(InventoryError, match=expected):
        load_inventory(settings, names)


def test_where_customers_are_listed_a_slip_in_one_is_refused() -> None:
    settings = InventorySettings.model_validate({"rigs": [{"address": "127.60.0.5", "customer": "acne"}]})
    names = Names(blocks={}, tariffs=(), schedules=(), customers={"acme": CustomerSettings()})
    with pytest.raises(InventoryError, match="there is no customer 'acne': did you mean 'acme'"):
        load_inventory(settings, names)


def test_defaults_fill_what_a_row_leaves_out_and_yield_to_what_it_says() -> None:
    first, second = fleet(
        defaults={"block": "c1", "rack": "r9", "username": "root", "password": "a", "expected_mining": False},
        rigs=[
            {"address": "127.60.0.5"},
            {"address": "127.60.0.6", "block": "c2", "password": "b", "expected_mining": True},
        ],
    )
    assert (first.block, first.rack, first.logins, first.expected_mining) == (
        "c1",
        "r9",
        (Credentials("root", "a"),),
        False,
    )
    assert (second.block, second.rack, second.logins, second.expected_mining) == (
        "c2",
        "r9",
        (Credentials("root", "b"),),
        True,
    )


def test_a_password_comes_from_a_file_and_a_rows_own_wins_over_the_default_file(tmp_path: Path) -> None:
    (tmp_path / "rig").write_text("from-file\n", encoding="utf-8")
    first, second = fleet(
        NAMES,
        tmp_path,
        defaults={"username": "root", "password_file": "rig"},
        rigs=[{"address": "127.60.0.5"}, {"address": "127.60.0.6", "password": "own"}],
    )
    assert first.logins == (Credentials("root", "from-file"),)
    assert second.logins == (Credentials("root", "own"),)


def test_an_empty_password_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rig").write_text("\n", encoding="utf-8")
    found = errors(NAMES, tmp_path, rigs=[{"address": "127.60.0.5", "password_file": "rig"}])
    assert found == [f"fleet.rigs.0: password_file {tmp_path / 'rig'} is empty: for no password write password: ''"]


def test_a_missing_password_file_is_one_error_for_all_rigs(tmp_path: Path) -> None:
    found = errors(
        NAMES,
        tmp_path,
        defaults={"password_file": "nowhere"},
        rigs=[{"address": "127.60.0.5"}, {"address": "127.60.0.6"}],
    )
    assert found == [f"fleet.defaults.password_file: password_file {tmp_path / 'nowhere'} does not exist"]


def test_a_range_gives_candidates_without_network_broadcast_and_excluded_addresses() -> None:
    rigs = fleet(ranges=[{"cidr": "127.60.1.0/29", "block": "c1", "exclude": ["127.60.1.1", "127.60.1.4/31"]}])
    assert [(rig.address, rig.name) for rig in rigs] == [
        (address, address) for address in ("127.60.1.2", "127.60.1.3", "127.60.1.6")
    ]
    assert all(rig.discovered and rig.block == "c1" for rig in rigs)


def test_a_rigs_own_row_wins_over_the_range_around_it() -> None:
    rigs = fleet(
        ranges=[{"cidr": "127.60.1.0/30", "block": "c1"}], rigs=[{"name": "a", "address": "127.60.1.2", "block": "c2"}]
    )
    assert [(rig.name, rig.block, rig.discovered) for rig in rigs] == [("a", "c2", False), ("127.60.1.1", "c1", True)]


def test_overlapping_ranges_are_refused_and_an_exclude_mends_it() -> None:
    ranges: list[dict[str, Any]] = [{"cidr": "127.60.1.0/29"}, {"cidr": "127.60.1.4/30"}]
    assert errors(ranges=ranges) == [
        "fleet.ranges.1: 127.60.1.4/30 overlaps 127.60.1.0/29: exclude the common part from one of them"
    ]
    ranges[0]["exclude"] = ["127.60.1.4/30"]
    assert len(fleet(ranges=ranges)) == 5


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        ("10.0.0.0/8", "'10.0.0.0/8' has 16,777,216 addresses"),
        ("10.1.0.5/24", "did you mean '10.1.0.0/24'?"),
        ("ten", "'ten' is not an IPv4 range: write it like 10.1.0.0/24"),
        ("fe80::/64", "is not an IPv4 range"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(cidr: str, expected: str) -> None:
    assert expected in refusal(ranges=[{"cidr": cidr}])


def test_more_addresses_than_any_site_has_are_refused() -> None:
    found = errors(ranges=[{"cidr": f"10.{number}.0.0/16"} for number in range(2)])
    assert found == ["fleet: lists 131,072 addresses, more than the 100,000 allowed"]


@pytest.mark.parametrize("address", ["http://127.60.0.5", "127.60.0.5:4028", "a b", "user@host", " "])
def test_an_address_is_a_host_and_nothing_else(address: str) -> None:
    assert "is not an address" in refusal(rigs=[{"address": address}])


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("10.1.0.300", "is not an address: write it like 10.1.0.17"),
        ("010.1.0.3", "is not an address: write it like 10.1.0.17"),
        ("10.1.0", "is not an address: write it like 10.1.0.17"),
        ("a..b", "is not an address: write an IP address or a host name"),
        ("-rig", "is not an address: write an IP address or a host name"),
        ("10.1.0.0/24", "is not an address: write an IP address or a host name"),
        ("0.0.0.0", "is not the address of one device"),
        ("255.255.255.255", "is not the address of one device"),
        ("224.0.0.1", "is not the address of one device"),
    ],
)
def test_what_cannot_be_one_devices_address_is_refused(address: str, hint: str) -> None:
    found = refusal(rigs=[{"address": address}])
    assert found.startswith(f"{address!r} {hint}")
    assert found.count(repr(address)) == 1


def test_one_host_is_one_rig_however_it_is_written() -> None:
    found = errors(rigs=[{"name": "a", "address": "Rig.local"}, {"name": "b", "address": "rig.LOCAL"}])
    assert found == ["fleet.rigs.1: the address 'rig.local' is already taken at fleet.rigs.0"]


@pytest.mark.parametrize("address", ["127.60.0.5", "rig-5.site.example", "fd00::5"])
def test_addresses_and_host_names_are_taken(address: str) -> None:
    assert fleet(rigs=[{"address": address}])[0].address == address


def test_unknown_references_name_the_nearest_right_one() -> None:
    rows = [{"address": "127.60.0.5", "block": "c3", "tariff": "daay", "expected_mining": "night"}]
    assert errors(rigs=rows) == [
        "fleet.rigs.0: there is no block 'c3': choose from c1, c2",
        "fleet.rigs.0: there is no tariff 'daay': did you mean 'day'?",
        "fleet.rigs.0: there is no schedule 'night': did you mean 'nights'?",
    ]


def test_without_a_blocks_section_any_block_may_be_named() -> None:
    assert fleet(FREE, rigs=[{"address": "127.60.0.5", "block": "yard"}])[0].block == "yard"


def test_a_serial_number_stands_once_as_rigs_are_recognised_by_it(tmp_path: Path) -> None:
    text = "name,address,serial\na,127.60.0.5,S1\nb,127.60.0.6,S1\nc,127.60.0.7,\nd,127.60.0.8,\n"
    distinct = "name,address,serial,mac\na,127.60.0.5,none,020000000001\nb,127.60.0.6,none,020000000002\n"
    assert len(csv_fleet(tmp_path, distinct)) == 2
    assert csv_problems(tmp_path, text) == [
        f"rigs.csv:3: the serial number 'S1' is already taken at {tmp_path}/rigs.csv:2"
    ]


def test_names_and_addresses_stand_once(tmp_path: Path) -> None:
    text = "name,address\na,127.60.0.5\na,127.60.0.6\nb,127.60.0.5\n"
    assert csv_problems(tmp_path, text) == [
        f"rigs.csv:3: the name 'a' is already taken at {tmp_path}/rigs.csv:2",
        f"rigs.csv:4: the address '127.60.0.5' is already taken at {tmp_path}/rigs.csv:2",
    ]


def test_every_bad_line_of_a_csv_is_an_error_with_line_and_column(tmp_path: Path) -> None:
    text = (
        "name,address,rated_watts\n"
        "a,127.60.0.5,3500\n"
        "b,,3500\n"
        "# spare parts below\n"
        "\n"
        "c,127.60.0.7,lots\n"
        "d,127.60.0.8,-1\n"
        "e,127.60.0.9,3500,extra\n"
    )
    assert csv_problems(tmp_path, text) == [
        "rigs.csv:3: address: is required",
        "rigs.csv:6: rated_watts: 'lots' must be a number",
        "rigs.csv:7: rated_watts: '-1' must be above 0",
        "rigs.csv:8: has 4 values for 3 columns",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("name,adress", ["there is no column 'adress': did you mean 'address'?", "the column 'address' is missing"]),
        ("name,address,name", ["the column 'name' stands twice"]),
        ("name,rack", ["the column 'address' is missing"]),
    ],
)
def test_a_wrong_header_is_an_error_and_its_lines_are_not_read(
    tmp_path: Path, header: str, expected: list[str]
) -> None:
    assert csv_problems(tmp_path, f"{header}\nx,y,z,w\n") == [f"rigs.csv:1: {text}" for text in expected]


def test_an_unclosed_quotation_mark_in_a_large_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    rows = "".join(f"rig-{number:05},127.60.0.{number % 250 + 1}\n" for number in range(10_000))
    text = f'name,address\na,127.60.1.1\n"b,127.60.1.2\n{rows}'
    assert csv_problems(tmp_path, text) == ["rigs.csv:3: has a quotation mark that is not closed"]


def test_a_spreadsheets_csv_is_read(tmp_path: Path) -> None:
    text = '\ufeff# exported, by hand\r\n\r\nName;Address;Customer\r\n"a 1";127.60.0.5;"Smith; Sons"\r\n'
    rig = csv_fleet(tmp_path, text, FREE)[0]
    assert (rig.name, rig.address, rig.customer) == ("a 1", "127.60.0.5", "Smith; Sons")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "has no header line"),
        (b"name,address\n\xff\xfe,127.60.0.5\n", "is not UTF-8 text: save it as UTF-8"),
        (None, "does not exist"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        (tmp_path / "rigs.csv").write_bytes(content)
    assert expected in errors(NAMES, tmp_path, csv=["rigs.csv"])[0]


def test_a_bad_password_value_is_never_shown(tmp_path: Path) -> None:
    text = "address,password,password_file\n127.60.0.5,hunter2,secret.txt\n"
    found = csv_problems(tmp_path, text)
    assert found == ["rigs.csv:2: give password or password_file, not both"]


def test_secrets_do_not_show_in_a_repr() -> None:
    settings = InventorySettings.model_validate({"rigs": [{"address": "127.60.0.5", "password": "hunter2"}]})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(load_inventory(settings, FREE))


def file_sd(directory: Path, name: str, text: str) -> tuple[Rig, ...]:
    (directory / name).write_text(text, encoding="utf-8")
    return fleet(NAMES, directory, file_sd=[name])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "rigs.json",
            '[{"targets": ["127.60.0.5:9100", "127.60.0.6"], "labels": {"block": "c1", "rated_watts": "3500"}}]',
        ),
        ("rigs.yml", "- targets: [127.60.0.5:9100, 127.60.0.6]\n  labels: {block: c1, rated_watts: '3500'}\n"),
    ],
)
def test_prometheus_target_files_list_rigs(tmp_path: Path, name: str, text: str) -> None:
    rigs = file_sd(tmp_path, name, text)
    assert [(rig.name, rig.address, rig.block, rig.rated_power) for rig in rigs] == [
        ("127.60.0.5", "127.60.0.5", "c1", 3500.0),
        ("127.60.0.6", "127.60.0.6", "c1", 3500.0),
    ]


@pytest.mark.parametrize("target", ["::1", "[::1]", "[::1]:80"])
def test_a_target_may_be_written_as_ipv6(tmp_path: Path, target: str) -> None:
    (rig,) = file_sd(tmp_path, "a.json", f'[{{"targets": ["{target}"]}}]')
    assert rig.address == "::1"


def test_labels_of_other_programs_are_skipped_and_a_misspelt_one_is_an_error(tmp_path: Path) -> None:
    assert file_sd(tmp_path, "a.json", '[{"targets": ["127.60.0.5"], "labels": {"job": "x", "__meta_block": "y"}}]')
    with pytest.raises(InventoryError, match=r"a\.json: 0: there is no label 'blok': did you mean 'block'\?"):
        file_sd(tmp_path, "a.json", '[{"targets": ["127.60.0.5"], "labels": {"blok": "c1"}}]')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", "is not valid JSON or YAML"),
        ('{"targets": []}', "must be a list"),
        ('[{"target": ["127.60.0.5"]}]', "0.target: "),
        ("[null]", "0: must be a mapping"),
        ('[{"targets": ["http://127.60.0.5/"]}]', "address: "),
        ('[{"targets": ["127.60.0.5", "127.60.0.5"]}]', "is already taken"),
    ],
)
def test_a_bad_target_file_is_an_error(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InventoryError) as caught:
        file_sd(tmp_path, "rigs.json", text)
    assert expected in str(caught.value)


def test_a_csv_file_without_a_header_says_so(tmp_path: Path) -> None:
    found = csv_problems(tmp_path, "a,127.60.0.5\nb,127.60.0.6\n")
    assert found == ["rigs.csv:1: is no header line: begin the file with one, such as name,address,block"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yml", "- targets: [127.60.0.5]\n  labels: {rack: 012, position: 3, expected_mining: false, job: }\n"),
        (
            "a.json",
            (
                '[{"targets": ["127.60.0.5"], '
                '"labels": {"rack": "012", "position": 3, "expected_mining": false, "a": null}}]'
            ),
        ),
    ],
)
def test_a_label_without_quotes_is_the_text_as_written(tmp_path: Path, name: str, text: str) -> None:
    (rig,) = file_sd(tmp_path, name, text)
    assert (rig.rack, rig.position, rig.expected_mining) == ("012", "3", False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yml", ""),
        ("a.yml", "# nothing yet\n"),
        ("a.yml", "[]"),
        ("a.yml", "- targets:\n  labels:\n"),
        ("a.json", ""),
        ("a.json", "[]"),
        ("a.json", "null"),
        ("a.json", '[{"targets": [], "labels": null}, {"labels": {"block": "c1"}}]'),
    ],
)
def test_an_empty_target_list_is_valid(tmp_path: Path, name: str, text: str) -> None:
    assert file_sd(tmp_path, name, text) == ()


def test_a_target_list_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert len(file_sd(tmp_path, "a.json", '\ufeff[{"targets": ["127.60.0.5"]}]')) == 1


@pytest.mark.parametrize("target", ["127.60.0.5/32", "127.60.0.5", "127.60.0.5:9100", " 127.60.0.5 "])
def test_a_target_may_have_a_port_or_the_prefix_of_one_address(tmp_path: Path, target: str) -> None:
    (rig,) = file_sd(tmp_path, "a.json", f'[{{"targets": ["{target}"]}}]')
    assert rig.address == "127.60.0.5"


def test_a_target_that_is_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"'127\.60\.0\.0/24' is not an address"):
        file_sd(tmp_path, "a.json", '[{"targets": ["127.60.0.0/24"]}]')


def test_a_target_files_name_may_be_a_pattern(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"rigs-{number}.yml").write_text(f"- targets: [127.60.0.{number}]\n", encoding="utf-8")
    settings = {"file_sd": ["rigs-*.yml"]}
    assert [rig.address for rig in fleet(NAMES, tmp_path, **settings)] == ["127.60.0.1", "127.60.0.2"]
    with paths_relative_to(tmp_path):
        files = inventory_files(InventorySettings.model_validate(settings))
    assert [file.name for file in files] == ["rigs-1.yml", "rigs-2.yml"]
