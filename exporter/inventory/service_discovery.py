"""Reads target lists of Prometheus' service discovery as rigs."""

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from exporter.file_stamp import why_unreadable
from exporter.inventory.accepted import content
from exporter.inventory.listed import Listed, dotted, identity, parse_row
from exporter.model.configuration_errors import ErrorAt, nearest, sentence
from exporter.model.failures import SOURCE_ADVICE, Failure
from exporter.model.fields import is_offline
from exporter.model.secrets import mask_urls
from exporter.sources.discovery import HttpSd, TargetGroups, file_targets, http_targets

LABELS: Final = (
    "name",
    "mac",
    "serial",
    "block",
    "rack",
    "position",
    "customer",
    "contract",
    "tariff",
    "worker",
    "algorithm",
    "rated_terahash",
    "rated_watts",
    "expected_mining",
    "login",
)
"""The labels that may set keys of a rig. A list names rigs and never files: whoever writes it must not read ours."""
_DEPRECATED: Final = ("username", "password")
_USE_LOGIN: Final = "define the login in fleet.logins and name it in the label `login`"
_PORT: Final = re.compile(r"^(?:([^:\[\]]*)|\[([^\[\]]*)\])(?::\d+)?$")
_RESEMBLES: Final = 0.8


def files_of(pattern: Path) -> tuple[Path, ...]:
    """Return the files that match ``pattern``, whose last part may contain ``*`` as in Prometheus."""
    return tuple(sorted(pattern.parent.glob(pattern.name))) if "*" in pattern.name else (pattern,)


def file_rows(pattern: Path, errors: list[ErrorAt], warnings: list[str]) -> Iterator[Listed]:
    """Yield the rigs of the file_sd files that match ``pattern``. Every error is added to ``errors``."""
    files = content(str(pattern), lambda: {path: _groups_of(path, errors) for path in files_of(pattern)})
    for path, groups in files.items():
        yield from _target_rows(str(path), str(pattern), groups, errors, warnings)


def _groups_of(path: Path, errors: list[ErrorAt]) -> TargetGroups:
    try:
        return file_targets(path)
    except ValidationError as error:
        errors += _no_groups(str(path), error)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        errors.append(ErrorAt(str(path), f"is not valid JSON or YAML: {str(error).splitlines()[0]}"))
    except (OSError, UnicodeDecodeError) as error:
        errors.append(ErrorAt(str(path), why_unreadable(error)))
    except RecursionError:
        errors.append(ErrorAt(str(path), "is nested too deeply"))
    return ()


def http_rows(settings: HttpSd, errors: list[ErrorAt], warnings: list[str]) -> Iterator[Listed]:
    """Yield the rigs of one http_sd URL. A failed request and every error in the list are added to ``errors``."""
    if is_offline():
        return
    shown = mask_urls(settings.url)
    try:
        groups = content(settings.url, lambda: http_targets(settings))
    except Failure as failure:
        advice = failure.advised(SOURCE_ADVICE)
        errors.append(ErrorAt(shown, f"gave no list of rigs: {failure.detail} ({advice})"))
    except ValidationError as error:
        errors += _no_groups(shown, error)
    else:
        yield from _target_rows(shown, settings.url, groups, errors, warnings)


def _no_groups(where: str, error: ValidationError) -> Iterator[ErrorAt]:
    return (
        ErrorAt(f"{where}: {dotted(detail['loc'])}", sentence(detail)) for detail in error.errors(include_url=False)
    )


def _target_rows(
    source: str, listed_in: str, groups: TargetGroups, errors: list[ErrorAt], warnings: list[str]
) -> Iterator[Listed]:
    """Yield the rigs of one list. Labels that are not ours are ignored."""
    for index, group in enumerate(groups):
        where = f"{source}: {index}"
        errors += [ErrorAt(where, message) for message in _label_errors(group.labels)]
        if any(group.labels.get(label) for label in _DEPRECATED):
            warnings.append(f"{source} has labels username or password, which the next version refuses: {_USE_LOGIN}")
        known = {label: value for label, value in group.labels.items() if label in (*LABELS, *_DEPRECATED)}
        for target in group.targets:
            row = parse_row(f"{where}: {target}", known | {"address": _address(target)}, errors)
            if row is not None:
                yield Listed(row, row.address, identity(row), f"{where}: {target}", listed_in=listed_in)


def _address(target: str) -> str:
    """Return the address of a target without port, and without the prefix length of a single address."""
    target = target.strip()
    try:
        interface = ip_interface(target)
    except ValueError:
        return _PORT.sub(r"\1\2", target)
    return str(interface.ip) if interface.network.num_addresses == 1 else target


def _label_errors(labels: Iterable[str]) -> Iterator[str]:
    """Yield an error for each label that must not be set, or that resembles one of ours."""
    for label in labels:
        if label == "password_file":
            yield f"a list of rigs must not name files: remove the label 'password_file', {_USE_LOGIN}"
        elif label not in (*LABELS, *_DEPRECATED) and not label.startswith("__"):
            match = nearest(label, LABELS, closeness=_RESEMBLES)
            if match is not None:
                yield f"there is no label {label!r}: did you mean {match!r}?"
