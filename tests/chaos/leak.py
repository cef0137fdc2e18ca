"""``make leak``: whether memory grows with the number of polls. Polls at ten times the usual pace for 18 minutes.

18 minutes stand for three hours, so the sliding window of each rig is a tenth, too. Each second the metrics are scraped
and a page is read. The first three minutes are left out: windows and caches fill then. Resident memory moves by some
megabytes with each evaluation and with gaps between blocks in use, so the lowest of the last five minutes is compared
with that of the first. All garbage is collected every five minutes: what lies about until then counts, too.
Prints one line of JSON per figure, and exits with 1 if memory grows by more than its limit.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from itertools import cycle
from operator import itemgetter
from pathlib import Path
from typing import Final

from chaos_run import Exporter, simulated

_WARM: Final = 180.0  # s
_PERIOD: Final = 300.0  # s, between two collections of all garbage
_MOST_BYTES_PER_POLL: Final = 20.0
"""A leak of one object per poll is larger; 10,000 rigs at 30 s would grow by 0.6 GB a day."""
_FEWEST_POLLS: Final = 100_000
"""Two megabytes that come and go are less than the limit then. A busy machine makes fewer of the 180,000."""
_SHORT_WINDOWS: Final = {"POLLING__WORK_WINDOW": "60s"}
_PAGES: Final = ("/", "/rigs", "/blocks")
_POLLS: Final = re.compile(r"^mining_poll_duration_seconds_count (\S+)$", re.MULTILINE)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def read(url: str) -> str | None:
    """Return what is served at a URL, or None if the exporter starts or is too busy to serve it."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            text: str = answer.read().decode()
    except OSError:
        return None
    return text


def polls_until_now(url: str) -> float | None:
    """Return how many polls the exporter made, or None if it is too busy to say."""
    polls = _POLLS.search(read(f"{url}/metrics") or "")
    return None if polls is None else float(polls[1])


def main() -> int:
    """Measure, and judge the slope of memory over polls."""
    parser = argparse.ArgumentParser(prog="make leak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=_WARM + 3 * _PERIOD)
    parser.add_argument("--rigs", type=int, default=600)
    parser.add_argument("--network", default="127.91.0.0/18")
    parser.add_argument("--address", default="127.0.0.1:19853")
    options = parser.parse_args()
    if options.seconds < _WARM + 2 * _PERIOD:
        parser.error(f"--seconds must be at least {_WARM + 2 * _PERIOD:.0f}: two periods are compared")
    points: list[tuple[float, float, int]] = []
    with (
        tempfile.TemporaryDirectory(prefix="hashmargin-leak-") as name,
        simulated(Path(name), options.rigs, options.network) as (_, config),
    ):
        url = f"http://{options.address}"
        exporter = Exporter(Path(name), config, url, poll_seconds=3, login=False, settings=_SHORT_WINDOWS)
        exporter.start()
        began, pages = time.monotonic(), cycle(_PAGES)
        try:
            while (spent := time.monotonic() - began) < options.seconds:
                time.sleep(1)
                read(url + next(pages))
                if (polls := polls_until_now(url)) is not None and spent > _WARM:
                    points.append((spent, polls, resident(exporter.pid)))
        finally:
            exporter.stop()
    first = min((each for each in points if each[0] < _WARM + _PERIOD), key=itemgetter(2))
    last = min((each for each in points if each[0] > options.seconds - _PERIOD), key=itemgetter(2))
    polls_made = last[1] - first[1]
    slope = (last[2] - first[2]) / polls_made
    judged = polls_made >= _FEWEST_POLLS
    holds = slope < _MOST_BYTES_PER_POLL or not judged
    for record in (
        {"figure": "polls", "value": polls_made},
        {"figure": "resident_bytes_first", "value": first[2]},
        {"figure": "resident_bytes_last", "value": last[2]},
        {"figure": "resident_bytes_per_poll", "value": slope, "limit": _MOST_BYTES_PER_POLL, "holds": holds}
        | ({} if judged else {"judged": False}),
    ):
        print(json.dumps(record))
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
