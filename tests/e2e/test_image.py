"""The image is built from the Dockerfile and run as it will be: unprivileged, on a root that cannot be written."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import HOST, ROOT, Program, ask, become_newer, free_port, program, simulated_site, wait_for

from exporter.state import FILE_VERSION

pytestmark = [pytest.mark.e2e, pytest.mark.downloads]

BASE = "localhost/hashmargin-base"
MOST_ADDED_MEGABYTES = 185  # 60 of them are numpy, for the outlook
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def run(*command: str | Path, timeout: float = 600) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@dataclass
class Image:
    """A built image, with its file system to look at."""

    tree: Path
    config: dict[str, Any]
    added_megabytes: float


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str | Path, ...]]:
    """The command, with a store of images of its own."""
    for name in ("buildah", "debootstrap"):
        assert shutil.which(name), f"{name} is not installed: .ci/run says which packages these tests need"
    folder = tmp_path_factory.mktemp("image")
    yield ("buildah", "--storage-driver", "vfs", "--root", folder / "store", "--runroot", folder / "run")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def image(buildah: tuple[str | Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build on the base that BASE_IMAGE names, else on a Debian of our own: no registry is needed."""
    base = os.environ.get("BASE_IMAGE") or debian(tmp_path_factory.mktemp("base"), buildah)
    run(
        *buildah,
        *("build", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={base}"),
        *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--tag", "hashmargin", ROOT),
    )
    sizes = {name: json.loads(run(*buildah, "images", "--json", name))[0]["size"] for name in (base, "hashmargin")}
    with mounted(buildah) as tree:
        config = json.loads(run(*buildah, "inspect", "--type", "image", "hashmargin"))["Docker"]["config"]
        yield Image(tree, config, megabytes(sizes["hashmargin"]) - megabytes(sizes[base]))


@pytest.fixture(scope="module")
def next_image(buildah: tuple[str | Path, ...], image: Image) -> Iterator[Image]:
    """The same image with the next version, which has a newer format of the state file."""
    with mounted(buildah) as tree:
        (package,) = tree.glob("opt/hashmargin/lib/python3*/site-packages/exporter")
        become_newer(package)
        yield replace(image, tree=tree)


@contextmanager
def mounted(buildah: tuple[str | Path, ...]) -> Iterator[Path]:
    """The file system of a container of the image."""
    container = run(*buildah, "from", "hashmargin").strip()
    yield Path(run(*buildah, "mount", container).strip())
    run(*buildah, "umount", container)
    run(*buildah, "rm", container)


def debian(folder: Path, buildah: tuple[str | Path, ...]) -> str:
    tree = folder / "debian"
    run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", tree)
    container = run(*buildah, "from", "scratch").strip()
    run(*buildah, "add", container, tree, "/")
    run(*buildah, "commit", "--rm", container, BASE)
    shutil.rmtree(tree)
    return BASE


def megabytes(size: str) -> float:
    number, unit = size.split()
    return float(number) * {"KB": 1e-3, "MB": 1, "GB": 1e3}[unit]


def entered(image: Image, state: Path, *command: str) -> list[str]:
    """The command inside the image's file system: mounted read-only, as the image's user, with its environment."""
    tree = image.tree
    inside = ("chroot", f"--userspec={image.config['User']}", str(tree), "env", "-i", *image.config["Env"], *command)
    script = f"""
        set -eu
        mount --bind {tree} {tree}
        mount -t proc proc {tree}/proc
        mount -t tmpfs tmpfs {tree}/tmp
        mount --bind /dev {tree}/dev
        mount --bind {state} {tree}/var/lib/hashmargin
        mount --bind {state.parent / "config"} {tree}/etc/hashmargin
        mount -o remount,ro,bind {tree}
        exec {shlex.join(inside)}
    """
    return ["unshare", "--mount", "sh", "-c", script]


def test_it_adds_little_and_no_compiler(image: Image) -> None:
    assert 0 < image.added_megabytes < MOST_ADDED_MEGABYTES
    assert not list((image.tree / "usr/bin").glob("*gcc*"))
    assert not (image.tree / "opt/uv").exists()


def test_it_says_what_it_is_and_runs_unprivileged(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.title"] == "hashmargin"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image.config["Entrypoint"] == ["hashmargin"]
    assert image.config["Healthcheck"]["Test"][0] == "CMD"


def folders(parent: Path) -> tuple[Path, Path]:
    """What is mounted for the state, and for the configuration."""
    state, config = parent / "state", parent / "config"
    state.mkdir()
    config.mkdir()
    os.chown(state, 65532, 65532)
    return state, config


def test_it_serves_from_a_read_only_root(image: Image, tmp_path: Path) -> None:
    state, config = folders(tmp_path)
    port = free_port()
    (config / "site.yml").write_text(
        f"""
site: prairie-1
state: {{path: /var/lib/hashmargin/state.sqlite}}
web: {{listen_address: "{HOST}:{port}"}}
fleet: {{rigs: [{{name: a-1, address: 127.80.250.1, rated_terahash: 200, rated_watts: 3500}}]}}
tariffs: {{ppa: {{kind: fixed, usd_per_kilowatt_hour: 0.05}}}}
network: {{kind: fixed, height: 941472, difficulty: 133.79e12, block_fees: 0.02}}
bitcoin: {{kind: fixed, usd: 70370}}
"""
    )
    command = entered(image, state, *image.config["Entrypoint"], *image.config["Cmd"])
    with program("image", *command, folder=tmp_path) as running:
        wait_for("it to be healthy", lambda: running.get(f"http://{HOST}:{port}/-/healthy") is not None)
        wait_for("the market", lambda: "mining_hashprice_usd_per_petahash_day" in ask(f"http://{HOST}:{port}/metrics"))
        check = [*image.config["Healthcheck"]["Test"][1:], f"{HOST}:{port}"]
        run(*entered(image, state, *check))
    assert list(state.glob("state.sqlite*")), "state is kept where a volume is mounted"


def test_it_is_upgraded_and_rolled_back_with_its_state(image: Image, next_image: Image, tmp_path: Path) -> None:
    state, config = folders(tmp_path)
    url = f"{HOST}:{free_port()}"

    def served(version: Image, known: dict[str, float]) -> tuple[dict[str, float], str]:
        """Energy by rig, once those that are known are back, and all else that is served."""
        command = entered(version, state, *version.config["Entrypoint"], *version.config["Cmd"])
        with program("image", *command, folder=tmp_path) as running:
            return wait_for("the energy", lambda: energies(running, url, known))

    with simulated_site(tmp_path, "127.88.0.0/18", "--rigs", "6") as (_, written):
        document = yaml.safe_load(written.read_text(encoding="utf-8"))
        document |= {
            "evaluation_interval": "1s",
            "polling": {"interval": "4s", "deadline": "4s"},
            "state": {"path": "/var/lib/hashmargin/state.sqlite"},
            "web": {"listen_address": url},
        }
        (config / "site.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        before, text = served(image, {})
        assert 'version="9.9.9"' not in text
        upgraded, text = served(next_image, before)
        assert 'version="9.9.9"' in text
        assert all(upgraded[rig] >= joules for rig, joules in before.items())

        command = entered(image, state, *image.config["Entrypoint"], *image.config["Cmd"])
        refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert refused.returncode == 1
        assert f"written by hashmargin 9.9.9 (format {FILE_VERSION + 1})" in refused.stderr
        restore = ("state", "restore", "--config.file", "/etc/hashmargin/site.yml")
        kept = f"/var/lib/hashmargin/state.sqlite.version-{FILE_VERSION}"
        run(*entered(image, state, *image.config["Entrypoint"], *restore, kept))

        rolled_back, text = served(image, before)
        assert 'version="9.9.9"' not in text
        assert all(rolled_back[rig] >= joules for rig, joules in before.items())


def energies(running: Program, url: str, known: dict[str, float]) -> tuple[dict[str, float], str] | None:
    text = running.get(f"http://{url}/metrics")
    lines = re.findall(r'^mining_rig_energy_joules_total\{.*rig="([^"]+)".*\} (\S+)$', text, re.MULTILINE)
    found = {rig: float(joules) for rig, joules in lines}
    return (found, text) if any(found.values()) and found.keys() >= known.keys() else None
