"""A column has what the getter returns for each subject, however it is read."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest

from exporter.exposition.columns import column
from exporter.model.fleet import Rig
from exporter.model.snapshot import RigSnapshot

RIGS = [RigSnapshot(rig=Rig(name=name, address="10.0.0.1"), up=name == "a") for name in "abc"]


def _name(rig: RigSnapshot) -> str:
    """Read two attributes, as the getters of the catalogue do."""
    return rig.rig.name


@pytest.mark.parametrize(
    "get",
    [
        _name,
        lambda rig: rig.up,
        lambda rig: rig.rig.name,
        lambda rig: rig.algorithm,
        lambda rig: rig.rig.name if rig.up else None,
        lambda rig: rig.rig.name.upper(),
        lambda rig: rig.rig.name[0],
        lambda rig: rig,
        lambda _: 1,
        str,
    ],
)
def test_a_column_has_what_the_getter_returns(get: Callable[[RigSnapshot], Any]) -> None:
    assert column(get)(RIGS) == [get(rig) for rig in RIGS]
    assert column(get)([]) == []


def test_a_getter_need_not_be_a_function_of_python() -> None:
    assert column(itemgetter(0))([(1, 2), (3, 4)]) == [1, 3]
