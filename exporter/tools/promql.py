"""Writes PromQL."""


def quoted(text: str) -> str:
    """Return ``text`` as the inside of a string literal in double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
