"""Every package that is installed with hashmargin has a licence that docs/licences.md allows."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

OPTIONAL = ("matplotlib", "numpy")  # of the extras
PERMISSIVE = re.compile(
    r"MIT(?: License|-0|-CMU)?|(?:0|[23]-Clause )?BSD(?: License|-[23]-Clause)?|0BSD|Apache(?:-2\.0| Software License)|"
    r"PSF-2\.0|Python Software Foundation License|Public Domain|Zlib|CC0-1\.0"
)
CHECKED = {
    "certifi": "Mozilla Public License 2.0 (MPL 2.0)",
    "orjson": "MPL-2.0 AND (Apache-2.0 OR MIT)",
    "asyncssh": "EPL-2.0 OR GPL-2.0-or-later",
}


def installed(name: str, seen: set[str]) -> Iterator[Distribution]:
    """Yield a package and all that it requires, without its extras."""
    if name.lower() in seen:
        return
    seen.add(name.lower())
    try:
        found = distribution(name)
    except PackageNotFoundError:  # for another platform or version of Python
        return
    yield found
    for requirement in found.requires or ():
        if "extra ==" not in requirement and (match := re.match(r"[\w.-]+", requirement)):
            yield from installed(match[0], seen)


def licences(package: Distribution) -> list[str]:
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return [str(expression)]
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or () if line.startswith("Lic")
    ]
    known = [licence for licence in classifiers if licence != "OSI Approved"]
    return known or [str(metadata.get("License") or "none")]


def is_permissive(licence: str) -> bool:
    return all(PERMISSIVE.fullmatch(part) for part in re.split(r" (?:AND|OR) ", licence))


def test_every_package_has_a_checked_licence() -> None:
    seen: set[str] = set()
    packages = {
        package.name: licences(package) for name in ("hashmargin", *OPTIONAL) for package in installed(name, seen)
    }
    assert {"aiohttp", "asyncssh", "pyasic"} <= packages.keys()
    others = {name: found for name, found in packages.items() if not all(map(is_permissive, found))}
    assert others == {name: [licence] for name, licence in CHECKED.items()}
