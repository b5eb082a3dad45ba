"""One table of optimizers, TF-Slim's seven with its semantics.

RMSProp is TensorFlow 1's: epsilon inside the root, the accumulators of squared gradients start at
one, slots are named RMSProp and RMSProp_1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options
from slim import errors

_OPTIMIZERS: dict[str, Callable[[options.OptimizerOptions, Any], Any]] = {
    'adadelta': lambda chosen, rate: tf.train.AdadeltaOptimizer(
        rate, rho=chosen.adadelta_rho, epsilon=chosen.opt_epsilon
    ),
    'adagrad': lambda chosen, rate: tf.train.AdagradOptimizer(
        rate, initial_accumulator_value=chosen.adagrad_initial_accumulator_value
    ),
    'adam': lambda chosen, rate: tf.train.AdamOptimizer(
        rate, beta1=chosen.adam_beta1, beta2=chosen.adam_beta2, epsilon=chosen.opt_epsilon
    ),
    'ftrl': lambda chosen, rate: tf.train.FtrlOptimizer(
        rate,
        learning_rate_power=chosen.ftrl_learning_rate_power,
        initial_accumulator_value=chosen.ftrl_initial_accumulator_value,
        l1_regularization_strength=chosen.ftrl_l1,
        l2_regularization_strength=chosen.ftrl_l2,
    ),
    'momentum': lambda chosen, rate: tf.train.MomentumOptimizer(
        rate, momentum=chosen.momentum, name='Momentum'
    ),
    'rmsprop': lambda chosen, rate: tf.train.RMSPropOptimizer(
        rate,
        decay=chosen.rmsprop_decay,
        momentum=chosen.rmsprop_momentum,
        epsilon=chosen.opt_epsilon,
    ),
    'sgd': lambda chosen, rate: tf.train.GradientDescentOptimizer(rate),
}


def optimizer(chosen: options.OptimizerOptions, learning_rate: Any) -> tf.train.Optimizer:
    """The optimizer of the flags with `learning_rate`, a float or a scalar float32 tensor.

    Raises:
      UsageError: `chosen.optimizer` is not in the table.
    """
    if chosen.optimizer not in _OPTIMIZERS:
        raise errors.UsageError(
            f'Optimizer [{chosen.optimizer}] was not recognized. '
            + errors.did_you_mean(chosen.optimizer, _OPTIMIZERS)
        )
    return _OPTIMIZERS[chosen.optimizer](chosen, learning_rate)
