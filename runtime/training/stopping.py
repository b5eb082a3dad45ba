"""Signals that end a run in good order."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Stop:
    """The signal that asked for the end of the run, once there was one."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        return 0 if self.number in (None, signal.SIGUSR1) else 128 + self.number


@contextlib.contextmanager
def graceful() -> Iterator[Stop]:
    """A signal is noted instead of ending the process; a second one ends it at once.

    SIGINT, SIGTERM, and SIGUSR1, which mpirun hands on to its workers and does nothing itself.
    """
    stop = Stop()
    previous: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        del frame
        # No print here: the signal may have come in the middle of one.
        stop.number = number
        signal.signal(number, previous[number])

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        previous[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        for caught, handler in previous.items():
            signal.signal(caught, handler)
