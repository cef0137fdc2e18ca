"""The log: bounded, masked, one line per event, with the standard library's in the same form."""

import json
import logging
from datetime import datetime

import pytest
import structlog

from exporter.logs import LogSettings, configure


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    output, error = capsys.readouterr()
    assert output == ""
    return error.splitlines()


def test_a_logfmt_line_has_time_level_event_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings())
    structlog.get_logger("polling").warning("rig is down", rig="a-01", reason="timeout")
    (line,) = lines(capsys)
    stamp, rest = line.split(" ", 1)
    assert rest == 'level=warning event="rig is down" rig=a-01 reason=timeout'
    assert stamp.endswith("Z")
    assert datetime.fromisoformat(stamp.removeprefix("timestamp=")).utcoffset() is not None


def test_json_lines_parse_and_keep_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    structlog.get_logger().info("evaluated", rigs=120, seconds=0.25, ready=True)
    (line,) = lines(capsys)
    logged = json.loads(line)
    assert (logged["event"], logged["rigs"], logged["seconds"], logged["ready"]) == ("evaluated", 120, 0.25, True)


def test_events_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(level="warning"))
    structlog.get_logger().info("chatter")
    logging.getLogger("aiohttp").info("chatter")
    assert lines(capsys) == []


def test_events_of_the_standard_library_have_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    logging.getLogger("aiohttp.server").error("cannot %s", "serve")
    logged = json.loads(lines(capsys)[0])
    assert (logged["event"], logged["logger"], logged["level"]) == ("cannot serve", "aiohttp.server", "error")


@pytest.mark.parametrize(
    "key", ["password", "rig_password", "api_key", "bearer_token", "client_secret", "Authorization"]
)
def test_secret_keys_are_masked(capsys: pytest.CaptureFixture[str], key: str) -> None:
    configure(LogSettings())
    structlog.get_logger().info("logging in", **{key: "hunter2"})
    assert f"{key}=***" in lines(capsys)[0]


def test_logins_and_keys_in_urls_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings())
    structlog.get_logger().info("asking", url="http://root:p@ss@127.60.0.1/x?securityToken=hunter2&area=FI")
    (line,) = lines(capsys)
    assert "p@ss" not in line
    assert "hunter2" not in line
    assert "127.60.0.1/x" in line
    assert "area=FI" in line


def test_a_long_value_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    structlog.get_logger().info("x" * 1_000, answer=b"y" * 1_000_000)
    logged = json.loads(lines(capsys)[0])
    assert len(logged["event"]) == len(logged["answer"]) == 200


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_unprintable_characters_are_escaped(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure(LogSettings.model_validate({"format": form}))
    structlog.get_logger().info("identified", model='S21"\r\n\x1b[31mlevel=error \u2028')
    (line,) = lines(capsys)
    assert "\x1b" not in line


def test_an_exception_is_one_line_with_its_source_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="json"))
    try:
        int("payload" * 1_000)
    except ValueError:
        structlog.get_logger().exception("unexpected")
    (line,) = lines(capsys)
    logged = json.loads(line)
    assert logged["error"].startswith("ValueError: invalid literal")
    assert len(logged["error"]) == 200
    assert logged["at"].startswith("test_logs.py:")
