"""A yes or no that changes only on evidence that lasts. Time that was not watched is no evidence."""

from typing import Final, NamedTuple


class Latch(NamedTuple):
    """``evidence`` is for how long (s, watched) the other state has been called for without a break; None while not."""

    on: bool = False
    evidence: float | None = None


OFF: Final = Latch()


def step(latch: Latch, *, calls: bool, dwell: float, elapsed: float) -> Latch:
    """Move on by ``elapsed`` watched seconds.

    Args:
        latch: as it was.
        calls: whether the other state is called for now. A break starts the evidence anew.
        dwell: seconds of evidence that the other state needs; 0 changes at once.
        elapsed: watched seconds since the last step.
    """
    if not calls:
        return latch if latch.evidence is None else Latch(latch.on)
    evidence = 0.0 if latch.evidence is None else latch.evidence + elapsed
    return Latch(not latch.on) if evidence >= dwell else Latch(latch.on, evidence)
