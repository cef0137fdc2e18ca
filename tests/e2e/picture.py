"""Draws a dashboard from a Prometheus' data, to be looked at where no Grafana is: it is not Grafana's own picture.

python tests/e2e/picture.py --prometheus http://127.0.0.1:9090 --minutes 30 ops-room docs/ops-room.png
"""

import argparse
import html
import json
import re
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness import ROOT, ask, unfolded

COLUMN, ROW, GAP = 64, 36, 8  # px
COLORS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#fade2a")
NAMED = {"red": "#f2495c", "orange": "#ff9830", "green": "#73bf69", "text": "#d8d9da"}
SUFFIXES = {
    "Hs": " H/s",
    "watt": " W",
    "volt": " V",
    "amp": " A",
    "hertz": " Hz",
    "celsius": " °C",
    "rotrpm": " rpm",
    "s": " s",
    "bytes": "B",
    "cps": "/s",
}
STYLE = """
body { margin: 0; background: #111217; color: #d8d9da; font: 13px/1.35 "DejaVu Sans", sans-serif; }
h1 { font-size: 17px; font-weight: 500; margin: 12px 12px 6px; } h1.row { position: absolute; }
h1 small { color: #8e9097; font-size: 12px; }
.board { position: relative; }
.panel { position: absolute; background: #181b1f; border: 1px solid #2c3235; border-radius: 3px; overflow: hidden; }
.panel h2 { font-size: 13px; font-weight: 500; margin: 6px 8px 2px; }
.body { position: absolute; inset: 28px 8px 6px; overflow: hidden; }
.figure { display: flex; height: 100%; align-items: center; justify-content: center; font-size: 30px; }
table { border-collapse: collapse; width: 100%; font-size: 12px; } td, th { padding: 2px 6px; text-align: left; }
th { color: #8ab8ff; font-weight: 500; border-bottom: 1px solid #2c3235; }
.bar { display: flex; align-items: center; height: 19px; font-size: 12px; } .bar span { white-space: nowrap; }
.bar span:first-child { overflow: hidden; text-overflow: ellipsis; flex-shrink: 0; }
.bar i { display: block; height: 12px; margin: 0 6px; } .legend { font-size: 11px; } .legend b { padding-right: 10px; }
"""

Sample = tuple[dict[str, str], float]
Course = tuple[dict[str, str], list[tuple[float, float]]]


class Source:
    """A Prometheus, asked with a dashboard's variables filled in."""

    def __init__(self, url: str, minutes: float, variables: dict[str, str]) -> None:
        self._url = url
        self._minutes = minutes
        self._variables = variables

    def fill(self, text: str) -> str:
        for name, value in self._variables.items():
            text = re.sub(rf"\${name}\b", value, text)
        return text

    def now(self, expr: str) -> list[Sample]:
        result = self._get("query", query=self.fill(expr))["result"]
        return [(each["metric"], float(each["value"][1])) for each in result if isinstance(each, dict)]

    def course(self, expr: str) -> list[Course]:
        end = time.time()
        asked = {"start": end - self._minutes * 60, "end": end, "step": max(self._minutes * 60 / 240, 1)}
        result = self._get("query_range", query=self.fill(expr), **asked)["result"]
        return [(each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in result]

    def _get(self, path: str, **asked: object) -> Any:
        return ask(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(asked)}")["data"]


def draw(dashboard: dict[str, Any], source: Source) -> str:
    """The dashboard as an HTML page."""
    panels = "".join(_panel(panel, source) for panel in unfolded(dashboard))
    return (
        f"<meta charset=utf-8><style>{STYLE}</style><h1>{html.escape(dashboard['title'])} "
        f"<small>drawn from Prometheus' data by a test tool, not by Grafana</small></h1>"
        f"<div class=board style='width:{24 * COLUMN + GAP}px;height:{_bottom(dashboard) * ROW + GAP}px'>{panels}</div>"
    )


def _bottom(dashboard: dict[str, Any]) -> int:
    return max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in unfolded(dashboard))


def _panel(panel: dict[str, Any], source: Source) -> str:
    grid = panel["gridPos"]
    width, height = grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP
    if panel["type"] == "row":
        return f"<h1 class=row style='top:{grid['y'] * ROW}px'>{html.escape(panel['title'])}</h1>"
    body = KINDS[panel["type"]](panel, source, width - 18, height - 36)
    place = f"left:{grid['x'] * COLUMN + GAP}px;top:{grid['y'] * ROW}px;width:{width}px;height:{height}px"
    return f"<div class=panel style='{place}'><h2>{html.escape(panel['title'])}</h2><div class=body>{body}</div></div>"


def _figure(panel: dict[str, Any], source: Source, width: int, height: int) -> str:
    if panel["options"].get("textMode") == "name":
        found = [
            _legend(target["legendFormat"], labels)
            for target in panel["targets"]
            for labels, _ in source.now(target["expr"])
        ]
        return f"<div class=figure style='font-size:20px'>{html.escape(', '.join(found) or 'unknown')}</div>"
    samples = source.now(panel["targets"][0]["expr"])
    if not samples:
        return "<div class=figure>unknown</div>"
    value, field = samples[0][1], panel["fieldConfig"]["defaults"]
    color = _step(value, field["thresholds"]["steps"])
    course = source.course(panel["targets"][0]["expr"])
    line = _svg(course[:1], width, height // 3, [color], 0.25) if course else ""
    return (
        f"<div class=figure style='color:{color};height:70%'>{_value(value, field['unit'])}</div>"
        f"<div style='position:absolute;bottom:0;left:0;right:0'>{line}</div>"
    )


def _lines(panel: dict[str, Any], source: Source, width: int, height: int) -> str:
    courses, names = [], []
    for target in panel["targets"]:
        for labels, points in source.course(target["expr"]):
            courses.append((labels, points))
            names.append(_legend(target["legendFormat"], labels))
    colors = [COLORS[index % len(COLORS)] for index in range(len(courses))]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    drawn = _stacked(courses) if _is_stacked(panel) else courses
    legend = " ".join(
        f"<b style='color:{color}'>{html.escape(name)} {_value(points[-1][1], unit)}</b>"
        for name, color, (_, points) in list(zip(names, colors, courses, strict=True))[:8]
    )
    return f"{_svg(drawn, width, height - 34, colors, 0.0, unit)}<div class=legend>{legend}</div>"


def _is_stacked(panel: dict[str, Any]) -> bool:
    return bool(panel["fieldConfig"]["defaults"].get("custom", {}).get("stacking", {}).get("mode") == "normal")


def _stacked(courses: Sequence[Course]) -> list[Course]:
    """Each course on top of those before it."""
    below: dict[float, float] = {}
    stacked = []
    for labels, points in courses:
        below |= {at: below.get(at, 0.0) + value for at, value in points}
        stacked.append((labels, [(at, below[at]) for at, _ in points]))
    return stacked


def _bars(panel: dict[str, Any], source: Source, width: int, height: int) -> str:
    field = panel["fieldConfig"]["defaults"]
    rows = [
        (_legend(target["legendFormat"], labels), value)
        for target in panel["targets"]
        for labels, value in source.now(target["expr"])
    ][: height // 19]
    most = max((abs(value) for _, value in rows), default=0) or 1
    return "".join(
        f"<div class=bar><span style='width:32%'>{html.escape(name)}</span>"
        f"<i style='width:{abs(value) / most * width * 0.42:.0f}px;"
        f"background:{_step(value, field['thresholds']['steps'])}'></i>"
        f"<span>{_value(value, field['unit'])}</span></div>"
        for name, value in rows
    )


def _rows(panel: dict[str, Any], source: Source, width: int, height: int) -> str:
    renamed = next(step["options"]["renameByName"] for step in panel["transformations"] if step["id"] == "organize")
    headings = list(renamed.values())
    units = {
        each["matcher"]["options"]: {item["id"]: item["value"] for item in each["properties"]}
        for each in panel["fieldConfig"]["overrides"]
    }
    merged: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for heading, target in zip(headings, panel["targets"], strict=True):
        for labels, value in source.now(target["expr"]):
            merged.setdefault(tuple(sorted(labels.items())), {})[heading] = value
    order = panel["options"]["sortBy"][0]
    by = order["displayName"]
    ordered = sorted(
        merged.items(),
        key=lambda row: row[1].get(by, 0.0) if by in headings else dict(row[0]).get(by, ""),
        reverse=order["desc"],
    )[: height // 21]
    keys = list(dict.fromkeys(name for labels, _ in ordered for name, _ in labels))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in [*keys, *headings])
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(dict(labels).get(key, ''))}</td>" for key in keys)
        + "".join(_cell(values.get(heading), units[heading]) for heading in headings)
        + "</tr>"
        for labels, values in ordered
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: float | None, look: dict[str, Any]) -> str:
    if value is None:
        return "<td></td>"
    return f"<td style='color:{_step(value, look['thresholds']['steps'])}'>{_value(value, look['unit'])}</td>"


def _heat(panel: dict[str, Any], source: Source, width: int, height: int) -> str:
    """Cells of the counts between neighbouring buckets."""
    courses = sorted(source.course(panel["targets"][0]["expr"]), key=lambda course: float(course[0]["le"]))
    if not courses:
        return ""
    times = sorted({at for _, points in courses for at, _ in points})
    counts = [dict(points) for _, points in courses]
    cell = ((width - 60) / len(times), (height - 4) / len(counts))
    most = max(
        (
            counts[row].get(at, 0) - (counts[row - 1].get(at, 0) if row else 0)
            for row in range(len(counts))
            for at in times
        ),
        default=1,
    )
    rects = []
    for row, (labels, _) in enumerate(courses):
        top = height - (row + 1) * cell[1]
        rects.append(f"<text x=0 y={top + cell[1] * 0.7:.0f} fill=#8e9097 font-size=10>{labels['le']}</text>")
        for column, at in enumerate(times):
            count = counts[row].get(at, 0) - (counts[row - 1].get(at, 0) if row else 0)
            if count > 0:
                rects.append(
                    f"<rect x={60 + column * cell[0]:.1f} y={top:.1f} "
                    f"width={cell[0] + 0.5:.1f} height={cell[1] - 1:.1f} "
                    f"fill='hsl({210 - 180 * count / most:.0f} 80% 50%)'/>"
                )
    return f"<svg width={width} height={height}>{''.join(rects)}</svg>"


KINDS = {"stat": _figure, "timeseries": _lines, "bargauge": _bars, "table": _rows, "heatmap": _heat}


def _svg(courses: Sequence[Course], width: int, height: int, colors: Iterable[str], fill: float, unit: str = "") -> str:
    points = [point for _, course in courses for point in course]
    if not points:
        return ""
    left = 88 if unit else 0
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    pad = (high - low or abs(high) or 1) * 0.08
    low, high = low - pad, high + pad

    def at(point: tuple[float, float]) -> str:
        x = left + (point[0] - first) / (last - first or 1) * (width - left)
        return f"{x:.1f},{height - (point[1] - low) / (high - low) * height:.1f}"

    parts = []
    if unit:
        for share in (0.1, 0.5, 0.9):
            y = height - share * height
            parts.append(f"<line x1={left} x2={width} y1={y:.0f} y2={y:.0f} stroke=#2c3235 />")
            value = _value(low + share * (high - low), unit)
            parts.append(f"<text x=0 y={y + 4:.0f} fill=#8e9097 font-size=10>{value}</text>")
    for (_, course), color in zip(courses, colors, strict=False):
        line = " ".join(map(at, course))
        if fill:
            end = f"{width},{height} {left},{height}"
            parts.append(f"<polygon points='{line} {end}' fill='{color}' opacity='{fill}'/>")
        parts.append(f"<polyline points='{line}' fill=none stroke='{color}' stroke-width=1.5 />")
    return f"<svg width={width} height={height}>{''.join(parts)}</svg>"


def _legend(form: str, labels: dict[str, str]) -> str:
    if form == "__auto":
        return ", ".join(value for name, value in labels.items() if name != "__name__")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), form)


def _step(value: float, steps: Sequence[dict[str, Any]]) -> str:
    reached = [step["color"] for step in steps if step.get("value") is None or value >= step["value"]]
    return NAMED.get(reached[-1], reached[-1])


def _value(value: float, unit: str) -> str:
    if unit == "dateTimeFromNow":
        hours = (value / 1000 - time.time()) / 3600
        return f"in {hours / 24:.1f} days" if hours > 0 else f"{-hours * 60:.0f} min ago"
    if unit == "percentunit":
        return f"{value * 100:.1f} %"
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "s" and value >= 120:
        return f"{value / 86400:.1f} days" if value >= 86400 else f"{value / 60:.0f} min"
    suffix = SUFFIXES.get(unit, unit.removeprefix("suffix:") if unit.startswith("suffix:") else "")
    sign = "$" if unit == "currencyUSD" else ""
    for factor, prefix in ((1e18, " E"), (1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor and (abs(value) >= 1e4):
            return f"{sign}{value / factor:.2f}{prefix}{suffix.strip()}"
    digits = 0 if value == int(value) or abs(value) >= 100 else 4 if abs(value) < 1 else 2
    return f"{sign}{value:,.{digits}f}{suffix}"


def photograph(page: str, target: Path, dashboard: dict[str, Any]) -> None:
    """Have Chromium draw the page into a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page, encoding="utf-8")
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *("--hide-scrollbars", f"--user-data-dir={folder}/profile", f"--screenshot={target}"),
                f"--window-size={24 * COLUMN + GAP},{_bottom(dashboard) * ROW + 48}",
                source.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=300,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, help="its address")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate-interval", default="1m")
    parser.add_argument("--rig", default="", help="for the rig dashboard")
    parser.add_argument("dashboard", help="its file name, without .json")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    dashboard = json.loads((ROOT / f"grafana/dashboards/{options.dashboard}.json").read_text(encoding="utf-8"))
    every = dict.fromkeys(("job", "site", "block", "model", "verdict", "hostname"), ".*")
    chosen = every | {"__rate_interval": options.rate_interval, "rig": options.rig}
    page = draw(dashboard, Source(options.prometheus, options.minutes, chosen))
    photograph(page, options.target.resolve(), dashboard)


if __name__ == "__main__":
    main()
