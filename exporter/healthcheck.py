"""The health check of the container image: ``python -m exporter.healthcheck [HOST:PORT]`` exits with 0 if healthy.

It tries HTTP, then HTTPS, because the web configuration decides between them. The certificate is not verified: it is
not issued for the loopback address. A server that demands a client certificate has no probes without one, so that it
responds at all has to do.
"""

import http.client
import ssl
import sys
from typing import Final

_ADDRESS: Final = "127.0.0.1:9852"
_PATH: Final = "/-/healthy"
_TIMEOUT: Final = 4.0  # s
_GOOD: Final = (200, 401)


def is_healthy(address: str = _ADDRESS) -> bool:
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
    sys.exit(not is_healthy(*sys.argv[1:2]))
