"""Composes the nodes of a YAML text, unless its aliases stand for far more than is written."""

from typing import Any, Final

import yaml

_MOST_REPEATED: Final = 1_000_000
"""Ten nested lists of nine aliases each stand for over three billion values, which would take hours and all memory."""


def compose(loader: Any) -> yaml.Node | None:
    """Return the root of a loader's only document, or None if it is empty. Raises YAMLError or RecursionError.

    A text whose aliases (``*name``) repeat over a million values is refused.
    """
    root: yaml.Node | None = loader.get_single_node()
    if root is not None:
        sizes: dict[yaml.Node, int] = {}
        if _size(root, sizes) - len(sizes) > _MOST_REPEATED:
            problem = f"its aliases (*name) repeat over {_MOST_REPEATED:,} values"
            raise yaml.constructor.ConstructorError(None, None, problem, root.start_mark)
    return root


def load(loader: Any) -> Any:
    """Return the values of a loader's only document. Raises what :func:`compose` and its constructors raise."""
    root = compose(loader)
    return None if root is None else loader.construct_document(root)


def _size(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """Return how many values a node stands for, with itself. ``sizes`` keeps that of each; inside itself it is 0."""
    if node in sizes:
        return sizes[node]
    sizes[node] = 0
    match node:
        case yaml.MappingNode():
            inner = [each for pair in node.value for each in pair]
        case yaml.SequenceNode():
            inner = node.value
        case _:
            inner = []
    sizes[node] = 1 + sum(_size(each, sizes) for each in inner)
    return sizes[node]
