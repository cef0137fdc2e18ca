"""Makes frozen dataclasses cheap to make: each poll makes a dozen, with a hundred fields."""

from dataclasses import MISSING, fields
from typing import TypeVar

T = TypeVar("T")


def quickly_made(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots a constructor that takes a third of the time, and return it.

    The usual one calls ``object.__setattr__`` for each field, because the class refuses to assign. This one assigns the
    fields while the object is of a subclass that does not refuse.
    """
    thawed = type(
        cls.__name__,
        (cls,),
        {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__},
    )
    known = fields(cls)  # type: ignore[arg-type]
    scope: dict[str, object] = {f"_{each.name}": each.default for each in known if each.default is not MISSING}
    scope |= {"_set": object.__setattr__, "_thawed": thawed, "_frozen": cls}
    given = (f"{each.name}=_{each.name}" if each.default is not MISSING else each.name for each in known)
    lines = (
        f"def __init__(self, {'*, ' if known[0].kw_only else ''}{', '.join(given)}):",
        "_set(self, '__class__', _thawed)",
        *(f"self.{each.name} = {each.name}" for each in known),
        "self.__class__ = _frozen",
    )
    exec("\n    ".join(lines), scope)  # noqa: S102 -- as dataclasses does: the source has nothing but the names of fields
    cls.__init__ = scope["__init__"]  # type: ignore[assignment]
    return cls
