"""Which encodings lie ready when a scraper comes."""

from prometheus_client import CollectorRegistry
from small_site import ALL_GROUPS, small_site

from exporter.exposition.publication import Encoding, Format, LatestPublication, Publication
from exporter.exposition.render import Renderer

ZIPPED = Encoding(Format.OPENMETRICS, gzip=True)
PLAIN = Encoding(Format.TEXT, gzip=False)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def publication() -> Publication:
    return Renderer(ALL_GROUPS, CollectorRegistry()).render(small_site())


def test_a_body_is_made_once() -> None:
    one = publication()
    assert not one.ready(ZIPPED)
    assert one.body(ZIPPED) is one.body(ZIPPED)
    assert one.ready(ZIPPED)


def test_what_scrapers_asked_for_lies_ready_in_the_next_publication_and_nothing_else() -> None:
    newsstand = LatestPublication(Clock())
    newsstand.publish(publication())
    newsstand.asked(ZIPPED)
    newsstand.publish(publication())
    assert newsstand.latest is not None
    assert newsstand.latest.ready(ZIPPED)
    assert not newsstand.latest.ready(PLAIN)


def test_what_nobody_asks_for_any_more_is_not_made() -> None:
    clock = Clock()
    newsstand = LatestPublication(clock)
    newsstand.asked(ZIPPED)
    clock.now += 3_600
    newsstand.publish(publication())
    assert newsstand.latest is not None
    assert not newsstand.latest.ready(ZIPPED)


def test_the_age_is_that_of_the_last_publication() -> None:
    clock = Clock()
    newsstand = LatestPublication(clock)
    clock.now += 10
    assert newsstand.age() == 10
    newsstand.publish(publication())
    clock.now += 4
    assert newsstand.age() == 4
