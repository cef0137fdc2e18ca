"""The worker process of one background task: a question from standard input, its answer to standard output.

It runs at a lower priority, so that polls and evaluations go first.
"""

import os
import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_NICE: Final = 10
_TASKS: Final = {
    "outlook": ("exporter.decision.outlook", "foresee"),
    "day-ahead plan": ("exporter.decision.dayplan.answer", "answer"),
}
"""Only the module of the task is loaded: the outlook's needs numpy."""


def main() -> None:
    """Answer one question of the task that the first argument names."""
    os.nice(_NICE)
    module, function = _TASKS[sys.argv[1]]
    answer: Callable[[Any], Any] = getattr(import_module(module), function)
    question = pickle.load(sys.stdin.buffer)  # noqa: S301 -- only the exporter writes there
    pickle.dump(answer(question), sys.stdout.buffer)


if __name__ == "__main__":
    main()
