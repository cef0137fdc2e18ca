"""The classes of failures, and the advice to the operator for each."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from exporter.model.secrets import mask_secrets


class Reason(StrEnum):
    """Why a request failed. These are all values of the label ``reason``."""

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


_BUG: Final = "this is a bug in hashmargin: please report it with the log line"

RIG_ADVICE: Final[Mapping[Reason, str]] = {
    Reason.UNREACHABLE: "check its power, cable and address, and the firewall",
    Reason.TIMEOUT: "it accepted the connection but did not answer in time: restart it if this lasts",
    Reason.REFUSED: "it is up, but its API port is closed or hangs up: enable the API, and let this host in",
    Reason.AUTH: "check its user name and password in the inventory, and that its API admits this host",
    Reason.GARBLED: "its answer does not follow its protocol: check address, port and firmware",
    Reason.TOO_LARGE: "its answer is larger than that of any rig: check that the address is the right device",
    Reason.UNSUPPORTED: "no reader knows this device: send us `hashmargin capture ADDRESS`",
    Reason.RATE_LIMITED: "it is asked too often: raise polling.interval, and see who else asks it",
    Reason.SERVER_ERROR: "its firmware failed inside: look at its own log, and restart it if this lasts",
    Reason.TLS: "its firmware offers no TLS that we can use: update the firmware",
    Reason.NOT_READY: "it answers, but has no values yet: wait while it starts, restart it if this lasts",
    Reason.WRONG_CHAIN: "it does not mine bitcoin: check which rig has this address",
    Reason.STALE: "it repeats old values: its miner program hangs, so restart it",
    Reason.IMPLAUSIBLE: "its values are implausible: compare its web interface, and check its address and firmware",
    Reason.INTERNAL: f"allow more open files where this host ran out of sockets; else {_BUG}",
}
"""Advice for a rig without a reading."""

SOURCE_ADVICE: Final[Mapping[Reason, str]] = {
    Reason.UNREACHABLE: "check the host in its url, name resolution, and the firewall on the way",
    Reason.TIMEOUT: "it did not answer in time: look at its load and the network, or raise its timeout",
    Reason.REFUSED: "nothing listens there: start the service, or correct the port in its url",
    Reason.AUTH: "check its login, token or key in the configuration, its file, and what that may read",
    Reason.GARBLED: "its answer is not what its kind expects: check kind, url, query and fields, and any proxy between",
    Reason.TOO_LARGE: "it answered more than the limit: ask for less, or correct its url",
    Reason.UNSUPPORTED: "it cannot give what is asked: correct its query or kind, or update the server",
    Reason.RATE_LIMITED: "it is asked too often: raise its interval, or use a key or server of your own",
    Reason.SERVER_ERROR: "the server failed inside: look at its own log, or name a second source",
    Reason.TLS: "check the server's certificate, ca_file, and the host name in its url",
    Reason.NOT_READY: "it answers, but has no values yet: wait, and check the query if this lasts",
    Reason.WRONG_CHAIN: "the node is not on the main chain: point at a mainnet node",
    Reason.STALE: "it answers, but with old data: look at what feeds it, and at both clocks",
    Reason.IMPLAUSIBLE: "the value was rejected: check its unit, currency and query, and compare with a second source",
    Reason.INTERNAL: _BUG,
}
"""Advice for a source (market, tariff, meter, GPUs, lists) without a value."""


SERVER_ADVICE: Final[Mapping[Reason, str]] = {
    **SOURCE_ADVICE,
    Reason.UNREACHABLE: "start `hashmargin run` there, or give another --url",
    Reason.REFUSED: "start `hashmargin run` there, or give another --url",
    Reason.TIMEOUT: "it did not answer in time: look at its load, and try again",
    Reason.AUTH: "give --username and --password-file as its web configuration has them",
    Reason.GARBLED: "the answer is not from hashmargin or Prometheus: give another --url",
    Reason.UNSUPPORTED: "choose one with --site or --tariff",
    Reason.RATE_LIMITED: "it is asked too often: try again in a while",
    Reason.TLS: "give --ca-file, and the host name that its certificate has",
    Reason.NOT_READY: "it has no values yet: try again in a minute",
}
"""Advice for a command that fails to query a running exporter or a Prometheus."""


_LONGEST_DETAIL: Final = 200


class Failure(Exception):  # noqa: N818 -- a failure is an outcome of a poll, not an error of the program
    """A request that failed. ``reason`` is for metrics, ``detail`` for the log (short, without secrets).

    ``retry_after`` is the wait in seconds that the server requested, if any. ``advice`` is what to do about this very
    failure, where more is known than its reason.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: float | None = None, advice: str = "") -> None:
        detail = mask_secrets(detail[: 2 * _LONGEST_DETAIL])[:_LONGEST_DETAIL]
        printable = detail.isprintable()  # as almost always
        self.detail = detail if printable else "".join(each if each.isprintable() else " " for each in detail)
        super().__init__(f"{reason}: {self.detail}")
        self.reason = reason
        self.retry_after = retry_after
        self.advice = advice

    def advised(self, otherwise: Mapping[Reason, str]) -> str:
        """Return what to do: the failure's own advice, ``otherwise`` that of its reason."""
        return self.advice or otherwise[self.reason]
