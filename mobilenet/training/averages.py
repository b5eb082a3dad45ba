"""Moving averages of the weights: plain decay, from the weights' first values, of what learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Averages(tf.Module):
    """average <- decay * average + (1 - decay) * weight after each step."""

    def __init__(self, weights: Sequence[Any], decay: float) -> None:
        super().__init__(name='averages')
        self._decay = decay
        held = tuple(weights)
        # Not as an attribute, which a checkpoint would hold: there they are the model's.
        self._weights = lambda: held
        # Every replica computes the same ones.
        self.values = [
            tf.Variable(
                weight.read_value(),
                trainable=False,
                name=f'average_{number}',
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for number, weight in enumerate(held)
        ]
        self._swap = tf.function(self._swap_values, autograph=False)

    def update(self) -> None:
        """In a step, after the weights were updated."""
        for average, weight in zip(self.values, self._weights(), strict=True):
            average.assign_sub((1.0 - self._decay) * (average - weight))

    def swap(self) -> None:
        """Averages and weights change places, bit for bit; so does a second call."""
        self._swap()

    def _swap_values(self) -> None:
        held = [tf.identity(weight) for weight in self._weights()]
        for average, weight, value in zip(self.values, self._weights(), held, strict=True):
            weight.assign(tf.identity(average))
            average.assign(value)
