"""Dropout whose masks are a function of seed, replica and step, so that a resumed run goes on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

# Knuth's multiplier, for seeds of replicas and layers that are far from each other.
_FACTOR = 1_812_433_253


def follow_step(model: tf_keras.Model, step: Any, seed: int, replica: Any) -> None:
    """The model's dropout draws its masks by `step`.

    Keras' own draws depend on what was drawn before in the process.

    Args:
      model: its layers are changed.
      step: int64 variable.
      seed: of the run.
      replica: () -> int or int32 scalar, unlike in all replicas of all workers.
    """
    dropouts = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.Dropout)]
    for number, layer in enumerate(dropouts):
        layer.call = _call(layer, step, seed + number, replica)


def _call(layer: tf_keras.layers.Dropout, step: Any, seed: int, replica: Any) -> Any:
    def call(inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training or not layer.rate:
            return tf.identity(inputs)
        first = tf.cast(replica(), tf.int32) * tf.constant(_FACTOR, tf.int32) + seed
        seeds = tf.stack([first, tf.cast(step, tf.int32)])
        return tf.nn.experimental.stateless_dropout(inputs, layer.rate, seeds)

    return call
