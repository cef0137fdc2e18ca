"""Rigs and blocks as the inventory defines them. Nothing here comes from a reading."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

UNASSIGNED = "unassigned"
"""Name of the block for rigs without one in the inventory."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Login for a rig's web interface. The password is not part of the repr.

    Attributes:
        name: Its name in ``fleet.logins``. Empty if it is given with the rig.
        networks: The only networks whose addresses may receive it. Empty means any address.
    """

    username: str
    password: str = field(repr=False)
    name: str = ""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def may_go_to(self, address: str) -> bool:
        """Return whether the login may be sent to ``address``. A host name is in no network."""
        if not self.networks:
            return True
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One rig of the inventory. ``name`` is the ``rig`` label; it does not change while the inventory does not."""

    name: str
    address: str
    mac: str = ""  # lower case with colons; a rig with a MAC address or serial is recognised at any address
    serial: str = ""
    block: str = UNASSIGNED
    rack: str = ""
    position: str = ""
    customer: str = ""
    contract: str = ""  # resolved: the rig's own, else its customer's
    tariff: str = ""  # resolved: the rig's own, else its customer's, its block's, the site's
    logins: tuple[Credentials, ...] = ()  # in the order in which they are tried
    rated_hashrate: float | None = None  # H/s
    rated_power: float | None = None  # W
    accept_implausible: bool = False  # keep a rating that contradicts the nameplate of its model
    algorithm: str = ""  # set by the operator for models that do not report theirs
    worker: str = ""  # expected worker; `{rig}` stands for its name, `*` at the end for any text
    expected_schedule: str | None = None  # name of a schedule; None means that `expected_mining` always applies
    expected_mining: bool = True
    searched_range: str = ""  # the address range that contains it, if it was not listed
    listed_in: str = field(default="", compare=False)  # the list that contains it: ``fleet.rigs``, a file or a URL
    discovered: bool = False  # an address of a range; it is not a rig until something answers there
    count: int = 1  # equal rigs that it stands for, in a backtest


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A group of rigs that is converted or switched together: a container, a building, a feeder."""

    name: str
    capacity_watts: float | None = None  # capacity of the feeder
    convertible_share: float = 1.0  # 0-1 of its capacity that can be converted
    moving_cost_per_rig: float | None = None  # USD, to move a rig from it to another block of the site

    @property
    def convertible(self) -> bool:
        """Whether any of it can be converted."""
        return self.convertible_share > 0
