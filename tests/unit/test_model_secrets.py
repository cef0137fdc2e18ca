"""Secrets in the words of servers are masked, whoever's they are; other words stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import secrets
from exporter.model.failures import Failure, Reason
from exporter.model.secrets import mask_secrets, mask_urls


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("invalid token=4f3c2a1b-9d8e", "invalid token=***"),
        ("Unknown key: ABCD1234EFGH", "Unknown key: ***"),
        ("the API key abcdef123456 is expired", "the API key *** is expired"),
        ("Incorrect API key provided: sk-abc***1234abcd.", "Incorrect API key provided: ***"),
        ("Authorization: Bearer abc.def.ghi1", "Authorization: Bearer ***"),
        ("session eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc ended", "session *** ended"),
        ('{"access_token": "k1234567890"}', '{"access_token": "***"}'),
        ("security token 12345678-aaaa-bbbb-cccc is not valid", "security token *** is not valid"),
        ("password='hunter' refused", "password='***' refused"),
        ("see https://me:pw@host/x?sig=1&day=2", "see https://***@host/x?sig=***&day=2"),
    ],
)
def test_a_secret_in_the_words_of_a_server_is_masked(words: str, masked: str) -> None:
    assert mask_secrets(words) == masked
    assert Failure(Reason.AUTH, words).detail == masked


@pytest.mark.parametrize(
    "words",
    [
        "Bearer token is missing",
        "no key found: 2026-01-02",
        "there is no column 'keyword2026': did you mean 'key'?",
        "Token: expired",
        "primary key (id)=(42)",
        "it has no 'key'",
        "Basic authentication is required",
    ],
)
def test_words_without_a_secret_stay(words: str) -> None:
    assert mask_secrets(words) == words


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://h/x?%73ig=abc&day=2", "https://h/x?%73ig=***&day=2"),
        ("https://h/x?day=2;password=abc", "https://h/x?day=2;password=***"),
        ("https://h/x?sig=abc;def&day=2", "https://h/x?sig=***&day=2"),
        ("https://h/x#access_token=abc", "https://h/x#access_token=***"),
        ("https://h/x?code=U2VjcmV0S2V5T2ZBenVyZQ==", "https://h/x?code=***"),
        ("https://h/x?code=HB_NORTH&pin=1234&otp=5", "https://h/x?code=HB_NORTH&pin=***&otp=***"),
        ("https://h/x?password[]=a&subscription-key=b", "https://h/x?password[]=***&subscription-key=***"),
        ("https://h/x?spinning=1&zone=DE", "https://h/x?spinning=1&zone=DE"),
    ],
)
def test_a_secret_in_the_parameters_of_a_url_is_masked_however_it_is_written(url: str, masked: str) -> None:
    assert mask_urls(url) == masked


FRAGMENTS = (
    "token",
    "API key",
    "Bearer",
    "Basic",
    "authorization",
    "secret",
    " ",
    ":",
    ": ",
    "'",
    "abcdefgh",
    "é",
    "@",
    "?",
    "&",
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_words_without_any_mark_of_a_secret_have_none(text: str) -> None:
    assert secrets._SUSPICIOUS.search(text) is None
    assert secrets._SECRET_IN_WORDS.search(text) is None
    assert secrets.mask_urls(text) == mask_secrets(text) == text
