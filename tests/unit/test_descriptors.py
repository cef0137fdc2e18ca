"""How the file descriptors of the process are shared."""

from exporter.descriptors import share
from exporter.polling.settings import PollingSettings
from exporter.server.settings import WebSettings


def test_enough_descriptors_change_nothing() -> None:
    limits = share(65_000, PollingSettings(), WebSettings())
    assert (limits.polling, limits.web) == (PollingSettings(), WebSettings())


def test_the_server_sources_and_polls_never_want_more_than_there_is() -> None:
    for free in range(24, 4096):
        limits = share(free, PollingSettings(), WebSettings())
        polls = 5 * limits.polling.max_in_flight + limits.polling.max_identifying + limits.polling.max_identifying // 2
        assert 2 * polls + limits.sources + limits.web.max_connections + limits.kept <= free
        assert limits.web.max_connections >= 8
        assert limits.sources >= 2


def test_hardly_any_descriptors_still_let_rigs_and_clients_in() -> None:
    limits = share(0, PollingSettings(), WebSettings())
    assert limits.polling.max_in_flight == limits.polling.max_identifying == 1
    assert limits.web.max_connections == 8


def test_connections_are_kept_only_with_descriptors_that_polls_cannot_need() -> None:
    polls = 2 * (5 * 200 + 50 + 25)
    few, enough = share(polls + 512, PollingSettings(), WebSettings()), share(65_000, PollingSettings(), WebSettings())
    assert few.kept == 0
    assert enough.kept == 65_000 - 32 - polls - enough.sources - enough.web.max_connections
