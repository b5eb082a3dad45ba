"""LARS: momentum SGD with a rate for each layer, for batches of thousands of images.

You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017: the step of a
weight is in proportion to its own norm, whatever the norm of its gradient,

    rate of the layer = trust * |w| / (|g| + decay * |w|)
    v = momentum * v + rate * rate of the layer * (g + decay * w);  w = w - v

Biases, and scale and offset of batch norm, have few values near 0 or 1: they are updated by plain
momentum, and do not decay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

# What plain momentum updates: variables of at most one dimension, and of these names.
_PLAIN_NAMES = ('biases', 'bias', 'beta', 'gamma')


def is_plain(variable: tf.Variable) -> bool:
    """Whether a variable is left out of the rates of layers, and of the decay."""
    rank = variable.shape.rank
    return (rank is not None and rank <= 1) or variable.op.name.split('/')[-1] in _PLAIN_NAMES


class LarsOptimizer(tf.train.MomentumOptimizer):
    """Momentum whose slots hold steps, not gradients: a new rate does not change what has been."""

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        name: str = 'LARS',
    ) -> None:
        """The optimizer; `weight_decay` is part of the rate of a layer, so no loss may have it."""
        super().__init__(1.0, momentum, name=name)
        self._rate, self._decay, self._trust = learning_rate, weight_decay, trust_coefficient

    def apply_gradients(
        self,
        grads_and_vars: Sequence[tuple[Any, tf.Variable]],
        global_step: tf.Variable | None = None,
        name: str | None = None,
    ) -> tf.Operation:
        pairs = [(self._step(g, v), v) for g, v in grads_and_vars if g is not None]
        return super().apply_gradients(pairs, global_step, name)

    def _step(self, gradient: Any, variable: tf.Variable) -> Any:
        gradient = tf.convert_to_tensor(gradient)
        rate = tf.cast(self._rate, gradient.dtype)
        if is_plain(variable):
            return rate * gradient
        with tf.device(variable.device):
            weights = variable.read_value()
            norm, size = (tf.sqrt(2.0 * tf.nn.l2_loss(tensor)) for tensor in (gradient, weights))
            below = norm + self._decay * size
            # Weights of zero, or nothing to follow: the plain rate.
            known = (size > 0) & (below > 0)
            ratio = tf.where(
                known,
                self._trust * size / tf.where(known, below, tf.ones_like(below)),
                tf.ones([], below.dtype),
            )
            return rate * ratio * (gradient + self._decay * weights)
