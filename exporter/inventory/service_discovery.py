"""Lists of targets as Prometheus' service discovery has them, read as rigs."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from exporter.inventory.listed import Listed, dotted, identity, parse_row, why_unreadable
from exporter.inventory.model import RigRow
from exporter.model.configuration_errors import ErrorAt, nearest, sentence
from exporter.model.failures import SOURCE_ADVICE, Failure
from exporter.model.fields import is_offline
from exporter.sources.discovery import HttpSd, TargetGroups, file_targets, http_targets


def file_rows(path: Path, errors: list[ErrorAt]) -> Iterator[Listed]:
    """Yield the rigs of one file_sd file; every error in it is added to ``errors``."""
    try:
        groups = file_targets(path)
    except (OSError, UnicodeDecodeError) as error:
        errors.append(ErrorAt(str(path), why_unreadable(error)))
    except ValidationError as error:
        errors += _no_groups(str(path), error)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        errors.append(ErrorAt(str(path), f"is not valid JSON or YAML: {str(error).splitlines()[0]}"))
    else:
        yield from _target_rows(str(path), groups, errors)


def http_rows(settings: HttpSd, errors: list[ErrorAt]) -> Iterator[Listed]:
    """Yield the rigs of one http_sd URL; a failed request or an error in the list is added to ``errors``."""
    if is_offline():
        return
    try:
        groups = http_targets(settings)
    except Failure as failure:
        advice = SOURCE_ADVICE[failure.reason]
        errors.append(ErrorAt(settings.url, f"gave no list of rigs: {failure.detail} ({advice})"))
    except ValidationError as error:
        errors += _no_groups(settings.url, error)
    else:
        yield from _target_rows(settings.url, groups, errors)


def _no_groups(where: str, error: ValidationError) -> Iterator[ErrorAt]:
    return (ErrorAt(f"{where}: {dotted(told['loc'])}", sentence(told)) for told in error.errors(include_url=False))


def _target_rows(source: str, groups: TargetGroups, errors: list[ErrorAt]) -> Iterator[Listed]:
    """The rigs of one list. A target's port is Prometheus' business; labels that tell nothing of a rig are skipped."""
    for index, group in enumerate(groups):
        errors += [ErrorAt(f"{source}: {index}", message) for message in _misspelt(group.labels)]
        known = {label: value for label, value in group.labels.items() if label in RigRow.model_fields}
        for target in group.targets:
            where = f"{source}: {index}: {target}"
            row = parse_row(where, known | {"address": _PORT.sub(r"\1\2", target)}, errors)
            if row is not None:
                yield Listed(row, row.address, identity(row), where)


_PORT: Final = re.compile(r"^(?:([^:\[\]]*)|\[([^\[\]]*)\])(?::\d+)?$")


def _misspelt(labels: Iterable[str]) -> Iterator[str]:
    """Labels that look like one of ours; others, and Prometheus' own that begin with __, may well be for others."""
    for label in labels:
        if label not in RigRow.model_fields and not label.startswith("__"):
            match = nearest(label, RigRow.model_fields, closeness=0.8)
            if match is not None:
                yield f"there is no label {label!r}: did you mean {match!r}?"
