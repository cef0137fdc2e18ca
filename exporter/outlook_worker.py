"""The worker process of the outlook: a question from standard input, the outlook to standard output.

It runs at a lower priority, so that polls and evaluations go first.
"""

import os
import pickle
import sys
from typing import Final

from exporter.decision.outlook import foresee

_NICE: Final = 10


def main() -> None:
    """Answer one question."""
    os.nice(_NICE)
    question = pickle.load(sys.stdin.buffer)  # noqa: S301 -- only the exporter writes there
    pickle.dump(foresee(question), sys.stdout.buffer)


if __name__ == "__main__":
    main()
