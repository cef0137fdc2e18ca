"""Rendering needs no more instructions than it did: a gate that no neighbour on the machine can move.

The limit is a ratio of two counts in one run, so that it holds for every build of Python. 11.3 was measured. Lower it
only for something that is worth its CPU time.
"""

import pytest

from tests.bench.bench_render import instructions
from tests.bench.counted import why_not

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LEAST_RATIO = 9.4


def test_rendering_needs_few_instructions() -> None:
    assert instructions() > LEAST_RATIO
