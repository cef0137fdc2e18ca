"""The settings that have a flag of their own. Light to import: the command line's help is made from it."""

from typing import Final, NamedTuple


class Flag(NamedTuple):
    """A flag, the dotted key that it replaces, and how it is explained."""

    name: str
    key: str
    metavar: str
    text: str


LISTEN_ADDRESS: Final = Flag("--web.listen-address", "web.listen_address", "ADDRESS:PORT", "Where to serve.")
LOG_LEVEL: Final = Flag("--log.level", "log.level", "debug|info|warning|error", "The least severe events to log.")
FLAGS: Final = (
    LISTEN_ADDRESS,
    Flag("--web.config.file", "web.config_file", "FILE", "TLS, logins and headers, in exporter-toolkit's format."),
    LOG_LEVEL,
    Flag("--log.format", "log.format", "logfmt|json", "How a line of the log is written."),
    Flag("--shard", "sharding.shard", "N|ordinal", "This exporter's number, from 0, where several share the site."),
    Flag("--total-shards", "sharding.total_shards", "N", "How many exporters share the site."),
)


def flag_of(key: str) -> str:
    """The flag that replaces a key, as the operator writes it."""
    return next((flag.name for flag in FLAGS if flag.key == key), f"--{key}")
