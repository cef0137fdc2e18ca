"""The one place where a question to a rig or a source gets its deadline, and where a bug becomes a failure."""

import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.transport import timeout_failure

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Guard:
    """Turns whatever goes wrong while asking into a :class:`Failure`. The traceback of each bug is logged once."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, int | None]] = set()  # the lines of code that raised

    async def ask(self, question: Coroutine[Any, Any, T], seconds: float) -> T:
        """Return the answer to a question that may take up to ``seconds``. Raises Failure and nothing else."""
        try:
            with FastTimeout(seconds):
                return await question
        except TimeoutError as error:
            raise timeout_failure(error, seconds) from None
        except Failure:
            raise
        except Exception as error:
            raise self.classified(error) from error

    def classified(self, error: Exception) -> Failure:
        """Return the failure for an unexpected exception, and log its traceback unless that line raised before."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        if (last.filename, last.lineno) not in self._logged:
            self._logged.add((last.filename, last.lineno))
            _log.error("unexpected error", exc_info=error)
        return Failure(Reason.INTERNAL, type(error).__name__)
