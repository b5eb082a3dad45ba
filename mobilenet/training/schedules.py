"""The learning rate as a function of the step, by name.

The numbers are those of the Model Garden's factory of optimizers, of 2020: `exponential` starts
from a rate of its own, the others from .1 for 256 images a step, as in Goyal et al., "Accurate,
Large Minibatch SGD", 2017.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from mobilenet.training.names import SCHEDULES
from slim import errors

_BASE_RATE, _BASE_BATCH = 0.1, 256
# ResNet's on ImageNet, in epochs; factors of the base rate.
_BOUNDARIES = (30, 60, 80)
_MULTIPLIERS = (1.0, 0.1, 0.01, 0.001)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a schedule is made from. The keys of `params` are the fields' names."""

    steps_per_epoch: int
    batch_size: int  # of all replicas together
    initial_lr: float = 0.008  # of `exponential`
    decay_epochs: float = 2.4
    decay_rate: float = 0.97
    staircase: bool = True
    base_lr: float | None = None  # of the others; None: .1 for 256 images a step
    warmup_epochs: float = 5
    boundaries: tuple[float, ...] = _BOUNDARIES  # in epochs
    # One more than boundaries: factors of the base rate, for `stepwise` rates per image of a batch.
    multipliers: tuple[float, ...] | None = None
    epochs: float = 90  # in which `cosine` falls to 0

    @property
    def base_rate(self) -> float:
        if self.base_lr is not None:
            return self.base_lr
        return _BASE_RATE * self.batch_size / _BASE_BATCH


def schedule(
    name: str, steps_per_epoch: int, batch_size: int, params: Mapping[str, Any]
) -> LearningRate:
    """The schedule `name`, a key of `names.SCHEDULES`.

    Args:
      name: with or without `_with_warmup`; all of them climb from 0 in the first `warmup_epochs`.
      steps_per_epoch: of this run.
      batch_size: images of a step, of all replicas.
      params: fields of `Plan`.

    Raises:
      UsageError: an unknown name or parameter, or values that do not go together.
    """
    if name not in SCHEDULES:
        raise errors.unknown_name('learning rate schedule', name, SCHEDULES)
    known = [field.name for field in dataclasses.fields(Plan)]
    for key in params:
        if key not in known:
            raise errors.unknown_name('parameter of a learning rate', key, known)
    listed = {
        key: tuple(value)
        for key, value in params.items()
        if key in ('boundaries', 'multipliers') and value is not None
    }
    plan = Plan(
        **{'steps_per_epoch': steps_per_epoch, 'batch_size': batch_size, **params, **listed}
    )
    return LearningRate(SCHEDULES[name], plan)


class LearningRate(tf_keras.optimizers.schedules.LearningRateSchedule):
    """The rate at a step, float32: linear from 0 in the warm-up, then as its kind says."""

    def __init__(self, kind: str, plan: Plan) -> None:
        super().__init__()
        self._kind, self._plan = kind, plan
        self.initial_learning_rate, self._rate = _KINDS[kind](plan)
        self._warmup_steps = plan.warmup_epochs * plan.steps_per_epoch

    def __call__(self, step: Any) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = self._rate(step)
        if not self._warmup_steps:
            return rate
        climbing = self.initial_learning_rate * step / self._warmup_steps
        return tf.where(step < self._warmup_steps, climbing, rate)

    def get_config(self) -> dict[str, Any]:
        return {'kind': self._kind, **dataclasses.asdict(self._plan)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRate:
        fields = dict(config)
        return cls(fields.pop('kind'), Plan(**fields))


# Of each kind: the rate that the warm-up climbs to, and the rate at a step (float32 scalar) after.
_Kind = tuple[float, Callable[[tf.Tensor], tf.Tensor]]


def _exponential(plan: Plan) -> _Kind:
    """Not shifted by the warm-up: what falls meanwhile shows at its end, as a jump down."""
    decay_steps = plan.decay_epochs * plan.steps_per_epoch

    def rate(step: tf.Tensor) -> tf.Tensor:
        times = step / decay_steps
        return plan.initial_lr * plan.decay_rate ** (tf.floor(times) if plan.staircase else times)

    return plan.initial_lr, rate


def _piecewise_constant(plan: Plan) -> _Kind:
    factors = _MULTIPLIERS if plan.multipliers is None else plan.multipliers
    return _steps(plan, [plan.base_rate * factor for factor in factors])


def _stepwise(plan: Plan) -> _Kind:
    if plan.multipliers is None:
        return _piecewise_constant(plan)
    return _steps(plan, [plan.batch_size * factor for factor in plan.multipliers])


def _steps(plan: Plan, values: list[float]) -> _Kind:
    """A value lasts up to and including its boundary."""
    if len(values) != len(plan.boundaries) + 1:
        raise errors.UsageError(
            f'{len(plan.boundaries)} boundaries of the learning rate want '
            f'{len(plan.boundaries) + 1} multipliers, not {len(values)}'
        )
    ends = [float(epoch) * plan.steps_per_epoch for epoch in plan.boundaries]

    def rate(step: tf.Tensor) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(step > tf.constant(ends, tf.float32), tf.int32))
        return tf.gather(tf.constant(values, tf.float32), passed)

    return values[0], rate


def _cosine(plan: Plan) -> _Kind:
    begin = plan.warmup_epochs * plan.steps_per_epoch
    length = max(1.0, plan.epochs * plan.steps_per_epoch - begin)

    def rate(step: tf.Tensor) -> tf.Tensor:
        done = tf.clip_by_value((step - begin) / length, 0.0, 1.0)
        return plan.base_rate * 0.5 * (1.0 + tf.cos(math.pi * done))

    return plan.base_rate, rate


_KINDS: dict[str, Callable[[Plan], _Kind]] = {
    'exponential': _exponential,
    'piecewise_constant': _piecewise_constant,
    'stepwise': _stepwise,
    'cosine': _cosine,
}
