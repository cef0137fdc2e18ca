"""Hooks of mkdocs (``make site``): pages from outside ``docs``, and links to files that are no pages."""

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

_ROOT: Final = Path(__file__).parents[1]
_SOURCE: Final = "https://github.com/hashmargin/hashmargin/blob/main/"
_OUTSIDE: Final = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK: Final = re.compile(r"(\]\()([^):#\s]+)(#[^)\s]*)?(\))")


def _pages() -> dict[str, str]:
    """Return the address on the site of each page that is outside ``docs``, by its path in the repository."""
    runbooks = sorted((_ROOT / "deploy" / "runbooks").glob("*.md"))
    return _OUTSIDE | {str(path.relative_to(_ROOT)): f"runbooks/{path.name}" for path in runbooks}


def on_config(config: Any) -> Any:
    """List all runbooks in the navigation."""
    for section in config.nav:
        if isinstance(section, dict) and "Runbooks" in section:
            section["Runbooks"] = [place for place in _pages().values() if place.startswith("runbooks/")]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside ``docs``."""
    for source, place in _pages().items():
        files.append(File.generated(config, place, abs_src_path=str(_ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_given: Any) -> str:
    """Let each link to a file lead to its page, else to the repository."""
    sources = {place: source for source, place in _pages().items()}
    here = Path(sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def replaced(match: re.Match[str]) -> str:
        target = (_ROOT / here / match[2]).resolve()
        if not target.exists() or not target.is_relative_to(_ROOT):
            return match[0]
        path = str(target.relative_to(_ROOT))
        place = _pages().get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        up = "../" * page.file.src_uri.count("/")
        return f"{match[1]}{up + place if place else _SOURCE + path}{match[3] or ''}{match[4]}"

    return _LINK.sub(replaced, markdown)
