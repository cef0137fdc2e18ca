"""Write the dashboards as JSON for Grafana's file provisioning, or check that what is committed is what they make."""

import argparse
import json
import sys
from itertools import count
from pathlib import Path
from typing import Final

from dashboards import DASHBOARDS
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

TARGET: Final = Path(__file__).parents[1] / "dashboards"


def render() -> dict[str, str]:
    """Every dashboard's JSON by file name."""
    return {f"{name}.json": _exact(_numbered(build())) + "\n" for name, build in DASHBOARDS.items()}


def _exact(dashboard: models.Dashboard) -> str:
    """Write a dashboard, in which the one choice of a variable is matched as it is.

    Grafana escapes a name for a pattern only where several can be chosen: elsewhere C+1 would match C1, and not itself.
    """
    text = json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
    for variable in dashboard.templating.list_val or ():
        if not variable.multi and not variable.include_all:
            text = text.replace(rf"=~\"${variable.name}\"", rf"=\"${variable.name}\"")
    return text


def _numbered(dashboard: builders.Dashboard) -> models.Dashboard:
    """Give every panel an id: links to a panel, and Grafana's conversion to its next format, need one."""
    built = dashboard.build()
    ids = count(1)
    for panel in built.panels or ():
        panel.id_val = next(ids)
        if isinstance(panel, models.RowPanel):
            for folded in panel.panels:
                folded.id_val = next(ids)
    return built


def main() -> int:
    """Write, or with ``--check`` only compare; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a committed dashboard differs")
    check = parser.parse_args().check
    wanted = render()
    committed = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.json")}
    if check:
        stale = sorted(name for name in wanted.keys() | committed if wanted.get(name) != committed.get(name))
        if stale:
            sys.stderr.write(f"not what grafana/src makes: {', '.join(stale)}; run `make dashboards`\n")
        return bool(stale)
    TARGET.mkdir(exist_ok=True)
    for name in committed.keys() - wanted.keys():
        (TARGET / name).unlink()
    for name, text in wanted.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
