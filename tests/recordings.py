"""Where the recorded answers of real rigs are, which are no part of the project."""

import os
from pathlib import Path

CAPTURES = Path(os.environ.get("HASHMARGIN_CAPTURES", Path(__file__).parents[2] / "shared" / "captures"))
ABSENT = "" if CAPTURES.is_dir() else "no recordings of real rigs here: HASHMARGIN_CAPTURES names their folder"
"""Why the tests marked ``recordings`` are skipped; empty where they run."""
