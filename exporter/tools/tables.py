"""Formats results as tables for a terminal, Markdown and JSON."""

import json
from collections.abc import Iterable, Sequence

UNKNOWN = "?"


def figure(value: float | None, decimals: int = 2) -> str:
    """Format a number with thousands separators. A question mark if it is unknown."""
    return UNKNOWN if value is None else f"{value:,.{decimals}f}"


def usd(value: float | None) -> str:
    """Format US dollars for a sentence, with the minus before the dollar sign."""
    return "unknown" if value is None else f"{'-' if round(value, 2) < 0 else ''}${abs(value):,.2f}"


def significant(value: float | None) -> str:
    """Format a number of any size with six significant digits. A question mark if it is unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:,.6g}" if abs(value) < 1e15 else f"{value:.6g}"  # noqa: PLR2004 -- beyond this nobody counts zeros


def as_text(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Align columns. Those whose index is in ``right`` are aligned to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Format a Markdown table."""
    rule = ["--:" if column in right else "---" for column in range(len(header))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in [header, rule, *rows]
    )


def as_json(value: object) -> str:
    """Format indented JSON that can be printed. A lone surrogate, which a rig may send, is escaped."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
