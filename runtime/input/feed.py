"""Batches from a pipeline into the training graph: the time they take, and what went wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.input import input_errors, inputs


def joined(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `Feed.tensors`, of several batches stacked, as if of one."""
    return {name: _JOINED[name](tensor) for name, tensor in tensors.items()}


_JOINED: dict[str, Callable[[Any], Any]] = {
    'data_wait_secs': tf.reduce_sum,
    'skipped': tf.reduce_max,
    'labels': lambda labels: tf.stack([tf.reduce_min(labels), tf.reduce_max(labels)]),
}

_HOST = '/device:CPU:0'


class Feed:
    """One worker's training input; made in the graph, below tf.device of the inputs.

    It starts where the session runs the table initializers. Arguments as in
    `inputs.training_batches`.
    """

    def __init__(
        self,
        records: inputs.RecordSet,
        preprocess: Callable[..., Any],
        batch: inputs.BatchFormat,
        order: inputs.TrainingOrder,
        mix: Callable[..., tuple[Any, Any]] | None = None,
    ) -> None:
        self._records, self._batch, self._order = records, batch, order
        pipeline = self._pipeline(records, preprocess, batch, order, mix)
        self._iterator = inputs.iterator(pipeline, batch)
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, self._iterator.initializer)
        self._mix, self._preprocess = mix, preprocess
        self.images: list[Any] = []  # what each clone gets
        self._waits: list[Any] = []
        self._skipped: list[Any] = []
        self._labels: list[Any] = []

    def _pipeline(self, *arguments: Any) -> Any:
        return inputs.training_batches(*arguments)

    def next_batch(self) -> tuple[Any, ...]:
        """Images and labels of the next batch, for one clone.

        The clones of a step take theirs in the order of these calls; otherwise which of them gets
        which batch would be a race, and with it the masks of dropout and the batch norm's moments.
        """
        with tf.device(_HOST), tf.control_dependencies(self._skipped[-1:]):
            asked = tf.timestamp()
        with tf.device(self._iterator.initializer.device):
            with tf.control_dependencies([asked]):
                *content, skipped = self._iterator.get_next()
            with tf.device(_HOST), tf.control_dependencies([skipped]):
                got = tf.timestamp()
                self._waits.append(got - asked)
            # The network waits for the clock; else a busy machine would read it when that is done.
            with tf.control_dependencies([got]):
                content = [tf.identity(tensor) for tensor in content]
        self.images.append(content[0])
        self._skipped.append(skipped)
        self._labels.append(content[-1])
        return tuple(content)

    def first_images(self, batches: int) -> tf.data.Dataset:
        """Of this worker's first so many batches of the run, beside those of the steps."""
        order = dataclasses.replace(self._order, first_step=0)
        pipeline = self._pipeline(self._records, self._preprocess, self._batch, order, self._mix)
        return pipeline.map(lambda images, *rest: images).take(batches)

    def tensors(self) -> dict[str, Any]:
        """Of a step, once every clone has its batch.

        `data_wait_secs`, float64 scalar: how long it took to get the batches. `skipped`, int64
        scalar: records left out since the start. `labels`, int64 [2]: the lowest and the highest.
        """
        with tf.device(_HOST):
            return {
                'data_wait_secs': tf.add_n(self._waits),
                'skipped': tf.reduce_max(tf.stack(self._skipped)),
                'labels': self._extreme_labels(),
            }

    def _extreme_labels(self) -> Any:
        # Of mixed images, the class of the larger share.
        each = [
            tf.argmax(labels, axis=-1) if labels.dtype.is_floating else labels
            for labels in self._labels
        ]
        extremes = [find(labels) for labels in each for find in (tf.reduce_min, tf.reduce_max)]
        both = tf.stack([tf.reduce_min(extremes), tf.reduce_max(extremes)])
        return both + self._batch.labels_offset

    def explain(self, error: Exception, reached: int) -> str:
        """What to tell about an error after step `reached`: names file and record."""
        order = dataclasses.replace(self._order, first_step=reached)

        def next_records() -> Any:
            upcoming = inputs.training_records(self._records, self._batch, order)
            placed = upcoming.map(lambda number, placed: placed)
            return placed.take(self._batch.batch_size * order.batches_per_step)

        first_label = self._batch.labels_offset
        return input_errors.explain(error, self._records, next_records, first_label)
