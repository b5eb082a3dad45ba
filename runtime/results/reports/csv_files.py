"""The tables of a report as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runtime.results import tables
from runtime.results.reports import calibration, counts
from runtime.results.reports.names import Names
from runtime.results.reports.rows import NONE, Rows

_CLASS_COLUMNS = (
    *('label', 'class', 'images', 'predicted', 'correct', 'accuracy', 'precision', 'recall'),
    *('f1', 'recall_5', 'not_finite'),
)


def classes(counted: counts.Counts, names: Names) -> bytes:
    """A row for each class."""
    return _csv(_CLASS_COLUMNS, _class_rows(counted, names))


def _class_rows(counted: counts.Counts, names: Names) -> Iterator[Sequence[Any]]:
    columns = (counted.images, counted.predicted, counted.correct)
    shares = (counted.recall, counted.precision, counted.recall, counted.f1, counted.recall_5)
    for place, (label, name) in enumerate(zip(names.labels, names.classes, strict=True)):
        yield (
            label,
            name,
            *(int(column[place]) for column in columns),
            *(_share(float(share[place])) for share in shares),
            int(counted.not_finite[place]),
        )


def square(pairs: counts.Pairs, names: Names) -> bytes:
    """Names of the classes, or labels, in the first line and column."""
    classes = len(names.labels)
    dense = pairs.matrix(np.arange(classes), classes)
    named = [name or str(label) for name, label in zip(names.classes, names.labels, strict=True)]
    rows: Iterator[list[Any]] = (
        [name, *row.tolist()] for name, row in zip(named, dense, strict=True)
    )
    return _csv(('label \\ predicted', *named), rows)


_PAIR_COLUMNS = ('label', 'class', 'predicted', 'predicted_class', 'images', 'share_of_label')


def confused(pairs: counts.Pairs, counted: counts.Counts, names: Names) -> bytes:
    """A row for each pair of two classes, the most frequent first."""
    return _csv(_PAIR_COLUMNS, _pair_rows(pairs, counted, names))


def _pair_rows(
    pairs: counts.Pairs, counted: counts.Counts, names: Names
) -> Iterator[Sequence[Any]]:
    wrong = pairs.mistakes
    for label, predicted, images in zip(
        wrong.labels.tolist(), wrong.predicted.tolist(), wrong.images.tolist(), strict=True
    ):
        yield (
            *(names.labels[label], names.classes[label]),
            *(names.labels[predicted], names.classes[predicted]),
            *(images, _share(images / int(counted.images[label]))),
        )


_BIN_COLUMNS = ('above', 'up_to', 'images', 'confidence', 'accuracy')


def calibrated(found: calibration.Calibration) -> bytes:
    """A row for each bin."""
    return _csv(_BIN_COLUMNS, _bin_rows(found))


def _bin_rows(found: calibration.Calibration) -> Iterator[Sequence[Any]]:
    for number in range(calibration.BINS):
        yield (
            *(_share(end / calibration.BINS) for end in (number, number + 1)),
            int(found.images[number]),
            *(_share(float(part[number])) for part in (found.confidence, found.accuracy)),
        )


def predictions(rows: Rows, names: Names) -> bytes:
    """A row for each image."""
    return _csv(_prediction_columns(rows), _prediction_rows(rows, names))


def _prediction_columns(rows: Rows) -> list[str]:
    columns = ['image', 'file', 'record', 'label', 'class', 'correct', 'place', 'probability']
    for number in range(1, rows.classes.shape[1] + 1):
        columns += [f'predicted_{number}', f'class_{number}', f'probability_{number}']
    return columns


def _prediction_rows(rows: Rows, names: Names) -> Iterator[Sequence[Any]]:
    told = zip(
        names.images(rows),
        names.files(rows),
        rows.records.tolist(),
        rows.labels.tolist(),
        rows.right.tolist(),
        rows.places.tolist(),
        rows.truth.tolist(),
        rows.classes.tolist(),
        rows.probabilities.tolist(),
        strict=True,
    )
    for image, file, record, label, right, place, truth, classes, shares in told:
        finite = classes[0] != NONE
        row: list[Any] = [
            image,
            file,
            record,
            names.labels[label],
            names.classes[label],
            int(right),
        ]
        row += [place + 1, _share(truth)] if finite else ['', '']
        for predicted, share in zip(classes, shares, strict=True):
            known = (names.labels[predicted], names.classes[predicted], _share(share))
            row += known if finite else ['', '', '']
        yield row


def _share(value: float) -> str:
    """Six digits; nothing for what is not defined."""
    return '' if np.isnan(value) else f'{value:.6g}'


def _csv(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> bytes:
    # Halves of characters, which names of files may have, cannot be written as they are.
    return (tables.as_csv(columns, rows) + '\n').encode(errors='backslashreplace')
