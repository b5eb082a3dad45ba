"""Optimizers by name, with the update rules of TensorFlow 1 and 2.3.

Keras' optimizers of before 2.11 (`legacy`) have them: the rate is inside of the momentum, so that
what has gathered there keeps the rate of its time, and RMSProp's epsilon is inside of the root.
All slots start at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from mobilenet.training.names import OPTIMIZERS
from slim import errors

_legacy: Any = tf_keras.optimizers.legacy


class AdamW(_legacy.Adam):
    """Adam with decoupled weight decay: Loshchilov, Hutter, 2017. Weights lose rate * decay * w."""

    def __init__(self, weight_decay: float = 0.01, name: str = 'AdamW', **arguments: Any) -> None:
        super().__init__(name=name, **arguments)
        self._weight_decay = weight_decay

    def _decay(self, variable: Any) -> tf.Operation:
        rate = self._decayed_lr(variable.dtype.base_dtype)
        return variable.assign_sub(rate * self._weight_decay * variable, use_locking=True)

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        with tf.control_dependencies([self._decay(var)]):
            return super()._resource_apply_dense(grad, var, apply_state)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None):
        with tf.control_dependencies([self._decay(var)]):
            return super()._resource_apply_sparse(grad, var, indices, apply_state)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'weight_decay': self._weight_decay}


_TABLE: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    'sgd': lambda rate, params: _legacy.SGD(rate),
    'momentum': lambda rate, params: _legacy.SGD(
        rate, momentum=params['momentum'], nesterov=params['nesterov']
    ),
    'rmsprop': lambda rate, params: _legacy.RMSprop(
        rate, rho=params['decay'], momentum=params['momentum'], epsilon=params['epsilon']
    ),
    'adam': lambda rate, params: _legacy.Adam(rate, **_adam(params)),
    'adamw': lambda rate, params: AdamW(
        params['weight_decay'], learning_rate=rate, **_adam(params)
    ),
}
_DEFAULTS = {
    'decay': 0.9,
    'momentum': 0.9,
    'nesterov': False,
    'epsilon': 0.002,
    'beta_1': 0.9,
    'beta_2': 0.999,
    'weight_decay': 0.01,
    'moving_average_decay': None,  # not the optimizer's: see averages.py
}


def optimizer(name: str, learning_rate: Any, params: Mapping[str, Any]) -> Any:
    """The optimizer `name` at `learning_rate`, a number or a schedule.

    Raises:
      UsageError: an unknown name or parameter.
    """
    if name not in OPTIMIZERS:
        raise errors.unknown_name('optimizer', name, OPTIMIZERS)
    for key in params:
        if key not in _DEFAULTS:
            raise errors.unknown_name('parameter of an optimizer', key, _DEFAULTS)
    return _TABLE[name](learning_rate, {**_DEFAULTS, **params})


def _adam(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: params[name] for name in ('beta_1', 'beta_2', 'epsilon')}
