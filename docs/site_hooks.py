"""Hooks of mkdocs (``make site``): pages from outside ``docs``, a page for each firmware and source, links to files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from mkdocs.structure.files import File, Files

_ROOT: Final = Path(__file__).parents[1]
_SOURCE: Final = "https://github.com/hashmargin/hashmargin/blob/main/"
_OUTSIDE: Final = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_DOCS: Final = _ROOT / "docs"
_MARKETS: Final = _ROOT / "exporter" / "sources" / "tariffs" / "templates"
_LINK: Final = re.compile(r"(\]\()([^):#\s]+)(#[^)\s]*)?(\))")


def _pages() -> dict[str, str]:
    """Return the address on the site of each page that is outside ``docs``, by its path in the repository."""
    runbooks = sorted((_ROOT / "deploy" / "runbooks").glob("*.md"))
    return _OUTSIDE | {str(path.relative_to(_ROOT)): f"runbooks/{path.name}" for path in runbooks}


def _read(name: str) -> str:
    return (_DOCS / name).read_text(encoding="utf-8")


def _section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above; nothing where it is missing."""
    level = heading.index(" ")
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def _firmware() -> Iterator[tuple[str, str]]:
    """Yield each reader's page by name: its rows in the tables of ``firmware.md``, and the section of its firmware."""
    text = _read("firmware.md")
    tables = text.partition("\n## Rules")[0]
    for title, section, reader in re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| `(\w+)` \|", tables, re.MULTILINE):
        rows = [line for line in tables.splitlines() if line.startswith("|") and f"`{reader}` |" in line]
        headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
        (heading,) = (each for each in headings if re.sub("[^a-z0-9-]", "", each.lower().replace(" ", "-")) == section)
        parts = [
            f"# {title}",
            "| firmware | reader | protocol | power |\n|---|---|---|---|\n" + rows[0],
            "## Details",
            _section(text, f"### {heading}"),
        ]
        if rows[1:]:
            parts += ["## Tried against", "| reader | model | firmware version | evidence |\n|---|---|---|---|"]
            parts[-1] += "".join(f"\n{row}" for row in rows[1:])
        parts += ["[Rules for all firmware](firmware.md#rules-for-all-firmware), [failures](firmware.md#failures)."]
        yield reader, "\n\n".join(parts).replace("](#", "](firmware.md#")


def _sources() -> Iterator[tuple[str, str]]:
    """Yield each source's page by name: what ``sources.md`` says of it, and its keys in ``configuration.md``."""
    described = re.split(r"^## ", _read("sources.md"), flags=re.MULTILINE)
    for section in re.split(r"^### ", _section(_read("configuration.md"), "## Sources"), flags=re.MULTILINE)[1:]:
        role = re.search(r"`kind` of `(\w+)`", section.splitlines()[0])
        if role is None:
            continue
        common, *kinds = re.split(r"^#### `kind: (\w+)`$", section, flags=re.MULTILINE)
        common = common.partition("\n")[2].strip()
        heading = next((each for each in described if f"{role[1]}`" in each.splitlines()[0]), "")
        for kind, keys in zip(kinds[::2], kinds[1::2], strict=True):
            said = "\n\n".join([f"# `{kind}` of `{role[1]}`", *_about(kind, heading)]).replace("](#", "](sources.md#")
            all_keys = "\n\n".join(["## Keys", keys.strip(), *filter(None, [common])])
            yield f"{role[1]}-{kind}", f"{said}\n\n{all_keys}".replace("](#", "](configuration.md#")
    for file in sorted(_MARKETS.glob("*.yml")):
        market = yaml.safe_load(file.read_text(encoding="utf-8"))
        area = f"    area: {market['area']}" if "area" in market else f"    area: ...  # {market['areas']}"
        yield (
            f"market-{file.stem}",
            f"""# {market["market"].partition(",")[0]}: `{file.stem}`

{market["market"]} The market describes it [here]({market["documentation"]}).

```yaml
tariffs:
  spot:
    kind: template
    template: {file.stem}
{area}
```

`area` is {market["areas"]}. [Templates](sources.md#templates) explains several areas, and the
[configuration](configuration.md#kind-template) has all keys. These are the settings that the template stands for:

```yaml
{yaml.safe_dump(market["settings"], sort_keys=False).strip()}
```
""",
        )


def _about(kind: str, section: str) -> Iterator[str]:
    """Yield what a section of ``sources.md`` says of a kind: rows of its tables, and paragraphs that begin with it."""
    parts = re.split(r"\n\n(?=\S)", section)
    for number, part in enumerate(parts):
        lines = part.splitlines()
        if part.startswith("|") and (rows := [line for line in lines[2:] if line.startswith(f"| `{kind}` |")]):
            yield "\n".join([*lines[:2], *rows])
        elif part.startswith((f"`{kind}`", f"`kind: {kind}`")):
            yield part
            if part.endswith(":") and number + 1 < len(parts):
                yield parts[number + 1]
        elif part.startswith("- ") and (
            found := [each for each in re.split(r"\n(?=- )", part) if each.startswith(f"- `{kind}`")]
        ):
            yield "\n".join(found)
        elif part.startswith("```yaml") and re.search(rf"kind: {kind}\b", part):
            yield part


def _written() -> dict[str, tuple[str, str]]:
    """Return the text of each page that is made of other pages and the page it is about, by its address."""
    pages = {f"firmware/{name}.md": (text, "docs/firmware.md") for name, text in _firmware()}
    return pages | {f"sources/{name}.md": (text, "docs/sources.md") for name, text in _sources()}


def on_config(config: Any) -> Any:
    """List all runbooks, firmware and sources in the navigation."""
    places = [*_pages().values(), *_written()]

    def listed(entries: list[Any]) -> list[Any]:
        found: list[Any] = []
        for entry in entries:
            if isinstance(entry, dict):
                found.append(
                    {title: listed(value) if isinstance(value, list) else value for title, value in entry.items()}
                )
            elif isinstance(entry, str) and entry.endswith("/"):
                found += [place for place in places if place.startswith(entry)]
            else:
                found.append(entry)
        return found

    config.nav = listed(config.nav)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside ``docs``, and those that are made of others."""
    for source, place in _pages().items():
        files.append(File.generated(config, place, abs_src_path=str(_ROOT / source)))
    for place, (text, _) in _written().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_given: Any) -> str:
    """Let each link to a file lead to its page, else to the repository."""
    sources = {place: source for source, place in _pages().items()}
    sources |= {place: about for place, (_, about) in _written().items()}
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
