"""An operator who lets rigs run at a lower operating point now and then, so that two of their points are measured."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final

from exporter.simulation.machine import Machine

LOWER: Final = 0.8
"""The lower point, as a share of the stock hashrate. Every firmware has tuned it."""
_STEP_SECONDS: Final = 75.0
_PAUSE_STEPS: Final = 8
"""Steps between two visits of the same rig to its lower point."""


class Rounds:
    """Moves the rigs. In each step one half of them is at its lower point, or none."""

    def __init__(self, rigs: Sequence[Machine], clock: Callable[[], float]) -> None:
        self._halves = [rigs[::2], rigs[1::2]]
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin the rounds, in the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="rounds")

    async def stop(self) -> None:
        """End them, if they have begun."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        for step in cycle(range(_PAUSE_STEPS)):
            self.move(step)
            await asyncio.sleep(_STEP_SECONDS)

    def move(self, step: int) -> None:
        """Take a step of a round: the halves of the rigs run at their lower point in steps 1 and 2."""
        now = self._clock()
        for turn, half in enumerate(self._halves, 1):
            share = LOWER if step == turn else 1.0
            for machine in half:
                if machine.operation.share != share:
                    machine.run_at(share, now)
