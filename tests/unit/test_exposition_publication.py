"""Which encodings lie ready when a scraper comes."""

from prometheus_client import CollectorRegistry
from set_clock import Clock
from small_site import ALL_GROUPS, small_site

from exporter.exposition.publication import Encoding, Format, LatestPublication, Publication
from exporter.exposition.render import Renderer

ZIPPED = Encoding(Format.OPENMETRICS, gzip=True)
PLAIN = Encoding(Format.TEXT, gzip=False)


def publication() -> Publication:
    return Renderer(ALL_GROUPS, CollectorRegistry()).render(small_site())


def test_a_body_is_made_once() -> None:
    one = publication()
    assert not one.ready(ZIPPED)
    assert one.body(ZIPPED) is one.body(ZIPPED)
    assert one.ready(ZIPPED)


def test_only_requested_encodings_are_prepared() -> None:
    latest = LatestPublication(Clock())
    latest.publish(publication())
    latest.requested(ZIPPED)
    latest.publish(publication())
    assert latest.publication is not None
    assert latest.publication.ready(ZIPPED)
    assert not latest.publication.ready(PLAIN)


def test_encodings_that_nobody_requests_any_more_are_not_prepared() -> None:
    clock = Clock()
    latest = LatestPublication(clock)
    latest.requested(ZIPPED)
    clock.now += 3_600
    latest.publish(publication())
    assert latest.publication is not None
    assert not latest.publication.ready(ZIPPED)


def test_the_age_counts_from_the_latest_publication() -> None:
    clock = Clock()
    latest = LatestPublication(clock)
    clock.now += 10
    assert latest.age() == 10
    latest.publish(publication())
    clock.now += 4
    assert latest.age() == 4
