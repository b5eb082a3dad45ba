"""Validations between the steps of a run: when they are due, and what follows from them.

How one is computed is not known here: `Evaluate` is given by who builds the graph
(`runtime/results/validator.py`).
"""

from __future__ import annotations

import dataclasses
import fractions
import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import tensorflow.compat.v1 as tf

from runtime import options
from runtime.checkpoints import best
from runtime.training import schedules


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a validation has found, the same on all workers."""

    step: int
    epoch: float
    images: int
    values: Mapping[str, float]  # by metric, each of options.METRICS
    secs: float  # that it took
    best: best.Best  # of the run, this one included
    end: str = ''  # why the run is to end after it

    @property
    def is_best(self) -> bool:
        return self.best.step == self.step


class Evaluate(Protocol):
    """Counts over all images of a split, in the session of the training; collective."""

    def __call__(
        self, session: tf.Session, beat: Callable[[], None], asked_to_stop: Callable[[], bool]
    ) -> tuple[int, Mapping[str, float]] | None:
        """The number of images, and the metrics; None where any worker was asked to stop."""


class Validation:
    """The validations of a run, for its loop."""

    def __init__(
        self,
        chosen: options.ValidationOptions,
        length: schedules.RunLength,
        evaluate: Evaluate,
        held: best.Best | None = None,
    ) -> None:
        """`held`: the best one so far, of the run that is resumed; alike on all workers."""
        self._chosen, self._length, self._evaluate = chosen, length, evaluate
        self._best = held
        if chosen.eval_every_steps is not None:
            self._period = fractions.Fraction(chosen.eval_every_steps)
        else:
            # Exact: 0.1 epochs are a tenth of one.
            epochs = fractions.Fraction(str(chosen.eval_every_epochs))
            self._period = epochs * length.images_per_epoch / length.images_per_step

    def next_due(self, step: int) -> int:
        """The first step after `step` that a validation follows; also the last of the run."""
        times = math.floor(step / self._period) + 1
        return min(max(step + 1, math.ceil(times * self._period)), self._length.total_steps)

    def due(self, step: int) -> bool:
        """Whether a validation follows this step."""
        return step > 0 and (self.next_due(step - 1) == step or step == self._length.total_steps)

    def missed(self, step: int) -> bool:
        """Whether a run that goes on after `step` has not had its validation."""
        return self.due(step) and (self._best is None or self._best.validated < step)

    @property
    def recalibrated(self) -> bool:
        """Whether the statistics of batch norm are computed anew before each."""
        return self._chosen.recalibrate_before_eval

    @property
    def keeps_best(self) -> bool:
        return self._chosen.keep_best is not None

    def run(
        self,
        session: tf.Session,
        step: int,
        beat: Callable[[], None],
        asked_to_stop: Callable[[], bool],
    ) -> Outcome | None:
        """Evaluates after `step`; None where any worker was asked to stop meanwhile.

        Args:
          session: of the training, without the hooks that count its steps.
          step: the global step.
          beat: called now and then, as long as it gets on.
          asked_to_stop: whether this worker was.
        """
        begun = time.monotonic()
        counted = self._evaluate(session, beat, asked_to_stop)
        if counted is None:
            return None
        images, values = counted
        metric = self._chosen.metric
        epoch = step * self._length.images_per_step / self._length.images_per_epoch
        found = self._best and self._best.with_validation(values[metric], step)
        if found is None:
            kept = best.name_at(step) if self.keeps_best else None
            found = best.first(metric, values[metric], step, epoch, kept)
        self._best = found
        return Outcome(
            step, epoch, images, values, time.monotonic() - begun, found, found.end(self._chosen)
        )


def nothing_left(
    chosen: options.ValidationOptions,
    length: schedules.RunLength,
    step: int,
    held: best.Best | None,
) -> bool:
    """Whether a run that has come to `step` is over, its validations included."""
    if step < length.total_steps:
        return bool(held and held.end(chosen))
    last_is_missing = chosen.wanted and (held is None or held.validated < step)
    return step > length.total_steps or not last_is_missing


def announcement(chosen: options.ValidationOptions, images: int) -> str:
    """A line for the log."""
    if chosen.eval_every_steps is not None:
        often = f'{chosen.eval_every_steps} steps'
    else:
        often = f'{chosen.eval_every_epochs:g} epochs'
    return f'validation: {images} images of split {chosen.eval_split_name}, every {often}'
