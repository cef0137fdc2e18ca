"""The image is built from the Dockerfile and run as it will be: unprivileged, on a root that cannot be written."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import HOST, ROOT, ask, free_port, program, wait_for

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
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build on the base that BASE_IMAGE names, else on a Debian of our own: no registry is needed."""
    for name in ("buildah", "debootstrap"):
        assert shutil.which(name), f"{name} is not installed: .ci/run says which packages these tests need"
    folder = tmp_path_factory.mktemp("image")
    buildah = ("buildah", "--storage-driver", "vfs", "--root", folder / "store", "--runroot", folder / "run")
    base = os.environ.get("BASE_IMAGE") or debian(folder, buildah)
    run(
        *buildah,
        *("build", "--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={base}"),
        *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--tag", "hashmargin", ROOT),
    )
    config = json.loads(run(*buildah, "inspect", "--type", "image", "hashmargin"))["Docker"]["config"]
    sizes = {name: json.loads(run(*buildah, "images", "--json", name))[0]["size"] for name in (base, "hashmargin")}
    container = run(*buildah, "from", "hashmargin").strip()
    tree = Path(run(*buildah, "mount", container).strip())
    yield Image(tree, config, megabytes(sizes["hashmargin"]) - megabytes(sizes[base]))
    run(*buildah, "umount", container)
    shutil.rmtree(folder)


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


def test_it_serves_from_a_read_only_root(image: Image, tmp_path: Path) -> None:
    state, config = tmp_path / "state", tmp_path / "config"
    state.mkdir()
    config.mkdir()
    os.chown(state, 65532, 65532)
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
