"""Generated pages: written, or found out of date."""

from pathlib import Path

import pytest

from docs.generators.generated import write_or_check


def test_a_page_is_written_and_then_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    assert write_or_check(page, "text\n", ["--check"]) == 1
    assert write_or_check(page, "text\n", []) == 0
    assert write_or_check(page, "text\n", ["--check"]) == 0
    assert write_or_check(page, "other\n", ["--check"]) == 1
    assert page.read_text() == "text\n"
    assert "make docs" in capsys.readouterr().err
