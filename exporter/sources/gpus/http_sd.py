"""The GPUs of many nodes, found through Prometheus' HTTP service discovery.

https://prometheus.io/docs/prometheus/latest/http_sd: ``[{"targets": ["node-1:9400"], "labels": {...}}]``.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, Self

import structlog
from pydantic import Field, ValidationError, model_validator
from yarl import URL

from exporter.model.configuration_errors import sentence
from exporter.model.failures import Failure, Reason
from exporter.model.fields import Network
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.discovery import Confirmation, is_cut, target_groups
from exporter.sources.gpus import Gpus, GpuSettings, dcgm_exporter
from exporter.sources.group import SourceGroup
from exporter.sources.http import HttpLogin, HttpSettings, HttpSource
from exporter.sources.resolver import Resolver

_log = structlog.get_logger(__name__)

_resolver: Final = Resolver()
_MOST_NAMED: Final = 5
_SHARED: Final = ("timeout", "ca_file", "verify_tls", "interval", "max_age")


class Settings(HttpSettings, GpuSettings):
    """``url`` returns the list of targets. Its login is for the list only, and its certificates for the targets too."""

    kind: Literal["http_sd"] = "http_sd"
    target_login: HttpLogin | None = Field(
        None, description="Login for the targets. It needs `target_networks`, because the list decides who receives it."
    )
    target_networks: tuple[Network, ...] = Field(
        (), description="Networks of the targets, such as [10.2.0.0/16]. Targets elsewhere are not requested."
    )

    @model_validator(mode="after")
    def _login_stays_within_networks(self) -> Self:
        if self.target_login is not None and not self.target_networks:
            raise ValueError("target_login needs target_networks: the networks whose addresses may receive it")
        return self

    def check_usable(self, value: Gpus, now: float) -> None:
        """Accept a list without GPUs: its targets can all be those of another list. Without targets it has failed."""

    def connect(self, context: SourceContext) -> "_HttpSd":
        """Create the source."""
        return _HttpSd(self, context)


class _HttpSd(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._group = SourceGroup({}, context)
        self._claims = context.claims
        self._confirmation = Confirmation(context.timer)
        self._listed: frozenset[str] = frozenset()  # the nodes of the list in use
        self._refused: frozenset[str] = frozenset()

    async def fetch(self) -> Reading[Gpus]:
        """Request the list, then all targets at once. The GPUs of targets that fail are left out.

        If the list fails or lost many targets, the last one stays in use.
        """
        try:
            self._group.replace(await self._discover())
        except Failure as failure:
            if not self._listed:
                raise
            self._discards.note("list", f"{failure.detail}: the last list stays in use")
        if self._group.is_empty:  # another list has them all
            return Reading((), self._clock())
        readings: list[Reading[Gpus]] = [reading for _, reading in await self._group.ask()]
        gpus = {gpu.gpu: gpu for reading in readings for gpu in reading.value}
        return Reading(tuple(gpus.values()), min(reading.observed_at for reading in readings))

    async def _discover(self) -> Mapping[str, SourceSettings]:
        try:
            groups = target_groups(await self._endpoint.get_json())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the answer"
            detail = f"not a list of targets as http_sd has it: {where}: {sentence(first)}"
            advice = "correct the list at that place: it is [{targets: [host:port], labels: {}}]"
            raise Failure(Reason.GARBLED, detail, advice=advice) from None
        listed = {self._source(target): (target, group.labels) for group in groups for target in group.targets}
        nodes = {name: self._node(target, labels) for name, (target, labels) in listed.items()}
        allowed = await asyncio.gather(*map(self._may_be_asked, nodes.values()))
        found = {
            name: node for (name, node), may in zip(nodes.items(), allowed, strict=True) if node is not None and may
        }
        self._report(frozenset(nodes.keys() - found.keys()))
        if not found:
            detail = "the list has no targets" if not nodes else "no target of the list is within target_networks"
            raise Failure(Reason.NOT_READY, detail)
        self._accept(frozenset(found))
        own = self._claimed(found)
        twice = sorted(name.removeprefix("gpus:") for name in found.keys() - own.keys())
        if twice:
            detail = f"{', '.join(twice[:_MOST_NAMED])} of {len(twice)} are requested for another list or entry"
            self._discards.mention("targets", detail)
        return own

    def _accept(self, found: frozenset[str]) -> None:
        """Use a list. Raises Failure for one that lost many targets, until it is confirmed."""
        if is_cut(len(self._listed), len(found)) and not self._confirmation.read(found):
            detail = f"the list has {len(found)} targets instead of {len(self._listed)}, which must last for 10 minutes"
            raise Failure(Reason.IMPLAUSIBLE, detail)
        self._confirmation.forget()
        self._listed = found

    def _claimed(self, nodes: Mapping[str, dcgm_exporter.Settings]) -> dict[str, dcgm_exporter.Settings]:
        """Claim the nodes that no other list or entry requests, and release those that are not listed any more."""
        listed = {node.where for node in nodes.values()}
        for gone in [where for where, owner in self._claims.items() if owner is self and where not in listed]:
            del self._claims[gone]
        return {name: node for name, node in nodes.items() if self._claims.setdefault(node.where, self) is self}

    def _source(self, target: str) -> str:
        """Return the ``source`` label of a node. One at the list's own address has a path, unlike the list."""
        return f"gpus:{target}" + ("/metrics" if target == self._settings.where else "")

    def _node(self, target: str, labels: Mapping[str, str]) -> dcgm_exporter.Settings | None:
        """Return the settings of a target. None if it is not an address."""
        settings, own = self._settings, URL(self._settings.url)
        shared = {name: getattr(settings, name) for name in _SHARED}
        login = {} if settings.target_login is None else dict(settings.target_login)
        url = f"{labels.get('__scheme__', own.scheme)}://{target}{labels.get('__metrics_path__', '/metrics')}"
        plausibility = {name: getattr(settings, name) for name in GpuSettings.model_fields if name != "kind"}
        try:
            return dcgm_exporter.Settings.model_validate(
                plausibility | shared | login | {"kind": "dcgm_exporter", "url": str(URL(url))}
            )
        except (ValidationError, ValueError):
            return None

    async def _may_be_asked(self, node: dcgm_exporter.Settings | None) -> bool:
        """Return whether all addresses of a target are in the networks, or without networks not link-local."""
        host = None if node is None else URL(node.url).host
        if host is None:
            return False
        networks = self._settings.target_networks
        addresses = [address async for address in _addresses(host)]
        if networks:
            return bool(addresses) and all(any(each in network for network in networks) for each in addresses)
        return not any(each.is_link_local for each in addresses)

    def _report(self, refused: frozenset[str]) -> None:
        new = sorted(refused - self._refused)
        self._refused = refused
        if new:
            advice = "correct the list, or add their networks to target_networks"
            _log.warning("targets are not requested", targets=", ".join(new[:10]), count=len(new), advice=advice)


async def _addresses(host: str) -> AsyncIterator[IPv4Address | IPv6Address]:
    """Yield the addresses of a host. A name that cannot be resolved has none."""
    try:
        yield ip_address(host)
    except ValueError:
        pass
    else:
        return
    try:
        found = await _resolver.resolve(host)
    except (OSError, UnicodeError):  # a TimeoutError is an OSError
        return
    for address in found:
        yield ip_address(address.text.partition("%")[0])
