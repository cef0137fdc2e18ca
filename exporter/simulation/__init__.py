"""A simulated mining site that speaks the real wire protocols on loopback addresses: for the demo, and for tests.

``python -m exporter.simulation --help`` starts one as a process of its own.
"""
