"""Owns time: when each rig and source is asked, how patiently, and how long its answer may be used."""
