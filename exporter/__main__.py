"""``python -m exporter`` is ``hashmargin``."""

import sys

from exporter.signals import hold

if sys.argv[1:2] == ["run"]:  # before the imports below: a signal during these must not kill the process
    hold()

from exporter.cli import main

if __name__ == "__main__":
    main()
