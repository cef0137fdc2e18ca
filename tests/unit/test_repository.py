"""The repository agrees with itself: pre-commit with `make check`, and commands in the documentation with the CLI."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from exporter.cli import main
from exporter.decision.settings import DecisionSettings
from exporter.economics.settings import AiSettings
from exporter.exposition.catalogue import CATALOGUE
from exporter.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("", "_bucket", "_sum", "_count"), "gauge": ("",)}
METRICS = {metric.name for metric in CATALOGUE}
METRICS |= {
    f"{own.name}{suffix}" for own in Telemetry(has_lease=True).registry.collect() for suffix in SUFFIXES[own.type]
}
METRICS |= {name for name in AiSettings.model_fields if name.startswith("mining_")}  # settings that look like metrics
METRICS |= {
    rule["record"]
    for file in (ROOT / "deploy/prometheus/rules").glob("*.yml")
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/runbooks/*.md")]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}


def commands(text: str) -> list[str]:
    """The commands of the exporter in shell blocks and in running text."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    in_blocks = re.findall(r"^(?:\.venv/bin/)?(hashmargin .+)", blocks, re.MULTILINE)
    return in_blocks + re.findall(r"`(hashmargin\s[a-z][^`]*)`", text)


COMMANDS = sorted({command for text in TEXTS.values() for command in commands(text)})


def test_pre_commit_runs_the_commands_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [hook["entry"] for repository in settings["repos"] for hook in repository["hooks"]] == commands


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_documentation_exists_with_its_options(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    assert isinstance(main, click.Group)
    command = main.commands[name]
    if isinstance(command, click.Group) and arguments:
        command = command.commands[arguments[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= known


@pytest.mark.parametrize("page", TEXTS)
def test_every_make_target_of_the_documentation_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z0-9]+)", TEXTS[page], re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", TEXTS)
def test_every_metric_of_the_documentation_exists(page: str) -> None:
    for name, rest in re.findall(r"\b((?:[a-z]+:)?mining_[a-z_]+(?::[a-z0-9]+)?)([*(.]?)", TEXTS[page]):
        is_prefix = name.endswith("_") or (rest in "*(" and rest)
        known = name in METRICS or name in {*DecisionSettings.model_fields, *AiSettings.model_fields}
        assert known or (is_prefix and any(metric.startswith(name) for metric in METRICS)), name


def test_only_the_resolver_looks_up_the_names_of_rigs_and_sources() -> None:
    """The event loop's own threads serve other work too: a few names that hang would take all of them."""
    users = {path for path in (ROOT / "exporter").rglob("*.py") if "getaddrinfo" in path.read_text(encoding="utf-8")}
    own = {"sources/resolver.py", "server/serve.py", "cli/options.py"}  # where we listen, and before a command starts
    assert {str(path.relative_to(ROOT / "exporter")) for path in users} == own
