"""How each class is recognized, and which are taken for which. numpy alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from runtime.results.reports.rows import NONE, Rows


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of c classes, int64 [c] each: numbers of images."""

    images: np.ndarray  # of the class
    predicted: np.ndarray  # taken for it, rightly or not
    correct: np.ndarray  # of the class and taken for it
    in_five: np.ndarray  # of the class, and it is among the best five
    not_finite: np.ndarray  # of the class, taken for none

    @property
    def recall(self) -> np.ndarray:
        """The accuracy of a class; NaN for one without images."""
        return _ratio(self.correct, self.images)

    @property
    def precision(self) -> np.ndarray:
        """NaN for a class that was never predicted."""
        return _ratio(self.correct, self.predicted)

    @property
    def f1(self) -> np.ndarray:
        """NaN for a class that neither occurs nor is predicted."""
        return _ratio(2 * self.correct, self.images + self.predicted)

    @property
    def recall_5(self) -> np.ndarray:
        return _ratio(self.in_five, self.images)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Which class was taken for which how often; only pairs that occur, int64 [p] each."""

    labels: np.ndarray
    predicted: np.ndarray
    images: np.ndarray

    @property
    def mistakes(self) -> Pairs:
        """Pairs of two classes, the most frequent first."""
        wrong = np.flatnonzero(self.labels != self.predicted)
        order = wrong[np.argsort(-self.images[wrong], kind='stable')]
        return Pairs(self.labels[order], self.predicted[order], self.images[order])

    def matrix(self, group: np.ndarray, size: int) -> np.ndarray:
        """int64 [size, size]: label by prediction, with the classes in groups.

        `group`: of each class, int64 [c]; below 0 for one that is left out.
        """
        dense = np.zeros([size, size], np.int64)
        labels, predicted = group[self.labels], group[self.predicted]
        inside = (labels >= 0) & (predicted >= 0)
        np.add.at(dense, (labels[inside], predicted[inside]), self.images[inside])
        return dense


def count(rows: Rows, classes: int) -> tuple[Counts, Pairs]:
    """Of all rows; `classes` is the number of logits."""

    def of(labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, minlength=classes).astype(np.int64)

    best = rows.classes[:, 0].astype(np.int64)
    named = best != NONE
    counts = Counts(
        images=of(rows.labels),
        predicted=of(best[named]),
        correct=of(rows.labels[rows.right]),
        in_five=of(rows.labels[rows.places < 5]),
        not_finite=of(rows.labels[~named]),
    )
    # One number for each pair: a matrix of 20,000 classes would take 3 GB.
    codes, images = np.unique(rows.labels[named] * classes + best[named], return_counts=True)
    return counts, Pairs(codes // classes, codes % classes, images.astype(np.int64))


def most_confused(pairs: Pairs, most: int) -> list[int]:
    """Up to `most` classes of the most frequent mistakes, those of a pair beside each other."""
    mistakes = pairs.mistakes
    found: dict[int, None] = {}
    for pair in zip(mistakes.labels.tolist(), mistakes.predicted.tolist(), strict=True):
        if len(found.keys() | set(pair)) > most:
            break
        found.update(dict.fromkeys(pair))
    return list(found)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
