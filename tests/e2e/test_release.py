"""What is released installs by itself on every Python that is here, and carries all its files."""

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from harness import BIN, ROOT

from exporter import __version__

pytestmark = pytest.mark.e2e

OLDEST = 11
NEWEST = 14


def run(*command: str | Path, folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=folder, env=clean)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def python(minor: int) -> Path | None:
    """A Python 3 of that minor version: in the path, or one of pyenv's, whose command in the path may refuse."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = shutil.which(f"python3.{minor}")
    readable = os.access(versions, os.R_OK | os.X_OK)  # the environment may be another user's
    theirs = versions.glob(f"3.{minor}.*/bin/python3") if readable else ()
    for candidate in (*theirs, *([Path(found)] if found else [])):
        if subprocess.run((candidate, "-c", "import venv"), capture_output=True, check=False).returncode == 0:
            return candidate
    return None


PYTHONS = {f"3.{minor}": found for minor in range(OLDEST, NEWEST + 1) if (found := python(minor))}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, and the wheel that is built from nothing but it."""
    folder = tmp_path_factory.mktemp("dist")
    run(BIN / "uv", "build", "--quiet", "--out-dir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"hashmargin-{__version__}-py3-none-any.whl"


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "exporter").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert carried == {str(path.relative_to(ROOT)) for path in files}
    assert {"exporter/py.typed", "exporter/model/nameplates.csv"} <= carried


def test_the_source_distribution_has_what_tests_and_docs_need(dist: Path) -> None:
    with tarfile.open(dist / f"hashmargin-{__version__}.tar.gz") as archive:
        carried = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    pages = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE")
    needed = (
        *pages,
        "Makefile",
        "Dockerfile",
        "pyproject.toml",
        "uv.lock",
        "deploy/examples/site.yml",
        "tests/conftest.py",
    )
    assert set(needed) <= carried


def test_the_oldest_python_is_here() -> None:
    assert f"3.{OLDEST}" in PYTHONS


@pytest.mark.parametrize("version", PYTHONS)
def test_it_installs_and_runs(version: str, wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(BIN / "uv", "venv", "--quiet", "--python", PYTHONS[version] or version, venv, folder=tmp_path)
    run(BIN / "uv", "pip", "install", "--quiet", "--python", venv / "bin/python", wheel, folder=tmp_path)
    command = venv / "bin/hashmargin"
    assert run(command, "--version", folder=tmp_path).strip() == f"hashmargin, version {__version__}"
    said = run(command, "check-config", "--config.file", ROOT / "deploy/examples/site.yml", folder=tmp_path)
    assert "prairie-1" in said


def test_image_and_chart_say_this_version() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/hashmargin/Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
