"""What all our dashboards have in common: variables, links between them, annotations, and that they are read only."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

from dashboards.panels import DATASOURCE, series

TAG: Final = "hashmargin"

BLOCK: Final = ("block", "Block", "mining_block_rigs", False)
BLOCKS: Final = ("block", "Block", "mining_block_rigs", True)
RIG_BLOCK: Final = ("block", "Block", "mining_rig_inventory_info", True)
RIG: Final = ("rig", "Rig", 'mining_rig_inventory_info{block=~"$block"}', False)
MODEL: Final = ("model", "Model", "mining_rig_info", True)
CURVE_MODEL: Final = ("model", "Model with points", "mining_model_point_power_watts", False)
CURVE_FIRMWARE: Final = ("firmware", "Its firmware", 'mining_model_point_power_watts{model="$model"}', False)
VERDICT: Final = ("verdict", "Verdict", "mining_block_verdict", True)
CUSTOMER: Final = ("customer", "Customer", "customer:mining_rigs:count", True)
GPU: Final = ("gpu", "GPU", "mining_gpu_info", True)
RUNBOOKS: Final = "https://github.com/hashmargin/hashmargin/blob/main/deploy/runbooks"
HOSTNAME: Final = ("hostname", "GPU host", "mining_gpu_info", True)


def begin(
    title: str, uid: str, description: str, *choices: tuple[str, str, str, bool], several_sites: bool = True
) -> builders.Dashboard:
    """Start a dashboard whose queries can be narrowed by ``choices``: (label, heading, metric, all at once allowed)."""
    page = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("job", "Job", "mining_exporter_build_info", all_value=None))
        .with_variable(_choice("site", "Site", 'mining_exporter_build_info{job=~"$job"}', every=several_sites))
        .link(
            builders.DashboardLink("hashmargin")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for label, heading, metric, every in choices:
        name, _, matchers = metric.rstrip("}").partition("{")
        page.with_variable(_choice(label, heading, series(name, *filter(None, [matchers])), every=every))
    for annotation in _annotations():
        page.annotation(annotation)
    return page


def _choice(
    label: str, heading: str, selector: str, *, every: bool = True, all_value: str | None = ".*"
) -> builders.QueryVariable:
    """A variable of the values of ``label``; ``all_value`` None makes "All" mean these values and no others."""
    variable = (
        builders.QueryVariable(label)
        .label(heading)
        .datasource(DATASOURCE)
        .query({"query": f"label_values({selector}, {label})", "refId": label})
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.NATURAL_ASC)
    )
    if every:
        variable.include_all(True).multi(True).current(
            dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
        )
        if all_value is not None:
            variable.all_value(all_value)
    return variable


def _annotations() -> list[builders.AnnotationQuery]:
    difficulty = series("mining_network_difficulty")
    subsidy = series("mining_network_subsidy_bitcoins")
    verdict = series("mining_block_verdict")
    return [
        _annotation(
            "Retargets", "blue", f"max by (site) ({difficulty} != {difficulty} offset 1m)", "Retarget", "{{site}}"
        ),
        _annotation("Halvings", "purple", f"max by (site) ({subsidy} < {subsidy} offset 1m)", "Halving", "{{site}}"),
        _annotation(
            "Verdict changes",
            "orange",
            f"max by (site, block, verdict) (({verdict} == 1) unless ({verdict} offset 1m == 1))",
            "Verdict",
            "{{site}} {{block}}: {{verdict}}",
        ),
    ]


def _annotation(name: str, color: str, expr: str, title: str, text: str) -> builders.AnnotationQuery:
    return (
        builders.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color(color)
        .expr(expr)
        .step("60s")
        .title_format(title)
        .text_format(text)
    )
