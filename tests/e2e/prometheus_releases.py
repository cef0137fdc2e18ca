"""The Prometheus releases that the end-to-end tests run on; as a program, builds the one that no package provides.

Only the standard library is used, so that ``.ci/run`` can build before anything is installed. The build is kept in the
user's cache, one folder per release.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MODULE: Final = "github.com/prometheus/prometheus"
_MODULE_VERSION: Final = "v0.316.0"  # of the Go module; Prometheus 3.16.0
_VERSION: Final = "3.16.0"
_GO: Final = "1.26"
_PROXY_VERSION: Final = "0.11.1"
_PROGRAMS: Final = ("promtool", "prometheus")
_STAMP: Final = "github.com/prometheus/common/version.Version"


@dataclass(frozen=True)
class Release:
    """A Prometheus: ``folder`` holds its programs, None means those on the path."""

    name: str
    folder: Path | None

    @property
    def missing(self) -> str | None:
        """Why it can't be run here, and what would help; None if it can."""
        if all(shutil.which(self.program(name)) for name in _PROGRAMS):
            return None
        if self.folder is None:
            return "prometheus is not installed: .ci/run says which packages these tests need"
        return f"Prometheus {_VERSION} is not built: python3 {Path(__file__).relative_to(Path(__file__).parents[2])}"

    def program(self, name: str) -> str:
        """The path of ``prometheus`` or ``promtool``."""
        return name if self.folder is None else str(self.folder / name)

    @property
    def agent_flag(self) -> str:
        """What starts it as an agent."""
        return "--enable-feature=agent" if self.folder is None else "--agent"


def cache() -> Path:
    """The folder of what is built once, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "hashmargin"


def _cache() -> Path:
    return cache() / f"prometheus-{_VERSION}"


PACKAGED: Final = Release("packaged", None)
"""Debian's: Prometheus 2.42."""
CURRENT: Final = Release(_VERSION, _cache())
RELEASES: Final = (PACKAGED, CURRENT)


@dataclass(frozen=True)
class LabelProxy:
    """prom-label-proxy, which no package provides either."""

    folder: Path

    @property
    def missing(self) -> str | None:
        """Why it can't be run here, and what would help; None if it can."""
        if shutil.which(self.program("prom-label-proxy")):
            return None
        return f"prom-label-proxy is not built: python3 {Path(__file__).relative_to(Path(__file__).parents[2])}"

    def program(self, name: str) -> str:
        """The path of the program."""
        return str(self.folder / name)

    def build(self) -> None:
        """Build it with Go; it appears only once it is whole."""
        module = f"github.com/prometheus-community/prom-label-proxy@v{_PROXY_VERSION}"
        with tempfile.TemporaryDirectory(prefix=".building-", dir=self.folder.parent) as scratch:
            subprocess.run(
                ("go", "install", "-ldflags=-s -w", module),
                check=True,
                env={**os.environ, "GOBIN": f"{scratch}/built", "GOWORK": "off", "CGO_ENABLED": "0"},
            )
            Path(scratch, "built").rename(self.folder)


LABEL_PROXY: Final = LabelProxy(_cache().with_name(f"prom-label-proxy-{_PROXY_VERSION}"))


def build(target: Path) -> None:
    """Build the programs with Go into ``target``; it appears only once they are whole."""
    # `go install module@version` refuses a module with replace directives: it has to be a dependency of another one.
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
        # Without a go line, Go loads the requirements of every module that any of them ever required.
        module = f"module scratch\n\ngo {_GO}\n\nrequire {_MODULE} {_MODULE_VERSION}\n"
        Path(scratch, "go.mod").write_text(module, encoding="utf-8")
        built = Path(scratch, "built")
        for name in _PROGRAMS:
            # Cloud service discoveries are two thirds of the build, and nothing here uses them.
            command = ("go", "build", "-tags=remove_all_sd,netgo", f"-ldflags=-s -w -X {_STAMP}={_VERSION}")
            subprocess.run(
                (*command, "-o", built / name, f"{_MODULE}/cmd/{name}"),
                check=True,
                cwd=scratch,
                env={**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "CGO_ENABLED": "0"},
            )
        built.rename(target)


if __name__ == "__main__":
    if (CURRENT.missing or LABEL_PROXY.missing) and not shutil.which("go"):
        sys.exit(f"Prometheus {_VERSION} is built with Go {_GO} or newer, and there is no go on the path")
    if CURRENT.missing:
        build(_cache())
    if LABEL_PROXY.missing:
        LABEL_PROXY.build()
    sys.stdout.write(f"{_cache()}\n")
