"""Leaves out the tests of recordings that were found where there are none."""

from recordings import CAPTURES

collect_ignore = [] if (CAPTURES / "found").is_dir() else ["test_rig_found.py"]
