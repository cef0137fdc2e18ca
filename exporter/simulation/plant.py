"""The parts of a simulated site: rigs, node, markets and GPUs, started and stopped together."""

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from types import MappingProxyType, TracebackType
from typing import Final, Self

from exporter.model.configuration_errors import unknown
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import Family, families
from exporter.simulation.gpu_market import GpuMarket
from exporter.simulation.gpus import gpu_nodes
from exporter.simulation.layout import Placement, plan, plan_models
from exporter.simulation.machine import Climate, Flapping, Machine
from exporter.simulation.market import SLOT_SECONDS, BitcoinMarket, PowerMarket
from exporter.simulation.node import Chain, Node
from exporter.simulation.points import QUICK_RAMP_SECONDS, RAMP_SECONDS
from exporter.simulation.pool_server import PoolServer
from exporter.simulation.rounds import Rounds
from exporter.simulation.service import Service, SourceFault
from exporter.simulation.wire import Line, Listeners, SimulationError, Switchboard, can_listen

_MOST_LISTENERS: Final = 2_000
"""Beyond so many rigs one listener per port serves all: a process has too few files for one each."""

_FEWEST_TROUBLED: Final = 10
_RIGS_PER_FAULT: Final = 250
_RIGS_PER_FLAPPING: Final = 40
_FIRST_FAULTS: Final = {
    Fault.UNPLUGGED: "without power",
    Fault.HUNG: "accepts connections and never answers",
    Fault.STOPPED: "answers and does not hash",
    Fault.LYING: "reports an impossible hashrate",
    Fault.HOT: "runs too hot",
}
_LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")
_SERVICE_PORTS: Final = {
    "node": 8332,
    "power": 8090,
    "bitcoin": 8091,
    "pool": 8093,
    "gpu-market": 8622,
    "gpu-1": 9400,
    "gpu-2": 9401,
}
_ONLY_ADDRESS: Final = "127.0.0.1"


class Plant:
    """The rigs and the services of a site, on loopback addresses. An async context manager starts and stops it.

    Args:
        rigs: How many rigs, of every family that can be served here.
        models: These models instead, in one block: for tests of a few rigs.
        weights: Weights of firmware in the mixture, by name, instead of its own; see :class:`Family`.
        seed: The same seed and clock give the same answers.
        network: Where the rigs live, within 127.0.0.0/8: the first /24 is for services, each block has one of its own.
            With one address only, as on systems that have no more, few rigs fit.
        clock: Unix seconds.
        troubles: Whether some rigs are faulty from the start, and boards and fans fail and come back.
        slot_seconds: How long a price of the power market lasts: 900 in the real world.
        wave_seconds: Script the power prices instead, from dear to nearly free and back in so many seconds. Rigs then
            ramp within seconds, and run at a lower operating point now and then.
        port_offset: Added to the ports of the other services.
        lowest_port: Ports below this are left alone; None means those that this user may not bind.
    """

    def __init__(  # noqa: PLR0913 - each has its default, and a test names those it needs
        self,
        rigs: int = 120,
        *,
        models: Sequence[str] = (),
        weights: Mapping[str, float] = MappingProxyType({}),
        seed: int = 21,
        network: str = "127.30.0.0/16",
        clock: Callable[[], float] = time.time,
        troubles: bool = True,
        slot_seconds: float = SLOT_SECONDS,
        wave_seconds: float | None = None,
        port_offset: int = 0,
        lowest_port: int | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.wave_seconds = wave_seconds
        self.left_out: list[str] = []
        self.network = _network(network)
        if slot_seconds < 1.0:
            raise SimulationError("a power price lasts at least a second")
        if wave_seconds is not None and wave_seconds < slot_seconds:
            raise SimulationError("a wave of power prices lasts at least as long as one price")
        if not can_listen(_first_host(self.network), 0):
            self.left_out.append(f"all of {network}, because this system has no loopback address but {_ONLY_ADDRESS}")
            self.network = ipaddress.IPv4Network(_ONLY_ADDRESS)
        host = _first_host(self.network)
        self.placements = placements = self._place(rigs, models, self._served(_weighted(weights), host, lowest_port))
        self.machines = self._machines(placements)
        self.switchboard = Switchboard(
            clock=clock,
            lines={
                (placement.address, port): Line(self.machines[placement.name], dialect)
                for placement in placements
                for port, dialect in placement.family.ports.items()
            },
        )
        self._listeners = Listeners(self.switchboard, wildcard=len(placements) > _MOST_LISTENERS)
        ports = {name: port + port_offset for name, port in _SERVICE_PORTS.items()}
        self.node = Node(Chain(seed, clock()), clock, host, ports["node"])
        self.power = PowerMarket(
            seed, clock, host, ports["power"], slot_seconds=slot_seconds, wave_seconds=wave_seconds
        )
        self.bitcoin = BitcoinMarket(seed, clock, host, ports["bitcoin"])
        self.gpu_market = GpuMarket(seed, clock, host, ports["gpu-market"])
        self.pool = PoolServer(seed, clock, host, ports["pool"], self.machines)
        self.gpu_nodes = gpu_nodes(seed, clock, host, (ports["gpu-1"], ports["gpu-2"]))
        sources = [
            self.node.service,
            self.power.service,
            self.bitcoin.service,
            self.pool.service,
            self.gpu_market.service,
            *(node.service for node in self.gpu_nodes),
        ]
        self.rounds = Rounds(
            [self.machines[placement.name] for placement in placements if placement.family.lists_points], clock
        )
        self.host = host
        self.sources: dict[str, Service] = {service.name: service for service in sources}
        self._services: list[Service] = sources
        if troubles and len(placements) >= _FEWEST_TROUBLED:
            self._trouble()

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open every socket, or none. Raises SimulationError with the reason in one sentence."""
        try:
            for machine in self.machines.values():
                await self._listeners.show(machine)
            for service in self._services:
                await service.start()
            if self.wave_seconds is not None:
                self.rounds.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every socket."""
        await self.rounds.stop()
        for service in reversed(self._services):
            await service.stop()
        await self._listeners.close_all()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- what a test or an operator of the demo does ----------------------------------------------------------------

    @property
    def blocks(self) -> list[str]:
        """The names of the blocks, in order."""
        return list(dict.fromkeys(placement.block for placement in self.placements))

    def rigs_of(self, block: str) -> list[str]:
        """Name the rigs of a block."""
        return [placement.name for placement in self.placements if placement.block == block]

    def rigs_with(self, fault: Fault) -> list[str]:
        """Return the names of the rigs with a fault."""
        return [name for name, machine in self.machines.items() if machine.fault is fault]

    def planned_faults(self) -> dict[str, list[str]]:
        """Describe each kind of fault present at the start, with the names of its rigs."""
        machines = self.machines.items()
        faults = {words: self.rigs_with(fault) for fault, words in _FIRST_FAULTS.items()}
        faults["loses a board now and then"] = [name for name, machine in machines if machine.board_flapping]
        faults["loses a fan now and then"] = [name for name, machine in machines if machine.fan_flapping]
        return {words: rigs for words, rigs in faults.items() if rigs}

    async def set_fault(self, rigs: str | Iterable[str], fault: Fault | None) -> None:
        """Set the fault of rigs; None clears it. Raises KeyError for an unknown rig."""
        for machine in [self.machines[name] for name in ([rigs] if isinstance(rigs, str) else rigs)]:
            machine.set_fault(fault, self.clock())
            await self._listeners.show(machine)

    async def set_source_fault(self, name: str, fault: SourceFault | None) -> None:
        """Set the fault of a service; None clears it. Raises KeyError for an unknown service."""
        await self.sources[name].set_fault(fault)

    # --- making -----------------------------------------------------------------------------------------------------

    def _served(self, known: Sequence[Family], host: str, lowest_port: int | None) -> list[Family]:
        """Return the families with the ports that this user may bind. Warns about the others, with a remedy."""
        forbidden = {
            port: sorted(family.name for family in known if port in family.ports)
            for port in sorted({port for family in known for port in family.ports})
            if not (can_listen(host, port) if lowest_port is None else port >= lowest_port)
        }
        self.left_out += [
            f"port {port} of {', '.join(names)}, which this user may not bind "
            f"(to allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start={port})"
            for port, names in forbidden.items()
        ]
        limited = [family.without(forbidden) for family in known]
        return [family for family in limited if family.ports]

    def _place(self, rigs: int, models: Sequence[str], served: Sequence[Family]) -> tuple[Placement, ...]:
        """Plan the fleet. With one address only, a rig is kept for each port."""
        if self.network.num_addresses > 1:
            return plan_models(models, self.network, served) if models else plan(rigs, self.network, served)
        planned = plan_models(models, _LOOPBACK, served) if models else plan(rigs, _LOOPBACK, served)
        taken: set[int] = set()
        kept = []
        for placement in planned:
            if taken.isdisjoint(placement.family.ports):
                taken.update(placement.family.ports)
                kept.append(replace(placement, address=str(self.network.network_address)))
        if len(kept) < len(planned):
            self.left_out.append(f"{len(planned) - len(kept)} rigs, because one address has each port only once")
        return tuple(kept)

    def _machines(self, placements: Sequence[Placement]) -> dict[str, Machine]:
        climate = Climate(self.seed)
        now = self.clock()
        ramp = RAMP_SECONDS if self.wave_seconds is None else QUICK_RAMP_SECONDS
        return {
            placement.name: Machine(
                placement.model,
                name=placement.name,
                address=placement.address,
                mac_prefix=placement.family.mac_prefix,
                seed=self.seed,
                now=now,
                climate=climate,
                ramp=ramp,
            )
            for placement in placements
        }

    def _trouble(self) -> None:
        """Make some rigs faulty from the start, and parts of others fail for a time."""
        random = Random(f"{self.seed} troubles")
        now = self.clock()
        machines = list(self.machines.values())
        random.shuffle(machines)
        count = -(-len(machines) // _RIGS_PER_FAULT)
        for fault in _FIRST_FAULTS:
            for machine in machines[:count]:
                machine.set_fault(fault, now)
            machines = machines[count:]
        count = -(-len(self.machines) // _RIGS_PER_FLAPPING)
        several_boards = [machine for machine in machines if machine.model.boards > 1]
        for machine in several_boards[:count]:
            machine.board_flapping = _flapping(random, machine.model.boards - 1, now)
        for machine in several_boards[count : 2 * count]:
            machine.fan_flapping = _flapping(random, machine.model.fans - 1, now)


def _weighted(weights: Mapping[str, float]) -> list[Family]:
    """Return every family with its weight in the mixture. Raises SimulationError for an unknown one."""
    known = families()
    for name in weights:
        if name not in (names := [family.name for family in known]):
            raise SimulationError(unknown("firmware", name, names))
    return [replace(family, weight=weights.get(family.name, family.weight)) for family in known]


def _network(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        raise SimulationError(f"{text!r} is no network: write it like 127.30.0.0/16") from None
    if not network.subnet_of(_LOOPBACK):
        raise SimulationError(f"the network {text} is not on loopback: choose one within {_LOOPBACK}")
    return network


def _first_host(network: ipaddress.IPv4Network) -> str:
    return str(network.network_address + (1 if network.num_addresses > 1 else 0))


def _flapping(random: Random, index: int, now: float) -> Flapping:
    period = random.uniform(1_800.0, 7_200.0)
    return Flapping(
        index=index, period=period, down=random.uniform(0.1, 0.25) * period, phase=now - random.uniform(0, period)
    )
