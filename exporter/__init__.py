"""hashmargin: a Prometheus exporter for bitcoin-mining sites."""

__version__ = "0.1.0"
