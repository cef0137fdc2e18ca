"""The settings of a fleet: rigs, ranges of addresses, lists, blocks and customers."""

import ipaddress
import re
from ipaddress import IPv4Network
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from exporter.model.fields import ConfigPath, Ratio, SettingsGroup, Text
from exporter.model.fleet import Block
from exporter.model.units import WATTS_PER_KILOWATT
from exporter.sources.discovery import HttpSd
from exporter.sources.rigs import coerce

WIDEST_RANGE: Final = 16
"""The shortest prefix that a range may have: beyond 65,536 addresses a slip is likelier than a site."""

_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*\.?")
DIGITS_AND_DOTS: Final = re.compile(r"[\d.]+")
_BROADCAST: Final = "255.255.255.255"


def host(text: str) -> str:
    """Return the address of a rig as we write it. Raises ValueError for what is neither IP address nor host name."""
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


Name = Annotated[Text, Field(max_length=200), AfterValidator(_name)]


class RigFacts(SettingsGroup):
    """What may be said of a rig, of a whole range, and of all rigs that do not say it themselves."""

    block: Name | None = Field(None, description="Block that it stands in: what is switched or converted as one.")
    rack: Name | None = Field(None, description="Rack within the block.")
    position: Name | None = Field(None, description="Place within the rack.")
    customer: Name | None = Field(None, description="Who owns it, on a hosting site.")
    tariff: Name | None = Field(
        None,
        description="Tariff that its power is billed by; else its customer's, else its block's, else the site's.",
    )
    username: Text | None = Field(None, description="User of its web interface or API.")
    password: SecretStr | None = Field(None, description="Password of that user.")
    password_file: ConfigPath | None = Field(None, description="File that holds the password, instead of `password`.")
    rated_terahash: float | None = Field(None, gt=0, le=100_000, description="Nameplate hashrate in TH/s.")
    rated_watts: float | None = Field(None, gt=0, le=1_000_000, description="Nameplate power in W.")
    algorithm: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,31}$")] | None = Field(
        None,
        description="What it hashes, such as `sha256`, for models that hashmargin does not know and that do not report "
        "it. Only a rig that is known to hash SHA-256 is priced.",
    )
    worker: Annotated[Name, AfterValidator(_worker)] | None = Field(
        None,
        description="Worker name that it should mine under, such as `acme.{rig}` (`{rig}` is its name) or `acme.*`.",
    )
    expected_mining: Annotated[bool | str, BeforeValidator(_yes_or_no)] | None = Field(
        None, description="Whether it is meant to mine: true, false, or the name of one of the `schedules`."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self


class RigRow(RigFacts):
    """One rig, inline or as a line of a CSV file."""

    name: Name | None = Field(
        None, description="Its name for ever: the `rig` label. Else its MAC, serial or address is."
    )
    mac: Annotated[Text, AfterValidator(_mac)] | None = Field(
        None, description="Its MAC address: with it the rig is recognised wherever in the inventory it answers."
    )
    serial: Name | None = Field(None, description="Its serial number, by which it is recognised likewise.")
    address: Annotated[str, AfterValidator(host)] = Field(description="IP address or host name.")


class RangeSettings(RigFacts):
    """A range of addresses in which rigs are to be found."""

    cidr: Annotated[IPv4Network, BeforeValidator(_range)] = Field(description="The range, such as 10.1.0.0/24.")
    exclude: tuple[Annotated[IPv4Network, BeforeValidator(_range)], ...] = Field(
        (), description="Addresses and ranges within it where no rig is: gateways, switches, PDUs."
    )


class InventorySettings(SettingsGroup):
    """The fleet (YAML ``fleet:``). A rig's own row wins over the range that its address lies in."""

    defaults: RigFacts = Field(RigFacts(), description="What holds for every rig that does not say it itself.")
    csv: tuple[ConfigPath, ...] = Field((), description="CSV files with a header line, one rig a line.")
    file_sd: tuple[ConfigPath, ...] = Field(
        (), description="Files of targets as Prometheus' file_sd reads them, JSON or YAML; labels tell of the rigs."
    )
    http_sd: tuple[HttpSd, ...] = Field(
        (), description="URLs of such lists, as Prometheus' http_sd asks them; each a [source](#sources) over HTTP."
    )
    ranges: tuple[RangeSettings, ...] = Field((), description="Address ranges: rigs are found in them.")
    rigs: tuple[RigRow, ...] = Field((), description="Rigs listed here.")


class BlockSettings(SettingsGroup):
    """A block: a container, a building, a feeder (YAML ``blocks:``)."""

    capacity_kilowatts: float | None = Field(None, gt=0, le=2_000_000, description="What its feeder carries, in kW.")
    convertible: bool | Ratio = Field(
        True,
        description="Whether it can be converted to AI hosting, or which share of its capacity, such as 0.5. The worst "
        "rigs leave first.",
    )
    moving_cost_usd_per_rig: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="What it costs to move a rig from it to another block, for `hashmargin plan`.",
    )
    tariff: Name | None = Field(
        None, description="Tariff of the rigs in it, unless they or their customers have their own."
    )

    def block(self, name: str) -> Block:
        """The block's facts under its name."""
        watts = None if self.capacity_kilowatts is None else self.capacity_kilowatts * WATTS_PER_KILOWATT
        return Block(
            name=name,
            capacity_watts=watts,
            convertible_share=float(self.convertible),
            moving_cost_per_rig=self.moving_cost_usd_per_rig,
        )


class CustomerSettings(SettingsGroup):
    """What the operator says of one customer, under its name in YAML ``customers:``."""

    tariff: Name | None = Field(None, description="Tariff of the rigs it owns, unless they have their own.")
