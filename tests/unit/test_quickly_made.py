"""What is made quickly behaves as any frozen dataclass."""

import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, replace

import pytest

from exporter.model.quickly_made import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class Fan:
    index: int
    rpm: float | None = None


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    name: str = ""
    fans: tuple[Fan, ...] = ()


def test_it_takes_the_same_arguments() -> None:
    assert Fan(1) == Fan(index=1, rpm=None)
    assert Rig(fans=(Fan(2, 3.0),)).fans[0].rpm == 3.0
    with pytest.raises(TypeError):
        Fan()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Rig("a")  # type: ignore[misc]


def test_it_is_frozen() -> None:
    fan = Fan(1)
    assert type(fan) is Fan
    with pytest.raises(FrozenInstanceError):
        fan.rpm = 1.0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del fan.rpm
    assert hash(fan) == hash(Fan(1))


def test_it_is_copied_compared_and_shown_as_any_other() -> None:
    rig = Rig(name="a", fans=(Fan(1, 2.0),))
    assert replace(rig, name="b") == Rig(name="b", fans=rig.fans) != rig
    assert pickle.loads(pickle.dumps(rig)) == rig
    assert asdict(rig) == {"name": "a", "fans": ({"index": 1, "rpm": 2.0},)}
    assert repr(Fan(1)) == "Fan(index=1, rpm=None)"
