"""The composition root: connects all rooms, starts them, and stops them in order."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import aiohttp
import structlog
import uvloop

from exporter import __version__
from exporter.decision.advice import advise
from exporter.descriptors import share_descriptors
from exporter.evaluation import Evaluator
from exporter.huge_pages import keep_huge_pages
from exporter.inventory.shrink import shrinks
from exporter.lease import Lease
from exporter.logs import configure
from exporter.polling.backfill import Backfill
from exporter.polling.market import Market
from exporter.polling.rigs import RigPoller
from exporter.runtime import (
    collect_garbage,
    feed_watchdog,
    measure_loop_delay,
    notify_systemd,
    prepare_process,
    reload_signal,
    reload_when,
    stop_signal,
)
from exporter.server.context import ServerContext
from exporter.server.serve import serving
from exporter.server.settings import WebSettings, split_address
from exporter.server.standby import StandbyContext
from exporter.settings.describe import describe
from exporter.settings.load import ConfigError
from exporter.settings.model import Settings
from exporter.settings.reload import Reload, log_warnings
from exporter.settings.sources import restored, sources
from exporter.settings.watch import watch
from exporter.sources.alertmanager import LatestAlerts
from exporter.sources.contract import SourceContext
from exporter.sources.http import Endpoint
from exporter.sources.resolver import HttpResolver
from exporter.sources.rigs.reader import Miners
from exporter.state import LIST_SIZES, NewerStateError, State, StateStore
from exporter.steady_clock import SteadyClock, elapsed
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_ADVICE: Final = {
    errno.EADDRINUSE: "stop what listens there, or ",
    errno.EACCES: "a port below 1024 needs the capability CAP_NET_BIND_SERVICE: grant it, or ",
    errno.EADDRNOTAVAIL: "this host does not have that address: ",
}


_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 -- to name the host instead


class Signals(NamedTuple):
    """What signals of the operator set."""

    stopping: asyncio.Event
    reload: asyncio.Event | None


class StartError(Exception):
    """The exporter could not start. The message is one sentence for the operator and includes the next step."""


def run_blocking(settings: Settings, load: Callable[[], Settings] | None = None, *, allow_shrink: bool = False) -> None:
    """Run one site until SIGTERM or SIGINT.

    Args:
        settings: What to run.
        load: Loads the settings again for a reload, and raises ConfigError. None disables reloads.
        allow_shrink: Accept an inventory that lost more rigs since the last run than ``fleet.max_shrink`` allows.

    Raises:
        StartError: The exporter could not start.
    """
    if settings.ai is not None and settings.ai.outlook is not None and find_spec("numpy") is None:
        raise StartError("ai.outlook needs numpy: run pip install 'hashmargin[outlook]', or remove ai.outlook")
    configure(settings.log)
    for advice in advise(
        settings.site_settings, settings.decision, settings.rigs, settings.fleet_blocks, settings.index_tariffs
    ):
        _log.warning("settings of the decision", advice=advice)
    prepare_process()
    try:
        uvloop.run(_run(settings, load, allow_shrink=allow_shrink))
    except ExceptionGroup as errors:  # `except*` would wrap the StartError again on Python 3.11
        start_errors = errors.subgroup(StartError)
        if start_errors is None:
            raise
        raise start_errors.exceptions[0] from None


async def _run(settings: Settings, load: Callable[[], Settings] | None, *, allow_shrink: bool) -> None:
    stopping = stop_signal()
    reload_requested = None if load is None else reload_signal()
    signals = Signals(stopping, reload_requested)
    if settings.lease.path is None:
        await _be_active(settings, load, signals, allow_shrink=allow_shrink)
        return
    lease = Lease(settings.lease.path, settings.lease.takeover, _holder(settings))
    try:
        while not stopping.is_set():
            await _stand_by(settings, lease, stopping)
            if not stopping.is_set():
                async with lease.kept():
                    current = settings if load is None else await asyncio.to_thread(_loaded_again, settings, load)
                    await _be_active(current, load, signals, lease, allow_shrink=allow_shrink)
    finally:
        await lease.close()


async def _stand_by(settings: Settings, lease: Lease, stopping: asyncio.Event) -> None:
    """Serve only the exporter's own metrics until the lease is acquired or the process is stopped."""
    telemetry = Telemetry(has_lease=True)
    context = StandbyContext(site=settings.site, registry=telemetry.registry, active=lambda: lease.active)
    async with AsyncExitStack() as resources:
        await _serve(resources, context, settings.web)
        notify_systemd("READY=1")
        watchdog = asyncio.create_task(feed_watchdog(lambda: False))
        await _first(stopping.wait(), lease.acquire())
        watchdog.cancel()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until the first of the waits is over, and cancel the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _holder(settings: Settings) -> str:
    host, port = split_address(settings.web.listen_address)
    return f"{host if host not in _EVERY_ADDRESS else socket.gethostname()}:{port}"


def _loaded_again(settings: Settings, load: Callable[[], Settings]) -> Settings:
    """Load the settings again: they may have changed while this exporter stood by."""
    try:
        return load()
    except ConfigError as error:
        _log.error("new configuration rejected, the one of the start is used", errors=str(error))
        return settings


async def _be_active(
    settings: Settings,
    load: Callable[[], Settings] | None,
    signals: Signals,
    lease: Lease | None = None,
    *,
    allow_shrink: bool,
) -> None:
    """Read, evaluate and serve the site until stopped, or until the lease is lost."""
    limits = share_descriptors(settings.polling, settings.web)
    async with AsyncExitStack() as resources:
        telemetry = Telemetry(has_lease=lease is not None)
        telemetry.active.set(1)
        store = StateStore(settings.state, telemetry, shared=lease is not None)
        resources.push_async_callback(store.close)
        try:
            state = await store.load()
        except NewerStateError as error:
            raise StartError(str(error)) from None
        if not allow_shrink:
            _refuse_cut_inventory(settings, state)
        _announce(settings, state)
        session = await resources.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=HttpResolver(), limit=limits.sources, limit_per_host=0)
            )
        )
        miners = await resources.enter_async_context(
            Miners(
                deadline=settings.polling.deadline,
                identify_deadline=settings.polling.identify_deadline,
                most_kept=limits.kept,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            clock = SteadyClock()
            context = SourceContext(session, clock, telemetry=telemetry)
            market = Market(tasks, context, telemetry, restored(state, settings), clock)
            rigs = RigPoller(
                settings.served_rigs,
                miners,
                limits.polling,
                telemetry,
                schedules=settings.schedules,
                remembered=state.rigs,
                clock=clock,
                timer=elapsed,
            )
            evaluator = Evaluator(settings, telemetry, market, rigs, state, clock, store.save_energy)
            reload = None if load is None else Reload(load, evaluator, telemetry)
            if settings.rigs and not settings.served_rigs:
                advice = "use fewer shards, or more and smaller blocks: see hashmargin check-config"
                _log.warning("this shard serves no rigs", shard=settings.sharding.shard, advice=advice)
            server = _server_context(evaluator, market, rigs, reload, clock, lease)
            if settings.web.alertmanager is not None:
                server = replace(server, alerts=LatestAlerts(Endpoint(settings.web.alertmanager, session), elapsed))
            await _serve(resources, server, limits.web)
            notify_systemd("READY=1")
            running = [
                tasks.create_task(rigs.run(), name="rigs"),
                tasks.create_task(evaluator.run(), name="evaluation"),
                tasks.create_task(evaluator.outlooks.run(), name="outlook"),
                tasks.create_task(evaluator.day_plans.background.run(), name="day-ahead plan"),
                tasks.create_task(store.run(evaluator.state), name="state"),
                tasks.create_task(feed_watchdog(server.is_stuck), name="watchdog"),
                tasks.create_task(measure_loop_delay(telemetry), name="loop delay"),
                tasks.create_task(collect_garbage(), name="garbage"),
                tasks.create_task(keep_huge_pages(), name="huge pages"),
            ]
            running.append(tasks.create_task(_fill_history(evaluator, context, telemetry), name="backfill"))
            if reload is not None and signals.reload is not None:
                running.append(tasks.create_task(reload_when(signals.reload, reload), name="reload"))
                running.append(
                    tasks.create_task(watch(lambda: evaluator.settings, reload, due=reload.is_due), name="watch")
                )
            await _first(signals.stopping.wait(), *(() if lease is None else (lease.lost.wait(),)))
            if signals.stopping.is_set():
                _log.info("stopping")
                notify_systemd("STOPPING=1")
            last = evaluator.state()
            market.replace({})
            for task in running:
                task.cancel()
        if lease is None or lease.is_held():  # otherwise the state is another exporter's now
            await store.save(last)


def _announce(settings: Settings, state: State) -> None:
    """Log what runs, and what is probably wrong with the fleet."""
    listed = sum(not rig.discovered for rig in settings.rigs)
    _log.info(
        "starting",
        version=__version__,
        site=settings.site,
        rigs=listed,
        addresses_to_search=len(settings.rigs) - listed,
        blocks=len(settings.fleet_blocks),
    )
    log_warnings(settings.inventory_warnings)
    shard, shards = settings.sharding.shard, settings.sharding.total_shards
    _log.info("shard", shard=shard, of=shards, rigs_and_addresses=len(settings.served_rigs))
    _log.info("sources", names=" ".join(map(str, sources(settings))) or "none")
    kept = "nowhere: a restart forgets everything" if settings.state.path is None else str(settings.state.path)
    _log.info("state", path=kept, rigs_remembered=len(state.rigs))


async def _fill_history(evaluator: Evaluator, context: SourceContext, telemetry: Telemetry) -> None:
    """Fill the history at the start and after each reload, as the settings are then, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            evaluator.reloaded.clear()
            settings, filling = evaluator.settings, None
            if settings.decision.backfill is not None:
                recorder = settings.decision.backfill
                backfill = Backfill(
                    recorder, context, telemetry, lambda: evaluator.history, evaluator.add_recorded_hours
                )
                filling = tasks.create_task(
                    backfill.run(settings.served_rigs, settings.site_settings, settings.decision)
                )
            await evaluator.reloaded.wait()
            if filling is not None:
                filling.cancel()


def _refuse_cut_inventory(settings: Settings, state: State) -> None:
    """Raise StartError if the inventory lost too many rigs since the state file was written."""
    before = state.reading(LIST_SIZES, dict[str, int])
    if before is None:
        return
    cut = shrinks(before.value, settings.list_sizes, settings.fleet.max_shrink)
    if cut:
        raise StartError(
            f"{'; '.join(map(str, cut))}, more than fleet.max_shrink allows: correct the list, or confirm it with "
            "--allow-shrink"
        )


def _server_context(
    evaluator: Evaluator,
    market: Market,
    rigs: RigPoller,
    reload: Reload | None,
    clock: SteadyClock,
    lease: Lease | None,
) -> ServerContext:
    settings = evaluator.settings
    return ServerContext(
        site=settings.site,
        latest=evaluator.latest,
        evaluation_interval=settings.evaluation_interval,
        ready=lambda: rigs.first_round.is_set() and market.attempted,
        reload=_reload_by_request(reload) if settings.web.enable_lifecycle else None,
        explain=evaluator.explain,
        outlook=lambda: evaluator.outlooks.latest(clock()),
        failures=rigs.failures,
        sources=lambda: market.statuses(clock()),
        config=_described(evaluator),
        is_active=(lambda: True) if lease is None else lease.is_held,
    )


def _described(evaluator: Evaluator) -> Callable[[], str]:
    """Describe the settings in force, once for all pages until a reload: those of 10,000 rigs take a second."""
    last: tuple[Settings, str] | None = None

    def described() -> str:
        nonlocal last
        settings = evaluator.settings
        if last is None or last[0] is not settings:
            last = settings, describe(settings)
        return last[1]

    return described


def _reload_by_request(reload: Reload | None) -> Callable[[bool], Awaitable[str | None]] | None:
    return None if reload is None else lambda allow_shrink: reload(allow_shrink=allow_shrink)


async def _serve(resources: AsyncExitStack, context: ServerContext | StandbyContext, settings: WebSettings) -> None:
    try:
        await resources.enter_async_context(serving(context, settings))
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "")
        reason = os.strerror(error.errno) if error.errno in _ADVICE else error.strerror or error
        raise StartError(
            f"cannot serve on {settings.listen_address}: {reason}; {advice}give another --web.listen-address"
        ) from None
