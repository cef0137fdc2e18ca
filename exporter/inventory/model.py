"""Settings of the fleet: rigs, address ranges, lists, logins, blocks and customers."""

import ipaddress
import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from exporter.model.configuration_errors import unknown
from exporter.model.fields import ConfigPath, Network, Ratio, SettingsGroup, Text, is_offline
from exporter.model.fleet import Block
from exporter.model.units import WATTS_PER_KILOWATT
from exporter.sources.discovery import MAX_SHRINK, HttpSd
from exporter.sources.rigs import coerce

WIDEST_RANGE: Final = 16
"""The shortest prefix of a range. More than 65,536 addresses are more likely a typing error than a site."""

_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*\.?")
DIGITS_AND_DOTS: Final = re.compile(r"[\d.]+")
_BROADCAST: Final = "255.255.255.255"


def host(text: str) -> str:
    """Return the normalized address of a rig. Raises ValueError if it is neither an IP address nor a host name."""
    text = text.strip()
    if "/" in text or (":" not in text and not DIGITS_AND_DOTS.fullmatch(text)):
        if _HOST_NAME.fullmatch(text):
            return text.lower()
        raise ValueError(f"{text!r} is not an address: write an IP address or a host name, without scheme or path")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "leave the port out" if ":" in text else "write it like 10.1.0.17"
        raise ValueError(f"{text!r} is not an address: {hint}") from None
    if address.is_unspecified or address.is_multicast or str(address) == _BROADCAST:
        raise ValueError(f"{text!r} is not the address of one device")
    return str(address)


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is not a name: it must have visible characters only")
    return text.strip()


def _range(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    text = value.strip() if isinstance(value, str) else ""
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 range: write it like 10.1.0.0/24") from None
    if str(network.network_address) != text.partition("/")[0]:
        raise ValueError(f"{value!r} does not begin at a network address: did you mean {str(network)!r}?")
    if network.prefixlen < WIDEST_RANGE:
        raise ValueError(
            f"{value!r} has {network.num_addresses:,} addresses, and scanning them takes hours: "
            f"list the parts that hold rigs, each a /{WIDEST_RANGE} or smaller"
        )
    return network


def _yes_or_no(value: object) -> object:
    words = {"true": True, "yes": True, "false": False, "no": False}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


def _mac(text: str) -> str:
    mac = coerce.mac(text)
    if not mac:
        raise ValueError(f"{text!r} is not a MAC address: write it in quotes, like '02:1a:b3:00:00:01'")
    return mac


def _worker(text: str) -> str:
    fixed = text.replace("{rig}", "").removesuffix("*")
    if any(character in fixed for character in "{}*"):
        raise ValueError(f"{text!r} is no worker name: write it like 'acme.{{rig}}' or 'acme.*'")
    return text


def _names(value: object) -> object:
    """Split ``a|b`` and accept a single name instead of a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split("|") if part.strip())
    return (value,) if isinstance(value, int) else value


Name = Annotated[Text, Field(max_length=200), AfterValidator(_name)]

LARGEST_BLOCK_KILOWATTS: Final = 250_000
"""No block of a mining site is larger than the largest sites' substations."""


class RigFacts(SettingsGroup):
    """Settings of one rig, of all rigs of a range, or of all rigs without a value of their own."""

    block: Name | None = Field(None, description="Block of the rig: a group that is switched or converted together.")
    rack: Name | None = Field(None, description="Rack within the block.")
    position: Name | None = Field(None, description="Position within the rack.")
    customer: Name | None = Field(None, description="Owner of the rig, on a hosting site.")
    contract: Name | None = Field(
        None, description="Hosting contract of the rig, one of `contracts`. Default: its customer's."
    )
    tariff: Name | None = Field(
        None,
        description="Tariff of its power. Default: its customer's, else its block's, else the site's.",
    )
    login: Annotated[tuple[Name, ...], BeforeValidator(_names)] | None = Field(
        None,
        description="Names of `fleet.logins` for its web interface or API, tried in order. In CSV files and labels, "
        "separate them by `|`.",
    )
    username: Text | None = Field(None, description="User of its web interface or API. Deprecated: use `login`.")
    password: SecretStr | None = Field(None, description="Password of that user. Deprecated: use `login`.")
    password_file: ConfigPath | None = Field(None, description="File with the password. Deprecated: use `login`.")
    rated_terahash: float | None = Field(None, gt=0, le=100_000, description="Nameplate hashrate in TH/s.")
    rated_watts: float | None = Field(None, gt=0, le=1_000_000, description="Nameplate power in W.")
    accept_implausible: Annotated[bool, BeforeValidator(_yes_or_no)] | None = Field(
        None,
        description="Accept ratings that are refused as implausible: outside 8 to 150 J/TH, or more than a factor of 3 "
        "from the nameplate of the model.",
    )
    algorithm: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,31}$")] | None = Field(
        None,
        description="Algorithm, such as `sha256`, for models that hashmargin does not know and that do not report it. "
        "Only rigs that are known to hash SHA-256 are priced.",
    )
    worker: Annotated[Name, AfterValidator(_worker)] | None = Field(
        None,
        description="Expected worker name, such as `acme.{rig}` (`{rig}` is its name) or `acme.*`.",
    )
    expected_mining: Annotated[bool | str, BeforeValidator(_yes_or_no)] | None = Field(
        None, description="Whether it should mine: true, false, or the name of one of the `schedules`."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if self.login is not None and self.has_own_login:
            raise ValueError("give login, or username and password, not both")
        return self

    @property
    def has_own_login(self) -> bool:
        """Whether a login is given here, rather than named."""
        return any(value is not None for value in (self.username, self.password, self.password_file))


class RigRow(RigFacts):
    """One rig, in the configuration file or as a line of a CSV file."""

    name: Name | None = Field(
        None, description="Name of the rig: the `rig` label. Default: its MAC address, serial number or address."
    )
    mac: Annotated[Text, AfterValidator(_mac)] | None = Field(
        None, description="MAC address. A rig with one is recognised at every address of the inventory."
    )
    serial: Name | None = Field(
        None, description="Serial number. A rig with one is recognised at every address of the inventory."
    )
    address: Annotated[str, AfterValidator(host)] = Field(description="IP address or host name.")


class RangeSettings(RigFacts):
    """A range of addresses that is searched for rigs."""

    cidr: Annotated[IPv4Network, BeforeValidator(_range)] = Field(description="The range, such as 10.1.0.0/24.")
    exclude: tuple[Annotated[IPv4Network, BeforeValidator(_range)], ...] = Field(
        (), description="Addresses and ranges within it that are not searched: gateways, switches, PDUs."
    )


class LoginSettings(SettingsGroup):
    """One login for web interfaces or APIs of rigs. It is sent only to addresses within ``cidr``."""

    username: Text = Field("", description="User name. Leave it out for firmware that has only a password.")
    password: SecretStr | None = Field(None, description="Password of that user.")
    password_file: ConfigPath | None = Field(None, description="File with the password, instead of `password`.")
    cidr: tuple[Network, ...] = Field(
        min_length=1, description="Networks whose addresses may receive this login, such as [10.1.0.0/16]."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password is None) == (self.password_file is None) and not is_offline():
            raise ValueError("give password or password_file")
        return self


class InventorySettings(SettingsGroup):
    """The fleet (YAML ``fleet:``). A listed rig takes precedence over a range that contains its address."""

    defaults: RigFacts = Field(RigFacts(), description="Values for every rig that has none of its own.")
    logins: dict[Name, LoginSettings] = Field(
        {}, description="Logins by name, for `login` of rigs, ranges, defaults and labels."
    )
    csv: tuple[ConfigPath, ...] = Field((), description="CSV files with a header line and one rig per line.")
    columns: dict[str, Text] = Field(
        {}, description="Header of a CSV column by our name for it, if your files use other names: `address: IP`."
    )
    file_sd: tuple[ConfigPath, ...] = Field(
        (),
        description="Target files in the format of Prometheus' file_sd, JSON or YAML. The file's name may contain `*`.",
    )
    http_sd: tuple[HttpSd, ...] = Field(
        (),
        description="URLs of target lists in the format of Prometheus' http_sd, each a [source](#sources) over HTTP.",
    )
    ranges: tuple[RangeSettings, ...] = Field((), description="Address ranges that are searched for rigs.")
    rigs: tuple[RigRow, ...] = Field((), description="Rigs listed here.")
    max_shrink: Ratio = Field(
        MAX_SHRINK,
        description="Largest share of its rigs that a list, or the fleet, may lose at once. A smaller list is refused "
        "until it is confirmed. The loss of one rig is always accepted, unless it is the last.",
    )

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, columns: Mapping[str, str]) -> Mapping[str, str]:
        for column in columns:
            if column not in RigRow.model_fields:
                raise ValueError(f"{column}: {unknown('column', column, RigRow.model_fields)}")
        headers = [header.strip().casefold() for header in columns.values()]
        twice = next((header for header in headers if headers.count(header) > 1), None)
        if twice is not None:
            raise ValueError(f"the header {twice!r} is given for two columns")
        return columns


class BlockSettings(SettingsGroup):
    """A block: a container, a building, a feeder (YAML ``blocks:``)."""

    capacity_kilowatts: float | None = Field(None, gt=0, description="Capacity of its feeder in kW.")
    convertible: bool | Ratio = Field(
        True,
        description="Whether it can be converted to AI hosting, or which share of its capacity. With a share such as "
        "0.5 the other rigs stay, and the worst ones leave first; the margin per kW is that of the whole block.",
    )
    moving_cost_usd_per_rig: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Cost of moving a rig from it to another block, in USD, for `hashmargin plan`.",
    )
    tariff: Name | None = Field(None, description="Tariff of its rigs, unless they or their customers have one.")

    @field_validator("capacity_kilowatts")
    @classmethod
    def _in_kilowatts(cls, capacity: float | None) -> float | None:
        if capacity is not None and capacity > LARGEST_BLOCK_KILOWATTS:
            raise ValueError(
                f"{capacity:g} is above the largest plausible capacity, {LARGEST_BLOCK_KILOWATTS:,} kW: is it in watts?"
            )
        return capacity

    def block(self, name: str) -> Block:
        """Return the block of this name."""
        watts = None if self.capacity_kilowatts is None else self.capacity_kilowatts * WATTS_PER_KILOWATT
        return Block(
            name=name,
            capacity_watts=watts,
            convertible_share=float(self.convertible),
            moving_cost_per_rig=self.moving_cost_usd_per_rig,
        )


class CustomerSettings(SettingsGroup):
    """Settings of one customer (YAML ``customers:``)."""

    tariff: Name | None = Field(None, description="Tariff of its rigs that have none of their own.")
    contract: Name | None = Field(None, description="Hosting contract of its rigs, one of `contracts`.")
    pools: tuple[Name, ...] = Field((), description="Its accounts of `pools`: their payments are in its statement.")
