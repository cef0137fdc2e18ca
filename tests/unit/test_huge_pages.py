"""Memory that is in use as a whole moves to huge pages, with what is in it."""

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import huge_pages
from exporter.huge_pages import use_huge_pages

SIZE = 16 * 2**20
SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")


def can_collapse() -> bool:
    release = re.findall(r"\d+", Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii"))
    return (int(release[0]), int(release[1])) >= (6, 1) and (SETTINGS / "hpage_pmd_size").exists()


pytestmark = pytest.mark.skipif(not can_collapse(), reason="Linux before 6.1, or without huge pages")


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """16 MB of small pages, whatever the system's setting."""
    with mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        yield memory


def turn(setting: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "enabled").write_text(setting, encoding="ascii")
    size = (SETTINGS / "hpage_pmd_size").read_text(encoding="ascii")
    (folder / "hpage_pmd_size").write_text(size, encoding="ascii")
    monkeypatch.setattr(huge_pages, "_SETTINGS", folder)


def huge(memory: mmap.mmap) -> int:
    """Kilobytes of this mapping in huge pages."""
    middle = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + SIZE // 2
    for block in re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(encoding="utf-8"), flags=re.MULTILINE):
        start, _, end = block.partition(" ")[0].partition("-")
        if start and int(start, 16) <= middle < int(end, 16):
            return int(re.findall(r"^AnonHugePages: +(\d+) kB$", block, re.MULTILINE)[0])
    raise LookupError("no such mapping")


@pytest.mark.parametrize(("setting", "moves"), [("always [madvise] never", True), ("always madvise [never]", False)])
def test_memory_in_use_moves_and_keeps_its_content_unless_the_system_has_huge_pages_turned_off(
    setting: str, memory: mmap.mmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, moves: bool
) -> None:
    turn(setting, tmp_path, monkeypatch)
    content = bytes(range(256)) * (SIZE // 256)
    memory.write(content)
    memory.madvise(mmap.MADV_HUGEPAGE)
    use_huge_pages()
    assert (huge(memory) > 0) is moves
    assert memory[:] == content


def test_memory_that_is_hardly_used_takes_no_huge_page(
    memory: mmap.mmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn("always [madvise] never", tmp_path, monkeypatch)
    memory[SIZE // 2] = 1
    memory.madvise(mmap.MADV_HUGEPAGE)
    use_huge_pages()
    assert huge(memory) == 0
