"""YAML texts whose aliases stand for more than any computer holds."""

from itertools import pairwise
from typing import Any

import pytest
import yaml

from exporter import yaml_nodes

NAMES = list(pairwise("abcdefghij"))
LISTS = "a: &a [1]\n" + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in NAMES)
MERGES = "a: &a {x: 1}\n" + "".join(f"{y}: &{y} {{<<: [{', '.join([f'*{x}'] * 9)}]}}\n" for x, y in NAMES)
KEYS = "- &a [1]\n" + "".join(f"- &{y} {{? *{x} : *{x}}}\n" for x, y in pairwise("abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.BaseLoader, yaml.CSafeLoader])
@pytest.mark.parametrize("text", [LISTS, MERGES, KEYS])
def test_aliases_that_stand_for_too_much_are_refused(loader: Any, text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="repeat over 1,000,000 values"):
        yaml_nodes.load(loader(text))


def test_aliases_and_merges_are_read() -> None:
    text = "defaults: &d {block: a, list: &l [1, 2]}\nrigs:\n- {<<: *d, name: x}\n- {<<: *d, name: y, also: *l}\n"
    assert yaml_nodes.load(yaml.SafeLoader(text)) == yaml.safe_load(text)
    assert yaml_nodes.load(yaml.SafeLoader("")) is None
