"""What should be done with a rig or block, and when that is sure: pure functions of snapshot, past and now."""
