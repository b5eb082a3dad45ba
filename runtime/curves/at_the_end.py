"""The curves of a run that is done, in its folder."""

from __future__ import annotations

import os
from collections.abc import Callable

from runtime.curves import drawing, history
from slim import errors

NAME = 'curves.png'
_FEWEST_ROWS = 10  # of steps; fewer make no curve


def draw(folder: str, say: Callable[[str], None]) -> None:
    """Draws curves.png; a line says where it is, or why it is not there.

    Nothing that goes wrong here is an error: the run is done and saved.
    """
    if '://' in folder:
        return  # plot_runs.py reads and writes plain files.
    try:
        run = history.read(folder)
        if len(run.steps) < _FEWEST_ROWS:
            return
        if not drawing.has_extra():
            say("no curves.png without matplotlib (pip install '.[plot]'); see summary.csv")
            return
        path = os.path.join(folder, NAME)
        drawing.write(path, drawing.draw(history.named([run])))
        say(f'curves: {path}')
    except Exception as error:
        say(f'note: no {NAME}: {errors.shortened(error, 160)}')
