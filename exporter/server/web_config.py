"""TLS, logins and headers in the file format of Prometheus' exporter-toolkit. The file is reloaded when it changes.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Final, Literal, NamedTuple, Self

import structlog
import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from exporter import yaml_nodes
from exporter.file_stamp import Stamp, stamp, why_unreadable
from exporter.model.configuration_errors import nearest, sentence, unknown
from exporter.model.fields import ConfigPath, SettingsGroup, Text, parse_duration, paths_relative_to

_log = structlog.get_logger(__name__)

_LARGEST_FILE_BYTES: Final = 1_048_576
_BCRYPT: Final = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLDEST_VERSIONS: Final = {"TLS10": ssl.TLSVersion.TLSv1_2, "TLS11": ssl.TLSVersion.TLSv1_2, **_VERSIONS}
"""The server speaks no version before 1.2, also where older ones are allowed."""
_CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
"""OpenSSL's name of each cipher suite. Those of TLS 1.3 have none here: like Go's, they cannot be configured."""


class WebConfigError(ValueError):
    """The file is invalid. The message gives place and reason."""


def _of(names: Mapping[str, object]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return name

    return AfterValidator(check)


def _check_hash(value: SecretStr) -> SecretStr:
    if _BCRYPT.fullmatch(value.get_secret_value()) is None:
        raise ValueError("must be a bcrypt hash: create one with `htpasswd -nBC 10 USER`")
    return value


def _check_header(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line")
    return value


Header = Annotated[Text, AfterValidator(_check_header)]


OptionalPath = Annotated[ConfigPath | None, BeforeValidator(lambda path: None if path == "" else path)]
"""A path. Empty means none, as in the toolkit."""


class _ClientCertificate(NamedTuple):
    is_verified: bool
    is_required: bool


_CLIENT_AUTH_TYPES: Final = {
    "": _ClientCertificate(is_verified=False, is_required=False),
    "NoClientCert": _ClientCertificate(is_verified=False, is_required=False),
    "RequestClientCert": _ClientCertificate(is_verified=False, is_required=False),
    "VerifyClientCertIfGiven": _ClientCertificate(is_verified=True, is_required=False),
    "RequireAndVerifyClientCert": _ClientCertificate(is_verified=True, is_required=True),
}
_UNVERIFIED: Final = ("RequireAnyClientCert", "RequireClientCert")


def _check_client_auth_type(name: str) -> str:
    if name in _UNVERIFIED:
        raise ValueError("does not verify certificates, which cannot be done here: use RequireAndVerifyClientCert")
    if name not in _CLIENT_AUTH_TYPES:
        raise ValueError(f"must be one of {', '.join(filter(None, _CLIENT_AUTH_TYPES))}")
    return name


_EMPTY: Final = (None, "", SecretStr(""))


class TlsServerConfig(SettingsGroup):
    """``tls_server_config``: certificate and key as files or inline, and which clients may connect.

    Unlike Go, Python cannot require a client certificate without verifying it, and before 3.15 it takes one curve only.
    A client that sends an unverified certificate is treated like one without.
    """

    cert: str | None = None
    key: SecretStr | None = None
    client_ca: str | None = None
    cert_file: OptionalPath = None
    key_file: OptionalPath = None
    client_ca_file: OptionalPath = None
    client_auth_type: Annotated[str, AfterValidator(_check_client_auth_type)] = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Annotated[str, _of(_OLDEST_VERSIONS)] = "TLS12"
    max_version: Annotated[str, _of(_VERSIONS)] = "TLS13"
    cipher_suites: tuple[Annotated[str, _of(_CIPHERS)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Annotated[str, _of(_CURVES)], ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("cert", "key", "client_ca"):
            given = [part for part in (name, f"{name}_file") if getattr(self, part) not in _EMPTY]
            if len(given) > 1:
                raise ValueError(f"give either {name} or {name}_file")
            if not given and name != "client_ca":
                raise ValueError(f"{name}_file is required")
        if self.has_authority and self.client_auth_type in ("", "NoClientCert"):
            raise ValueError("client_ca_file needs client_auth_type: RequireAndVerifyClientCert")
        if self.client_allowed_sans and not self.requires_client_certificate:
            raise ValueError("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if self.min_version == "TLS13" and self.max_version == "TLS12":
            raise ValueError("min_version is above max_version")
        return self

    @property
    def has_authority(self) -> bool:
        """Whether an authority for client certificates is given. Without one it is the system's authorities."""
        return bool(self.client_ca) or self.client_ca_file is not None

    @property
    def requires_client_certificate(self) -> bool:
        """Whether every client must have a verified certificate."""
        return _CLIENT_AUTH_TYPES[self.client_auth_type].is_required

    def context(self) -> ssl.SSLContext:
        """Make the TLS context. Raises OSError, which includes ssl.SSLError, for unusable certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _OLDEST_VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.set_alpn_protocols(["http/1.1"])
        if self.prefer_server_cipher_suites:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        self._restrict(context)
        with ExitStack() as written:
            cert = self.cert_file or written.enter_context(_as_file(self.cert or ""))
            key = self.key_file or written.enter_context(_as_file(self.key.get_secret_value() if self.key else ""))
            for path in (self.cert_file, self.key_file):
                if path is not None:
                    path.open("rb").close()  # raises with the file name, which OpenSSL does not give
            context.load_cert_chain(cert, key, password="")  # OpenSSL must not prompt for a passphrase
        if self.client_ca_file is not None:
            self.client_ca_file.open("rb").close()
        client = _CLIENT_AUTH_TYPES[self.client_auth_type]
        if client.is_verified:
            if self.has_authority:
                context.load_verify_locations(self.client_ca_file, cadata=self.client_ca)
            else:
                context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
            context.verify_mode = ssl.CERT_REQUIRED if client.is_required else ssl.CERT_OPTIONAL
        return context

    def _restrict(self, context: ssl.SSLContext) -> None:
        """Allow only the cipher suites and curves that are named."""
        ciphers = [_CIPHERS[name] for name in self.cipher_suites if _CIPHERS[name]]
        if ciphers:
            context.set_ciphers(":".join(ciphers))
        elif self.cipher_suites:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        curves = [_CURVES[name] for name in self.curve_preferences]
        if len(curves) > 1 and hasattr(context, "set_groups"):
            context.set_groups(":".join(curves))
        elif curves:
            context.set_ecdh_curve(curves[0])


class Headers(SettingsGroup):
    """Headers of every response that replace our own. An empty value removes the header."""

    content_security_policy: Header | None = Field(None, alias="Content-Security-Policy")
    x_frame_options: Literal["deny", "sameorigin", ""] | None = Field(None, alias="X-Frame-Options")
    x_content_type_options: Literal["nosniff", ""] | None = Field(None, alias="X-Content-Type-Options")
    x_xss_protection: Header | None = Field(None, alias="X-XSS-Protection")
    strict_transport_security: Header | None = Field(None, alias="Strict-Transport-Security")


class HttpServerConfig(SettingsGroup):
    """``http_server_config``. ``http2`` is accepted, but the server only speaks HTTP/1.1."""

    http2: bool = True
    headers: Headers = Headers()


class RateLimit(SettingsGroup):
    """``rate_limit``: one request per interval in seconds, 0 for no limit, with bursts of up to ``burst`` requests.

    A burst of 0 means the same as 1: with none, not even one request could pass.
    """

    interval: Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)] = 0.0
    burst: Annotated[int, Field(ge=0), AfterValidator(lambda burst: max(burst, 1))] = 1


class WebConfig(SettingsGroup):
    """The whole file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: Mapping[str, Annotated[SecretStr, AfterValidator(_check_hash)]] = {}
    customer_users: Mapping[str, Annotated[Text, Field(min_length=1)]] = {}
    rate_limit: RateLimit = RateLimit()
    healthy_without_login: bool = True

    @field_validator("tls_server_config", mode="before")
    @classmethod
    def _without_content(cls, value: object) -> object:
        """An empty section is none, as in the toolkit."""
        return None if value == {} else value

    @model_validator(mode="after")
    def _customers_are_users(self) -> Self:
        for user in self.customer_users:
            if user not in self.basic_auth_users:
                raise ValueError(f"customer_users: {unknown('user', user, self.basic_auth_users)}")
        return self

    def files(self) -> tuple[Path, ...]:
        """Return the other files that it names."""
        tls = self.tls_server_config
        named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls is not None else ()
        return tuple(path for path in named if path is not None)


_KEYS: Final = [
    field.alias or name
    for section in (WebConfig, TlsServerConfig, HttpServerConfig, Headers, RateLimit)
    for name, field in section.model_fields.items()
]


class CurrentConfig(NamedTuple):
    """The configuration for new connections and requests. Without a TLS context they are unencrypted."""

    config: WebConfig
    tls: ssl.SSLContext | None


class WebConfigFile:
    """Provides the current content of the file. Without a file there is no TLS and no login."""

    def __init__(self, path: Path | None) -> None:
        """Read the file. Raises :class:`WebConfigError`."""
        self._path = path
        self._read_from: dict[Path, Stamp | None] = {}
        self._in_use: dict[Path, Stamp | None] = {}
        self._current = CurrentConfig(WebConfig(), None) if path is None else self._read(path)

    def current(self) -> CurrentConfig:
        """Return the current content. If the file became invalid, log it and keep the previous content."""
        if self._path is not None and _changed(self._read_from):
            try:
                self._current = self._read(self._path)
            except WebConfigError as error:
                _log.error("new web configuration rejected, the running one stays", error=str(error))
            else:
                _log.info("web configuration reloaded", file=str(self._path))
        if self._path is not None and _changed(self._in_use):
            self._renew(self._path)
        return self._current

    def _read(self, path: Path) -> CurrentConfig:
        """Read the file and the files it names. Stamps are taken first, so that no later change is missed."""
        self._read_from = {path: stamp(path)}
        config = _parsed(path)
        named = {file: stamp(file) for file in config.files()}
        self._read_from |= named
        current = CurrentConfig(config, _context(path, config.tls_server_config))
        self._in_use = named
        return current

    def _renew(self, path: Path) -> None:
        """Load renewed certificates of the configuration in use, while the file itself is rejected."""
        config = self._current.config
        self._in_use = {file: stamp(file) for file in config.files()}
        try:
            self._current = CurrentConfig(config, _context(path, config.tls_server_config))
        except WebConfigError as error:
            _log.error("renewed certificates rejected, the previous ones stay", error=str(error))
        else:
            _log.info("renewed certificates loaded", files=", ".join(map(str, self._in_use)))


def _changed(stamps: Mapping[Path, Stamp | None]) -> bool:
    return any(stamp(path) != before for path, before in stamps.items())


def _context(path: Path, tls: TlsServerConfig | None) -> ssl.SSLContext | None:
    try:
        return None if tls is None else tls.context()
    except OSError as error:
        raise WebConfigError(f"{path}: tls_server_config: {_tls_error(error, tls)}") from None
    except ValueError:
        raise WebConfigError(f"{path}: tls_server_config: inline certificates and keys must be PEM") from None


def _tls_error(error: OSError, tls: TlsServerConfig | None) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"{error.filename} {why_unreadable(error)}" if error.filename else str(error.strerror or error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not match the certificate"
    files = () if tls is None else (tls.cert_file, tls.key_file, tls.client_ca_file)
    named = ", ".join(str(file) for file in files if file is not None) or "cert and key"
    return f"cannot be read as PEM without a passphrase: {named}"


def _parsed(path: Path) -> WebConfig:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE_BYTES)
        content = yaml_nodes.load(yaml.SafeLoader(text))
    except OSError as error:
        raise WebConfigError(f"{path} {why_unreadable(error)}") from None
    except UnicodeDecodeError:
        raise WebConfigError(f"{path}: is not UTF-8 text") from None
    except RecursionError:
        raise WebConfigError(f"{path}: is nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise WebConfigError(f"{path}:{mark.line + 1 if mark else 1}: is not YAML: {problem}") from None
    except (ValueError, LookupError, AttributeError, TypeError):  # PyYAML's, for a value that does not fit its tag
        raise WebConfigError(f"{path}: has a value that is no date or number, though it is written like one") from None
    with paths_relative_to(path.parent):
        try:
            return WebConfig.model_validate({} if content is None else content)
        except ValidationError as error:
            problems = "; ".join(map(_described, error.errors()))
            raise WebConfigError(f"{path}: {problems}") from None


def _described(error: ErrorDetails) -> str:
    """Return place and reason of an error, without the value, which may be secret."""
    where = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        match = nearest(str(error["loc"][-1]), _KEYS)
        return f"{where}: no such key" + (f": did you mean {match}?" if match else "")
    return f"{where}: {sentence({**error, 'input': None})}"


@contextmanager
def _as_file(text: str) -> Iterator[Path]:
    """Write text to a file that only we can read: OpenSSL does not load certificates from memory."""
    with NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield Path(file.name)
