"""Predictions written: the best classes of each picture, as a table, CSV or JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np

from runtime import folders, options
from runtime.input import pictures
from runtime.results import predictor, tables
from slim import errors

COLUMNS = ('picture', 'rank', 'label', 'class', 'probability', 'logit')


class Guess(NamedTuple):
    """A class for a picture."""

    rank: int  # from 1
    label: int  # in the data set
    name: str | None
    probability: float
    logit: float | None  # None where the network gives probabilities


class Form(NamedTuple):
    """How predictions are written: lines before the first, and of each picture."""

    head: Callable[[], list[str]]
    lines: Callable[[str, Sequence[Guess]], list[str]]


def form(name: str, paths: Sequence[str], class_names: Sequence[str] | None) -> Form:
    """One of options.PREDICTION_FORMATS; a table's columns are as wide as any picture's name."""
    if name == 'jsonl':
        return Form(list, _json_line)
    if name == 'csv':
        return Form(
            lambda: [tables.as_csv(COLUMNS, [])],
            lambda path, guesses: [
                tables.as_csv(COLUMNS, [(path, *guess) for guess in guesses], head=False)
            ],
        )
    return _table(paths, class_names or ())


def _json_line(path: str, guesses: Sequence[Guess]) -> list[str]:
    keys = COLUMNS[1:]
    listed = [
        {key: value for key, value in zip(keys, guess, strict=True) if value is not None}
        for guess in guesses
    ]
    return [json.dumps({'picture': path, 'predictions': listed})]


def _table(paths: Sequence[str], class_names: Sequence[str]) -> Form:
    wide = max(len(errors.printable(path)) for path in [*paths, COLUMNS[0]])
    wide_names = max((len(errors.printable(name)) for name in class_names), default=0)
    wide_names = max(wide_names, len('class'))

    def row(picture: str, label: Any, name: str, probability: str) -> str:
        cells = (picture.ljust(wide), str(label).rjust(7), name.ljust(wide_names), probability)
        return '  '.join(cells)

    def lines(path: str, guesses: Sequence[Guess]) -> list[str]:
        shown = [errors.printable(path), *[''] * len(guesses)]
        return [
            row(
                picture, guess.label, errors.printable(guess.name or ''), f'{guess.probability:.4f}'
            )
            for picture, guess in zip(shown, guesses, strict=False)
        ]

    return Form(lambda: [row('picture', 'label', 'class', 'probability')], lines)


def write(
    model: predictor.Model,
    run: options.PredictionRunOptions,
    paths: Sequence[str],
    file: TextIO,
    progress: Any,
) -> int:
    """Predicts and writes; returns the number of pictures that were left out, each with a line.

    Args:
      model: what predicts.
      run: how many classes, in which form.
      paths: of the pictures.
      file: gets the answer as it comes.
      progress: has `say`, which gets lines, and `advance`, which counts pictures.

    Raises:
      DataError: a picture that cannot be read, or none that can.
      NonFiniteLossError: the network gives numbers that are not finite.
    """
    layout = form(run.format, paths, model.class_names)
    written, reached = 0, 0

    def skip_to(number: int) -> None:
        for path in paths[reached:number]:
            progress.say(pictures.left_out(path, model.reason(path)))
            progress.advance(1)

    for line in layout.head():
        print(line, file=file)
    for numbers, scores in model.scores():
        for number, row in zip(numbers.tolist(), scores, strict=True):
            skip_to(number)
            reached = number + 1
            path = paths[number]
            for line in layout.lines(path, _guesses(path, row, model, run)):
                print(line, file=file)
        written += len(numbers)
        progress.advance(len(numbers))
    skip_to(len(paths))
    if not written:
        raise errors.DataError(f'None of the {len(paths)} pictures can be read')
    file.flush()
    return len(paths) - written


def _guesses(
    path: str, row: np.ndarray, model: predictor.Model, run: options.PredictionRunOptions
) -> list[Guess]:
    if not np.isfinite(row).all():
        raise errors.NonFiniteLossError(
            f'{errors.shortened(path, 160)}: the network gives numbers that are not finite'
        )
    shares = probabilities(row) if model.gives_logits else row
    names = model.class_names
    return [
        Guess(
            rank,
            place + run.labels_offset,
            names[place] if names else None,
            float(shares[place]),
            float(row[place]) if model.gives_logits else None,
        )
        # Of equal ones the first.
        for rank, place in enumerate(np.argsort(-row, kind='stable')[: run.top_k].tolist(), 1)
    ]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax, float64 [classes]."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


@contextlib.contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there whole or not at all; OutputError."""
    if path is None:
        yield sys.stdout
        return
    partial = f'{path}.{os.getpid()}.partial'
    try:
        folders.make_folder(os.path.dirname(path) or '.', 'output_file')
        with open(partial, 'w', encoding='utf-8', errors='surrogateescape') as file:
            yield file
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, errors.SuiteError):
            raise
        raise folders.cannot_write(path, error) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
