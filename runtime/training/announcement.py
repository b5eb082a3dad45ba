"""What a training run says before its first step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runtime import options, startup
from runtime.checkpoints import files, starting
from runtime.training import batch_norm, schedules
from runtime.training.monitor import say
from runtime.workers import cluster as cluster_lib
from slim import errors


def announce(
    chosen: options.Training,
    runtime: startup.Runtime,
    length: schedules.RunLength,
    schedule: schedules.Schedule,
    input_note: str = '',
) -> None:
    """Says on rank 0 what is about to run; `input_note` is a line of its own."""
    if runtime.cluster.rank == 0:
        epochs = length.total_steps * length.images_per_step / length.images_per_epoch
        print(
            f'{runtime}, {runtime.cluster.size} worker(s)\n'
            f'{chosen.network.model_name} on {length.images_per_epoch} images of '
            f'{errors.printable(chosen.dataset.dataset_dir or "")}: {length.total_steps} steps of '
            f'{length.images_per_step} images are {epochs:.2f} epochs\n'
            f'checkpoints and logs in {errors.printable(chosen.run.train_dir)}',
            flush=True,
        )
        if input_note:
            print(input_note, flush=True)
        if runtime.cluster.size > 1:
            print(_workers_table(chosen, runtime.cluster, length, schedule), flush=True)


def _workers_table(
    chosen: options.Training,
    cluster: cluster_lib.Cluster,
    length: schedules.RunLength,
    schedule: schedules.Schedule,
) -> str:
    warmed = min(math.ceil(schedule.warmup_steps), length.total_steps - 1)
    ranks = ', '.join(f'{rank} {host}' for rank, host in enumerate(cluster.hosts))
    parts = chosen.run.accumulate_steps
    batch = f'{chosen.input.batch_size}' + (f' x {parts}' if parts > 1 else '')
    rows = [
        ('workers (rank host)', ranks),
        ('global batch', f'{cluster.size} x {batch} = {length.images_per_step}'),
        ('learning rate', chosen.schedule.learning_rate),
        (f'scaled ({chosen.schedule.lr_scaling})', f'x {schedule.scale:.6g}'),
        *(
            (f'rate at step {step}', f'{schedule.rate(step):.6g}')
            for step in sorted({0, warmed, length.total_steps // 2, length.total_steps - 1})
        ),
    ]
    return '\n'.join(f'  {name:<24}{value}' for name, value in rows)


def fine_tuning(start: starting.Start, chosen: options.Training, network: str) -> None:
    """Says where the weights come from; `network` describes what they go into."""
    if start.warm_start_from:
        kept = chosen.tuning.checkpoint_exclude_scopes
        print(
            f'fine-tuning from {errors.printable(start.warm_start_from)}, '
            f'step {files.global_step(start.warm_start_from)}: its last weights'
            f'{f" without {kept}" if kept else ""}, into {network}, '
            f'preprocessing {chosen.input.preprocessing_name or chosen.network.model_name}',
            flush=True,
        )


# Below, the statistics still hold e^-5 and more of those at the start. After three times as many
# steps as they remember (e^-3, 5 %), digits learnt to 97 % were found at 10 %: layer by layer it
# adds up.
_ENOUGH_STEPS = 5.0


def lagging_statistics(
    chosen: options.Training,
    length: schedules.RunLength,
    statistics: Sequence[batch_norm.MovingStatistic],
    cluster: cluster_lib.Cluster,
) -> None:
    """Warns on rank 0 of a run too short for batch norm's moving statistics to arrive.

    `statistics` are those of the network; the slowest counts.
    """
    decay = max((found.decay for found in statistics), default=0.0)
    seen = length.total_steps * (1.0 - decay)
    anew = chosen.run.recalibrate_batch_norm
    if cluster.rank or not decay or seen >= _ENOUGH_STEPS or anew:
        return
    say(
        f'warning: {length.total_steps} steps are few for the moving statistics of batch norm, '
        f'which decay by {decay:g}: steps x (1 - decay) is {seen:.2g}, and should be 5 or more. '
        'An evaluation will find less than was learnt. Lower --batch_norm_decay, give '
        '--recalibrate_batch_norm=50 or, to fine-tune, --freeze_batch_norm'
    )


def nothing_left(origin: starting.Origin, cluster: cluster_lib.Cluster, why: str = '') -> None:
    """Says on rank 0 that the run has been at its end already, and `why` where that was early."""
    if cluster.rank == 0:
        end = f'the run has ended: {why}. Raise or drop that flag to go on' if why else ''
        print(
            f'{origin.resume_from} is at step {origin.step}: '
            + (end or 'raise --max_number_of_steps')
        )
