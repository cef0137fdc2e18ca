"""Inventory files as spreadsheets of any locale write them."""

from pathlib import Path

import pytest

from exporter.inventory.csv_files import csv_file
from exporter.inventory.listed import InventoryError
from exporter.inventory.load import Names, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.inventory.numbers import AmbiguousNumbersError, plain, separator_of
from exporter.model.fields import paths_relative_to
from exporter.model.fleet import Rig

NAMES = Names(blocks={}, tariffs=(), schedules=())


def load(directory: Path, text: str, **fleet: object) -> tuple[Rig, ...]:
    (directory / "rigs.csv").write_bytes(text.encode())
    with paths_relative_to(directory):
        return load_inventory(InventorySettings.model_validate({"csv": ["rigs.csv"], **fleet}), NAMES).rigs


def errors(directory: Path, text: str, **fleet: object) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        load(directory, text, **fleet)
    return [str(error).removeprefix(f"{directory}/") for error in caught.value.errors]


@pytest.mark.parametrize("first", ["sep=;\r\n", "SEP=;\n", "\ufeffsep=;\r\n"])
def test_excels_separator_line_is_followed(tmp_path: Path, first: str) -> None:
    (rig,) = load(tmp_path, f"{first}address;name;rated_terahash;rated_watts\r\n127.60.0.5;a, 1;104,5;3068\r\n")
    assert (rig.name, rig.rated_hashrate, rig.rated_power) == ("a, 1", 104.5e12, 3068.0)


def test_a_line_after_the_separator_line_has_its_own_number(tmp_path: Path) -> None:
    assert errors(tmp_path, "sep=;\naddress;rated_watts\n127.60.0.5;lots\n") == [
        "rigs.csv:3: rated_watts: 'lots' must be a number"
    ]


@pytest.mark.parametrize(
    ("cells", "watts"),
    [
        (("100,5;3250", "95,0;3250,0"), 3250.0),
        (("100,5;3.250", "95,0;3.068,5"), 3250.0),
        (('"100.5";"3,250"', "95;3068"), 3250.0),
        (("100;3 250", "95;3\u00a0068"), 3250.0),
        (("100.0;3250", "95.5;3068"), 3250.0),
        (("100;3'250", "95;3068"), 3250.0),
    ],
)
def test_numbers_of_one_file_are_read_in_its_locale(tmp_path: Path, cells: tuple[str, str], watts: float) -> None:
    first, second = cells
    rigs = load(tmp_path, f"address;rated_terahash;rated_watts\n127.60.0.5;{first}\n127.60.0.6;{second}\n")
    assert rigs[0].rated_power == watts
    assert rigs[0].rated_hashrate == pytest.approx(100e12, rel=0.01)


def test_a_number_that_may_be_two_is_one_error_that_says_what_to_write(tmp_path: Path) -> None:
    rows = "".join(f"127.60.0.{number};3,250\n" for number in range(1, 200))
    assert errors(tmp_path, f"address;rated_watts\n{rows}") == [
        (
            "rigs.csv: has the number 3,250, which may be 3250 or 3.250: write it without a thousands "
            "separator and with a decimal point"
        )
    ]


def test_two_decimal_separators_in_one_file_are_one_error(tmp_path: Path) -> None:
    found = errors(tmp_path, "address;rated_terahash\n127.60.0.5;100,5\n127.60.0.6;100.5\n")
    assert found == ["rigs.csv: has numbers with a decimal comma (100,5) and a decimal point (100.5): use one of them"]


def test_decimal_commas_between_commas_are_one_error_however_many_lines(tmp_path: Path) -> None:
    rows = "".join(f"127.60.{number // 250}.{number % 250 + 1},100,0\n" for number in range(10_000))
    assert errors(tmp_path, f"address,rated_terahash\n{rows}") == [
        (
            "rigs.csv:2: has 3 values for 2 columns, as have 9,999 more lines: if numbers have decimal commas, save "
            "the file with semicolons between the cells, or write 100.0"
        )
    ]


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["1.234,5"], ","),
        (["1,234.5"], "."),
        (["1,234,567"], "."),
        (["1.234.567"], ","),
        (["0,104"], ","),
        (["3,050", "100,0"], ","),
        (["3,050", "100.0"], "."),
        (["3.050"], "."),
        (["3250", "lots", ""], "."),
        (["3050,125"], ","),
    ],
)
def test_the_decimal_separator_is_what_any_cell_proves(cells: list[str], separator: str) -> None:
    assert separator_of(cells) == separator


def test_what_is_no_number_is_left_alone() -> None:
    assert plain("lots", ",") == "lots"
    with pytest.raises(AmbiguousNumbersError):
        separator_of(["3,050"])


COLUMNS = {"address": "IP", "rated_watts": "Leistung (W)", "name": "Bezeichnung"}


def test_columns_have_the_files_own_names_and_its_other_columns_are_ignored(tmp_path: Path) -> None:
    text = "Bezeichnung;IP;Gekauft am;Leistung (W);;block\na-1;127.60.0.5;2024-03-01;3250;;c1\n"
    (rig,) = load(tmp_path, text, columns=COLUMNS)
    assert (rig.name, rig.address, rig.rated_power, rig.block) == ("a-1", "127.60.0.5", 3250.0, "c1")


def test_an_error_names_the_files_own_column(tmp_path: Path) -> None:
    text = "IP;Leistung (W);Bezeichnung\n127.60.0.5;viel;a\n"
    assert errors(tmp_path, text, columns=COLUMNS) == ["rigs.csv:2: Leistung (W): 'viel' must be a number"]


def test_a_column_that_resembles_one_of_ours_is_an_error_also_beside_own_names(tmp_path: Path) -> None:
    found = errors(tmp_path, "IP;Leistung (W);Bezeichnung;blok\n127.60.0.5;3250;a;c1\n", columns=COLUMNS)
    assert found == ["rigs.csv:1: there is no column 'blok': did you mean 'block'?"]


def test_a_header_that_no_file_has_is_an_error_at_its_key(tmp_path: Path) -> None:
    found = errors(tmp_path, "IP;Leistung (W)\n127.60.0.5;3250\n", columns=COLUMNS)
    assert found == ["fleet.columns.name: there is no header 'Bezeichnung': choose from ip, leistung (w)"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [({"adress": "IP"}, "did you mean 'address'"), ({"name": "IP", "address": "ip"}, "is given for two columns")],
)
def test_wrong_column_names_are_refused(columns: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        InventorySettings.model_validate({"columns": columns})


def test_a_file_is_known_with_what_a_new_line_in_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "rigs.csv"
    path.write_bytes("\ufeffsep=;\r\nBezeichnung;IP;Gekauft am\r\na-1;127.60.0.5;2024\r\n".encode())
    file = csv_file(path, {"address": "IP", "name": "Bezeichnung"})
    assert (file.delimiter, file.line_end, file.columns) == (";", "\r\n", ("name", "address", "gekauft am"))
