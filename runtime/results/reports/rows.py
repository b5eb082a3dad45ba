"""What a report keeps of each image: its place in the records, its label, the best classes.

Not the logits: 50,000 rows are 5 MB, where the logits of 1,000 classes would be 200.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.training import classification
from runtime.workers import cluster as cluster_lib

KEPT_CLASSES = 5
NONE = -1  # the class predicted where a logit is not finite


@dataclasses.dataclass(frozen=True)
class Rows:
    """One row for each image; n images, the k best classes. A class is its place in the logits."""

    files: np.ndarray  # int64 [n], index among the split's record files
    records: np.ndarray  # int64 [n], number in its file, from 0
    names: np.ndarray  # bytes objects [n], b'' where the record has none
    labels: np.ndarray  # int64 [n], the right class
    places: np.ndarray  # int32 [n], of the right class among all, from 0; ties count against it
    truth: np.ndarray  # float32 [n], probability of the right class
    classes: np.ndarray  # int32 [n, k], NONE where the logits are not finite
    probabilities: np.ndarray  # float32 [n, k], of these

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> np.ndarray:
        """bool [n]: as the evaluation counts it."""
        return self.classes[:, 0] == self.labels

    def chosen(self, which: Any) -> Rows:
        """The rows that an index array, a slice or a mask selects."""
        return Rows(*(values[which] for values in _arrays(self)))


def _arrays(rows: Rows) -> list[np.ndarray]:
    return [getattr(rows, field.name) for field in dataclasses.fields(rows)]


def of_batch(logits: Any, labels: Any, told: Sequence[Any]) -> dict[str, Any]:
    """The tensors of a batch's rows.

    Args:
      logits: float [b, classes].
      labels: int64 [b].
      told: what `inputs.evaluation_batches` tells of the records: files, records, names [n].
    """
    logits = tf.cast(logits, tf.float32)
    places, finite = classification.places(logits, labels)
    shares = tf.nn.softmax(logits)
    # Of the logits, since probabilities near 1 are equal where their logits are not.
    classes = tf.math.top_k(logits, min(KEPT_CLASSES, int(logits.shape[-1]))).indices
    files, records, names = told
    return {
        'files': files,
        'records': records,
        'names': names,
        'labels': labels,
        'places': places,
        'truth': tf.gather(shares, labels, axis=1, batch_dims=1),
        'classes': classes,
        'probabilities': tf.gather(shares, classes, axis=1, batch_dims=1),
        'finite': finite,
    }


class Collector:
    """The rows of one worker, batch by batch."""

    def __init__(self, tensors: Mapping[str, Any], positions: Sequence[int]) -> None:
        """`positions`: of this worker's files among all of the split."""
        self.tensors = tensors
        self._positions = np.asarray(positions, np.int64)
        self._taken: list[Rows] = []

    def take(self, values: Mapping[str, Any]) -> None:
        """The values of `tensors`, for one batch; its filling is left out."""
        count = len(values['names'])
        values = {name: np.asarray(array)[:count] for name, array in values.items()}
        finite, classes = values.pop('finite'), values['classes'].copy()
        probabilities = values['probabilities'].copy()
        # The label is first by its number, not by its logit: the evaluation says wrong.
        tied = np.flatnonzero((values['places'] > 0) & (classes[:, 0] == values['labels']))
        if classes.shape[1] > 1:
            classes[tied, :2] = classes[tied, 1::-1]
        classes[~finite] = NONE
        probabilities[~finite] = np.nan
        places = np.where(finite, values['places'], np.iinfo(np.int32).max)
        truth = np.where(finite, values['truth'], np.nan)
        files = self._positions[values['files']]
        changed = {'files': files, 'classes': classes, 'probabilities': probabilities}
        self._taken.append(Rows(**{**values, **changed, 'places': places, 'truth': truth}))

    @property
    def rows(self) -> Rows | None:
        """All that were taken; None without any."""
        return joined(self._taken) if self._taken else None


def joined(parts: Sequence[Rows]) -> Rows:
    """One after the other."""
    return Rows(*(np.concatenate(arrays) for arrays in zip(*map(_arrays, parts), strict=True)))


def gather(cluster: cluster_lib.Cluster, mine: Collector | None) -> Rows | None:
    """The rows of all workers, in the order of the records. Collective; None without any."""
    rows = mine.rows if mine else None
    if cluster.size > 1:
        everyone = cluster.gather(_as_json(rows) if rows else None)
        parts = [_of_json(part) for part in everyone if part]
        rows = joined(parts) if parts else None
    return rows and rows.chosen(np.lexsort((rows.records, rows.files)))


def _as_json(rows: Rows) -> dict[str, Any]:
    values = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
    # Bytes that are no UTF-8 come back as they were.
    names = [name.decode(errors='surrogateescape') for name in values.pop('names')]
    return {'names': names, **{name: array.tolist() for name, array in values.items()}}


_TYPES = {
    'files': np.int64,
    'records': np.int64,
    'labels': np.int64,
    'places': np.int32,
    'truth': np.float32,
    'classes': np.int32,
    'probabilities': np.float32,
}


def _of_json(values: Mapping[str, Any]) -> Rows:
    names = [name.encode(errors='surrogateescape') for name in values['names']]
    arrays = {name: np.asarray(values[name], kind) for name, kind in _TYPES.items()}
    return Rows(names=np.asarray(names, object), **arrays)
