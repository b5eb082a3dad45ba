"""The flags of a validation in the middle of training."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option

# What a validation measures, and whether the best value is the highest or the lowest.
BEST_OF = {'Accuracy': max, 'Recall_5': max, 'loss': min}
METRICS = tuple(BEST_OF)


@dataclasses.dataclass(frozen=True)
class ValidationOptions:
    """What is evaluated between the steps of a run, when, and what follows from it."""

    eval_split_name: str | None = option(
        None, 'split of the same data set that is evaluated between the steps of training'
    )
    eval_every_epochs: float | None = option(
        None, 'epochs between two validations; one more is after the last step', above=0
    )
    eval_every_steps: int | None = option(
        None, 'the same in steps; give one of the two', at_least=1
    )
    keep_best: str | None = option(
        None,
        'keep the checkpoint with the best value of this in TRAIN_DIR/best, beside the last ones',
        choices=METRICS,
    )
    early_stop_patience: int | None = option(
        None,
        'end the run after so many validations in a row without a better value (of --keep_best, or '
        'else Accuracy)',
        at_least=1,
    )
    stop_threshold: float | None = option(
        None, 'end the run at a validation with a value as good as this (of the same)'
    )

    recalibrate_before_eval: bool = option(
        False,
        'before each validation, compute the statistics of batch norm anew, over as many batches '
        'as --recalibrate_batch_norm says',
    )

    @property
    def wanted(self) -> bool:
        """Whether there are validations at all."""
        return self.eval_every_epochs is not None or self.eval_every_steps is not None

    @property
    def metric(self) -> str:
        """By which validations are compared."""
        return self.keep_best or METRICS[0]
