"""The real programs around a simulated site: started on loopback on free ports, asked over HTTP, ended at teardown."""

import contextlib
import ctypes
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pytest
import yaml
from prometheus_releases import PACKAGED, Release

from exporter.state import FILE_VERSION

ROOT = Path(__file__).parents[2]
HOST = "127.80.128.1"  # no connection starts from there: a port that was free stays so
NETWORK = "127.80.0.0/18"
SITE = "prairie-1"
USUAL = 55  # USD per MWh: old rigs lose, new ones earn
BIN = Path(sys.executable).parent

T = TypeVar("T")
Labels = dict[str, str]


_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_THIS_NETWORK = Path("/proc/thread-self/ns/net")


@contextlib.contextmanager
def own_network() -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Give this thread, and every program it starts, a network with nothing but loopback, where all ports are free.

    Yields the way out: within it, the thread is back in the usual network.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(network: BinaryIO) -> None:
        assert libc.setns(network.fileno(), _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())

    with contextlib.ExitStack() as files:
        usual = files.enter_context(_THIS_NETWORK.open("rb"))
        if libc.unshare(_NEW_NETWORK):
            pytest.skip(f"a network of its own needs root: {os.strerror(ctypes.get_errno())}")
        own = files.enter_context(_THIS_NETWORK.open("rb"))

        @contextlib.contextmanager
        def outside() -> Iterator[None]:
            enter(usual)
            try:
                yield
            finally:
                enter(own)

        try:
            subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
            yield outside
        finally:
            enter(usual)


def unfolded(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel of a dashboard, rows and what is folded away in them included."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels") or []


_given: set[int] = set()
"""Ports that have been given away: one may be free again, and meant for a program that is yet to start."""


def free_port(host: str = HOST) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def ask(url: str, body: object = None, timeout: float = 120.0) -> Any:
    """GET or, with a body, POST JSON; returns what it answers. Raises HTTPError with the answer's text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        text = answer.read().decode()
    return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def wait_for(what: str, probe: Callable[[], T | None], deadline: float = 600.0) -> T:
    """Ask until something true comes back; fails with the last error after ``deadline`` seconds.

    The deadline is for what never comes: a machine may have much else to do.
    """
    last: object = None
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        try:
            if result := probe():
                return result
            last = result
        except (OSError, ValueError, AssertionError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.2)
    raise AssertionError(f"waited {deadline:g} s for {what}; last: {last!r}")


class ProgramEndedError(Exception):
    """A program that should run has ended; the message is the end of what it said."""


@dataclass
class Program:
    """A running program, with its output in a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def get(self, url: str) -> Any:
        """Ask it over HTTP; while it is starting it may refuse, but it may not end."""
        if self.process.poll() is not None:
            raise ProgramEndedError(f"{self.name} ended by itself:\n{self.said()[-4000:]}")
        return ask(url)


@contextlib.contextmanager
def program(name: str, *command: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program until the end of the block; fails where it ends by itself, or does not end on request."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(env or {})},
        )
    running = Program(name, process, log)
    try:
        yield running
        if process.poll() is not None:
            raise ProgramEndedError(f"{name} ended by itself:\n{running.said()[-4000:]}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(180)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not end within three minutes of SIGTERM") from None


@dataclass
class Prometheus:
    url: str

    def query(self, expr: str, at: float | None = None) -> list[tuple[Labels, float]]:
        """Run an instant query; the metric's name stands in the labels as ``__name__``."""
        asked = {"query": expr} if at is None else {"query": expr, "time": f"{at:.3f}"}
        data = self._get("query", asked)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def value(self, expr: str, at: float | None = None) -> float | None:
        """The one value of a query; None where there is none."""
        result = self.query(expr, at)
        assert len(result) <= 1, f"{expr}: {result}"
        return result[0][1] if result else None

    def scrapes(self, until: float | None = None) -> list[float]:
        """When the stored scrapes of the last minute began, of one exporter: those that brought something."""
        data = self._get("query", {"query": "up[1m]"} | ({} if until is None else {"time": f"{until:.3f}"}))
        return [at for series in data["result"] for at, up in series["values"] if up == "1"]

    def by(self, label: str, expr: str, at: float | None = None) -> dict[str, float]:
        return {labels[label]: value for labels, value in self.query(expr, at)}

    def firing(self, name: str) -> list[Labels]:
        return [labels for labels, _ in self.query(f'ALERTS{{alertname="{name}",alertstate="firing"}}')]

    def _get(self, path: str, asked: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        try:
            return ask(url)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{asked}: {error.read().decode()}") from None


RESEND = 55
"""Seconds after which Prometheus has not sent an alert again yet."""


@dataclass
class Pages:
    """What Alertmanager delivered: each notification with the receiver that got it."""

    notifications: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    """When, in unix seconds."""
    since: float = 0.0
    """Alerts that began to fire before are not counted, however late they are delivered."""

    def alerts(self, name: str, status: str) -> list[tuple[str, dict[str, Any]]]:
        """Every delivered alert of a name and status, with its receiver."""
        return [
            (receiver, alert)
            for receiver, notification in list(self.notifications)
            for alert in notification["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
            if datetime.fromisoformat(alert["startsAt"]).timestamp() >= self.since
        ]

    def firing(self, name: str) -> set[tuple[str, str]]:
        """(block, since when) of each delivered page: a page that is repeated counts once."""
        return {(alert["labels"].get("block", ""), alert["startsAt"]) for _, alert in self.alerts(name, "firing")}

    def untold(self) -> list[tuple[str, Labels]]:
        """Receiver and labels of each alert that was notified as resolved, and never before that it fires.

        Prometheus says for 15 minutes, every minute, that an alert is resolved. No wait is as long here, so only the
        first time counts.
        """
        told: set[tuple[str, frozenset[tuple[str, str]]]] = set()
        found = []
        for (receiver, notification), at in zip(list(self.notifications), self.received, strict=False):
            for alert in notification["alerts"]:
                key = receiver, frozenset(alert["labels"].items())
                if alert["status"] == "firing":
                    told.add(key)
                elif key not in told and at - datetime.fromisoformat(alert["endsAt"]).timestamp() < RESEND:
                    found.append((receiver, alert["labels"]))
        return found


@contextlib.contextmanager
def webhook() -> Iterator[tuple[str, Pages]]:
    pages = Pages()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pages.received.append(time.time())
            pages.notifications.append((self.path.lstrip("/"), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer((HOST, 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}", pages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def silenced(link: str) -> str:
    """The matchers that Alertmanager's form for a silence reads from a link.

    Its form is written in Elm: a plus is a plus, and a parameter with a second "=" is not read.
    """
    parameters = urllib.parse.urlsplit(link).fragment.partition("?")[2].split("&")
    return urllib.parse.unquote(dict(each.split("=") for each in parameters if each.count("=") == 1)["filter"])


def hurried_rules(target: Path, waits: Mapping[str, str]) -> None:
    """Copy our rules; where they wait a minute, they wait two seconds here, or what ``waits`` has for an alert."""
    for kind in ("rules", "alerts"):
        for source in (ROOT / "deploy/prometheus" / kind).glob("*.yml"):
            document = yaml.safe_load(source.read_text(encoding="utf-8"))
            for group in document["groups"]:
                group.pop("interval", None)
                for rule in group["rules"]:
                    for wait, longest in (("for", 30), ("keep_firing_for", 60)):
                        if wait in rule:
                            rule[wait] = f"{min(_minutes(rule[wait]) * 2, longest)}s"
                    if rule.get("alert") in waits:
                        rule["for"] = waits[rule["alert"]]
            (target / kind).mkdir(exist_ok=True)
            (target / kind / source.name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def hurried_alertmanager(target: Path, receiver: str, noc: Mapping[str, Any] | None = None) -> Path:
    """Our Alertmanager example, with its waits shortened and its receivers pointed at ours; ``noc`` is the NOC's."""
    document = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text(encoding="utf-8"))

    def hurry(route: dict[str, Any]) -> None:
        if "group_interval" in route:
            route["group_interval"] = "2s"
        if "group_wait" in route:
            route["group_wait"] = {"0s": "0s", "30s": "2s", "2m": "8s"}[route["group_wait"]]
        if route.get("repeat_interval") == "1m":
            route["repeat_interval"] = "2s"
        for child in route.get("routes", []):
            hurry(child)

    hurry(document["route"])
    for each in document["receivers"]:
        each["webhook_configs"] = [{"url": f"{receiver}/{each['name']}", "send_resolved": True}]
        if noc is not None and each["name"] == "noc":
            del each["webhook_configs"]
            each.update(noc)
    shutil.copy(ROOT / "deploy/alertmanager/hashmargin.tmpl", target)
    path = target / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def become_newer(package: Path) -> None:
    """Make an installed ``exporter`` version 9.9.9, which has a newer format of the state file."""
    state = (package / "state.py").read_text(encoding="utf-8")
    state = state.replace(f"FILE_VERSION: Final = {FILE_VERSION}", f"FILE_VERSION: Final = {FILE_VERSION + 1}")
    state = state.replace("_UPGRADES: Final = {", f'_UPGRADES: Final = {{\n    {FILE_VERSION}: _upgrade("SELECT 1;"),')
    (package / "state.py").write_text(state, encoding="utf-8")
    (package / "__init__.py").write_text('"""Newer."""\n\n__version__ = "9.9.9"\n', encoding="utf-8")


@contextlib.contextmanager
def simulated_site(folder: Path, network: str = NETWORK, *arguments: str) -> Iterator[tuple[str, Path]]:
    """A simulated site; yields its control API and the exporter's configuration for it."""
    config = folder / "site.yml"
    command = (sys.executable, "-m", "exporter.simulation", "--network", network)
    with program(
        "site", *command, "--config-out", config, *arguments, folder=folder, env={"PYTHONPATH": str(ROOT)}
    ) as site:
        ready = wait_for("the simulated site", lambda: _first_json(site.log))
        yield ready["control"], config


def _first_json(log: Path) -> Any:
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            return json.loads(line)
    return None


OUTLOOK = {
    "drift": 0.1,
    "volatility": 0.5,
    "difficulty_growth": 0.2,
    "elasticity": 0.5,
    "fees_bitcoins_per_block": {"low": 0.02, "base": 0.05, "high": 0.1},
}
OBLIGATIONS = [
    {"kind": "cap", "event": "feeder", "from": "2026-01-01 00:00", "cap_kilowatts": 5_000},
    {"kind": "award", "event": "reserve", "from": "2026-01-01 00:00", "floor_kilowatts": 1},
]
"""What the site owes: limits that it keeps, unless all of it is dark."""


def hurry_exporter(config: Path) -> None:
    """Let the exporter poll, evaluate and forget within seconds, at prices that do not depend on the hour."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document |= {
        "evaluation_interval": "1s",
        "polling": {"interval": "4s", "deadline": "4s", "max_backoff": "5s", "work_window": "10s"},
        "state": {"path": str(config.parent / "state.sqlite")},
    }
    for source in (document["network"], document["bitcoin"], document["tariffs"]["spot"]):
        source |= {"interval": "1s", "max_age": "10s"}
    far = f"{(datetime.now(UTC) + timedelta(hours=12)).hour:02}"  # a price known ahead, for a plan that changes
    document["tariffs"]["time-of-use"] |= {
        "timezone": "UTC",
        "periods": [{"price": 0.5, "from": f"{far}:00", "to": f"{far}:30"}, {"price": 0.05}],
    }
    document["decision"] = document.get("decision", {}) | {"day_plan": {"interval": "1m"}}
    document["economics"] |= {"hosting_usd_per_kilowatt_month": 8}
    document["points"] |= {"list_interval": "5s", "settle": "2s", "stable": "5s"}
    document["ai"] |= {"outlook": OUTLOOK}
    obligations = config.with_name("obligations.yml")
    obligations.write_text(yaml.safe_dump(OBLIGATIONS), encoding="utf-8")
    document["obligations"] = {"feeder": {"kind": "schedule", "path": str(obligations)}}
    config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def exporter(folder: Path, config: Path, name: str = "exporter", port: int | None = None) -> Iterator[str]:
    port = port or free_port()
    url = f"http://{HOST}:{port}"
    command = (BIN / "hashmargin", "run", "--config.file", config, "--web.listen-address", f"{HOST}:{port}")
    with program(name, *command, folder=folder) as running:
        wait_for("the exporter to be ready", lambda: running.get(f"{url}/-/ready"))
        yield url


@contextlib.contextmanager
def alertmanager(folder: Path, receiver: str, noc: Mapping[str, Any] | None = None) -> Iterator[str]:
    url = f"http://{HOST}:{(port := free_port())}"
    config = hurried_alertmanager(folder, receiver, noc)
    command = (
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--web.listen-address={HOST}:{port}",
        f"--storage.path={folder / 'alertmanager'}",
        "--cluster.listen-address=",
    )
    with program("alertmanager", *command, folder=folder) as running:
        wait_for("Alertmanager", lambda: running.get(f"{url}/-/ready"))
        yield url


@contextlib.contextmanager
def prometheus(
    folder: Path,
    targets: list[str],
    managers: list[str] | None = None,
    interval: int = 1,
    release: Release = PACKAGED,
    jobs: Mapping[str, Mapping[str, str]] | None = None,
    site: str = SITE,
    waits: Mapping[str, str] | None = None,
) -> Iterator[Prometheus]:
    """A Prometheus with our rules that scrapes ``targets``, of one site, every ``interval`` seconds.

    ``jobs`` are more of its jobs: each with the address of the target of each site. ``waits`` is how long alerts wait.
    """
    hurried_rules(folder, waits or {})
    document = {
        "global": {"scrape_interval": f"{interval}s", "evaluation_interval": f"{interval}s"},
        "rule_files": ["rules/*.yml", "alerts/*.yml"],
        "scrape_configs": [
            {
                "job_name": "hashmargin",
                "static_configs": [{"targets": [_netloc(url) for url in targets], "labels": {"site": site}}],
            },
            *(
                {
                    "job_name": job,
                    "static_configs": [
                        {"targets": [_netloc(url)], "labels": {"site": name}} for name, url in sites.items()
                    ],
                }
                for job, sites in (jobs or {}).items()
            ),
        ],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_netloc(url) for url in managers or []]}]}]},
    }
    with prometheus_of(folder, document, release) as running:
        yield running


@contextlib.contextmanager
def prometheus_of(folder: Path, document: Mapping[str, Any], release: Release, *flags: str) -> Iterator[Prometheus]:
    """A Prometheus of a release with the configuration ``document``; skips where the release is not there."""
    if release.missing:
        pytest.skip(release.missing)
    url = f"http://{HOST}:{(port := free_port())}"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = (
        release.program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}",
        *flags,
    )
    with program("prometheus", *command, folder=folder) as running:
        wait_for("Prometheus", lambda: running.get(f"{url}/-/ready"))
        yield Prometheus(url)


def promtool(release: Release, *arguments: str | Path, stdin: str | None = None) -> str:
    """Run a release's promtool; returns what it says. Fails where it fails, skips where it is not there."""
    if release.missing:
        pytest.skip(release.missing)
    command = (release.program("promtool"), *arguments)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _netloc(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


any_prometheus = pytest.mark.parametrize("running", [PACKAGED], ids=["any"], indirect=True)
"""For tests of the shared site that are about something else than what Prometheus does with it."""


@dataclass
class Stack:
    """A simulated site with everything that watches it."""

    control: str
    exporter: str
    prometheus: Prometheus
    pages: Pages
    release: Release

    def switch(self, path: str, **what: object) -> Any:
        """Switch something in the simulation."""
        return ask(f"{self.control}/{path}", what)

    def site(self) -> dict[str, Any]:
        """How the simulated site really is."""
        state: dict[str, Any] = ask(f"{self.control}/")
        return state

    @contextlib.contextmanager
    def broken(self, faults: Mapping[str, str]) -> Iterator[None]:
        """Break all rigs of blocks, which have a fault each, until the end of the block; those of before come back."""
        before = {name: rig["fault"] for name, rig in self.site()["rigs"].items() if rig["block"] in faults}
        for block, fault in faults.items():
            self.switch("faults", block=block, fault=fault)
        try:
            yield
        finally:
            for block in faults:
                self.switch("faults", block=block, fault=None)
            for rig, fault_before in before.items():
                if fault_before is not None:
                    self.switch("faults", rig=rig, fault=fault_before)

    def rigs_with(self, *faults: str) -> set[str]:
        return {name for name, rig in self.site()["rigs"].items() if rig["fault"] in faults}


@contextlib.contextmanager
def exported_site(folder: Path) -> Iterator[tuple[str, str]]:
    """A simulated site and its exporter; yields the site's control API and the exporter's address."""
    with simulated_site(folder) as (control, config):
        hurry_exporter(config)
        with exporter(folder, config) as url:
            yield control, url


@contextlib.contextmanager
def stack(folder: Path, exported: tuple[str, str], release: Release) -> Iterator[Stack]:
    """Watch a site with a Prometheus of ``release``, an Alertmanager and who is paged."""
    assert shutil.which("prometheus-alertmanager"), "no Alertmanager: .ci/run says which packages these tests need"
    control, url = exported
    with (
        webhook() as (receiver, pages),
        alertmanager(folder, receiver) as manager,
        prometheus(folder, [url], [manager], release=release) as watcher,
    ):
        yield Stack(control, url, watcher, pages, release)
