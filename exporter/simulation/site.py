"""The simulated site as a whole: rigs, node, markets, GPUs and the control API, started and stopped as one."""

import ipaddress
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from exporter.simulation.config import site_config
from exporter.simulation.control import Control
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import Family, families
from exporter.simulation.gpus import gpu_nodes
from exporter.simulation.layout import Placement, plan, plan_models
from exporter.simulation.machine import Climate, Flapping, Machine
from exporter.simulation.market import SLOT_SECONDS, BitcoinMarket, PowerMarket
from exporter.simulation.node import Chain, Node
from exporter.simulation.service import Service, SourceFault
from exporter.simulation.wire import Listeners, SimulationError, Switchboard, can_listen

_MOST_LISTENERS: Final = 2_000
"""Beyond so many rigs one listener per port serves all: a process has too few files for one each."""

_FEWEST_TROUBLED: Final = 10
_RIGS_PER_FAULT: Final = 250
_RIGS_PER_FLAPPING: Final = 40
_FIRST_FAULTS: Final = (Fault.UNPLUGGED, Fault.HUNG, Fault.STOPPED, Fault.LYING, Fault.HOT)
_LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")
_SERVICE_PORTS: Final = {"node": 8332, "power": 8090, "bitcoin": 8091, "gpu-1": 9400, "gpu-2": 9401}
CONTROL_PORT: Final = 9853


class SimulatedSite:
    """A mining site on loopback addresses. ``async with SimulatedSite(...) as site`` starts and stops it.

    Args:
        rigs: How many rigs, of every family that can be served here.
        models: These models instead, in one block: for tests of a few rigs.
        seed: The same seed and clock give the same answers.
        network: Where the rigs live, within 127.0.0.0/8: the first /24 is for services, each block has one of its own.
        clock: Unix seconds.
        troubles: Whether some rigs are faulty from the start, and boards and fans fail and come back.
        slot_seconds: How long a price of the power market lasts: 900 in the real world.
        control_port: Port of the control API.
        port_offset: Added to the ports of the other services.
        lowest_port: Ports below this are left alone; None means those that this user may not bind.
    """

    def __init__(  # noqa: PLR0913 - each has its default, and a test names those it needs
        self,
        rigs: int = 120,
        *,
        models: Sequence[str] = (),
        seed: int = 21,
        network: str = "127.30.0.0/16",
        clock: Callable[[], float] = time.time,
        troubles: bool = True,
        slot_seconds: float = SLOT_SECONDS,
        control_port: int = CONTROL_PORT,
        port_offset: int = 0,
        lowest_port: int | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.left_out: list[str] = []
        self.network = ipaddress.IPv4Network(network)
        if not self.network.subnet_of(_LOOPBACK):
            raise SimulationError(f"the network {network} is not on loopback: choose one within {_LOOPBACK}")
        host = str(self.network.network_address + 1)
        served = self._served(families(), host, lowest_port)
        placements = plan_models(models, self.network, served) if models else plan(rigs, self.network, served)
        self.placements = placements
        self.machines = self._machines(placements)
        self.switchboard = Switchboard(
            clock=clock,
            machines={machine.address: machine for machine in self.machines.values()},
            dialects={placement.address: placement.family.ports for placement in placements},
        )
        self._listeners = Listeners(self.switchboard, wildcard=len(placements) > _MOST_LISTENERS)
        ports = {name: port + port_offset for name, port in _SERVICE_PORTS.items()}
        self.node = Node(Chain(seed, clock()), clock, host, ports["node"])
        self.power = PowerMarket(seed, clock, host, ports["power"], slot_seconds=slot_seconds)
        self.bitcoin = BitcoinMarket(seed, clock, host, ports["bitcoin"])
        self.gpu_nodes = gpu_nodes(seed, clock, host, (ports["gpu-1"], ports["gpu-2"]))
        self.control = Control(self, host, control_port)
        sources = [
            self.node.service,
            self.power.service,
            self.bitcoin.service,
            *(node.service for node in self.gpu_nodes),
        ]
        self.sources: dict[str, Service] = {service.name: service for service in sources}
        if troubles and len(placements) >= _FEWEST_TROUBLED:
            self._trouble()

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open every socket, or none. Raises SimulationError with one sentence where that cannot be."""
        try:
            for machine in self.machines.values():
                await self._listeners.show(machine)
            for service in (*self.sources.values(), self.control.service):
                await service.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every socket."""
        for service in (self.control.service, *self.sources.values()):
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
        """Name the rigs that have a fault now."""
        return [name for name, machine in self.machines.items() if machine.fault is fault]

    async def set_fault(self, rigs: str | Iterable[str], fault: Fault | None) -> None:
        """Put rigs into a fault, or clear theirs with None. Raises KeyError for a rig that does not exist."""
        for machine in [self.machines[name] for name in ([rigs] if isinstance(rigs, str) else rigs)]:
            machine.set_fault(fault, self.clock())
            await self._listeners.show(machine)

    async def set_source_fault(self, name: str, fault: SourceFault | None) -> None:
        """Break a service, or mend it with None. Raises KeyError for one that does not exist."""
        await self.sources[name].set_fault(fault)

    @property
    def left_out_text(self) -> str:
        """What is not simulated here and why, in one line; empty where nothing is left out."""
        if not self.left_out:
            return ""
        return (
            f"left out, because this user may not bind their ports: {', '.join(self.left_out)}; "
            f"to allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80"
        )

    def config(self) -> dict[str, Any]:
        """Give the exporter's configuration for this site, as its YAML file holds it."""
        return site_config(self)

    # --- making -----------------------------------------------------------------------------------------------------

    def _served(self, known: Sequence[Family], host: str, lowest_port: int | None) -> list[Family]:
        """Keep of each family what can be listened on here, and say what is left out."""
        served = []
        for family in known:
            allowed = {
                port: dialect
                for port, dialect in family.ports.items()
                if (can_listen(host, port) if lowest_port is None else port >= lowest_port)
            }
            missing = ", ".join(str(port) for port in family.ports if port not in allowed)
            if not allowed:
                self.left_out.append(f"{family.name} (port {missing})")
            elif missing:
                self.left_out.append(f"{family.name}'s port {missing}")
            if allowed:
                served.append(family.limited_to(allowed))
        return served

    def _machines(self, placements: Sequence[Placement]) -> dict[str, Machine]:
        climate = Climate(self.seed)
        now = self.clock()
        return {
            placement.name: Machine(
                placement.model,
                name=placement.name,
                address=placement.address,
                mac_prefix=placement.family.mac_prefix,
                seed=self.seed,
                now=now,
                climate=climate,
            )
            for placement in placements
        }

    def _trouble(self) -> None:
        """Let some rigs be faulty from the start, and parts of others fail and come back."""
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
        for machine in machines[:count]:
            machine.board_flapping = _flapping(random, machine.model.boards - 1, now)
        for machine in machines[count : 2 * count]:
            machine.fan_flapping = _flapping(random, machine.model.fans - 1, now)


def _flapping(random: Random, index: int, now: float) -> Flapping:
    period = random.uniform(1_800.0, 7_200.0)
    return Flapping(
        index=index, period=period, down=random.uniform(0.1, 0.25) * period, phase=now - random.uniform(0, period)
    )
