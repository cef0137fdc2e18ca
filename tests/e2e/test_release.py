"""What is released installs by itself on every Python that is here, and carries all its files."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from harness import BIN, ROOT, become_newer

from exporter import __version__
from exporter.state import FILE_VERSION

pytestmark = [pytest.mark.e2e, pytest.mark.downloads]

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


def test_a_release_is_consistent_and_has_notes() -> None:
    release = ROOT / ".ci/release"
    assert run(release, "check", f"v{__version__}", folder=ROOT) == f"v{__version__} is consistent\n"
    assert "The first version" in run(release, "notes", "v0.1.0", folder=ROOT)
    refused = subprocess.run((release, "check", "v9.9.9"), capture_output=True, text=True, check=False)
    assert (refused.returncode, "the tag is v9.9.9" in refused.stderr) == (1, True)


def test_the_released_wheel_is_tested_as_the_workflow_does(wheel: Path, tmp_path: Path) -> None:
    assert "works on Python 3" in run(ROOT / ".ci/release", "test-wheel", wheel, sys.executable, folder=tmp_path)


def test_the_chart_is_packaged_with_what_it_links_to(tmp_path: Path) -> None:
    assert shutil.which("helm"), "helm is not installed: .ci/run says how"
    run(ROOT / ".ci/release", "chart", tmp_path, folder=tmp_path)
    with tarfile.open(tmp_path / f"hashmargin-{__version__}.tgz") as archive:
        files = {member.name for member in archive.getmembers() if member.isfile()}
    assert {"hashmargin/rules/site.yml", "hashmargin/alerts/outage.yml", "hashmargin/dashboards/ops-room.json"} <= files


def test_the_workflows_are_sound() -> None:
    if not shutil.which("actionlint"):
        pytest.skip("actionlint is not installed: .ci/run says how")
    run("actionlint", folder=ROOT)


def test_state_survives_an_upgrade_and_a_rollback_between_two_builds(wheel: Path, tmp_path: Path) -> None:
    """The other build is this one with a newer format of the state file."""
    old, new = (installed(wheel, tmp_path / name) for name in ("old", "new"))
    package = next(new.parent.parent.glob("lib/python3*/site-packages/exporter"))
    become_newer(package)
    state = tmp_path / "state.sqlite"
    assert touched(old, state) == ""
    assert touched(new, state) == ""
    refusal = touched(old, state)
    assert f"written by hashmargin 9.9.9 (format {FILE_VERSION + 1})" in refusal
    kept = state.with_name(f"state.sqlite.version-{FILE_VERSION}")
    run(old, "state", "restore", "--state.path", state, kept, folder=tmp_path)
    assert touched(old, state) == ""


def installed(wheel: Path, venv: Path) -> Path:
    """The command of the wheel in an environment of its own."""
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, venv, folder=venv.parent)
    run(
        *(BIN / "uv", "pip", "install", "--quiet", "--link-mode", "copy", "--python", venv / "bin/python", wheel),
        folder=venv.parent,
    )
    return venv / "bin/hashmargin"


def touched(command: Path, state: Path) -> str:
    """Start the exporter on the state file and stop it when it serves. Returns why it did not start."""
    config = state.with_name("site.yml")
    config.write_text(
        f"site: prairie-1\nstate: {{path: {state}}}\nweb: {{listen_address: '127.0.0.1:0'}}\n", encoding="utf-8"
    )
    with subprocess.Popen(
        (command, "run", "--config.file", config), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "event=serving" in line:
                process.terminate()
                said = ""
                break
        process.communicate(timeout=180)
    return said
