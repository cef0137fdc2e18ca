"""The health check of the container image: ``python -m exporter.healthcheck [HOST:PORT]`` exits with 0 if healthy.

Without an address it asks where the container's exporter listens: by its flag, its environment or its configuration.

It tries HTTP, then HTTPS, because the web configuration decides between them. The certificate is not verified: it is
not issued for the loopback address. A server that demands a client certificate has no probes without one, so that it
responds at all has to do.
"""

import http.client
import os
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

_PORT: Final = "9852"
_COMMAND: Final = Path("/proc/1/cmdline")  # the container's first process is the exporter
_EVERY_HOST: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- where to ask instead
_PATH: Final = "/-/healthy"
_TIMEOUT: Final = 4.0  # s
_GOOD: Final = (200, 401)


def address_of(command: list[str], environ: Mapping[str, str]) -> str:
    """Return where the exporter that was started with ``command`` can be asked, as ``host:port``."""
    flags: dict[str, str] = {}
    for index, argument in enumerate(command):
        name, equals, value = argument.partition("=")
        flags[name] = value if equals else "".join(command[index + 1 : index + 2])
    address = flags.get("--web.listen-address") or environ.get("HASHMARGIN_WEB__LISTEN_ADDRESS", "")
    with suppress(OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, RecursionError):
        content = Path(flags.get("--config.file") or environ["HASHMARGIN_CONFIG_FILE"]).read_bytes()
        address = address or str(yaml.load(content, yaml.CBaseLoader)["web"]["listen_address"])  # noqa: S506 -- makes only texts
    host, _, port = address.rpartition(":")
    return f"{_EVERY_HOST.get(host, host)}:{port or _PORT}"


def is_healthy(address: str) -> bool:
    """Ask the exporter at ``address``. A login that the web configuration requires even here counts as healthy."""
    try:
        return _is_good(http.client.HTTPConnection(address, timeout=_TIMEOUT))
    except (OSError, http.client.HTTPException):
        pass
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(address, timeout=_TIMEOUT, context=context)
    try:
        connection.connect()
    except OSError:
        return False
    try:
        return _is_good(connection)
    except (ConnectionError, ssl.SSLError, http.client.HTTPException):
        return True  # the handshake is complete, so what is missing is a client certificate
    except OSError:
        return False
    finally:
        connection.close()


def _is_good(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", _PATH)
    return connection.getresponse().status in _GOOD


if __name__ == "__main__":
    _given = sys.argv[1:2] or [address_of(_COMMAND.read_bytes().decode().split("\0"), os.environ)]
    sys.exit(not is_healthy(*_given))
