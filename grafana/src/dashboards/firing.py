"""Which alerts fire, and which of them Alertmanager inhibits, as PromQL made from its configuration."""

from pathlib import Path
from typing import Final

import yaml

_CONFIGURATION: Final = Path(__file__).parents[3] / "deploy/alertmanager/alertmanager.yml"
_SHOWN: Final = ('alertstate="firing"', 'site=~"$site"', 'severity=~"critical|warning"')

FIRING: Final = f'ALERTS{{alertname=~"Mining.+",{",".join(_SHOWN)}}}'


def _inhibited() -> str:
    """The firing alerts that an inhibit rule holds back."""
    rules = yaml.safe_load(_CONFIGURATION.read_text(encoding="utf-8"))["inhibit_rules"]
    return " or ".join(
        f"(ALERTS{{{','.join((*rule['target_matchers'], *_SHOWN))}}} and on ({', '.join(rule['equal'])})"
        f" ALERTS{{{','.join((*rule['source_matchers'], *_SHOWN))}}})"
        for rule in rules
    )


INHIBITED: Final = f"({_inhibited()})"
ACTIVE: Final = f"({FIRING} unless {INHIBITED})"
