"""How far a long work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from slim import status_line
from slim.errors import printable

Progress = Callable[[str], object]  # receives lines of text


def tell(line: str) -> None:
    """Prints a line, in which names of files do nothing to the terminal."""
    print(printable(line))


_LINE_SECS = 30.0


class ProgressBar:
    """Counts up to `total` units and says rate and time left.

    `say` gets whole lines. Where it prints and standard output is a terminal, there is a bar
    instead, below the lines. `already` units were done before the start and are not in the rate.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        say: Progress = tell,
        already: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total, self._unit, self._already = total, unit, already
        self._done = already
        self._say = say
        self._bar = say in (print, tell) and status_line.possible()
        self._clock = clock
        self._begin = self._shown = clock()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        """Shows the last state, and leaves the cursor below it."""
        if self._bar:
            self._draw()
            status_line.leave()
        elif not any(error):
            self._say(self.text())

    def advance(self, count: int) -> None:
        self._done += count
        now = self._clock()
        if now - self._shown >= (status_line.REDRAW_SECS if self._bar else _LINE_SECS):
            self._shown = now
            if self._bar:
                self._draw()
            else:
                self._say(self.text())

    def say(self, message: str) -> None:
        """A line of its own, above the bar."""
        status_line.erase()
        self._say(message)

    def text(self) -> str:
        """`435,600/1,281,167 images, 4,120 a second, 0:03:25 left`."""
        elapsed = self._clock() - self._begin
        rate = (self._done - self._already) / elapsed if elapsed > 0 else 0.0
        left = self._total - self._done
        end = (
            f'{_duration(left / rate)} left' if rate and left > 0 else f'{_duration(elapsed)} taken'
        )
        return f'{self._done:,}/{self._total:,} {self._unit}, {rate:,.0f} a second, {end}'

    def _draw(self) -> None:
        part = min(1.0, self._done / self._total) if self._total else 1.0
        status_line.draw(part, self.text())


def _duration(secs: float) -> str:
    minutes, secs = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{secs:02d}'
