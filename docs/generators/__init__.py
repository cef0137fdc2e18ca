"""Generators of the documentation pages that are written from code. Not part of the wheel."""
