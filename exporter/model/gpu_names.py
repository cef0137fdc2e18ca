"""One name for each GPU model, however a price feed, a driver or an operator spells it.

Models with different prices keep different names: SXM, PCIe and NVL, and the memory sizes of an A100. What a name does
not say is not assumed: ``H100`` alone is not ``H100 SXM``.
"""

import re
from functools import lru_cache
from typing import Final

_SEPARATORS: Final = re.compile(r"[\s_/,;:()\[\]|+-]+")
_COUNT: Final = re.compile(r"^\d+ ?X ")
_NOISE: Final = frozenset(
    (
        *("NVIDIA", "AMD", "INTEL", "CORPORATION", "GEFORCE", "TESLA", "QUADRO", "INSTINCT", "RADEON", "BLACKWELL"),
        *("GPU", "GPUS", "TENSOR", "CORE", "ACCELERATOR"),
    )
)
_CHIP: Final = re.compile(
    r"(?<![A-Z0-9])(?:"
    r"RTX ?PRO ?(?P<pro>\d{4})"
    r"|RTX ?A?(?P<ampere>(?<=A)\d{4})"
    r"|RTX ?(?P<rtx>\d{4})(?: ?(?P<kind>TI SUPER|S TI|TI|SUPER|ADA|[DS](?![A-Z0-9])))?"
    r"|A(?P<bare>[456]000)"
    r"|MI ?(?P<mi>\d{3}[AX]?)"
    r"|(?P<chip>(?:GB|GH|[ABHLPTV])\d{1,3}(?:S(?!X))?)"
    r")(?=$| |SXM|PCI|NVL)"
)
_FORM: Final = re.compile(r"(?<![A-Z])(SXM\d?|HGX|DGX|PCI ?E?|NVL)(?![A-Z0-9])")
_NVIDIA_FORMS: Final = {"HGX": "SXM", "DGX": "SXM", "NVL": "NVL"}
_BY_MEMORY: Final = {("H100", "HBM3"): "SXM", ("H100", "HBM2E"): "PCIe"}  # as in the names of NVIDIA's driver
_ONE_FORM: Final = frozenset({"H200", "B100", "B200", "B300", "GB200", "GB300", "GH200"})
"""Without a form their names mean SXM (or the only form there is)."""
_MEMORY: Final = re.compile(r"(?<![A-Z0-9.])(\d{2,3}) ?G(?:I?B|I)?(?![A-Z0-9])")
_SIZED: Final = frozenset({"A100", "A800", "V100"})
"""Chips that are sold with two memory sizes, at two prices."""
_KINDS: Final = {"ADA": "Ada", "S": "SUPER", "S TI": "TI SUPER"}  # vast.ai writes 4070S Ti
_EDITIONS: Final = {
    "MAX-Q": re.compile(r"\bMAX ?Q\b"),
    "WS": re.compile(r"\b(?:WS|WK|WORKSTATION)\b"),
    "SE": re.compile(r"\b(?:SE|S|SERVER)\b"),
}
_VARIANT: Final = re.compile(r"\b(?:LAPTOP|MOBILE|SFF)\b")
_SLICE: Final = re.compile(r"(?<![A-Z0-9])(?:MIG|\d{1,2}G\.\d+GB)(?![A-Z0-9])")


@lru_cache(maxsize=4096)
def gpu_model(name: str) -> str:
    """Return the name of a GPU model, such as ``H100 SXM`` for ``NVIDIA H100 80GB HBM3`` and ``h100_sxm5``.

    The name of a chip that is not known here is cleaned: without vendor, in capitals, with single spaces.
    """
    words = [word for word in _SEPARATORS.sub(" ", name.upper()).split() if word not in _NOISE]
    text = _COUNT.sub("", " ".join(words))
    match = _CHIP.search(text)
    if match is None:
        return text
    variant = _VARIANT.search(text)
    parts = (_chip(match, text), "" if variant is None else variant[0], "MIG" if _SLICE.search(text) else "")
    return " ".join(filter(None, parts))


def _chip(match: re.Match[str], text: str) -> str:
    found = match.groupdict()
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    if found["pro"] is not None:
        edition = next((each for each, words in _EDITIONS.items() if words.search(rest)), "")
        return f"RTX PRO {found['pro']} {edition}".strip()
    if (number := found["ampere"] or found["bare"]) is not None:
        return f"RTX A{number}"
    if found["rtx"] is not None:
        kind = found["kind"] or ("ADA" if "ADA" in rest.split() else "")
        return f"RTX {found['rtx']} {_KINDS.get(kind, kind)}".strip()
    if found["mi"] is not None:
        return f"MI{found['mi']}"
    return " ".join(filter(None, (found["chip"], _form(found["chip"], rest), _memory(found["chip"], rest))))


def _form(chip: str, rest: str) -> str:
    stated = _FORM.search(rest)
    if stated is not None:
        word = stated[1]
        form = _NVIDIA_FORMS.get(word, "SXM" if word.startswith("SXM") else "PCIe")
    else:
        form = next((form for (of, memory), form in _BY_MEMORY.items() if of == chip and memory in rest.split()), "")
    return "" if chip in _ONE_FORM and form == "SXM" else form


def _memory(chip: str, rest: str) -> str:
    stated = _MEMORY.search(rest)
    return f"{stated[1]}GB" if chip in _SIZED and stated is not None else ""
