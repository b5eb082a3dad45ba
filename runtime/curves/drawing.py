"""Curves of runs by matplotlib, the extra `plot`. No TensorFlow."""

from __future__ import annotations

import bisect
import importlib.util
import io
import itertools
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runtime.curves import history
from slim import errors

_FORMS = ('.png', '.svg', '.pdf')
# Okabe and Ito 2008, without their yellow, which is hard to see on white.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#000000')
_LINES = ('-', '--', ':', '-.')  # of more runs than colours
_LONGEST_NAME = 70
# Rows that are averaged for the line of the loss: so many of them make a curve.
_SMOOTHED_PARTS = 50
_WIDE_RATES = 50  # the highest rate by the lowest, from which the scale is logarithmic


def form_of(path: str) -> str:
    """The ending of the picture; UsageError for one that is not drawn."""
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMS:
        raise errors.UsageError(
            f'--output_file={path}: give a name that ends in .png, .svg or .pdf'
        )
    return ending[1:]


def has_extra() -> bool:
    return importlib.util.find_spec('matplotlib') is not None


def check_extra() -> None:
    """UsageError names the extra where matplotlib is missing."""
    if not has_extra():
        raise errors.UsageError(
            'Curves need matplotlib, which is not here: install the extra `plot`, '
            "pip install '.[plot]'"
        )


class _Line(NamedTuple):
    """A curve of one run: values over epochs, and over seconds."""

    run: int
    epochs: Sequence[float]
    seconds: Sequence[float]
    values: Sequence[float]
    is_validation: bool = False
    is_second: bool = False  # of two of the same run in one panel


def draw(runs: Sequence[history.Run], form: str = 'png') -> bytes:
    """The picture, in one of the forms. Raises DataError where no run has any row."""
    if not any(run.steps or run.validations for run in runs):
        names = ', '.join(run.folder for run in runs)
        raise errors.DataError(f'No row is in the metrics of {names}: nothing has been logged yet')
    from matplotlib import figure as figures
    from matplotlib.backends import backend_agg

    panels = [(title, lines) for title, lines in _panels(runs) if lines]
    height = 2.9 * len(panels) + 0.5 + 0.25 * len(runs)
    figure = figures.Figure(figsize=(11, height), dpi=110, layout='constrained')
    backend_agg.FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 2, squeeze=False, sharex='col', sharey='row')
    unit, divisor = _unit_of_time(runs)
    for row, (title, lines) in enumerate(panels):
        for axis, over in zip(axes[row], ('epochs', 'seconds'), strict=True):
            for line in lines:
                across = getattr(line, over)
                if over == 'seconds':
                    across = [seconds / divisor for seconds in across]
                _add(axis, line, across, title)
            axis.grid(color='#dddddd', linewidth=0.6)
        axes[row][0].set_ylabel(title)
        rates = [x for line in lines for x in line.values if x > 0]
        if title == 'learning rate' and rates and max(rates) > _WIDE_RATES * min(rates):
            axes[row][0].set_yscale('log')
    axes[-1][0].set_xlabel('epoch')
    axes[-1][1].set_xlabel(f'{unit} in steps, without stops and validations')
    handles, labels = _legend(runs, panels)
    figure.legend(handles, labels, loc='outside upper left', ncols=1, frameon=False, fontsize=10)
    written = io.BytesIO()
    with warnings.catch_warnings():
        # Names may have letters that the font does not have.
        warnings.simplefilter('ignore')
        figure.savefig(written, format=form)
    return written.getvalue()


def write(path: str, content: bytes) -> None:
    """A file that is there whole or not at all; OutputError."""
    partial = f'{path}.{os.getpid()}.partial'
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(partial, 'wb') as file:
            file.write(content)
        os.replace(partial, path)
    except OSError as error:
        if os.path.exists(partial):
            os.remove(partial)
        raise errors.OutputError(f'{error.strerror}: {path} cannot be written') from error


def _panels(runs: Sequence[history.Run]) -> list[tuple[str, list[_Line]]]:
    """Title and lines of each row of the picture; no lines where no run has the numbers."""
    loss, rate, accuracy = [], [], []
    for number, run in enumerate(runs):
        loss.append(_of_steps(run, number, 'loss'))
        rate.append(_of_steps(run, number, 'learning_rate'))
        loss.append(_of_validations(run, number, 'loss'))
        accuracy.append(_of_validations(run, number, 'Accuracy'))
        accuracy.append(_of_validations(run, number, 'Recall_5')._replace(is_second=True))
    panels = {'loss': loss, 'learning rate': rate, 'accuracy': accuracy}
    return [
        (title, [line for line in lines if any(map(math.isfinite, line.values))])
        for title, lines in panels.items()
    ]


def _of_steps(run: history.Run, number: int, key: str) -> _Line:
    values = [history.value(row, key) for row in run.steps]
    epochs = [history.value(row, 'epoch') for row in run.steps]
    return _Line(number, epochs, history.seconds(run), values)


def _of_validations(run: history.Run, number: int, key: str) -> _Line:
    reached = [row['step'] for row in run.steps]
    times = history.seconds(run)

    def time_of(step: int) -> float:
        """Of the last row of steps before it."""
        passed = bisect.bisect_right(reached, step)
        return times[passed - 1] if passed else 0.0

    rows = run.validations
    return _Line(
        number,
        [history.value(row, 'epoch') for row in rows],
        [time_of(row['step']) for row in rows],
        [history.value(row, key) for row in rows],
        is_validation=True,
    )


def _add(axis: Any, line: _Line, across: Sequence[float], title: str) -> None:
    style = _style(line.run)
    few = 'o' if len(line.values) < 3 else None
    if line.is_validation:
        how = {**style, 'linestyle': (0, (1, 1))} if title == 'loss' or line.is_second else style
        marker = 's' if line.is_second else 'o'
        axis.plot(across, line.values, marker=marker, markersize=4, linewidth=1.2, **how)
    elif title == 'loss' and len(line.values) > 2 * _SMOOTHED_PARTS // 5:
        axis.plot(across, line.values, linewidth=0.7, alpha=0.25, **style)
        axis.plot(across, smoothed(line.values), linewidth=1.8, **style)
    else:
        axis.plot(across, line.values, linewidth=1.5, marker=few, **style)


def smoothed(values: Sequence[float]) -> list[float]:
    """The mean of each value and those before it, over a part of the curve; NaN is left out."""
    width = max(1, len(values) // _SMOOTHED_PARTS)
    finite = [math.isfinite(x) for x in values]
    sums = [
        0.0,
        *itertools.accumulate(x if known else 0.0 for x, known in zip(values, finite, strict=True)),
    ]
    counts = [0, *itertools.accumulate(finite)]
    means = []
    for end in range(1, len(values) + 1):
        begin = max(0, end - width)
        count = counts[end] - counts[begin]
        means.append((sums[end] - sums[begin]) / count if count else math.nan)
    return means


def _style(run: int) -> dict[str, Any]:
    lines = _LINES[run // len(_COLOURS) % len(_LINES)]
    return {'color': _COLOURS[run % len(_COLOURS)], 'linestyle': lines}


def _legend(
    runs: Sequence[history.Run], panels: Sequence[tuple[str, list[_Line]]]
) -> tuple[list[Any], list[str]]:
    """A line for each run, and what the marks mean."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linewidth=2, **_style(number)) for number in range(len(runs))]
    labels = [_name(run) for run in runs]
    marks: dict[str, Callable[[], Any]] = {
        'validation (in the loss dotted)': lambda: Line2D([], [], color='#555555', marker='o'),
        'Recall_5 of a validation': lambda: Line2D(
            [], [], color='#555555', marker='s', linestyle=(0, (1, 1))
        ),
    }
    shown = [line for _, lines in panels for line in lines if line.is_validation]
    wanted = (any(not line.is_second for line in shown), any(line.is_second for line in shown))
    for (label, make), is_wanted in zip(marks.items(), wanted, strict=True):
        if is_wanted:
            handles.append(make())
            labels.append(label)
    return handles, labels


def _name(run: history.Run) -> str:
    """For matplotlib, to which a dollar begins a formula and `_` hides a line."""
    words = errors.shortened(run.name or os.path.basename(run.folder), _LONGEST_NAME)
    about = ', '.join(filter(None, (run.about.get('network', ''), run.about.get('data set', ''))))
    return f'{words}  ({about})'.replace('$', r'\$') if about else f' {words}'.replace('$', r'\$')


def _unit_of_time(runs: Sequence[history.Run]) -> tuple[str, float]:
    longest = max((times[-1] for run in runs if (times := history.seconds(run))), default=0.0)
    if longest < 180:
        return 'seconds', 1.0
    return ('minutes', 60.0) if longest < 3 * 3600 else ('hours', 3600.0)
