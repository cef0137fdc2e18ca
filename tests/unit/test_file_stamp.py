"""Why a file cannot be read, as the rest of a sentence."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.file_stamp import why_unreadable


def test_each_reason_says_what_to_do_where_something_helps() -> None:
    assert why_unreadable(FileNotFoundError(2, "No such file or directory")) == "does not exist"
    assert why_unreadable(IsADirectoryError(21, "Is a directory")) == "is a directory"
    assert f"give user {os.geteuid()}, as which this runs" in why_unreadable(PermissionError(13, "Permission denied"))
    assert "save it as UTF-8" in why_unreadable(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    assert why_unreadable(OSError(5, "Input/output error")) == "cannot be read (Input/output error)"


def test_a_configuration_that_may_not_be_read_names_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "site.yml"
    config.write_text("site: prairie-1\n", encoding="utf-8")
    usual = os.access
    monkeypatch.setattr(os, "access", lambda path, *how: str(path) != str(config) and usual(path, *how))  # as root may
    done = CliRunner().invoke(main, ["check-config", "--config.file", str(config)])
    assert done.exit_code == 2
    assert f"{config} cannot be read: give user {os.geteuid()}" in done.output
