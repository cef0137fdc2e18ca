"""The simulated site at a fraction of its CPU time, for machines with few cores: ``python -m tests.bench.thin_site``.

A hundred rigs of each model answer as they do in the simulated site. All others of the model play back what one of
these answered in the same half minute, byte by byte, over the same sockets and with the same faults. Only MAC addresses
and serial numbers are their own.
"""

import sys
from collections import defaultdict
from copy import copy
from typing import Any

from exporter.simulation.__main__ import main
from exporter.simulation.http import Request
from exporter.simulation.machine import Machine
from exporter.simulation.site import SimulatedSite
from exporter.simulation.wire import Dialect, Line, Reply

_SAMPLES = 100
"""Rigs of each model that answer for themselves. With fewer, values would be so alike that gzip has little to do."""
_SLOT = 30.0  # s: the usual interval of polls, so that every poll finds other values
_GOOD = b"HTTP/1.1 200"


class _Playback:
    """A dialect that answers for each rig what its sample answered."""

    def __init__(self, dialect: Dialect, samples: dict[str, Machine]) -> None:
        self._dialect = dialect
        self._samples = samples  # by rig
        self._slot = 0
        self._replies: dict[tuple[str, str], Reply] = {}  # of this slot, by sample and question
        self.take = dialect.take
        self.prefix = dialect.prefix

    def answer(self, machine: Machine, request: Any, now: float) -> Reply:
        """See :class:`exporter.simulation.wire.Dialect`."""
        if isinstance(request, Request):
            question = f"{request.method} {request.path} {request.headers.get('connection')}"
            if "authorization" in request.headers or request.method != "GET":  # a login, or its proof: for this rig
                return self._dialect.answer(machine, request, now)
        else:
            question = str(request)
        if now // _SLOT != self._slot:
            self._slot, self._replies = int(now // _SLOT), {}
        sample = self._samples[machine.name]
        reply = self._replies.get((sample.name, question))
        if reply is None:
            reply = self._replies[sample.name, question] = self._dialect.answer(sample, request, now)
        if isinstance(request, Request) and not reply.data.startswith(_GOOD):  # a challenge is for one rig
            return self._dialect.answer(machine, request, now)
        data = reply.data
        for theirs, own in ((sample.mac, machine.mac), (sample.serial, machine.serial)):
            data = data.replace(theirs.encode(), own.encode()).replace(theirs.lower().encode(), own.lower().encode())
        return reply._replace(data=data)


class ThinSite(SimulatedSite):
    """See :class:`exporter.simulation.site.SimulatedSite`."""

    def __init__(self, rigs: int, **settings: Any) -> None:
        super().__init__(rigs, **settings)
        by_model: defaultdict[tuple[str, str], list[Machine]] = defaultdict(list)
        samples: dict[str, Machine] = {}
        for number, placement in enumerate(self.placements):
            alike = by_model[placement.family.name, placement.model.name]
            if len(alike) < _SAMPLES:
                alike.append(copy(self.machines[placement.name]))  # which gets no fault
            samples[placement.name] = alike[number % len(alike)]
        for sample in samples.values():
            sample.fault = sample.board_flapping = sample.fan_flapping = None
        dialects = {id(line.dialect): _Playback(line.dialect, samples) for line in self.switchboard.lines.values()}
        self.switchboard.lines = {
            place: Line(line.machine, dialects[id(line.dialect)]) for place, line in self.switchboard.lines.items()
        }


if __name__ == "__main__":
    sys.exit(main(site=ThinSite))
