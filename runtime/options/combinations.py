"""Flags of a training that do not go together."""

from __future__ import annotations

from runtime.options.training import Training
from slim import errors


def check(chosen: Training) -> None:
    """UsageError for the first two flags that contradict each other."""
    run, workers, tuning = chosen.run, chosen.workers, chosen.tuning
    for found, said in (
        (
            workers.use_horovod and chosen.clones.num_clones > 1,
            '--num_clones with --use_horovod: one worker drives one device; start more workers',
        ),
        (
            workers.use_horovod and run.steps_per_run > 1,
            '--steps_per_run with --use_horovod: workers meet after each step',
        ),
        (
            run.accumulate_steps > 1 and run.steps_per_run > 1,
            '--accumulate_steps with --steps_per_run: both are loops in the graph; give one of '
            'them',
        ),
        (
            run.accumulate_steps > 1 and workers.cross_replica_batch_norm,
            '--accumulate_steps with --cross_replica_batch_norm: workers meet once in an update',
        ),
        (
            run.steps_per_run > 1 and chosen.watching.save_histograms,
            '--save_histograms with --steps_per_run: what is inside of a loop in the graph cannot '
            'be looked at; leave one of them away',
        ),
        (
            run.accumulate_steps > 1 and chosen.watching.save_histograms,
            '--save_histograms with --accumulate_steps: what is inside of a loop in the graph '
            'cannot be looked at; leave one of them away',
        ),
        (
            tuning.freeze_batch_norm and run.recalibrate_batch_norm,
            '--freeze_batch_norm keeps the statistics that --recalibrate_batch_norm computes anew: '
            'give one of them',
        ),
        (
            tuning.freeze_batch_norm and workers.cross_replica_batch_norm,
            '--freeze_batch_norm uses no moments of a batch for --cross_replica_batch_norm to '
            'share',
        ),
    ):
        if found:
            raise errors.UsageError(said)
