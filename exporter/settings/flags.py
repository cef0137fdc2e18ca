"""The settings that have a command-line flag. Imports little, because every ``--help`` loads it."""

from typing import Final, NamedTuple


class Flag(NamedTuple):
    """A flag, the dotted key that it overrides, and its help text."""

    name: str
    key: str
    metavar: str
    text: str


LISTEN_ADDRESS: Final = Flag(
    "--web.listen-address", "web.listen_address", "ADDRESS:PORT", "Address and port to serve on."
)
LOG_LEVEL: Final = Flag("--log.level", "log.level", "debug|info|warning|error", "Lowest level of events to log.")
FLAGS: Final = (
    LISTEN_ADDRESS,
    Flag("--web.config.file", "web.config_file", "FILE", "TLS, logins and headers, in exporter-toolkit's format."),
    LOG_LEVEL,
    Flag("--log.format", "log.format", "logfmt|json", "Format of log lines."),
    Flag("--shard", "sharding.shard", "N|ordinal", "Number of this exporter, from 0, if several share the site."),
    Flag("--total-shards", "sharding.total_shards", "N", "Number of exporters that share the site."),
)


def flag_of(key: str) -> str:
    """Return the flag that overrides a key."""
    return next((flag.name for flag in FLAGS if flag.key == key), f"--{key}")
