"""Results as text: tables for a terminal, for Markdown, for a spreadsheet, and JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence

UNKNOWN = "?"


def figure(value: float | None, decimals: int = 2) -> str:
    """Write a figure with thousands separated; a question mark where it is unknown."""
    return UNKNOWN if value is None else f"{value:,.{decimals}f}"


def significant(value: float | None) -> str:
    """Write a figure of any size with six significant digits; a question mark where it is unknown."""
    if value is None:
        return UNKNOWN
    return f"{value:,.6g}" if abs(value) < 1e15 else f"{value:.6g}"  # noqa: PLR2004 -- beyond this nobody counts zeros


def as_text(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Align columns; those whose places are in ``right`` to the right."""
    lines = [header, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Write a Markdown table."""
    rule = ["--:" if place in right else "---" for place in range(len(header))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in [header, rule, *rows]
    )


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write comma-separated values; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def as_json(value: object) -> str:
    """Write JSON that can be printed: half a character, which a rig may send, is no UTF-8 and becomes its escape."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
