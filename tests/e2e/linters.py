"""Runs pint on the rules and Grafana's dashboard-linter on the dashboards: `make linters`.

Both are built with Go once and kept in the user's cache, as Prometheus is; a program on the path comes first. Where one
can't be built, it is skipped with the reason. Only the standard library is used.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_releases import cache

ROOT: Final = Path(__file__).parents[2]
_GO: Final = "1.26"


class MissingError(Exception):
    """The linter is not here and can't be built; the text is the reason."""


@dataclass(frozen=True)
class Linter:
    """A linter that is a Go program. ``package`` is the folder of its main package in ``module``."""

    name: str
    module: str
    version: str
    package: str = ""
    replaced: str = ""  # what its go.mod replaces, since only the main module's replacements count

    def program(self) -> str:
        """The path of the program, built if it is not there. Raises MissingError."""
        built = cache() / f"{self.name}-{self.version}"
        if found := shutil.which(self.name) or shutil.which(built):
            return found
        if shutil.which("go") is None:
            raise MissingError("there is no go on the path")
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=built.parent) as scratch:
            module = f"module scratch\n\ngo {_GO}\n\nrequire {self.module} {self.version}\n\n{self.replaced}\n"
            Path(scratch, "go.mod").write_text(module, encoding="utf-8")
            done = subprocess.run(
                ("go", "build", "-ldflags=-s -w", "-o", "built", f"{self.module}{self.package}"),
                check=False,
                cwd=scratch,
                capture_output=True,
                text=True,
                env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0"},
            )
            if done.returncode:
                raise MissingError(f"it can't be built: {' '.join(done.stderr.split())[-300:]}")
            Path(scratch, "built").rename(built)
        return str(built)


PINT: Final = Linter("pint", "github.com/cloudflare/pint", "v0.87.0", "/cmd/pint")
DASHBOARD_LINTER: Final = Linter(
    "dashboard-linter",
    "github.com/grafana/dashboard-linter",
    "v0.2.0",
    replaced="replace github.com/hashicorp/memberlist => "
    "github.com/grafana/memberlist v0.3.1-0.20251126142931-6f9f62ab6f86",
)
_RULES: Final = ("deploy/prometheus/rules", "deploy/prometheus/alerts", "deploy/examples/meters/rules.yml")


def commands(linter: Linter) -> list[tuple[str, ...]]:
    """What to run, in the project's folder."""
    if linter is PINT:
        settings = ("--offline", "--no-color", "--log-level=WARN", "--config=deploy/prometheus/.pint.hcl")
        return [(*settings, "lint", "--fail-on=warning", *_RULES)]
    dashboards = sorted(path.relative_to(ROOT) for path in (ROOT / "grafana/dashboards").glob("*.json"))
    return [("lint", "--strict", "--config=grafana/.lint.yml", str(path)) for path in dashboards]


def main() -> int:
    """Run both linters; returns the exit code."""
    failed = False
    for linter in (PINT, DASHBOARD_LINTER):
        try:
            program = linter.program()
        except MissingError as error:
            sys.stdout.write(f"{linter.name}: skipped, {error}\n")
            continue
        for command in commands(linter):
            done = subprocess.run((program, *command), check=False, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                sys.stdout.write(f"{linter.name} {command[-1]}:\n{done.stdout}{done.stderr}")
                failed = True
        sys.stdout.write(f"{linter.name}: {'failed' if failed else 'found nothing'}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
