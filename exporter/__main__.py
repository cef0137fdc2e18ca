"""``python -m exporter`` is ``hashmargin``."""

from exporter.cli import main

if __name__ == "__main__":
    main()
