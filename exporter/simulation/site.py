"""The simulated site as a whole: its plant and the control API, and the exporter's configuration for it."""

from typing import Any, Final

from exporter.simulation.config import site_config
from exporter.simulation.control import Control
from exporter.simulation.plant import Plant

CONTROL_PORT: Final = 9853


class SimulatedSite(Plant):
    """A mining site on loopback addresses. ``async with SimulatedSite(...) as site`` starts and stops it.

    Args:
        rigs: How many rigs, of every family that can be served here.
        control_port: Port of the control API.
        settings: See :class:`exporter.simulation.plant.Plant`.
    """

    def __init__(self, rigs: int = 120, *, control_port: int = CONTROL_PORT, **settings: Any) -> None:
        super().__init__(rigs, **settings)
        self.control = Control(self, self.host, control_port)
        self._services.append(self.control.service)

    def config(self) -> dict[str, Any]:
        """Return the exporter's configuration for this site, as its YAML file holds it."""
        return site_config(self)
