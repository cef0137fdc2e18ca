"""The advice to the operator: for every reason, in words that fit what failed."""

import pytest

from exporter.model.failures import RIG_ADVICE, SERVER_ADVICE, SOURCE_ADVICE, Failure, Reason
from exporter.polling.attempts import FailedAttempt

OF_SOURCES = ("url", "currency", "query", "ca_file", "node")
OF_RIGS = ("cable", "firmware", "hashmargin capture", "restart it", "inventory", "rig")


def attempt(address: str, reason: Reason) -> FailedAttempt:
    return FailedAttempt("it", address, 0.0, reason, "detail")


@pytest.mark.parametrize("reason", Reason)
def test_rigs_and_sources_have_words_of_their_own_for_every_reason(reason: Reason) -> None:
    of_rig, of_source = attempt("10.1.0.1", reason).advice, attempt("", reason).advice
    assert (of_rig, of_source) == (RIG_ADVICE[reason], SOURCE_ADVICE[reason])
    assert of_rig != of_source
    assert not [word for word in OF_SOURCES if word in of_rig]
    assert not [word for word in OF_RIGS if word in of_source]


@pytest.mark.parametrize(
    ("reason", "flag"),
    [
        (Reason.REFUSED, "--url"),
        (Reason.UNREACHABLE, "--url"),
        (Reason.GARBLED, "--url"),
        (Reason.AUTH, "--password-file"),
        (Reason.TLS, "--ca-file"),
    ],
)
def test_a_command_without_an_answer_speaks_of_its_own_flags(reason: Reason, flag: str) -> None:
    assert flag in SERVER_ADVICE[reason]
    assert SERVER_ADVICE.keys() == SOURCE_ADVICE.keys() == set(Reason)


def test_a_failure_that_knows_more_than_its_reason_has_its_own_advice() -> None:
    plain, known = Failure(Reason.GARBLED, "x"), Failure(Reason.GARBLED, "x", advice="correct the query")
    assert plain.advised(SOURCE_ADVICE) == SOURCE_ADVICE[Reason.GARBLED]
    assert known.advised(SOURCE_ADVICE) == "correct the query"
    assert FailedAttempt.of(known, "it", "", 0.0).advice == "correct the query"
    assert FailedAttempt.of(plain, "it", "10.1.0.1", 0.0).advice == RIG_ADVICE[Reason.GARBLED]
