"""What is published, read back with prometheus-client's own parsers: exactly the samples, whatever rigs are called."""

import gzip
import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from small_site import ALL_GROUPS, RIGS, small_site

from exporter.decision.values import RigDecision, SiteDecision
from exporter.economics.values import MarketEconomics, RigEconomics, SiteEconomics
from exporter.exposition import publication
from exporter.exposition import render as rendering
from exporter.exposition.catalogue import CATALOGUE, Kind
from exporter.exposition.publication import Encoding, Format, Publication
from exporter.exposition.render import Renderer
from exporter.exposition.views import SiteView
from exporter.model.fleet import Rig
from exporter.model.readings import Board, Pool, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.telemetry import Telemetry

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

label_values = st.text(max_size=40)
floats = st.floats() | st.integers(-(2**53), 2**53) | st.integers(2**64, 2**70) | st.none()


def samples_of(families: Iterable[Any]) -> Samples:
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, "the same series twice"
            assert sample.timestamp is None
            found[key] = sample.value
    return found


def expected_samples(view: SiteView) -> Samples:
    """Straight from the catalogue's getters."""
    samples: Samples = {}
    for metric in CATALOGUE:
        keys, subjects = metric.scope.subjects(view)
        columns = metric.scope.columns(keys)
        for position, value in enumerate(map(metric.get, subjects)):
            if value is not None and math.isfinite(value):
                labels = zip(metric.scope.labels, (str(column[position]) for column in columns), strict=True)
                samples.setdefault((metric.name, frozenset(labels)), float(value))
    return samples


def render(view: SiteView, registry: CollectorRegistry | None = None) -> Publication:
    return Renderer(ALL_GROUPS, registry or CollectorRegistry()).render(view)


def text_of(publication: Publication, wanted: Format = Format.TEXT) -> str:
    return b"".join(publication.body(Encoding(wanted, gzip=False)).chunks).decode()


FORMATS = pytest.mark.parametrize(
    ("wanted", "read"), [(Format.TEXT, read_text), (Format.OPENMETRICS, read_openmetrics)], ids=["text", "openmetrics"]
)


@FORMATS
@pytest.mark.parametrize("part", [1, 2, 500])
def test_the_small_site_reads_back_exactly(
    wanted: Format, read: Callable[[str], Iterable[Any]], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_PART", part)
    view = small_site()
    assert samples_of(read(text_of(render(view), wanted))) == expected_samples(view)


@FORMATS
def test_types_units_and_help_read_back(wanted: Format, read: Callable[[str], Iterable[Any]]) -> None:
    families = {family.name: family for family in read(text_of(render(small_site()), wanted))}
    for metric in CATALOGUE:
        is_info = metric.kind is Kind.INFO and wanted is Format.OPENMETRICS
        family = families[metric.name.removesuffix("_total").removesuffix("_info" if is_info else "")]
        assert family.documentation == metric.help
        assert family.type == ("gauge" if metric.kind is Kind.INFO and not is_info else metric.kind)
        if wanted is Format.OPENMETRICS:
            assert family.unit == metric.unit


@given(
    names=st.lists(label_values, min_size=3, max_size=3, unique=True),
    texts=st.lists(label_values, min_size=4, max_size=4),
)
def test_any_label_value_reads_back(names: list[str], texts: list[str]) -> None:
    block, host, worker, tariff = texts
    reading = Reading(RigReading(hashrate=1.0, pools=(Pool(index=0, host=host, worker=worker),)), 0.0)
    rigs = tuple(
        RigSnapshot(rig=Rig(name=name, address="10.0.0.1", block=block, tariff=tariff), reading=reading)
        for name in names
    )
    assert_reads_back(site_of(rigs))


@given(hashrate=st.floats(), energy=floats, margin=floats, price=floats)
def test_any_number_reads_back_and_other_values_are_omitted(
    hashrate: float, energy: float, margin: float, price: float
) -> None:
    rig = RigSnapshot(
        rig=Rig(name="a", address="10.0.0.1"),
        reading=Reading(RigReading(hashrate=hashrate, boards=(Board(index=0, hashrate=energy),)), 0.0),
    )
    view = site_of((rig,))
    assert_reads_back(
        replace(
            view,
            snapshot=replace(view.snapshot, tariffs={"ppa": TariffPrice(price)}),
            economics=replace(view.economics, rigs=(RigEconomics(margin=margin),)),
        )
    )


def test_a_long_label_value_is_shortened() -> None:
    text = text_of(render(site_of((RigSnapshot(rig=Rig(name="a", address="10.0.0.1", rack="x" * 1_000_000)),))))
    assert max(map(len, text.splitlines())) < 1_000


def test_invalid_utf_8_is_replaced() -> None:
    name = b"rig-\xff".decode("utf-8", "surrogateescape")
    text = text_of(render(site_of((RigSnapshot(rig=Rig(name=name, address="10.0.0.1")),))))
    assert 'mining_rig_expected_mining{rig="rig-?"} 1\n' in text


@pytest.mark.parametrize("part", [1, 2, 500])
def test_duplicate_labels_are_published_once(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_PART", part)
    reading = RigReading(
        hashrate=1.0, boards=(Board(index=0, hashrate=1.0), Board(index=0, hashrate=2.0), Board(index=1))
    )
    rig = RigSnapshot(rig=Rig(name="a", address="10.0.0.1"), reading=Reading(reading, 0.0))
    lines = [line for line in text_of(render(site_of((rig,)))).splitlines() if line.startswith("mining_rig_board")]
    assert lines == ['mining_rig_board_hashrate_hashes_per_second{rig="a",board="0"} 1.0']


def test_a_rig_without_a_reading_keeps_only_inventory_and_state() -> None:
    text = text_of(render(small_site()))
    names = {line.split("{")[0] for line in text.splitlines() if 'rig="b-01"' in line}
    assert names == {
        "mining_rig_inventory_info",
        "mining_rig_up",
        "mining_rig_last_success_timestamp_seconds",
        "mining_rig_expected_mining",
    }


def test_a_renderer_follows_changes_of_the_fleet() -> None:
    """The labels' text is kept from one evaluation to the next: it must not outlive what it was made of."""
    renderer = Renderer(ALL_GROUPS, CollectorRegistry())
    renamed = replace(RIGS[0], rig=replace(RIGS[0].rig, name="z-99"))
    for rigs in (RIGS, RIGS[1:], (*RIGS[1:], renamed), RIGS, RIGS):
        view = site_of(rigs)
        assert samples_of(read_text(text_of(renderer.render(view)))) == expected_samples(view)


def test_statuses_sum_to_the_inventory() -> None:
    samples = samples_of(read_text(text_of(render(small_site()))))
    statuses = {dict(labels)["status"]: value for (name, labels), value in samples.items() if name == "mining_rigs"}
    assert statuses == {"mining": 1, "stopped": 1, "expected_off": 1, "down": 1, "unknown": 1}


@FORMATS
def test_the_exporters_own_metrics_come_last(wanted: Format, read: Callable[[str], Iterable[Any]]) -> None:
    registry = Telemetry().registry
    Counter("own_total", "An own metric.", registry=registry).inc(3)
    families = list(read(text_of(render(small_site(), registry), wanted)))
    assert families[-1].name == "own"
    assert families[-1].samples[0].value == 3


@pytest.mark.parametrize("compressor", [publication.compressobj, zlib.compressobj], ids=["usual", "elsewhere"])
@pytest.mark.parametrize("chunk_bytes", [1_000, 262_144])
def test_gzip_decompresses_to_the_same_text(
    compressor: Callable[..., Any], chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "compressobj", compressor)
    monkeypatch.setattr(publication, "_CHUNK_BYTES", chunk_bytes)
    published = render(small_site())
    plain = published.body(Encoding(Format.OPENMETRICS, gzip=False))
    zipped = published.body(Encoding(Format.OPENMETRICS, gzip=True))
    assert gzip.decompress(b"".join(zipped.chunks)) == b"".join(plain.chunks)
    assert zipped.length == sum(map(len, zipped.chunks)) < plain.length == sum(map(len, plain.chunks))


def site_of(rigs: tuple[RigSnapshot, ...]) -> SiteView:
    return SiteView(
        snapshot=SiteSnapshot(taken_at=0.0, rigs=rigs),
        economics=SiteEconomics(market=MarketEconomics(), rigs=(RigEconomics(),) * len(rigs)),
        decision=SiteDecision(rigs=(RigDecision(),) * len(rigs)),
    )


def assert_reads_back(view: SiteView) -> None:
    publication = render(view)
    expected = expected_samples(view)
    assert samples_of(read_text(text_of(publication))) == expected
    assert samples_of(read_openmetrics(text_of(publication, Format.OPENMETRICS))) == expected
