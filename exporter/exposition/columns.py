"""Reads a value of many subjects at once."""

import dis
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any, Final, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_NO_WORK: Final = {"RESUME", "CACHE", "NOP", "RETURN_VALUE"}


def column(get: Callable[[S], T]) -> Callable[[Sequence[S]], list[T]]:
    """Return a function that applies ``get`` to many subjects.

    Most getters only read attributes, such as ``lambda rig: rig.economics.margin``. A loop that reads these itself
    takes half the time of one that calls the getter.
    """
    path = ".".join(_attributes(get))
    if not path:
        return lambda subjects: list(map(get, subjects))
    loop: Callable[[Sequence[S]], list[T]] = eval(f"lambda subjects: [subject.{path} for subject in subjects]")  # noqa: S307 -- nothing but the names of attributes
    return loop


def _attributes(get: Callable[[Any], object]) -> Iterable[str]:
    """Return the attributes that a function reads one of the other, if that is all it does; else none."""
    if not isinstance(get, FunctionType):
        return ()
    argument, *reads = (step for step in dis.get_instructions(get) if step.opname not in _NO_WORK)
    if argument.opname.startswith("LOAD_FAST") and all(step.opname == "LOAD_ATTR" for step in reads):
        return [str(step.argval) for step in reads]
    return ()
