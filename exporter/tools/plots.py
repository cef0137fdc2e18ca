"""Draws the plots of a backtest as SVG with matplotlib, an optional dependency."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.decision.values import Verdict
from exporter.model.units import SECONDS_PER_DAY
from exporter.tools.history import Row, stretches
from exporter.tools.replay import Backtest, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE: Final = (10.0, 5.0)  # inches
_COLOURS: Final = {
    Verdict.MINE: "#1b7f4b",
    Verdict.CURTAIL: "#d08700",
    Verdict.REASSIGN: "#8e44ad",
    Verdict.REPAIR: "#c0392b",
    Verdict.UNKNOWN: "#9aa0a6",
}
_MARKET: Final = {"hashprice": "hashprice, USD/PH/day", "difficulty": "difficulty", "power_price": "power, USD/kWh"}
_GENERATED: Final = "#9aa0a6"
_OBSERVED: Final = "#1f4e9c"
_POLICIES: Final = (
    ("perfect foresight", "foresight", "#5f6368", "--"),
    ("curtailing and converting by the verdicts", "followed", "#8e44ad", "-"),
    ("perfect curtailment", "curtail_right", "#1b7f4b", "--"),
    ("curtailing by the verdicts", "curtailed", "#d08700", "-"),
)
_BESIDE: Final[dict[str, Any]] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
_TAIL: Final = 0.005
"""Share of the values at each end that may lie outside a panel, if they would flatten it."""


def installed() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(rows: Sequence[Row], result: Backtest, folder: Path) -> list[str]:
    """Write the plots into ``folder``. Returns their file names."""
    import matplotlib as mpl  # noqa: PLC0415 -- optional
    from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

    columns = [column for column in _MARKET if any(getattr(row, column) is not None for row in rows)]
    paintings: list[tuple[str, int, Callable[[Sequence[Axes]], None]]] = [
        ("market.svg", len(columns), lambda axes: _market(rows, columns, axes)),
        ("verdicts.svg", 1, lambda axes: _verdicts(result, axes[0])),
        ("money.svg", 1, lambda axes: _money(result.steps, axes[0])),
    ]
    with mpl.rc_context({"svg.hashsalt": "hashmargin", "svg.fonttype": "none", "font.size": 9.0}):
        for name, panels, paint in paintings:
            figure = Figure(figsize=_SIZE, layout="constrained")
            axes = list(figure.subplots(panels, sharex=True, squeeze=False)[:, 0])
            paint(axes)
            axes[0].xaxis_date()
            if any(row.generated for row in rows):
                figure.suptitle("Part of this history is generated, not observed", fontsize="small", color=_GENERATED)
            figure.savefig(folder / name, format="svg", metadata={"Date": None})
    return [name for name, _, _ in paintings]


def _market(rows: Sequence[Row], columns: Sequence[str], axes: "Sequence[Axes]") -> None:
    for panel, column in zip(axes, columns, strict=True):
        known = [row for row in rows if getattr(row, column) is not None]
        labelled: set[bool] = set()
        for start, end, made in stretches(known, column):
            part = [row for row in known if start <= row.time <= end]
            panel.step(
                [_moment(row.time) for row in part],
                [getattr(row, column) for row in part],
                where="post",
                linewidth=0.8 if made else 1.8,
                color=_GENERATED if made else _OBSERVED,
                label=None if made in labelled else "generated" if made else "observed",
            )
            labelled.add(made)
        published = [row for row in known if row.source and column not in row.generated]
        if published and True in labelled:
            panel.plot(
                [_moment(row.time) for row in published],
                [getattr(row, column) for row in published],
                "o",
                color=_OBSERVED,
            )
        panel.set_ylabel(_MARKET[column])
        panel.grid(alpha=0.3)
        _cut_spikes(panel, [getattr(row, column) for row in known])
        panel.legend(**_BESIDE)


def _cut_spikes(axes: "Axes", values: Sequence[float]) -> None:
    """Leave rare extremes out of a panel that they would flatten, and name them."""
    ordered = sorted(values)
    tail = int(len(ordered) * _TAIL)
    low, high = ordered[tail], ordered[-1 - tail]
    room = (high - low) / 4
    if not room:
        return
    if ordered[-1] > high + room:
        axes.set_ylim(top=high + room)
        axes.text(0.005, 0.97, f"highest: {ordered[-1]:.4g}", transform=axes.transAxes, va="top", fontsize="small")
    if ordered[0] < low - room:
        axes.set_ylim(bottom=low - room)
        axes.text(0.005, 0.03, f"lowest: {ordered[0]:.4g}", transform=axes.transAxes, va="bottom", fontsize="small")


def _verdicts(result: Backtest, axes: "Axes") -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415 -- as above

    end = _moment(result.steps[-1].point.time)
    for index, _ in enumerate(result.blocks):
        begin = 0
        for step in range(1, len(result.steps) + 1):
            verdict = result.steps[begin].verdicts[index]
            if step == len(result.steps) or result.steps[step].verdicts[index] is not verdict:
                start = _moment(result.steps[begin].point.time)
                stop = end if step == len(result.steps) else _moment(result.steps[step].point.time)
                axes.barh(index, stop - start, left=start, height=0.6, color=_COLOURS[verdict])
                begin = step
    axes.set_yticks(range(len(result.blocks)), result.blocks)
    axes.invert_yaxis()
    seen = [verdict for verdict in Verdict if any(verdict in step.verdicts for step in result.steps)]
    axes.legend(handles=[Patch(color=_COLOURS[verdict], label=verdict.value) for verdict in seen], **_BESIDE)


def _money(steps: Sequence[Step], axes: "Axes") -> None:
    moments = [_moment(step.point.time) for step in steps]
    for label, policy, colour, style in _POLICIES:
        gains = [getattr(step.earned, policy) - step.earned.always_mine for step in steps]
        axes.plot(moments, gains, style, label=label, color=colour)
    axes.axhline(0.0, color=_GENERATED, linewidth=0.8)
    axes.set_ylabel("more than always mining since the start, USD")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False)


def _moment(at: float) -> float:
    return at / SECONDS_PER_DAY  # days since 1970, as matplotlib counts
