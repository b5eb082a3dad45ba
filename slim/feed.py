"""Batches from a pipeline into the training graph, and how long each step waits for them."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf


class Feed:
    """The iterator of a training pipeline; made and used below tf.device of the inputs.

    It starts where the session runs the table initializers.
    """

    def __init__(self, pipeline: Any) -> None:
        self._iterator = tf.data.make_initializable_iterator(pipeline)
        tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, self._iterator.initializer)
        self._waits: list[Any] = []
        self._skipped: list[Any] = []

    def next_batch(self) -> tuple[Any, Any]:
        """Images and labels of the next batch, for one clone."""
        with tf.device(self._iterator.initializer.device):
            asked = tf.timestamp()
            with tf.control_dependencies([asked]):
                images, labels, skipped = self._iterator.get_next()
            with tf.control_dependencies([skipped]):
                self._waits.append(tf.timestamp() - asked)
            self._skipped.append(skipped)
        return images, labels

    def tensors(self) -> dict[str, Any]:
        """Of a step, once every clone has its batch.

        `data_wait_secs`, float64 scalar: how long it took to get the batches. `skipped`, int64
        scalar: records left out since the start.
        """
        return {
            'data_wait_secs': tf.reduce_max(tf.stack(self._waits)),
            'skipped': tf.reduce_max(tf.stack(self._skipped)),
        }
