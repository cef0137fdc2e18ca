"""Generated pages and sections: written, compared, and refused without their marks."""

from pathlib import Path

import pytest

from docs.generators.__main__ import pages
from docs.generators.generated import write_or_check
from docs.generators.sections import with_section

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_generated_page_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page], "run make docs"


def test_a_page_is_written_and_then_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    assert write_or_check(page, "text\n", ["--check"]) == 1
    assert write_or_check(page, "text\n", []) == 0
    assert write_or_check(page, "text\n", ["--check"]) == 0
    assert write_or_check(page, "other\n", ["--check"]) == 1
    assert page.read_text() == "text\n"
    assert "make docs" in capsys.readouterr().err


def test_only_the_section_between_its_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- list: written by `make docs` -->\nold\n<!-- list: end -->\nafter\n")
    written = with_section(page, "list", ["one", "two"])
    assert written == "before\n<!-- list: written by `make docs` -->\none\ntwo\n<!-- list: end -->\nafter\n"


def test_a_page_without_the_marks_of_a_section_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no section\n")
    with pytest.raises(ValueError, match=r"page\.md has no section list"):
        with_section(page, "list", [])
