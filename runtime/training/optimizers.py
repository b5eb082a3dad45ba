"""One table of optimizers: TF-Slim's seven with its semantics, YellowFin and LARS.

RMSProp is TensorFlow 1's: epsilon inside the root, the accumulators of squared gradients start at
one, slots are named RMSProp and RMSProp_1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options
from runtime.training import lars, yellowfin
from slim import errors


@dataclasses.dataclass(frozen=True)
class Beside:
    """What some optimizers take beside their flags and the rate."""

    first_rate: float | None = None  # that the schedule begins with; None where there is none
    weight_decay: float = 0.0  # that is the optimizer's, and not in the loss


def _yellowfin(
    chosen: options.OptimizerOptions, rate: Any, beside: Beside
) -> yellowfin.YellowFinOptimizer:
    first = beside.first_rate
    return yellowfin.YellowFinOptimizer(
        rate if first is None else first,
        clip_thresh=chosen.yellowfin_clip_thresh,
        beta=chosen.yellowfin_beta,
        curvature_window_width=chosen.yellowfin_curvature_window_width,
        zero_debias=chosen.yellowfin_zero_debias,
        delta_mu=chosen.yellowfin_delta_mu,
        use_unsmoothed_lr_mu=chosen.yellowfin_use_unsmoothed_lr_mu,
        log_smooth=chosen.yellowfin_log_smooth,
        slow_start=chosen.yellowfin_slow_start,
        adapt_clip=chosen.yellowfin_adapt_clip,
        stat_protect_fac=chosen.yellowfin_stat_protect_fac,
        # The rate is found; what the schedule does to its first rate is done to that.
        lr_factor=1.0 if first is None else rate / first,
    )


_OPTIMIZERS: dict[str, Callable[[options.OptimizerOptions, Any, Beside], Any]] = {
    'adadelta': lambda chosen, rate, beside: tf.train.AdadeltaOptimizer(
        rate, rho=chosen.adadelta_rho, epsilon=chosen.opt_epsilon
    ),
    'adagrad': lambda chosen, rate, beside: tf.train.AdagradOptimizer(
        rate, initial_accumulator_value=chosen.adagrad_initial_accumulator_value
    ),
    'adam': lambda chosen, rate, beside: tf.train.AdamOptimizer(
        rate, beta1=chosen.adam_beta1, beta2=chosen.adam_beta2, epsilon=chosen.opt_epsilon
    ),
    'ftrl': lambda chosen, rate, beside: tf.train.FtrlOptimizer(
        rate,
        learning_rate_power=chosen.ftrl_learning_rate_power,
        initial_accumulator_value=chosen.ftrl_initial_accumulator_value,
        l1_regularization_strength=chosen.ftrl_l1,
        l2_regularization_strength=chosen.ftrl_l2,
    ),
    'lars': lambda chosen, rate, beside: lars.LarsOptimizer(
        rate, chosen.momentum, beside.weight_decay, chosen.lars_trust_coefficient
    ),
    'momentum': lambda chosen, rate, beside: tf.train.MomentumOptimizer(
        rate, momentum=chosen.momentum, name='Momentum'
    ),
    'rmsprop': lambda chosen, rate, beside: tf.train.RMSPropOptimizer(
        rate,
        decay=chosen.rmsprop_decay,
        momentum=chosen.rmsprop_momentum,
        epsilon=chosen.opt_epsilon,
    ),
    'sgd': lambda chosen, rate, beside: tf.train.GradientDescentOptimizer(rate),
    'yellowfin': _yellowfin,
}


def optimizer(
    chosen: options.OptimizerOptions, learning_rate: Any, beside: Beside | None = None
) -> tf.train.Optimizer:
    """The optimizer of the flags with `learning_rate`, a float or a scalar float32 tensor.

    One with a method `tuned` finds its rate itself.

    Raises:
      UsageError: `chosen.optimizer` is not in the table.
    """
    if chosen.optimizer not in _OPTIMIZERS:
        raise errors.UsageError(
            f'Optimizer [{chosen.optimizer}] was not recognized. '
            + errors.did_you_mean(chosen.optimizer, _OPTIMIZERS)
        )
    return _OPTIMIZERS[chosen.optimizer](chosen, learning_rate, beside or Beside())
