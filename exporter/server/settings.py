"""Settings of the web server."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from exporter.model.fields import ConfigPath, SettingsGroup
from exporter.server.web_config import WebConfigFile
from exporter.sources.http import HttpSettings


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port``. No host means all IPv4 addresses. Raises ValueError for an invalid address."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 -- the last port
        raise ValueError(f"{address!r} is not an address: write it like 0.0.0.0:9852, 127.0.0.1:9852 or [::]:9852")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 -- as Prometheus' own flag has it


def _checked(address: str) -> str:
    split_address(address)
    return address


def _readable(path: Path) -> Path:
    WebConfigFile(path)
    return path


class WebSettings(SettingsGroup):
    """YAML ``web:``."""

    listen_address: Annotated[str, AfterValidator(_checked)] = Field(
        "0.0.0.0:9852", description="Address to serve on, as host:port. Port 0 takes a free port."
    )
    config_file: Annotated[ConfigPath, AfterValidator(_readable)] | None = Field(
        None, description="TLS, basic auth and headers, in the format of Prometheus' exporter-toolkit."
    )
    open_health_checks: bool = Field(
        False, description="Allow /-/ready without a login even if config_file requires one. /-/healthy needs none."
    )
    max_connections: int = Field(
        512,
        ge=1,
        description="Maximum number of open connections. A further one replaces the connection that has been idle "
        "longest, of the client with the most.",
    )
    max_requests: int = Field(
        32, ge=1, description="Maximum number of requests for pages and the JSON API in progress. Further ones get 429."
    )
    max_requests_per_client: int = Field(
        8, ge=1, description="Maximum number of requests of one client for pages and the JSON API in progress."
    )
    alertmanager: HttpSettings | None = Field(
        None, description="The Alertmanager whose firing alerts the wall view (`/wall`) shows."
    )
    enable_lifecycle: bool = Field(
        False, description="Allow POST and PUT to /-/reload to reload the configuration. SIGHUP always does."
    )
