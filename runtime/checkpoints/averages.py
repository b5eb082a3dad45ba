"""Exponential moving averages of the variables, under their classic names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

import slim

AVERAGE_SUFFIX = '/ExponentialMovingAverage'


class MovingAverages:
    """Exponential moving averages of variables, named `<variable>/ExponentialMovingAverage`.

    The same numbers as tf.train.ExponentialMovingAverage with num_updates. The averages start from
    the variables' initial values; after variables were loaded from elsewhere, run `start`.
    """

    def __init__(self, decay: float, variables: Sequence[tf.Variable]) -> None:
        self._decay = decay
        self._pairs = [(variable, _average_of(variable)) for variable in variables]
        self._by_name = {variable.op.name: average for variable, average in self._pairs}

    def start(self) -> tf.Operation:
        """Sets the averages to the variables."""
        return tf.group(*(average.assign(variable) for variable, average in self._pairs))

    def swap(self) -> tf.Operation:
        """Each variable gets the value of its average, and the average that of the variable."""
        values = [[v.read_value() for v in pair] for pair in self._pairs]
        with tf.control_dependencies(tf.nest.flatten(values)):
            return tf.group(
                *(
                    to.assign(value, read_value=False)
                    for pair, held in zip(self._pairs, values, strict=True)
                    for to, value in zip(pair, reversed(held), strict=True)
                )
            )

    def update(self, step: Any) -> tf.Operation:
        """average += (1 - d) (variable - average), d = min(decay, (1 + step) / (10 + step))."""
        step = tf.cast(step, tf.float32)
        rest = 1.0 - tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        updates = []
        for variable, average in self._pairs:
            with tf.device(average.device):
                difference = average.read_value() - variable.read_value()
                updates.append(average.assign_sub(difference * rest, read_value=False))
        return tf.group(*updates)

    def instead(self, getter: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """For tf.variable_scope: a layer that asks for a variable gets its average."""
        variable = getter(*args, **kwargs)
        return self._by_name.get(variable.op.name, variable)


def moving_averages(decay: float | None) -> MovingAverages | None:
    """Averages over the network's variables, statistics included; None without a decay."""
    return MovingAverages(decay, slim.get_model_variables()) if decay else None


def _average_of(variable: tf.Variable) -> tf.Variable:
    with tf.device(variable.device):
        return tf.Variable(
            variable.initial_value,
            name=variable.op.name + AVERAGE_SUFFIX,
            dtype=variable.dtype.base_dtype,
            trainable=False,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES],
        )
