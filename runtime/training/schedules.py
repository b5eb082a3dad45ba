"""Learning rates: one formula each, for the graph (TensorFlow) and for tables and tests (numpy).

A formula takes the module to compute with (`tensorflow` or `numpy`; both spell minimum, floor, cos
and where alike) and the step as a float64. A step is one update of the weights by all workers
together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from runtime import options
from slim import errors


@dataclasses.dataclass(frozen=True)
class RunLength:
    """What is needed to speak of epochs."""

    total_steps: int  # the global step at which the run ends
    images_per_step: int  # over all clones and workers
    images_per_epoch: int


def run_length(chosen: options.Training, images_per_epoch: int, workers: int) -> RunLength:
    """The length of the run that the flags describe, on `workers` workers."""
    return RunLength(
        chosen.run.max_number_of_steps,
        chosen.input.batch_size * chosen.clones.num_clones * chosen.run.accumulate_steps * workers,
        images_per_epoch,
    )


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The learning rate of a run; made by `schedule`."""

    options: options.ScheduleOptions
    steps_per_epoch: float
    total_steps: int
    scale: float = 1.0  # of the whole curve, for the batches of many workers

    def rate(self, step: int) -> float:
        """The learning rate at global step `step`, float32 as the graph has it."""
        return float(np.float32(self._formula(np, np.float64(step))))

    def tensor(self, global_step: Any) -> Any:
        """float32 scalar tensor: the learning rate at the int64 tensor `global_step`."""
        import tensorflow as tf

        return tf.cast(self._formula(tf, tf.cast(global_step, tf.float64)), tf.float32)

    @property
    def first_rate(self) -> float:
        """What decays, and what a warm-up climbs to."""
        return self.scale * self.options.learning_rate

    @property
    def warmup_steps(self) -> float:
        """Steps of the linear climb; not rounded, as in the classic suite."""
        return self.options.warmup_epochs * self.steps_per_epoch

    def _formula(self, xp: Any, step: Any) -> Any:
        rate = _DECAYS[self.options.learning_rate_decay_type](self, xp, step)
        if self.warmup_steps:
            climbing = self.options.learning_rate * step / self.warmup_steps
            # The lower of the two, as in the classic suite: the climb ends on the decaying curve.
            rate = xp.minimum(climbing, rate)
        return self.scale * rate


def schedule(chosen: options.ScheduleOptions, length: RunLength, workers: int = 1) -> Schedule:
    """The schedule of a run.

    Args:
      chosen: the flags.
      length: steps of the run, where cosine decay ends, and images per step and per epoch.
      workers: by which `--lr_scaling` multiplies, the climb of the warm-up included.

    Raises:
      UsageError: an unknown decay type, or `decay_epochs` that are no rising numbers.
    """
    if chosen.learning_rate_decay_type not in _DECAYS:
        raise errors.UsageError(
            f'learning_rate_decay_type [{chosen.learning_rate_decay_type}] was not recognized. '
            + errors.did_you_mean(chosen.learning_rate_decay_type, _DECAYS)
        )
    if chosen.learning_rate_decay_type == 'step':
        decay_epochs(chosen)
    return Schedule(
        chosen,
        length.images_per_epoch / length.images_per_step,
        length.total_steps,
        _SCALES[chosen.lr_scaling](workers),
    )


def decaying_every(
    chosen: options.ScheduleOptions, steps: int, length: RunLength
) -> options.ScheduleOptions:
    """The flags with the epochs of a decay that make exactly so many steps."""
    # Half a step more, which `_decay_steps` cuts off again, is safe from rounding.
    epochs = (steps + 0.5) * length.images_per_step / length.images_per_epoch
    return dataclasses.replace(chosen, num_epochs_per_decay=epochs)


def decay_epochs(chosen: options.ScheduleOptions) -> list[float]:
    """`--decay_epochs` as numbers; UsageError where they are none, or do not rise."""
    try:
        epochs = [float(word) for word in chosen.decay_epochs.split(',')]
    except ValueError:
        epochs = []
    if not epochs or epochs != sorted(epochs) or min(epochs) <= 0 or not math.isfinite(epochs[-1]):
        raise errors.UsageError(
            f'--decay_epochs={chosen.decay_epochs}: give rising epochs, such as 30,60,80'
        )
    return epochs


def _decay_steps(plan: Schedule) -> int:
    # A set smaller than one decay period still decays, once a step; zero would divide by zero.
    return max(1, int(plan.steps_per_epoch * plan.options.num_epochs_per_decay))


def _fixed(plan: Schedule, xp: Any, step: Any) -> Any:
    return plan.options.learning_rate + 0.0 * step


def _exponential(plan: Schedule, xp: Any, step: Any) -> Any:
    times = xp.floor(step / _decay_steps(plan))
    return plan.options.learning_rate * plan.options.learning_rate_decay_factor**times


def _polynomial(plan: Schedule, xp: Any, step: Any) -> Any:
    start, end = plan.options.learning_rate, plan.options.end_learning_rate
    left = 1.0 - xp.minimum(step / _decay_steps(plan), 1.0)
    return (start - end) * left + end


def _cosine(plan: Schedule, xp: Any, step: Any) -> Any:
    # The wave starts where the warm-up ends, so that the climb reaches the full rate.
    start, end = plan.options.learning_rate, plan.options.end_learning_rate
    length = max(1.0, plan.total_steps - plan.warmup_steps)
    done = xp.minimum(xp.maximum((step - plan.warmup_steps) / length, 0.0), 1.0)
    return end + (start - end) * 0.5 * (1.0 + xp.cos(np.pi * done))


def _cosine_annealing(plan: Schedule, xp: Any, step: Any) -> Any:
    # From step 0 on, whatever the warm-up: the climb ends where it meets the wave.
    start, end = plan.options.learning_rate, plan.options.end_learning_rate
    done = xp.minimum(step / plan.total_steps, 1.0)
    return end + (start - end) * 0.5 * (1.0 + xp.cos(np.pi * done))


def _cosine_annealing_by_epoch(plan: Schedule, xp: Any, step: Any) -> Any:
    length = _decay_steps(plan)
    return _cosine_annealing(plan, xp, length * xp.floor(step / length))


def _step(plan: Schedule, xp: Any, step: Any) -> Any:
    rate = plan.options.learning_rate + 0.0 * step
    for epoch in decay_epochs(plan.options):
        begun = step >= epoch * plan.steps_per_epoch
        rate = xp.where(begun, rate * plan.options.learning_rate_decay_factor, rate)
    return rate


# "linear": Goyal et al., "Accurate, Large Minibatch SGD", 2017. The square root keeps the variance
# of an update: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.
_SCALES: dict[str, Callable[[int], float]] = {
    'linear': float,
    'sqrt': math.sqrt,
    'none': lambda workers: 1.0,
}

_DECAYS: dict[str, Callable[[Schedule, Any, Any], Any]] = {
    'fixed': _fixed,
    'exponential': _exponential,
    'polynomial': _polynomial,
    'cosine': _cosine,
    'cosine_annealing': _cosine_annealing,
    'cosine_annealing_by_epoch': _cosine_annealing_by_epoch,
    'step': _step,
}
