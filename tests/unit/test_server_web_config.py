"""TLS, logins and headers over real sockets, and the file's mistakes."""

import asyncio
import base64
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr
from site_server import Served, served

from exporter.healthcheck import address_of, is_healthy
from exporter.server import logins as logins_module
from exporter.server.logins import Logins
from exporter.server.settings import WebSettings
from exporter.server.web_config import WebConfigError, WebConfigFile

PASSWORD = "correct horse: battery"  # a colon may stand in it
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


class Site:
    """A web configuration file, with an authority and the certificates that it issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "web.yml"
        self.authority = trustme.CA()
        self.issue("server", "127.0.0.1")
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    def issue(self, name: str, *names: str) -> None:
        """Issue a certificate, written at once as a secret's update is."""
        issued = self.authority.issue_cert(*names)
        for suffix, blob in (("crt", issued.cert_chain_pems[0]), ("key", issued.private_key_pem)):
            part = self.folder / f"{name}.{suffix}.new"
            part.write_bytes(blob.bytes())
            part.replace(self.folder / f"{name}.{suffix}")

    def write(self, **content: object) -> Path:
        new = self.folder / "web.yml.new"
        new.write_text(yaml.safe_dump(content))
        new.replace(self.path)
        return self.path

    def client(self, name: str | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context


TLS = {"cert_file": "server.crt", "key_file": "server.key"}
MUTUAL = TLS | {"client_ca_file": "ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def web_settings(path: Path, **more: object) -> WebSettings:
    return WebSettings.model_validate({"listen_address": "127.0.0.1:0", "config_file": path, **more})


async def status(running: Served, path: str = "metrics", *, login: str | None = None, **options: object) -> int:
    headers = {} if login is None else {"Authorization": basic(login)}
    async with running.client.get(f"{running.url}{path}", headers=headers, **options) as answer:
        return answer.status


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_with_tls_unencrypted_requests_are_rejected(site: Site) -> None:
    async with served(settings=web_settings(site.write(tls_server_config=TLS))) as running:
        assert running.url.startswith("https://")
        assert await status(running, ssl=site.client()) == 200
        with pytest.raises(aiohttp.ClientError):
            await running.client.get(running.url.replace("https", "http"))


async def test_certificate_and_key_may_be_inline(site: Site) -> None:
    tls = {
        "cert": (site.folder / "server.crt").read_text(),
        "key": (site.folder / "server.key").read_text(),
        "client_ca": (site.folder / "ca.pem").read_text(),
        "client_auth_type": "VerifyClientCertIfGiven",
    }
    async with served(settings=web_settings(site.write(tls_server_config=tls))) as running:
        assert await status(running, ssl=site.client()) == 200


@pytest.mark.parametrize(
    ("settings", "least", "most", "works"),
    [
        ({}, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, True),
        ({}, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, True),
        ({"min_version": "TLS13"}, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, False),
        ({"max_version": "TLS12"}, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, False),
    ],
)
async def test_tls_versions(
    site: Site, settings: dict[str, object], least: ssl.TLSVersion, most: ssl.TLSVersion, works: bool
) -> None:
    client = site.client()
    client.minimum_version, client.maximum_version = least, most
    async with served(settings=web_settings(site.write(tls_server_config=TLS | settings))) as running:
        if works:
            assert await status(running, ssl=client) == 200
        else:
            with pytest.raises(aiohttp.ClientConnectionError):
                await status(running, ssl=client)


async def test_the_cipher_and_the_curve_are_those_of_the_file(site: Site) -> None:
    tls = TLS | {
        "max_version": "TLS12",
        "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
        "curve_preferences": ["CurveP384"],
    }
    async with served(settings=web_settings(site.write(tls_server_config=tls))) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=site.client())
        assert writer.get_extra_info("cipher")[0].endswith("AES256-GCM-SHA384")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def test_a_client_certificate_is_required_and_verified(site: Site, tmp_path: Path) -> None:
    site.issue("client", "prometheus.example.com")
    (tmp_path / "other").mkdir()
    stranger = Site(tmp_path / "other")
    stranger.issue("client", "prometheus.example.com")
    async with served(settings=web_settings(site.write(tls_server_config=MUTUAL))) as running:
        assert await status(running, ssl=site.client("client")) == 200
        strange = site.client()
        strange.load_cert_chain(stranger.folder / "client.crt", stranger.folder / "client.key")
        for refused in (site.client(), strange):
            with pytest.raises(aiohttp.ClientError):
                await status(running, ssl=refused)


@pytest.mark.parametrize(("allowed", "wanted"), [("prometheus.example.com", 200), ("10.0.0.9", 200), ("other", 403)])
async def test_a_client_certificate_must_have_an_allowed_name(site: Site, allowed: str, wanted: int) -> None:
    site.issue("client", "prometheus.example.com", "10.0.0.9")
    path = site.write(tls_server_config=MUTUAL | {"client_allowed_sans": [allowed]})
    async with served(settings=web_settings(path)) as running:
        assert await status(running, ssl=site.client("client")) == wanted


async def test_a_handshake_that_never_ends_blocks_no_other_client(site: Site) -> None:
    async with served(settings=web_settings(site.write(tls_server_config=TLS))) as running:
        _, mute = await asyncio.open_connection("127.0.0.1", running.port)
        assert await status(running, ssl=site.client()) == 200
        mute.close()


# --- logins -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "wanted"),
    [
        (None, 401),
        (f"noc:{PASSWORD}", 200),
        ("noc:wrong", 401),
        ("noc:", 401),
        (f"nobody:{PASSWORD}", 401),
        (f":{PASSWORD}", 401),
        pytest.param(f"noc:{HASH}", 401, id="the hash"),
    ],
)
async def test_only_the_right_login_is_accepted(site: Site, login: str | None, wanted: int) -> None:
    async with served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running:
        for _ in range(2):  # the verdict, and the verdict remembered
            assert await status(running, login=login) == wanted


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer x", "Basic /////w=="])
async def test_a_malformed_login_is_rejected(site: Site, header: str) -> None:
    async with (
        served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running,
        running.get("metrics", Authorization=header) as answer,
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "path", ["", "metrics", "rigs", "api/v1/rigs", "config", "static/style.css", "nowhere", "-/ready"]
)
async def test_every_path_requires_the_login(site: Site, path: str) -> None:
    async with served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running:
        assert await status(running, path) == 401


@pytest.mark.parametrize(
    ("content", "settings", "healthy", "ready"),
    [
        ({}, {}, 200, 401),
        ({}, {"open_health_checks": True}, 200, 200),
        ({"healthy_without_login": False}, {}, 401, 401),
        ({"healthy_without_login": False}, {"open_health_checks": True}, 401, 200),
    ],
)
async def test_which_health_checks_need_a_login(
    site: Site, content: dict[str, object], settings: dict[str, object], healthy: int, ready: int
) -> None:
    path = site.write(basic_auth_users={"noc": HASH}, **content)
    async with served(settings=web_settings(path, **settings)) as running:
        assert await status(running, "-/healthy") == healthy
        assert await status(running, "-/ready") == ready
        assert await status(running, "metrics") == 401


async def test_the_health_check_tells_nothing_else(site: Site) -> None:
    async with (
        served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running,
        running.get("-/healthy") as answer,
    ):
        assert await answer.read() == b""
        assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    "content", [{}, {"tls_server_config": TLS}, {"tls_server_config": MUTUAL}, {"basic_auth_users": {"noc": HASH}}]
)
async def test_the_check_of_the_image_works_with_every_web_configuration(
    site: Site, content: dict[str, object]
) -> None:
    async with served(settings=web_settings(site.write(**content))) as running:
        address = f"127.0.0.1:{running.port}"
        assert await asyncio.to_thread(is_healthy, address)
        running.clock.now += 46
        is_visible = content.get("tls_server_config") != MUTUAL
        assert await asyncio.to_thread(is_healthy, address) is not is_visible
    assert not await asyncio.to_thread(is_healthy, address)


async def test_each_login_is_hashed_once_for_unknown_users_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    really = bcrypt.checkpw

    def checkpw(password: bytes, against: bytes) -> bool:
        hashed.append(against.decode())
        return really(password, against)

    monkeypatch.setattr(logins_module.bcrypt, "checkpw", checkpw)
    async with served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running:
        for login in (f"noc:{PASSWORD}", "noc:wrong", "nobody:wrong"):
            for _ in range(3):
                await status(running, login=login)
    assert len(hashed) == 3
    assert len({against[:7] for against in hashed}) == 1, "a stranger's login costs as much as a user's"


async def test_rejected_logins_do_not_evict_accepted_ones(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins_module, "_MOST_REJECTED", 2)
    async with served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running:
        assert await status(running, login=f"noc:{PASSWORD}") == 200
        for number in range(5):
            assert await status(running, login=f"noc:{number}") == 401
        monkeypatch.setattr(logins_module.bcrypt, "checkpw", lambda *_: pytest.fail("it is remembered"))
        assert await status(running, login=f"noc:{PASSWORD}") == 200


@pytest.mark.parametrize("password", ["pässwörd ☃", "x" * 100, "", "nul\0nul"])
async def test_any_password_can_be_used(password: str) -> None:
    hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    users = {"noc": SecretStr(hashed)}
    assert await Logins().user(basic(f"noc:{password}"), users) == "noc"
    assert await Logins().user(basic(f"noc:?{password}"), users) is None


async def test_no_password_stays_in_memory() -> None:
    logins = Logins()
    assert await logins.user(basic(f"noc:{PASSWORD}"), {"noc": SecretStr(HASH)}) == "noc"
    assert PASSWORD not in repr(vars(logins))


# --- headers and limits -----------------------------------------------------------------------------------------------


async def test_headers_of_the_file_replace_ours(site: Site) -> None:
    headers = {"X-Frame-Options": "", "Strict-Transport-Security": "max-age=31536000", "X-XSS-Protection": "0"}
    path = site.write(http_server_config={"http2": True, "headers": headers})
    async with served(settings=web_settings(path)) as running, running.get("nowhere") as answer:
        assert "X-Frame-Options" not in answer.headers
        assert answer.headers.getall("Strict-Transport-Security") == ["max-age=31536000"]
        assert answer.headers["X-XSS-Protection"] == "0"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_requests_above_the_rate_limit_are_rejected(site: Site) -> None:
    async with served(settings=web_settings(site.write(rate_limit={"interval": "1h", "burst": 3}))) as running:
        assert [await status(running) for _ in range(5)] == [200, 200, 200, 429, 429]


# --- reread -----------------------------------------------------------------------------------------------------------


async def test_a_changed_file_takes_effect_at_once(site: Site) -> None:
    async with served(settings=web_settings(site.write())) as running:
        assert await status(running) == 200
        site.write(basic_auth_users={"noc": HASH})
        assert await status(running) == 401
        site.write(tls_server_config=TLS)
        running.url = running.url.replace("http:", "https:")
        assert await status(running, ssl=site.client()) == 200


async def test_a_changed_file_also_applies_to_open_connections(site: Site) -> None:
    site.issue("client", "prometheus.example.com")
    async with served(settings=web_settings(site.write())) as running:
        assert await status(running) == 200
        site.write(tls_server_config=TLS)
        assert await status(running) == 403
        running.url = running.url.replace("http:", "https:")
        assert await status(running, ssl=site.client()) == 200
        site.write(tls_server_config=MUTUAL)
        with pytest.raises(aiohttp.ClientError):
            await status(running, ssl=site.client())
        assert await status(running, ssl=site.client("client")) == 200


async def test_a_renewed_certificate_is_served_to_new_connections(site: Site) -> None:
    async with served(settings=web_settings(site.write(tls_server_config=TLS))) as running:
        before = await certificate(running, site)
        site.issue("server", "127.0.0.1")
        assert await certificate(running, site) != before


@pytest.mark.parametrize("refused", [{"nonsense": 1}, {"tls_server_config": TLS | {"key_file": "no"}}])
async def test_a_renewed_certificate_is_served_after_the_file_was_refused(
    site: Site, refused: dict[str, object]
) -> None:
    async with served(settings=web_settings(site.write(tls_server_config=TLS))) as running:
        site.write(**refused)
        before = await certificate(running, site)
        site.issue("server", "127.0.0.1")
        renewed = await certificate(running, site)
        assert renewed != before
        (site.folder / "server.key").write_text("half written")
        assert await certificate(running, site) == renewed
        site.issue("server", "127.0.0.1")
        assert await certificate(running, site) not in (before, renewed)


async def test_an_invalid_file_changes_nothing(site: Site) -> None:
    async with served(settings=web_settings(site.write(basic_auth_users={"noc": HASH}))) as running:
        for content in (
            {"basic_auth_users": {"noc": "plain"}},
            {"nonsense": 1},
            {"tls_server_config": TLS | {"key_file": "no"}},
        ):
            site.write(**content)
            assert await status(running) == 401
            assert await status(running, login=f"noc:{PASSWORD}") == 200
        site.path.unlink()
        assert await status(running) == 401
        site.write()
        assert await status(running) == 200


async def certificate(running: Served, site: Site) -> bytes:
    _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=site.client())
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return found


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"basic_auth_user": {}}, "basic_auth_user: no such key: did you mean basic_auth_users?"),
        ({"tls_server_config": TLS | {"cert_fil": "x"}}, "cert_fil: no such key: did you mean cert_file?"),
        ({"tls_server_config": {"cert_file": "server.crt"}}, "key_file is required"),
        ({"tls_server_config": TLS | {"cert": "x"}}, "give either cert or cert_file"),
        ({"tls_server_config": TLS | {"max_version": "TLS11"}}, "must be one of TLS12, TLS13"),
        ({"tls_server_config": TLS | {"min_version": "TLS13", "max_version": "TLS12"}}, "above max_version"),
        ({"tls_server_config": TLS | {"client_auth_type": "Require"}}, "must be one of NoClientCert"),
        ({"tls_server_config": TLS | {"client_auth_type": "RequireAnyClientCert"}}, "does not verify certificates"),
        ({"tls_server_config": TLS | {"client_ca_file": "ca.pem"}}, "needs client_auth_type"),
        ({"tls_server_config": TLS | {"client_allowed_sans": ["x"]}}, "client_allowed_sans needs"),
        ({"tls_server_config": TLS | {"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}}, "must be one of TLS_ECDHE"),
        ({"tls_server_config": TLS | {"cert_file": "missing.crt"}}, "missing.crt does not exist"),
        (
            {"tls_server_config": TLS | {"key_file": "server.crt"}},
            "cannot be read as PEM without a passphrase: ",
        ),
        ({"tls_server_config": TLS | {"key_file": "client.key"}}, "the key does not match the certificate"),
        ({"tls_server_config": {"cert": "ü", "key": "x"}}, "must be PEM"),
        ({"http_server_config": {"headers": {"X-Powered-By": "x"}}}, "X-Powered-By: no such key"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "ALLOW"}}}, "must be one of deny, sameorigin"),
        ({"http_server_config": {"headers": {"X-XSS-Protection": "0\r\nSet-Cookie: a=b"}}}, "must be one line"),
        ({"rate_limit": {"interval": "soon"}}, "is not a duration"),
        ({"rate_limit": {"interval": "1s", "burst": -1}}, "rate_limit.burst: must be 0 or more"),
    ],
)
def test_configuration_errors_name_key_and_reason(site: Site, content: dict[str, object], expected: str) -> None:
    site.issue("client", "client")
    with pytest.raises(WebConfigError) as error:
        WebConfigFile(site.write(**content))
    assert str(site.path) in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize("text", ["[", "- a", "just words", "\x00"])
def test_a_file_that_is_no_mapping_is_rejected(site: Site, text: str) -> None:
    site.path.write_text(text)
    with pytest.raises(WebConfigError, match=r"web\.yml"):
        WebConfigFile(site.path)


def test_an_invalid_secret_is_not_shown(site: Site) -> None:
    with pytest.raises(WebConfigError) as error:
        WebConfigFile(site.write(basic_auth_users={"noc": "hunter2hunter2"}))
    assert "hunter2" not in str(error.value)
    assert "must be a bcrypt hash" in str(error.value)


def test_the_settings_reject_an_invalid_file(site: Site) -> None:
    with pytest.raises(ValueError, match="no such key"):
        web_settings(site.write(nonsense=1))


def test_an_encrypted_key_is_rejected_without_a_prompt(site: Site) -> None:
    key = load_pem_private_key((site.folder / "server.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (site.folder / "server.key").write_bytes(locked)
    with pytest.raises(WebConfigError, match="tls_server_config"):
        WebConfigFile(site.write(tls_server_config=TLS))


# --- the files of exporter-toolkit's own tests: what it accepts and can be meant here, and what it refuses ------------

CA_CHECKED = TLS | {"client_auth_type": "VerifyClientCertIfGiven"}
ALL_CIPHERS = [
    *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
    *(
        f"TLS_ECDHE_{kind}_WITH_{suite}"
        for kind in ("ECDSA", "RSA")
        for suite in (
            *("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"),
            *("AES_128_CBC_SHA", "AES_256_CBC_SHA"),
        )
    ),
]
CURVES = ["CurveP256", "CurveP384", "CurveP521", "X25519"]
ACCEPTED: dict[str, dict[str, object]] = {
    "empty": {},
    "no content": {"tls_server_config": {}},
    "no certificates of clients": {"tls_server_config": TLS | {"client_auth_type": ""}},
    "requested certificates": {"tls_server_config": TLS | {"client_auth_type": "RequestClientCert"}},
    "verified if given": {"tls_server_config": CA_CHECKED},
    "all ciphers": {"tls_server_config": CA_CHECKED | {"cipher_suites": ALL_CIPHERS}},
    "some ciphers": {
        "tls_server_config": CA_CHECKED
        | {
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
            "prefer_server_cipher_suites": False,
            "min_version": "TLS12",
            "max_version": "TLS12",
        },
        "http_server_config": {"http2": False},
    },
    "ciphers of TLS 1.3 only": {"tls_server_config": TLS | {"cipher_suites": ["TLS_AES_128_GCM_SHA256"]}},
    "all curves": {"tls_server_config": CA_CHECKED | {"curve_preferences": CURVES}},
    "one curve": {"tls_server_config": CA_CHECKED | {"curve_preferences": ["CurveP521"], "min_version": "TLS13"}},
    "old versions": {"tls_server_config": TLS | {"min_version": "TLS10"}},
    "empty paths": {"tls_server_config": TLS | {"client_ca_file": "", "cert": "", "key": ""}},
    "headers": {
        "http_server_config": {
            "headers": {
                "X-Frame-Options": "deny",
                "Strict-Transport-Security": "max-age=600; includeSubDomains",
                "X-Content-Type-Options": "nosniff",
                "X-XSS-Protection": 1,
                "Content-Security-Policy": "default-src 'self' *.example.com",
            }
        }
    },
    "no rate limit": {"rate_limit": {"interval": 0, "burst": 0}},
    "users with TLS": {"tls_server_config": TLS, "basic_auth_users": {"ann": HASH, "bob": HASH}},
}


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in ACCEPTED.items()])
async def test_what_the_toolkit_accepts_is_accepted_and_serves(site: Site, content: dict[str, object]) -> None:
    async with served(settings=web_settings(site.write(**content))) as running:
        encrypted = bool(content.get("tls_server_config"))
        assert running.url.startswith("https" if encrypted else "http:")
        login = f"ann:{PASSWORD}" if "basic_auth_users" in content else None
        assert await status(running, login=login, ssl=site.client() if encrypted else True) == 200


async def test_required_certificates_are_verified_with_the_authorities_of_the_system(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.issue("client", "prometheus.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(site.folder / "ca.pem"))
    path = site.write(tls_server_config=TLS | {"client_auth_type": "RequireAndVerifyClientCert"})
    async with served(settings=web_settings(path)) as running:
        assert await status(running, ssl=site.client("client")) == 200
        with pytest.raises(aiohttp.ClientError):
            await status(running, ssl=site.client())


async def test_a_rate_limit_without_bursts_lets_one_request_pass_per_interval(site: Site) -> None:
    async with served(settings=web_settings(site.write(rate_limit={"interval": "1h", "burst": 0}))) as running:
        assert [await status(running) for _ in range(3)] == [200, 429, 429]


async def test_only_ciphers_of_tls_1_3_exclude_older_clients(site: Site) -> None:
    old = site.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    path = site.write(tls_server_config=TLS | {"cipher_suites": ["TLS_AES_256_GCM_SHA384"]})
    async with served(settings=web_settings(path)) as running:
        with pytest.raises(aiohttp.ClientError):
            await status(running, ssl=old)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"tls_server_config": TLS | {"cert_file": ""}}, "cert_file is required"),
        ({"tls_server_config": TLS | {"key_file": ""}}, "key_file is required"),
        ({"tls_server_config": {"cert": "", "key_file": "server.key"}}, "cert_file is required"),
        ({"tls_server_config": {"cert_file": "server.crt", "key": ""}}, "key_file is required"),
        ({"tls_server_config": {"cert_file": "", "key_file": "", "client_auth_type": "x"}}, "client_auth_type"),
        ({"tls_server_config": TLS | {"cert_file": "no", "key_file": "no"}}, "does not exist"),
        ({"tls_server_config": TLS | {"client_ca_file": "/dev/null"}}, "needs client_auth_type"),
        (
            {"tls_server_config": TLS | {"client_ca_file": "no", "client_auth_type": "RequireAndVerifyClientCert"}},
            "no does not exist",
        ),
        ({"tls_server_config": TLS | {"curve_preferences": ["CurveP257"]}}, "must be one of CurveP256"),
        ({"tls_server_config": TLS | {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_1_GCM_SHA1"]}}, "must be one of TLS_"),
        ({"tls_server_config": TLS | {"min_version": "TLS14"}}, "must be one of TLS10"),
        ({"basic_auth_users": {"ann": "secret"}}, "must be a bcrypt hash"),
        ({"http_server_config": {"headers": {"Content-Type": "text/html"}}}, "no such key"),
        ({"http_server_config": {"headers": {"X-Content-Type-Options": "sniff"}}}, "must be"),
    ],
)
def test_what_the_toolkit_refuses_is_refused(site: Site, content: dict[str, object], expected: str) -> None:
    with pytest.raises(WebConfigError, match=expected):
        WebConfigFile(site.write(**content))


@pytest.mark.parametrize(
    ("arguments", "environ", "content", "address"),
    [
        ((), {}, "site: a", "127.0.0.1:9852"),
        ((), {}, None, "127.0.0.1:9852"),
        ((), {}, "web: [", "127.0.0.1:9852"),
        ((), {}, "web: {listen_address: '0.0.0.0:9000'}", "127.0.0.1:9000"),
        ((), {"HASHMARGIN_WEB__LISTEN_ADDRESS": "[::]:9001"}, "web: {listen_address: ':9000'}", "[::1]:9001"),
        (("--web.listen-address", ":9002"), {"HASHMARGIN_WEB__LISTEN_ADDRESS": ":9001"}, None, "127.0.0.1:9002"),
        (("--web.listen-address=10.1.0.9:9003",), {}, None, "10.1.0.9:9003"),
    ],
)
def test_the_check_of_the_image_asks_where_the_exporter_listens(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], content: str | None, address: str
) -> None:
    config = tmp_path / "site.yml"
    if content is not None:
        config.write_text(content, encoding="utf-8")
    command = ["python", "hashmargin", "run", f"--config.file={config}", *arguments, ""]
    assert address_of(command, environ) == address
