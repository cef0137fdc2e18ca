"""Verdicts on rigs and blocks, and the evidence for them. Pure functions of a snapshot, the past and the time."""
