"""Readers of rigs, and the inventory of them."""
