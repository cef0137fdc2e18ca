"""What the mutation tests report: survivors by function, compared with the accepted numbers."""

from pathlib import Path

import pytest
import yaml

from tests import mutants


@pytest.mark.parametrize(
    ("mutant", "function"),
    [
        ("exporter.economics.ai.x_value_ai__mutmut_12", "exporter.economics.ai.value_ai"),
        ("exporter.economics.ai.x__lease__mutmut_1", "exporter.economics.ai._lease"),
        ("exporter.economics.margin.xǁRigPricerǁ_allin__mutmut_3", "exporter.economics.margin.RigPricer._allin"),
    ],
)
def test_a_mutant_is_counted_for_its_function(mutant: str, function: str) -> None:
    assert mutants.function_of(mutant) == function


def test_more_survivors_than_accepted_are_found_and_fewer_are_not() -> None:
    found = {"a.b": ["a.x_b__mutmut_1", "a.x_b__mutmut_2"], "a.c": ["a.x_c__mutmut_1"]}
    assert mutants.unaccepted(found, {"a.b": {"survivors": 3}, "a.c": {"survivors": 1}}) == {}
    assert mutants.unaccepted(found, {"a.b": {"survivors": 1}, "a.c": {"survivors": 1}}) == {"a.b": found["a.b"]}
    assert mutants.unaccepted(found, {"a.b": {"survivors": 2}}) == {"a.c": found["a.c"]}


def test_an_update_keeps_reasons_and_the_functions_that_were_not_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "ACCEPTED", tmp_path / "mutants.yml")
    accepted = {"a.b": {"survivors": 3, "why": "equal"}, "a.gone": {"survivors": 1}, "z.c": {"survivors": 1}}
    mutants.update({"a.b": ["a.x_b__mutmut_1"], "z.c": ["z.x_c__mutmut_1", "z.x_c__mutmut_2"]}, accepted, ["a.*"])
    assert yaml.safe_load(mutants.ACCEPTED.read_text(encoding="utf-8")) == {
        "a.b": {"survivors": 1, "why": "equal"},
        "z.c": {"survivors": 1},
    }
