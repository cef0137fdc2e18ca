"""The classified failures: each says what went wrong, and what the operator can do about it."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an answer could not be had. The closed list behind every ``reason`` label."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    AUTH = "auth"
    GARBLED = "garbled"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TLS = "tls"
    NOT_READY = "not_ready"
    WRONG_CHAIN = "wrong_chain"
    STALE = "stale"
    IMPLAUSIBLE = "implausible"
    INTERNAL = "internal"


ADVICE: dict[Reason, str] = {
    Reason.UNREACHABLE: "check power, cable, address and firewall",
    Reason.TIMEOUT: "it accepted the connection but did not answer in time: restart it if this lasts",
    Reason.REFUSED: "it is up but its API port is closed: enable the API",
    Reason.AUTH: "check the user name and password in the configuration",
    Reason.GARBLED: "it answered something that is not its protocol: check address, port and firmware",
    Reason.TOO_LARGE: "it answered more than the limit: check that the address is the right device",
    Reason.UNSUPPORTED: "no reader knows this device: send us `hashmargin capture ADDRESS`",
    Reason.RATE_LIMITED: "asked too often: raise its interval",
    Reason.SERVER_ERROR: "the server failed inside: look at its own log",
    Reason.TLS: "check the certificate, the CA file and the host name",
    Reason.NOT_READY: "it answers, but has nothing to give yet: wait",
    Reason.WRONG_CHAIN: "the node is not on the main chain: point at a mainnet node",
    Reason.STALE: "it answers, but with old data: look at what feeds it, and at both clocks",
    Reason.IMPLAUSIBLE: "the value was rejected: check the source, its unit and its currency",
    Reason.INTERNAL: "this is a bug in hashmargin: please report it with the log line",
}


class Failure(Exception):  # noqa: N818 -- reads as what it says
    """A read that gave no value. ``reason`` is for metrics, ``detail`` for the log (short, without secrets).

    ``retry_after`` is the wait in seconds that the other side asked for, where it did.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail[:200]}")
        self.reason = reason
        self.detail = detail[:200]
        self.retry_after = retry_after

    @property
    def advice(self) -> str:
        """What the operator can do about it."""
        return ADVICE[self.reason]
