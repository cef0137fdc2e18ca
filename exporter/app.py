"""The composition root: the only file that knows every room. It wires them, evaluates the site and stops it cleanly."""

import asyncio
import ctypes
import errno
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from hashlib import blake2b
from typing import Any, Final

import aiohttp
import structlog
import uvloop

from exporter.decision.explain import Case, Explanation, explain
from exporter.decision.history import observe
from exporter.decision.site import decide
from exporter.economics.metering import Metered, metered_power, with_metered_power
from exporter.economics.site import price_site
from exporter.exposition.publication import LatestPublication
from exporter.exposition.render import Renderer
from exporter.exposition.views import Shard, SiteView
from exporter.logs import configure
from exporter.model.fleet import Block, Rig
from exporter.model.readings import GpuReading, NetworkState, PriceSlot, Reading
from exporter.model.snapshot import SiteSnapshot
from exporter.polling.market import Market
from exporter.polling.rigs import RigPoller
from exporter.polling.tariffs import next_boundary, tariff_prices
from exporter.polling.unmatched import UnmatchedReports
from exporter.server.context import ServerContext
from exporter.server.serve import serving
from exporter.settings.describe import describe
from exporter.settings.load import ConfigError
from exporter.settings.model import Settings
from exporter.settings.watch import changes, watch
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.rigs.reader import Miners
from exporter.state import State, StateStore, document
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_NETWORK: Final = "network"
_BITCOIN: Final = "bitcoin"
_TARIFF: Final = "tariff:"
_GPUS: Final = "gpus:"
_METERS: Final = "meters:"
_EXPECTED_OFF: Final = "expected_off:"

_PULSE_SECONDS: Final = 0.1

_LEAST_REST: Final = 0.5
"""Seconds between evaluations at least, however often a price changes."""

_GRACE: Final = 0.02
"""Seconds after a price's change: a sleep may end a little early."""

_SWITCH_SECONDS: Final = 0.0002
_COLLECT_SECONDS: Final = 300.0
_NEVER: Final = 1_000_000_000
_M_MMAP_THRESHOLD: Final = -3  # of glibc's malloc.h
_LARGE_BLOCK: Final = 262_144  # bytes

_PINNED: Final = ("site", "evaluation_interval", "web", "state", "sharding", "polling")
"""Settings that take effect at a start only."""


_NEXT_STEPS: Final = {
    errno.EADDRINUSE: "stop what listens there, or ",
    errno.EACCES: "ports below 1024 need the right to bind them: grant CAP_NET_BIND_SERVICE, or ",
    errno.EADDRNOTAVAIL: "this host does not have that address: ",
}


class StartError(Exception):
    """The exporter could not start. One sentence for the operator, with the next step."""


def run_blocking(settings: Settings, load: Callable[[], Settings] | None = None) -> None:
    """Run one site until SIGTERM or SIGINT.

    Args:
        settings: what to run.
        load: reads the settings anew for a reload, raising ConfigError; None where there is nothing to reload.

    Raises:
        StartError: it could not start.
    """
    configure(settings.log)
    _favour_the_loop()
    _give_memory_back()
    try:
        uvloop.run(_run(settings, load))
    except ExceptionGroup as errors:  # Debian 12's Python wraps anew what is raised in an `except*`
        refused = errors.subgroup(StartError)
        if refused is None:
            raise
        raise refused.exceptions[0] from None


def _favour_the_loop() -> None:
    """Let the event loop wait neither for evaluations nor for the collector of garbage.

    The loop asks for the interpreter's lock at each event, and by default an evaluation lets it wait 5 ms every time.
    A full collection stops everything for 0.3 s with 10,000 rigs in memory, and by default comes at each evaluation.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # modules and settings
    gc.set_threshold(*gc.get_threshold()[:2], _NEVER)


def _give_memory_back() -> None:
    """Let what an evaluation needed go back to the system at once: glibc comes to keep freed blocks of up to 32 MB.

    That is 160 MB with 10,000 rigs. Other C libraries have no such habit and no such knob.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


async def _collect_garbage() -> None:
    """Collect in full now and then: polls leave no cycles behind, but libraries may."""
    while True:
        await asyncio.sleep(_COLLECT_SECONDS)
        gc.collect()


async def _run(settings: Settings, load: Callable[[], Settings] | None) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as rooms:
        telemetry = Telemetry()
        store = StateStore(settings.state, telemetry)
        rooms.push_async_callback(store.close)
        state = await store.load()
        session = await rooms.enter_async_context(aiohttp.ClientSession())
        miners = await rooms.enter_async_context(
            Miners(deadline=settings.polling.deadline, identify_deadline=settings.polling.identify_deadline)
        )
        async with asyncio.TaskGroup() as tasks:
            context = SourceContext(session, telemetry=telemetry)
            market = Market(tasks, context, telemetry, remembered(state, settings), time.time)
            rigs = RigPoller(
                shard_rigs(settings),
                miners,
                settings.polling,
                telemetry,
                schedules=settings.schedules,
                remembered=state.rigs,
            )
            site = Site(settings, telemetry, market, rigs, state)
            reload = None if load is None else Reload(load, site, telemetry)
            await _serve(rooms, site, reload, settings)
            running = [
                tasks.create_task(rigs.run(), name="rigs"),
                tasks.create_task(site.evaluate_forever(), name="evaluation"),
                tasks.create_task(store.run(site.state), name="state"),
                tasks.create_task(_feel_pulse(telemetry), name="pulse"),
                tasks.create_task(_collect_garbage(), name="garbage"),
            ]
            if reload is not None:
                loop.add_signal_handler(signal.SIGHUP, lambda: tasks.create_task(reload()))
                running.append(tasks.create_task(watch(lambda: site.settings, reload), name="watch"))
            await stopping.wait()
            _log.info("stopping")
            last = site.state()
            market.replace({})
            for task in running:
                task.cancel()
        await store.save(last)


async def _feel_pulse(telemetry: Telemetry) -> None:
    """Measure how promptly the event loop wakes its tasks."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PULSE_SECONDS
        await asyncio.sleep(_PULSE_SECONDS)
        telemetry.loop_delay.observe(max(0.0, loop.time() - due))


async def _serve(rooms: AsyncExitStack, site: "Site", reload: "Reload | None", settings: Settings) -> None:
    face = site.face(reload if settings.web.enable_lifecycle else None)
    try:
        await rooms.enter_async_context(serving(face, settings.web))
    except OSError as error:
        step = _NEXT_STEPS.get(error.errno or 0, "")
        why = os.strerror(error.errno) if error.errno in _NEXT_STEPS else error.strerror or error
        raise StartError(
            f"cannot serve on {settings.web.listen_address}: {why}; {step}give another --web.listen-address"
        ) from None


class Site:
    """What the pollers know, turned into publications: snapshot, economics, decision, bytes."""

    def __init__(self, settings: Settings, telemetry: Telemetry, market: Market, rigs: RigPoller, state: State) -> None:
        self.newsstand = LatestPublication()
        self.settings = settings
        self._telemetry = telemetry
        self._market = market
        self._rigs = rigs
        self._blocks = shard_blocks(settings)
        self._renderer = Renderer(settings.exposition, telemetry.registry)
        self._decision = state.decision
        self._history = state.history
        self._misfits = UnmatchedReports(telemetry, settings.rigs, settings.fleet_blocks)
        self._failing = False
        self._looked_at = 0.0
        market.replace(sources(settings))

    def apply(self, settings: Settings) -> None:
        """Let new settings take effect; rigs and sources that stay keep all that is known of them."""
        self._rigs.replace(shard_rigs(settings), settings.schedules)
        self._market.replace(sources(settings))
        self._blocks = shard_blocks(settings)
        self._renderer = Renderer(settings.exposition, self._telemetry.registry)
        self._misfits.replace(settings.rigs, settings.fleet_blocks)
        self.settings = settings

    def face(self, reload: "Reload | None") -> ServerContext:
        """Show the server what it may know."""
        return ServerContext(
            site=self.settings.site,
            newsstand=self.newsstand,
            evaluation_interval=self.settings.evaluation_interval,
            ready=lambda: self._rigs.first_round.is_set() and self._market.attempted,
            reload=reload,
            explain=self._explain,
            failures=self._rigs.failures,
            sources=lambda: self._market.statuses(time.time()),
            config=lambda: describe(self.settings),
        )

    def _explain(self, view: SiteView, rig: str) -> Explanation | None:
        case = Case(
            snapshot=view.snapshot,
            economics=view.economics,
            decision=view.decision,
            terms=self.settings.terms,
            decision_terms=self.settings.decision,
        )
        return explain(case, rig)

    async def evaluate_forever(self) -> None:
        """Evaluate at each interval until cancelled; one that fails is told once and counted, and the next is tried."""
        while True:
            started, tried = time.monotonic(), self._rigs.first_round.is_set()
            try:
                await self._evaluate()
            except Exception:  # noqa: BLE001 -- the next evaluation may succeed, and rigs are still being read
                self._telemetry.evaluation_failures.inc()
                if not self._failing:
                    _log.exception("evaluation failed: this is a bug, please report it with this line")
                self._failing = True
            else:
                self._failing = False
                self._telemetry.evaluation_duration.set(time.monotonic() - started)
            await self._sleep(self._rest(time.monotonic() - started), after_first_round=tried)

    async def _sleep(self, seconds: float, *, after_first_round: bool) -> None:
        """Sleep, but not past the end of the first round: what it brought is news, and makes the site ready."""
        if after_first_round:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rigs.first_round.wait()

    def _rest(self, spent: float) -> float:
        """Seconds until the next evaluation: at the interval's end, or when a price changes before that."""
        due = max(0.0, self.settings.evaluation_interval - spent)
        boundary = next_boundary(self._market.latest(_TARIFF), self._looked_at)
        return due if boundary is None else min(due, max(_LEAST_REST, boundary + _GRACE - time.time()))

    async def _evaluate(self) -> None:
        """Take one snapshot in the loop, where the pollers are; all that follows is pure and runs beside it."""
        self._looked_at = time.time()
        snapshot = self._snapshot(self._looked_at)
        metered = await asyncio.to_thread(self._publish, snapshot)
        self._rigs.metered = metered.rigs
        for prefix in (_METERS, _EXPECTED_OFF):
            for name, latest in self._market.latest(prefix).items():
                reading = latest.fresh(snapshot.taken_at)
                told = None if reading is None else reading.value
                self._misfits.judge(f"{prefix}{name}", told, metered.disbelieved)

    def _snapshot(self, now: float) -> SiteSnapshot:
        tariffs = tariff_prices(self._market.latest(_TARIFF), now)
        self._market.tell_usable(now, {f"{_TARIFF}{name}" for name in self.settings.tariffs if name not in tariffs})
        return SiteSnapshot(
            taken_at=now,
            rigs=self._rigs.snapshots(now, self._fresh(_EXPECTED_OFF, now)),
            blocks=self._blocks,
            network=self._market.fresh(_NETWORK, now),
            bitcoin_price=self._market.fresh(_BITCOIN, now),
            tariffs=tariffs,
            gpus=_joined(self._fresh(_GPUS, now)),
            meters=tuple(self._fresh(_METERS, now)),
        )

    def _fresh(self, prefix: str, now: float) -> list[Any]:
        """What the sources of one kind say, those with a value that can be relied on."""
        readings = [latest.fresh(now) for latest in self._market.latest(prefix).values()]
        return [reading.value for reading in readings if reading is not None]

    def _publish(self, snapshot: SiteSnapshot) -> Metered:
        settings, terms, now = self.settings, self.settings.decision, snapshot.taken_at
        metered = metered_power(snapshot)
        snapshot = with_metered_power(snapshot, metered.rigs)
        economics = price_site(snapshot, settings.terms)
        self._history = observe(self._history, economics, now, window=terms.history, longest_gap=terms.longest_gap)
        decision, self._decision = decide(self._decision, snapshot, economics, self._history, terms, now)
        sharding = settings.sharding
        shard = Shard(sharding.shard, sharding.total_shards)
        view = SiteView(snapshot=snapshot, economics=economics, decision=decision, shard=shard)
        self.newsstand.publish(self._renderer.render(view))
        return metered

    def state(self) -> State:
        """Collect what should survive a restart."""
        now = time.time()
        fresh = self._market.fresh_all(now)
        market = {
            _kept_as(name, settings): document(fresh[name])
            for name, settings in sources(self.settings).items()
            if name in fresh and not name.startswith((_GPUS, _METERS, _EXPECTED_OFF))  # those are read anew soon
        }
        return State(rigs=self._rigs.memories(now), documents=market, decision=self._decision, history=self._history)


class Reload:
    """Reads the configuration anew and lets it take effect; one that can't be used changes nothing."""

    def __init__(self, load: Callable[[], Settings], site: Site, telemetry: Telemetry) -> None:
        self._load = load
        self._site = site
        self._telemetry = telemetry
        self._running = asyncio.Lock()

    async def __call__(self) -> str | None:
        """Reload. Returns why the new configuration was refused, or None."""
        async with self._running:
            before = self._site.settings
            try:
                settings = await asyncio.to_thread(self._load)
                self._site.apply(pinned(settings, before))
            except ConfigError as error:
                return self._refused(str(error))
            except Exception as error:  # noqa: BLE001 -- a bug in a reload must not stop what runs
                _log.exception("reload failed: this is a bug, please report it with this line")
                return self._refused(f"a bug in hashmargin: {type(error).__name__}")
            configure(settings.log)
            self._telemetry.config_reload_successful.set(1)
            self._telemetry.config_reload_time.set_to_current_time()
            _log.info("configuration reloaded", **changes(before, self._site.settings))
            return None

    def _refused(self, why: str) -> str:
        self._telemetry.config_reload_successful.set(0)
        advice = "hashmargin check-config tells all of it"
        _log.error("new configuration refused, the old one stays", problems=why, advice=advice)
        return why


def pinned(settings: Settings, running: Settings) -> Settings:
    """Keep the running values of what takes effect only at a start, and tell which differ."""
    pending = [key for key in _PINNED if getattr(settings, key) != getattr(running, key)]
    if pending:
        _log.warning("some settings take effect at the next start only", keys=", ".join(pending))
    return settings.model_copy(update={key: getattr(running, key) for key in pending})


def shard_rigs(settings: Settings) -> list[Rig]:
    """Pick the rigs that this shard serves."""
    return [rig for rig in settings.rigs if settings.sharding.serves_rig(rig)]


def shard_blocks(settings: Settings) -> tuple[Block, ...]:
    """Pick the blocks that this shard serves."""
    return tuple(block for block in settings.fleet_blocks if settings.sharding.serves(block.name))


def sources(settings: Settings) -> dict[str, SourceSettings]:
    """Name every source that the settings want asked. The names are the values of the ``source`` label."""
    named: dict[str, SourceSettings | None] = {_NETWORK: settings.network, _BITCOIN: settings.bitcoin}
    named |= {f"{_TARIFF}{name}": tariff for name, tariff in settings.tariffs.items()}
    named |= {f"{_METERS}{name}": meter for name, meter in settings.meters.items()}
    named |= {f"{_EXPECTED_OFF}{name}": source for name, source in settings.expected_off.items()}
    endpoints = settings.gpus.endpoints if settings.gpus is not None else ()
    nodes = zip(_where(endpoints), endpoints, strict=True)
    named |= {f"{_GPUS}{node}": endpoint for node, endpoint in nodes if settings.sharding.serves(node)}
    return {name: source for name, source in named.items() if source is not None}


def remembered(state: State, settings: Settings) -> dict[str, Reading[Any]]:
    """Read back what a former process last knew of the market, by source name."""
    kinds: Mapping[str, Any] = {_NETWORK: NetworkState, _BITCOIN: float} | {
        f"{_TARIFF}{name}": tuple[PriceSlot, ...] for name in settings.tariffs
    }
    asked = sources(settings)
    readings = {name: state.reading(_kept_as(name, asked[name]), kinds[name]) for name in kinds.keys() & asked.keys()}
    return {name: reading for name, reading in readings.items() if reading is not None}


def _kept_as(source: str, settings: SourceSettings) -> str:
    """Name what a source said after its settings too: with other ones it is not what this source would say."""
    return f"{source} {blake2b(settings.model_dump_json().encode(), digest_size=8).hexdigest()}"


def _where(endpoints: Sequence[SourceSettings]) -> Iterator[str]:
    """Name endpoints after their servers; those that share one, such as two queries to one Prometheus, are counted."""
    servers: list[str] = [getattr(endpoint, "where", endpoint.kind) for endpoint in endpoints]
    for index, server in enumerate(servers):
        yield f"{server}#{servers[: index + 1].count(server)}" if servers.count(server) > 1 else server


def _joined(parts: list[tuple[GpuReading, ...]]) -> tuple[GpuReading, ...]:
    """Join what the endpoints tell; a GPU that two of them tell of stands once."""
    return tuple({gpu.gpu: gpu for part in parts for gpu in part}.values())
