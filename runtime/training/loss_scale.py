"""The dynamic loss scale of fp16: gradients as large as its range allows.

float16 has nothing below 6e-8, and gradients are smaller. So the loss is multiplied by a scale
before its gradients are computed, and they are divided by it, in float32, when they are there. The
scale is as high as it may be: it is halved after a step whose gradients overflow, which is left
out, and doubled after 2,000 steps in a row without one (Micikevicius et al., "Mixed Precision
Training", 2018). A power of two, so that it changes no bit of a gradient that is within the range.
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from runtime.checkpoints import starting
from runtime.workers import cluster as cluster_lib

FIRST, LOWEST, HIGHEST = 2.0**15, 1.0, 2.0**24
STEPS_TO_DOUBLE = 2_000


class LossScale:
    """The scale and its counter, variables beside those of the optimizer."""

    def __init__(self) -> None:
        def variable(name: str, value: Any) -> tf.Variable:
            return tf.Variable(
                value, trainable=False, name=starting.LOSS_SCALE + name, use_resource=True
            )

        self._scale = variable('scale', tf.constant(FIRST))
        self._steady_steps = variable('steady_steps', tf.constant(0, tf.int64))
        # What this step's loss is multiplied by.
        self.value = self._scale.read_value()

    def unscaled(
        self, pairs: cluster_lib.GradientsAndVariables
    ) -> cluster_lib.GradientsAndVariables:
        """The (gradient, variable) pairs of the loss without its scale."""
        return [(_times(gradient, 1.0 / self.value), variable) for gradient, variable in pairs]

    def update(self, overflowed: Any, counts: Any) -> Any:
        """What to run after a step; the scale from then on, a scalar.

        Args:
          overflowed: bool scalar, whether its gradients did.
          counts: bool scalar, whether the step changed the variables.
        """
        steady = tf.where_v2(counts, self._steady_steps.read_value() + 1, tf.constant(0, tf.int64))
        doubles = steady >= STEPS_TO_DOUBLE
        higher = tf.where_v2(doubles, tf.minimum(2.0 * self.value, HIGHEST), self.value)
        scale = self._scale.assign(tf.where_v2(overflowed, 0.5 * self.value, higher))
        steady = tf.where_v2(doubles, tf.constant(0, tf.int64), steady)
        with tf.control_dependencies([self._steady_steps.assign(steady)]):
            return tf.identity(scale)


def _times(gradient: Any, factor: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
    return None if gradient is None else gradient * factor
