"""The last line of a terminal, drawn in place: how far a long work is. Imports no TensorFlow.

A process has one standard output, so what is drawn there is known here, once.
"""

from __future__ import annotations

import os
import shutil
import sys

REDRAW_SECS = 0.2  # Often enough to see it move, and next to no work.
_BAR_WIDTH = 20
_ERASE_LINE = '\r\x1b[K'
_drawn = False


def possible() -> bool:
    """Whether standard output is a terminal that can go back to the beginning of a line."""
    return sys.stdout.isatty() and os.environ.get('TERM') != 'dumb'


def draw(part: float, text: str) -> None:
    """A bar that is filled to `part` of 1, and a text, cut where the terminal ends."""
    global _drawn
    filled = round(part * _BAR_WIDTH)
    bar = '#' * filled + '.' * (_BAR_WIDTH - filled)
    line = f'[{bar}] {part:4.0%} {text}'
    # A full last column makes some terminals begin a new line.
    room = shutil.get_terminal_size().columns - 1
    _drawn = True
    print(f'{_ERASE_LINE}{line[:room]}', end='', flush=True)


def erase() -> None:
    """Makes room for another line, above what is drawn next."""
    global _drawn
    if _drawn:
        _drawn = False
        print(_ERASE_LINE, end='')


def leave() -> None:
    """What is drawn stays, and the cursor goes below it."""
    global _drawn
    if _drawn:
        _drawn = False
        print(flush=True)
