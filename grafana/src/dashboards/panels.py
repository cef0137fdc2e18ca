"""The few kinds of panel that our dashboards are made of: each has a title, a description and a unit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import barchart, bargauge, heatmap, prometheus, stat, table, timeseries, xychart
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import xychart as xychart_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

USD: Final = "currencyUSD"
USD_PER_DAY: Final = "suffix:$/day"
USD_PER_GPU_HOUR: Final = "suffix:$/GPU·h"
USD_PER_KILOWATT_HOUR: Final = "suffix:$/kWh"
USD_PER_KILOWATT_YEAR: Final = "suffix:$/kW·year"
USD_PER_PETAHASH_DAY: Final = "suffix:$/PH·day"
HASHRATE: Final = "Hs"
WATTS: Final = "watt"
EFFICIENCY: Final = "suffix:J/TH"
RATIO: Final = "percentunit"
CELSIUS: Final = "celsius"
RPM: Final = "rotrpm"
SECONDS: Final = "s"
SINCE: Final = "dateTimeFromNow"
NUMBER: Final = "short"
PLAIN: Final = "none"
YEARS: Final = "suffix:years"
BYTES: Final = "bytes"
PER_SECOND: Final = "cps"
VOLTS: Final = "volt"
AMPERES: Final = "amp"
HERTZ: Final = "hertz"
YES_OR_NO: Final = "bool_yes_no"

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_WIDE: Final = 12
"""From this width on a panel has room for a legend beside its lines."""

_AXIS_REACHES: Final = MappingProxyType({RATIO: 0.05, PLAIN: 1})
"""By unit: up to where an axis reaches at least. Of zeros only it would reach to 10000 %."""

_BAR_HEIGHT: Final = 32
"""In pixels: a single bar does not fill its panel."""

_HIDDEN: Final = "transparent"
_PAINTED: Final = ("fillOpacity", "lineWidth")
"""What a bar is painted with besides its colour."""

Panel = Builder[dashboard.Panel]

GREY: Final = "#8e8e8e"
UNKNOWN: Final = dashboard.SpecialValueMap(
    dashboard.DashboardSpecialValueMapOptions(
        match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=dashboard.ValueMappingResult(text="unknown", color=GREY)
    )
)
"""How every panel shows a value that is not known."""


def texts(**shown: tuple[str, str]) -> dashboard.ValueMap:
    """How values are shown: by value, a text and a colour."""
    return dashboard.ValueMap(
        {value: dashboard.ValueMappingResult(text=text, color=color) for value, (text, color) in shown.items()}
    )


def _by_number(zero: tuple[str, str], one: tuple[str, str]) -> dashboard.ValueMap:
    return texts(**{"0": zero, "1": one})


BLANK: Final = dashboard.SpecialValueMap(
    dashboard.DashboardSpecialValueMapOptions(
        match=dashboard.SpecialValueMatch.NULL_AND_NAN, result=dashboard.ValueMappingResult(text="")
    )
)
"""How a value is shown that there is none of, which is not unknown."""

YES_GOOD: Final = _by_number(("no", "red"), ("yes", "green"))
YES_PLAIN: Final = _by_number(("no", "text"), ("yes", "text"))
LABELS: Final[Mapping[str, dashboard.ValueMap]] = MappingProxyType(
    {
        "severity": texts(
            critical=("CRITICAL", "red"),
            warning=("warning", "orange"),
            info=("info", "blue"),
            error=("error", "red"),
        ),
        "verdict": texts(
            mine=("mine", "green"),
            curtail=("curtail", "orange"),
            reassign=("reassign", "purple"),
            repair=("repair", "red"),
            unknown=("unknown", GREY),
        ),
    }
)
"""How the values of these labels are shown in the columns of tables."""

Steps = Sequence[tuple[float | None, str]]
"""(from this value, this colour); the first from None, below everything."""

GAIN: Final[Steps] = ((None, "red"), (0.0, "green"))
NONE_WANTED: Final[Steps] = ((None, "green"), (1.0, "orange"))
NEUTRAL: Final[Steps] = ((None, "text"),)


def series(metric: str, *matchers: str) -> str:
    """The selector of ``metric`` within the dashboard's job and site, and further ``matchers``."""
    selected = ",".join(('job=~"$job"', 'site=~"$site"', *matchers))
    return f"{metric}{{{selected}}}"


IN_BLOCK: Final = f"on (job, site, instance, rig) group_left (block) {series('mining_rig_inventory_info')}"
"""What a rig's series is multiplied by to have the rig's block."""


ALERTS_KNOWN: Final = series("site:mining_alerts_firing:known")
"""Present for a site whose rules and alerts are evaluated and whose exporters work: without a sample, 0 is a guess."""


def total(metric: str, *matchers: str, by: str = "") -> str:
    """The sum of ``metric`` over what is selected, or ``by`` some labels of it."""
    return f"sum{f' by ({by})' if by else ''} ({series(metric, *matchers)})"


def largest(metric: str, *matchers: str, by: str) -> str:
    """The value of ``metric`` for each of ``by``, without the labels that a panel does not show."""
    return f"max by ({by}) ({series(metric, *matchers)})"


def site(quantity: str) -> str:
    """The recorded sum of ``quantity`` of each selected site."""
    return total(f"site:mining_{quantity}:sum", by="site")


def per_site(expr: str) -> str:
    """``expr``, which has one value for each site, with "not a number" for a site that has exporters but no value."""
    return f"{expr} or max by (site) ({series('up')}) * NaN"


LEFT_ENCODED: Final = "%"
"""What an address ends with so that Grafana leaves it as it is.

Grafana decodes an address before it uses it (@braintree/sanitize-url since 7.0.2), which cuts a name off at & or #. It
leaves alone what has an incomplete escape.
"""


def of_row(field: str) -> str:
    """A field of the row that a link is on. Without the format, Grafana leaves the +, & and # of a name as they are."""
    return f"${{__data.fields.{field}:percentencode}}"


def open_with(dashboard_uid: str, label: str) -> str:
    """The link from a row to another dashboard: at the row's site, with the row's ``label``."""
    chosen = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job"))
    row = "&".join(f"var-{name}={of_row(name)}" for name in ("site", label))
    return f"/d/{dashboard_uid}?${{__url_time_range}}&{chosen}&{row}#{LEFT_ENCODED}"


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: an instant query, its heading and its unit; ``steps`` colour the cells."""

    heading: str
    expr: str
    unit: str
    steps: Steps = NEUTRAL
    shown_as: dashboard.ValueMapping | None = None


@dataclass(frozen=True, slots=True)
class Face:
    """What every panel shows of itself: ``width`` in the grid's 24 columns, ``height`` in its rows."""

    title: str
    description: str
    unit: str
    width: int = 12
    height: int = 8


class _Panel(Protocol):
    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def mappings(self, mappings: list[dashboard.ValueMapping]) -> Self: ...
    def datasource(self, datasource: common.DataSourceRef) -> Self: ...
    def span(self, w: int) -> Self: ...
    def height(self, h: int) -> Self: ...


_P = TypeVar("_P", bound=_Panel)


def _with_face(panel: _P, face: Face) -> _P:
    return (
        panel.title(face.title)
        .description(face.description)
        .unit(face.unit)
        .mappings([UNKNOWN])
        .datasource(DATASOURCE)
        .span(face.width)
        .height(face.height)
    )


def _target(query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expr)
        .ref_id(chr(ord("A") + index))
        .legend_format(query.legend or "__auto")
    )


def _thresholds(steps: Steps) -> builders.ThresholdsConfig:
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in steps])
    )


def _by_steps() -> builders.FieldColor:
    return builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def figure(face: Face, query: Query, steps: Steps = NEUTRAL, shown_as: dashboard.ValueMap | None = None) -> stat.Panel:
    """One big number, as of now, coloured by ``steps``, or shown as a text."""
    return (
        _with_face(stat.Panel(), face)
        .mappings([UNKNOWN, *_optional(shown_as)])
        .with_target(_target(query, 0).instant())
        .thresholds(_thresholds(steps))
        .color_scheme(_by_steps())
        .color_mode(common.BigValueColorMode.VALUE if steps is NEUTRAL else common.BigValueColorMode.BACKGROUND)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["last"]))
    )


def figures(face: Face, expr: str, steps: Steps = NEUTRAL, shown_as: dashboard.ValueMap | None = None) -> stat.Panel:
    """One big number for each site, as of now: ``expr`` has one value for each."""
    return figure(face, Query(per_site(expr), "{{site}}"), steps, shown_as)


def _optional(mapping: dashboard.ValueMapping | None) -> list[dashboard.ValueMapping]:
    return [] if mapping is None else [mapping]


def names(face: Face, *labels: tuple[str, str]) -> stat.Panel:
    """What stands in a label, or "unknown" where there is no series: for each (selector, label)."""
    panel = (
        _with_face(stat.Panel(), face)
        .text_mode(common.BigValueTextMode.NAME)
        .thresholds(_thresholds(NEUTRAL))
        .color_scheme(_by_steps())
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["last"]))
    )
    for index, (selector, label) in enumerate(labels):
        unknown = f'label_replace(vector(NaN), "{label}", "unknown", "", "")'
        query = Query(f"max by ({label}) ({selector}) or on () {unknown}", f"{{{{{label}}}}}")
        panel.with_target(_target(query, index).instant())
    return panel


def lines(face: Face, *queries: Query, stacked: bool = False) -> timeseries.Panel:
    """Courses over time; a gap stays a gap."""
    panel = (
        _with_face(timeseries.Panel(), face)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.RIGHT if face.width >= _WIDE else common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(False)
    )
    if face.unit in _AXIS_REACHES:
        panel.axis_soft_min(0).axis_soft_max(_AXIS_REACHES[face.unit])
    if stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).range())
    return panel


def band(face: Face, high: Query, middle: Query, low: Query) -> timeseries.Panel:
    """Lines with what lies between the highest and the lowest filled."""
    return lines(face, high, middle, low).override_by_name(
        high.legend,
        [
            dashboard.DynamicConfigValue(id_val="custom.fillBelowTo", value=low.legend),
            dashboard.DynamicConfigValue(id_val="custom.fillOpacity", value=20),
        ],
    )


def detail(title: str, panels: Sequence[Panel]) -> builders.Row:
    """Detail that is folded away until somebody asks for it."""
    row = builders.Row(title).collapsed(True)
    for panel in panels:
        row.with_panel(panel)
    return row


def bars(face: Face, *queries: Query, steps: Steps = NEUTRAL) -> bargauge.Panel:
    """One bar per series, as of now, from zero: for what is never negative."""
    panel = (
        _with_face(bargauge.Panel(), face)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .sizing(common.BarGaugeSizing.MANUAL)
        .max_viz_height(_BAR_HEIGHT)
        .name_placement(common.BarGaugeNamePlacement.LEFT)
        .min(0)
        .thresholds(_thresholds(steps))
        .color_scheme(_by_steps())
        .reduce_options(common_builders.ReduceDataOptions().calcs(["last"]))
    )
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).instant())
    return panel


def rows(
    face: Face,
    *columns: Column,
    key: str,
    link: str = "",
    order: str = "",
    descending: bool = True,
    widths: Mapping[str, int] = MappingProxyType({}),
    links: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({}),
    first: Sequence[str] = (),
) -> table.Panel:
    """A row per combination of the columns' labels, by ``order`` or the first column.

    ``link`` opens from ``key``, and ``links`` from other columns: each has titles and addresses. ``widths`` are of
    columns, in pixels; the others share what is left. The columns ``first`` stand before the others.
    """
    panel = _with_face(table.Panel(), face)
    for column in columns:
        panel.override_by_name(
            column.heading,
            [
                dashboard.DynamicConfigValue(id_val="unit", value=column.unit),
                dashboard.DynamicConfigValue(id_val="thresholds", value=_thresholds(column.steps).build()),
                dashboard.DynamicConfigValue(
                    id_val="custom.cellOptions",
                    value={"type": "auto" if column.steps is NEUTRAL and column.shown_as is None else "color-text"},
                ),
                *(
                    dashboard.DynamicConfigValue(id_val="mappings", value=[mapping, UNKNOWN])
                    for mapping in _optional(column.shown_as)
                ),
            ],
        )
    for label, mapping in LABELS.items():
        if any(re.search(rf"\b{label}\b", column.expr) for column in columns):
            panel.override_by_name(
                label,
                [
                    dashboard.DynamicConfigValue(id_val="mappings", value=[mapping]),
                    dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"}),
                ],
            )
    panel.override_by_name("block", [dashboard.DynamicConfigValue(id_val="mappings", value=[BLANK])])
    for column_name, opened in {**({key: [(f"Open this {key}", link)]} if link else {}), **links}.items():
        targets = [{"title": title, "url": url, "targetBlank": url.startswith("http")} for title, url in opened]
        panel.override_by_name(column_name, [dashboard.DynamicConfigValue(id_val="links", value=targets)])
    for heading, width in widths.items():
        panel.override_by_name(heading, [dashboard.DynamicConfigValue(id_val="custom.width", value=width)])
    return _one_table(panel, columns, first).sort_by(
        [common_builders.TableSortByFieldState().display_name(order or columns[0].heading).desc(descending)]
    )


class _Tabular(Protocol):
    def with_target(self, target: Builder[Dataquery]) -> Self: ...

    def with_transformation(self, transformation: dashboard.DataTransformerConfig) -> Self: ...


_T = TypeVar("_T", bound=_Tabular)


def _one_table(panel: _T, columns: Sequence[Column], first: Sequence[str] = ()) -> _T:
    """Query the columns, and join their answers to one table with their headings."""
    for index, column in enumerate(columns):
        panel.with_target(_target(Query(column.expr), index).instant().format(PromQueryFormat.TABLE))
    renamed = {f"Value #{chr(ord('A') + index)}": column.heading for index, column in enumerate(columns)}
    if len(columns) == 1:
        renamed = {"Value": columns[0].heading}
    return panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={})).with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "renameByName": renamed,
                "indexByName": {name: index for index, name in enumerate(first)},
            },
        )
    )


def against(face: Face, x: Column, *ys: Column) -> xychart.Panel:
    """Points over ``x`` that a line joins from left to right: one for each of ``ys`` and combination of labels."""
    columns = (x, *ys)
    panel = (
        _with_face(xychart.Panel(), face)
        .show(xychart_models.XYShowMode.POINTS_AND_LINES)
        .mapping(xychart_models.SeriesMapping.AUTO)
        .series([xychart.XYSeriesConfig().x(xychart.XychartXYSeriesConfigX().matcher(_named(x.heading)))])
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
        .axis_soft_min(0)
    )
    for column in columns:
        panel.override_by_name(column.heading, [dashboard.DynamicConfigValue(id_val="unit", value=column.unit)])
    return _one_table(panel, columns).with_transformation(
        dashboard.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": x.heading}]})
    )


def waterfall(face: Face, metric: str, label: str, names: Sequence[str], whole: str) -> barchart.Panel:
    """Bars for the ``names`` of a ``label``, each from where the one before it ends, and one for the ``whole``.

    Bars are sorted by their names, so ``names`` must be and ``whole`` comes after them. Grafana stacks a series up or
    down as a whole, so none has values of both signs.
    """
    bars_before = {name: "|".join(names[:index]) for index, name in enumerate(names) if index}
    start = " or ".join(
        [_named_row(total(metric, f'{label}=~"{before}"'), label, name) for name, before in bars_before.items()]
        + [_named_row(f"0 * {total(metric)}", label, name) for name in (names[0], whole)]
    )
    size = f"({total(metric, by=label)} or {_named_row(total(metric), label, whole)})"
    low, high = (f"(({start}) + clamp_{limit}({size}, 0))" for limit in ("max", "min"))
    above, below = (f"clamp_{limit}({high}, 0) - clamp_{limit}({low}, 0)" for limit in ("min", "max"))
    parts = (
        ("Start", f"clamp_min({low}, 0)", _HIDDEN),
        ("Start below zero", f"clamp_max({high}, 0)", _HIDDEN),
        ("Rise", f"({above}) and {size} > 0", "green"),
        ("Rise below zero", f"-({below}) and {size} > 0", "green"),
        ("Fall", f"({above}) and {size} < 0", "red"),
        ("Fall below zero", f"-({below}) and {size} < 0", "red"),
    )
    panel = (
        _with_face(barchart.Panel(), face)
        .x_field(label)
        .orientation(common.VizOrientation.VERTICAL)
        .stacking(common.StackingMode.NORMAL)
        .show_value(common.VisibilityMode.NEVER)
        .fill_opacity(80)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.HIDDEN)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(False)
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
    )
    columns = [Column(heading, expr, face.unit) for heading, expr, _ in parts]
    for heading, _, color in parts:
        panel.override_by_name(
            heading, [dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})]
        )
        if color == _HIDDEN:
            nothing = [dashboard.DynamicConfigValue(id_val=f"custom.{each}", value=0) for each in _PAINTED]
            panel.override_by_name(heading, nothing)
    return _one_table(panel, columns).with_transformation(
        dashboard.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": label}]})
    )


def _named_row(expr: str, label: str, name: str) -> str:
    return f'label_replace({expr}, "{label}", "{name}", "", "")'


def _named(field: str) -> xychart.MatcherConfig:
    return xychart.MatcherConfig().id("byName").options(field)


def spread(face: Face, query: Query) -> heatmap.Panel:
    """How many stand where, over time: from series counted per ``le`` bucket, never from raw series."""
    return (
        _with_face(heatmap.Panel(), face)
        .with_target(_target(Query(query.expr, "{{le}}"), 0).range().format(PromQueryFormat.HEATMAP))
        .calculate(False)
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.LE).value("Rigs"))
        .cell_values(heatmap.CellValues().unit(PLAIN))
        .y_axis(heatmap.YAxisConfig().unit(face.unit).decimals(2))
        .color(heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Turbo").steps(32))
        .show_legend()
    )
