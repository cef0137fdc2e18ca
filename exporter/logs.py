"""The log: one line per event on standard error, as logfmt or JSON, of limited length and without secrets."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import extract_tb
from typing import Final, Literal

import structlog
from pydantic import Field
from structlog.typing import EventDict, Processor, WrappedLogger

from exporter.model.fields import SettingsGroup
from exporter.model.secrets import MASK, looks_secret, mask_secrets

LONGEST_VALUE: Final = 200
_LONGEST_READ: Final = 4 * LONGEST_VALUE


class LogSettings(SettingsGroup):
    """Level and format of the log (YAML ``log:``)."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level to log.")
    format: Literal["logfmt", "json"] = Field("logfmt", description="Format of a log line.")


def configure(settings: LogSettings) -> None:
    """Send all logs of this process to standard error, including those of libraries that use :mod:`logging`."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.format == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _summarise_exception,
        _sanitise,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("aiohttp.access").setLevel(max(level, logging.WARNING))  # one line per scrape is noise


def _summarise_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace a traceback by the error and its source lines, innermost first: tracebacks may contain a payload."""
    info = event.pop("exc_info", None)
    if not info:
        return event
    error = info if isinstance(info, BaseException) else (info if isinstance(info, tuple) else sys.exc_info())[1]
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
        frames = reversed(extract_tb(error.__traceback__))
        event["at"] = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    return event


def _sanitise(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets, shorten long values and escape unprintable characters, which a rig may send."""
    return {key: value if key.startswith("_") else _shown(key, value) for key, value in event.items()}


def _shown(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return MASK if looks_secret(key) and value is not None else value
    if looks_secret(key):
        return MASK
    text = mask_secrets(str(value)[:_LONGEST_READ])
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 1] + "…"
    return text if text.isprintable() else "".join(_printable(text))


def _printable(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() else character.encode("unicode_escape").decode()
