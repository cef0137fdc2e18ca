"""Loads the settings: flags over environment over secret files over YAML. Reports all configuration errors at once."""

import gc
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, InitSettingsSource, NestedSecretsSettingsSource, SettingsError
from pydantic_settings.sources.utils import parse_env_vars

from exporter.economics.peaks import PeakSettings
from exporter.file_stamp import why_unreadable
from exporter.inventory.listed import InventoryError, KeyPath, dotted
from exporter.inventory.load import Names, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.model.configuration_errors import ErrorAt, nearest, sentence, unknown
from exporter.model.fields import is_offline, paths_relative_to
from exporter.model.readings import Commitment
from exporter.model.secrets import looks_secret
from exporter.settings import document
from exporter.settings.flags import flag_of
from exporter.settings.model import Settings, default_tariff
from exporter.settings.schema import OUTSIDE, PREFIX, entry, full_annotation, keys_at, kinds_at, variables
from exporter.settings.watch import stamps
from exporter.sources.ai_prices import AiPriceSettings
from exporter.sources.tariffs.template import expanded

# Kubernetes sets variables such as HASHMARGIN_PORT_9852_TCP_ADDR for a service named hashmargin.
_SERVICE_LINK: Final = re.compile(r".*_(?:SERVICE_HOST|(?:SERVICE_)?PORT(?:_\w+)?)")
_PLACEHOLDER: Final = re.compile(r"\$\{\w+\}")
_MOST_SHOWN: Final = 50
_OTHER_TARIFFS: Final = ("resale_tariff", "block_tariff")
"""Settings of a tariff's contract whose value is the name of another tariff."""


class ConfigError(Exception):
    """The configuration is invalid. ``errors`` lists every configuration error with its location."""

    def __init__(self, errors: Iterable[ErrorAt]) -> None:
        self.errors = tuple(dict.fromkeys(errors))
        more = len(self.errors) - _MOST_SHOWN
        lines = [*map(str, self.errors[:_MOST_SHOWN]), *([f"... and {more:,} more"] if more > 0 else [])]
        super().__init__("\n".join(lines))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: it would take as long as reading the file, and nearly all new objects stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_collector_paused()
def load(
    config_file: Path | None,
    *,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    secrets_dir: Path | None = None,
) -> Settings:
    """Read the settings and the fleet's inventory.

    Args:
        config_file: The YAML file. Relative paths are resolved against its directory.
        overrides: Values of flags, by dotted key: ``{"web.listen_address": "127.0.0.1:9852"}``.
        environ: Environment variables. Only those that begin with ``HASHMARGIN_``, and ``STATE_DIRECTORY``, are used.
        secrets_dir: Directory with one file per secret, named after the key: ``network__password``.

    Raises:
        ConfigError: The configuration is invalid.
    """
    errors: list[ErrorAt] = []
    file = _file_layer(config_file, errors)
    secrets = _secrets_layer(secrets_dir, file.values, errors)
    environment = _environment_layer(environ or {}, file.values, errors)
    errors += _placeholders(file)
    layers = (_flag_layer(overrides or {}), environment, secrets, file, _service_layer(environ or {}))
    stack = _Stack(layers, str(config_file or "configuration"))
    with paths_relative_to(config_file.parent if config_file else Path()):
        return _validated(stack, errors)


# --- the layers, each with the location of its values---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """The values of one source of settings. ``find`` returns the location of a key, or None."""

    values: dict[str, Any]
    find: Callable[[KeyPath], str | None]
    names_keys: bool = True
    """Whether a location includes the name of the key: true for a variable, false for a line of a file."""

    def place(self, path: KeyPath, whole: KeyPath) -> str | None:
        """Return where ``path``, the beginning of ``whole``, is set. None if this source does not set it."""
        place = self.find(path)
        return place if place is None or (self.names_keys and path == whole) else f"{place}: {dotted(whole)}"


_STATE_DIRECTORY: Final = "STATE_DIRECTORY"
_NOTHING: Final = _Layer({}, lambda _: None)


def _spelled_in(places: Mapping[str, str]) -> Callable[[KeyPath], str | None]:
    return lambda path: places.get(_spelled(path))


class _Stack:
    """The layers by precedence, highest first, and their merged values."""

    def __init__(self, layers: tuple[_Layer, ...], name: str) -> None:
        self._layers = layers
        self._name = name
        self.values: dict[str, Any] = {}
        for layer in reversed(layers):
            self.values = _merged(self.values, layer.values)

    def where(self, path: KeyPath) -> str:
        """Return the location of a key, else of the nearest enclosing key that is set."""
        for length in range(len(path), 0, -1):
            for layer in self._layers:
                place = layer.place(path[:length], path)
                if place is not None:
                    return place
        return f"{self._name}: {dotted(path)}" if path else self._name


def _spelled(path: KeyPath) -> str:
    """Format a key path as the name of a variable: ``blocks.container-1`` is ``BLOCKS__CONTAINER_1``."""
    return "__".join(re.sub(r"\W", "_", str(part)).upper() for part in path)


def _merged(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(weaker)
    for key, value in stronger.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _file_layer(path: Path | None, errors: list[ErrorAt]) -> _Layer:
    if path is None:
        return _NOTHING
    content = document.read(path)
    if content.errors and not content.values:
        raise ConfigError(content.errors)
    errors += content.errors
    given = {key: value for key, value in content.values.items() if value is not None}  # a section without content

    def find(key: KeyPath) -> str | None:
        line = content.lines.get(key)
        return None if line is None else f"{path}:{line}"

    return _Layer(given, find, names_keys=False)


def _service_layer(environ: Mapping[str, str]) -> _Layer:
    """Keep the state in the directory that systemd or the image provides, unless the configuration names a file.

    https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=
    """
    directory = environ.get(_STATE_DIRECTORY, "").partition(":")[0]
    if not directory:
        return _NOTHING
    path = str(Path(directory) / "state.sqlite")
    return _Layer({"state": {"path": path}}, lambda key: _STATE_DIRECTORY if key[:1] == ("state",) else None)


def _placeholders(file: _Layer) -> Iterator[ErrorAt]:
    """Yield an error for each value such as ``${PASSWORD}``: YAML files are read without replacing variables."""
    for path, value in _texts(file.values):
        if _PLACEHOLDER.fullmatch(value.strip()):
            variable = PREFIX + _spelled(path)
            yield ErrorAt(
                file.place(path, path) or dotted(path),
                f"{value.strip()} is not replaced: remove this line and set the environment variable {variable}, or "
                f"write the value into a file {'__'.join(map(str, path))} of --config.secrets-dir",
            )


def _texts(values: Any, at: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(values, str):
        yield at, values
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from _texts(value, (*at, key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _texts(value, (*at, index))


def _flag_layer(overrides: Mapping[str, object]) -> _Layer:
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        *sections, last = key.split(".")
        section = values
        for part in sections:
            section = section.setdefault(part, {})
        section[last] = value
    places = {_spelled(tuple(key.split("."))): flag_of(key) for key in overrides}
    return _Layer(values, _spelled_in(places))


class _Variables(EnvSettingsSource):
    """Reads variables from a mapping instead of the process's environment. Lists and mappings are JSON."""

    def __init__(self, given: Mapping[str, str], prefix: str) -> None:
        self._given = given
        super().__init__(Settings, env_prefix=prefix)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return parse_env_vars(self._given, case_sensitive=False)

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:  # noqa: ARG002
        return _from_json(value, field_name)


def _from_json(value: Any, name: str = "") -> Any:
    """Decode lists and mappings written as JSON. Other values and secrets stay text for the model to validate."""
    if isinstance(value, dict):
        return {key: _from_json(inner, key) for key, inner in value.items()}
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{") and not looks_secret(name):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _like(values: Any, pattern: Any) -> Any:
    """Spell keys as in the file: names of variables have neither lower-case letters nor hyphens."""
    if not isinstance(values, dict) or not isinstance(pattern, dict):
        return values
    spelling = {_spelled((key,)): key for key in pattern}
    renamed = {spelling.get(_spelled((key,)), key): value for key, value in values.items()}
    return {key: _like(value, pattern.get(key)) for key, value in renamed.items()}


def _paths(values: Any, at: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*at, key)
            yield from _paths(value, (*at, key))


def _environment_layer(environ: Mapping[str, str], file: dict[str, Any], errors: list[ErrorAt]) -> _Layer:
    ours = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    values = _like(_from_json(_Variables(ours, PREFIX)()), file)
    taken = {PREFIX + _spelled(path) for path in _paths(values)}
    for name in ours:
        of_kubernetes = "KUBERNETES_SERVICE_HOST" in environ and _SERVICE_LINK.fullmatch(name.upper())
        if name.upper() in taken or name.upper() in OUTSIDE or of_kubernetes:
            continue
        match = nearest(name, variables())
        errors.append(ErrorAt(name, "no such setting" + (f": did you mean {match}?" if match else "")))
    places = {name.upper().removeprefix(PREFIX): f"environment variable {name}" for name in ours}
    return _Layer(values, _spelled_in(places))


def _secrets_layer(directory: Path | None, file: dict[str, Any], errors: list[ErrorAt]) -> _Layer:
    if directory is None:
        return _NOTHING
    try:
        if is_offline() and not directory.is_dir():
            return _NOTHING
        if not directory.is_dir():
            raise SettingsError("is not a directory")  # noqa: TRY301 -- reported like the others
        given = NestedSecretsSettingsSource.load_secrets(directory.resolve())
    except (OSError, UnicodeDecodeError, SettingsError) as error:
        if isinstance(error, OSError):
            name = error.filename or directory
            errors.append(ErrorAt(str(name), why_unreadable(error)))
        else:
            errors.append(ErrorAt(str(directory), f"cannot be read as the secrets directory: {error}"))
        return _NOTHING
    values = _like(_from_json(_Variables(given, "")()), file)
    taken = {_spelled(path) for path in _paths(values)}
    errors += [
        ErrorAt(str(directory / name), unknown("setting", name.partition("__")[0], Settings.model_fields))
        for name in given
        if "__" in name and name.upper() not in taken  # the directory may contain secrets of other programs
    ]
    return _Layer(values, _spelled_in({name.upper(): str(directory / name) for name in given}))


# --- validation -----------------------------------------------------------------------------------------------------


def _validated(stack: _Stack, errors: list[ErrorAt]) -> Settings:
    settings = None
    try:
        settings = Settings(_build_sources=((InitSettingsSource(Settings, stack.values),), {}))
        valid = {name: getattr(settings, name) for name in Settings.model_fields}
    except ValidationError as error:
        located = [(detail, _key_path(detail, stack.values)) for detail in _own(error.errors(include_url=False))]
        errors += [_error_at(detail, path, stack) for detail, path in located]
        valid = _salvaged(stack.values, [path for _, path in located])
    names = Names(
        blocks=valid.get("blocks", {}),
        tariffs=_names(expanded(stack.values.get("tariffs"))),
        schedules=_names(stack.values.get("schedules")),
        customers=valid.get("customers", {}),
        contracts=_names(stack.values.get("contracts")),
        tariff=default_tariff(valid.get("tariff"), _names(expanded(stack.values.get("tariffs")))),
    )
    errors += _dangling(valid, names, stack)
    read = {} if settings is None else stamps(settings.inventory_files)
    try:
        fleet = valid.get("fleet", InventorySettings())
        inventory = load_inventory(fleet, names, stack.where)
    except InventoryError as error:
        raise ConfigError([*errors, *error.errors]) from None
    if errors or settings is None:
        raise ConfigError(errors)
    settings._inventory, settings._inventory_stamps = inventory, read  # noqa: SLF001 -- the loader fills the private fields of its result
    return settings


def _own(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Drop the error that a list is too short if entries of the list have errors."""
    paths = [detail["loc"] for detail in details]
    for detail in details:
        own = detail["loc"]
        if detail["type"] != "too_short" or not any(path[: len(own)] == own != path for path in paths):
            yield detail


def _salvaged(values: dict[str, Any], invalid: Iterable[KeyPath]) -> dict[str, Any]:
    """Validate the sections again without the invalid keys, so that references between sections are checked too."""
    values = deepcopy(values)
    for path in invalid:
        section = reduce(entry, path[:-1], values)
        if path and isinstance(section, dict):
            section.pop(str(path[-1]), None)
    valid = {}
    for name, field in Settings.model_fields.items():
        with suppress(ValidationError):
            valid[name] = (
                TypeAdapter(full_annotation(field)).validate_python(values[name])
                if name in values
                else field.get_default(call_default_factory=True)
            )
    return valid


def _names(section: Any) -> tuple[str, ...]:
    return tuple(map(str, section)) if isinstance(section, dict) else ()


def _key_path(detail: ErrorDetails, values: Any) -> KeyPath:
    """Return the key path of an error without the names of union members that pydantic inserts."""
    path: list[str | int] = []
    *inner, last = detail["loc"] or ("",)
    for part in inner:
        try:
            values = values[part]
        except (LookupError, TypeError):
            continue
        path.append(part)
    named = detail["type"] in ("missing", "extra_forbidden")
    if named or (isinstance(values, dict) and last in values) or (isinstance(values, list) and isinstance(last, int)):
        path.append(last)
    return tuple(part for part in path if part != "")


def _error_at(detail: ErrorDetails, path: KeyPath, stack: _Stack) -> ErrorAt:
    if detail["type"] == "extra_forbidden":
        return ErrorAt(stack.where(path), unknown("key", str(path[-1]), keys_at(path[:-1], stack.values)))
    section: Any = reduce(entry, path, stack.values)
    if detail["type"].startswith("union_tag") and entry(section, "kind") is None:
        return ErrorAt(stack.where(path), f"needs a `kind`: {', '.join(sorted(kinds_at(path, stack.values)))}")
    message = sentence(detail)
    key, colon, rest = message.partition(": ")
    if colon and isinstance(section, dict) and key in section:  # the error names the key of the mapping
        return ErrorAt(stack.where((*path, key)), rest)
    return ErrorAt(stack.where(path), message)


def _dangling(valid: Mapping[str, Any], names: Names, stack: _Stack) -> Iterator[ErrorAt]:
    """Yield an error for each name of a tariff that is not defined. The inventory checks those of rigs."""
    power, gpus = valid.get("power"), valid.get("gpus")
    named: dict[KeyPath, str | None] = {
        ("tariff",): valid.get("tariff"),
        **{
            ("tariffs", name, "terms", key): getattr(tariff.terms, key)
            for name, tariff in valid.get("tariffs", {}).items()
            if tariff.terms is not None
            for key in _OTHER_TARIFFS
        },
        **{("power", key): getattr(power, key) if power else None for key in _OTHER_TARIFFS},
        ("gpus", "tariff"): gpus.tariff if gpus else None,
        **{("blocks", name, "tariff"): block.tariff for name, block in names.blocks.items()},
        **{("customers", name, "tariff"): customer.tariff for name, customer in names.customers.items()},
        **{
            ("contracts", name, "host_tariff"): contract.host_tariff
            for name, contract in valid.get("contracts", {}).items()
        },
    }
    for path, tariff in named.items():
        if tariff and tariff not in names.tariffs:
            yield ErrorAt(stack.where(path), unknown("tariff", tariff, names.tariffs))
    for name, customer in names.customers.items():
        if customer.contract and customer.contract not in names.contracts:
            yield ErrorAt(
                stack.where(("customers", name, "contract")), unknown("contract", customer.contract, names.contracts)
            )
        pools = _names(stack.values.get("pools"))
        for account in customer.pools:
            if account not in pools:
                yield ErrorAt(stack.where(("customers", name, "pools")), unknown("pool account", account, pools))
    yield from _unknown_feeds(valid, _names(stack.values.get("ai_prices")), stack)
    yield from _unknown_of_grid(valid, names.tariffs, stack)
    if len(names.tariffs) > 1 and "tariff" in valid and not names.tariff:
        yield ErrorAt(stack.where(("tariff",)), f"is required, as there are several: {', '.join(names.tariffs)}")


def _unknown_of_grid(valid: Mapping[str, Any], tariffs: Collection[str], stack: _Stack) -> Iterator[ErrorAt]:
    """Yield an error for each load, tariff or block that peaks, settlement or obligations name and nothing defines."""
    loads = _names(stack.values.get("system_loads"))
    peaks: Mapping[str, PeakSettings] = valid.get("peaks", {})
    for name, program in peaks.items():
        if program.load not in loads:
            yield ErrorAt(stack.where(("peaks", name, "load")), unknown("source of system_loads", program.load, loads))
        for tariff in program.tariffs:
            if tariff not in tariffs:
                yield ErrorAt(stack.where(("peaks", name, "tariffs")), unknown("tariff", tariff, tariffs))
    settled = valid.get("settlement")
    for key in () if settled is None else ("day_ahead_tariff", "real_time_tariff"):
        if getattr(settled, key) not in tariffs:
            yield ErrorAt(stack.where(("settlement", key)), unknown("tariff", getattr(settled, key), tariffs))
    blocks = _names(stack.values.get("blocks"))
    for name, source in valid.get("obligations", {}).items():
        for block in source.blocks if blocks else ():
            if block not in blocks:
                yield ErrorAt(stack.where(("obligations", name, "blocks")), unknown("block", block, blocks))


def _unknown_feeds(valid: Mapping[str, Any], named: Collection[str], stack: _Stack) -> Iterator[ErrorAt]:
    """Yield an error for each price that is to come from a feed that is not defined, or has no such model."""
    feeds: Mapping[str, AiPriceSettings] = valid.get("ai_prices", {})
    wanted: list[tuple[KeyPath, str, str, str | None, Commitment]] = []
    rental = None if valid.get("ai") is None else valid["ai"].gpu_rental
    if rental is not None and isinstance(rental.price_usd_per_gpu_hour, str):
        at: KeyPath = ("ai", "gpu_rental")
        price = rental.price_usd_per_gpu_hour
        wanted.append((at, "price_usd_per_gpu_hour", price, rental.gpu_model, rental.commitment))
    for index, market in enumerate(() if valid.get("gpus") is None else valid["gpus"].market):
        wanted.append((("gpus", "market", index), "feed", market.feed, market.model, market.commitment))
    for path, key, feed, model, commitment in wanted:
        if feed not in named:
            yield ErrorAt(stack.where((*path, key)), unknown("feed of ai_prices", feed, named))
            continue
        if feed not in feeds:
            continue  # it has an error of its own
        models = feeds[feed].models
        if commitment not in feeds[feed].commitments:
            yield ErrorAt(stack.where((*path, "commitment")), f"the feed {feed} has no {commitment} prices")
        if model is None and len(models) > 1:
            yield ErrorAt(stack.where(path), f"needs gpu_model, as the feed {feed} has several: {', '.join(models)}")
        elif model is not None and model not in models:
            name = "gpu_model" if key == "price_usd_per_gpu_hour" else "model"
            yield ErrorAt(stack.where((*path, name)), unknown(f"GPU model of the feed {feed}", model, models))
