"""How the variables of a run get their first values: resumed, or fine-tuned from elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow.compat.v1 as tf

import slim
from runtime import folders, options
from runtime.checkpoints import comparison, files, listing, lock
from slim import errors

# Of the variables that hold the loss scale, which only a run in fp16 has. It may begin anew.
LOSS_SCALE = 'loss_scale/'


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a run begins: at step 0, or where its folder's latest checkpoint stands."""

    resume_from: str | None
    step: int


@dataclasses.dataclass(frozen=True)
class Start:
    """How the variables of a run get their first values."""

    saver: tf.train.Saver | None  # of the whole run; None on a worker that saves nothing
    resume_from: str | None = None
    resume_saver: tf.train.Saver | None = None
    begun_anew: tuple[tf.Variable, ...] = ()  # what a resumed run does not find in its checkpoint
    warm_start_from: str | None = None
    warm_start_saver: tf.train.Saver | None = None


def origin(train_dir: str, fine_tune_from: str | None, strict: bool = False) -> Origin:
    """The origin of a run in `train_dir`, which is not created here.

    A damaged checkpoint is named and the one before it taken; `strict` makes it an error.

    Raises:
      OutputError: nothing can be written there, or another run has the folder.
      CheckpointError: the checkpoints there, or the one to fine-tune from, are missing or damaged.
    """
    folders.check_writable(train_dir, 'train_dir')
    lock.check_free(train_dir)
    resume_from = _newest_whole(train_dir, strict)
    if resume_from:
        if fine_tune_from:
            print(f'{train_dir} holds a checkpoint: resuming from it, not from {fine_tune_from}')
        return Origin(resume_from, files.global_step(resume_from))
    if fine_tune_from:
        files.find(fine_tune_from, 'checkpoint_path')
    return Origin(None, 0)


def check_unchanged(train_dir: str, resume_from: str | None) -> None:
    """OutputError where another run has saved since `resume_from` was the newest that is whole."""
    for checkpoint in listing.resumable(train_dir):
        if checkpoint.prefix == resume_from:
            return
        if not files.damage(checkpoint):
            raise errors.OutputError(
                f'--train_dir={train_dir}: another training has just written {checkpoint.prefix}; '
                'start again to go on from there'
            )


def _newest_whole(train_dir: str, strict: bool) -> str | None:
    """The prefix of the newest checkpoint that can be read; None where there is none at all."""
    first: errors.CheckpointError | None = None
    for checkpoint in listing.resumable(train_dir):
        why = files.damage(checkpoint)
        if not why:
            if first:
                print(f'{first}. Going on from {checkpoint.prefix}', flush=True)
            return checkpoint.prefix
        if strict:
            raise errors.CheckpointError(
                f'{files.unreadable(checkpoint.prefix, why)}. Without --strict_resume the one '
                'before it is taken'
            )
        first = first or files.unreadable(checkpoint.prefix, why)
    if first:
        raise errors.CheckpointError(
            f'{first}. There is no other one in the folder: remove it to begin anew'
        )
    return None


def start(origin: Origin, tuning: options.FineTuningOptions) -> Start:
    """The Savers of a run, once its graph is built; compares names and shapes before loading.

    Raises:
      CheckpointError: the checkpoint is of another network, or lacks variables.
      UsageError: a scope that no variable has.
    """
    # It deletes by pattern, also in other folders; keeping.py does it instead.
    saver = tf.train.Saver(tf.global_variables(), max_to_keep=0)
    if origin.resume_from:
        wanted = comparison.by_name(tf.global_variables())
        held = files.shapes(origin.resume_from)
        anew = [
            wanted.pop(name)
            for name in list(wanted)
            if name.startswith(LOSS_SCALE) and name not in held
        ]
        step_name = files.step_name(held)
        resume_saver = saver
        if step_name and step_name not in wanted:
            wanted[step_name] = wanted.pop(tf.GraphKeys.GLOBAL_STEP)
        if len(anew) or step_name not in (None, tf.GraphKeys.GLOBAL_STEP):
            resume_saver = tf.train.Saver(wanted, name='resume')
        comparison.check_all_there(
            origin.resume_from,
            wanted,
            'It is of another network or other flags: give its --model_name, --optimizer and '
            '--moving_average_decay, or another --train_dir',
        )
        return Start(saver, origin.resume_from, resume_saver, tuple(anew))
    if tuning.checkpoint_path is None:
        return Start(saver)
    prefix = files.find(tuning.checkpoint_path, 'checkpoint_path')
    wanted = comparison.by_name(
        comparison.without_scopes(slim.get_model_variables(), tuning.checkpoint_exclude_scopes)
    )
    held = files.shapes(prefix)
    comparison.check_same_network(prefix, list(wanted.values()))
    if tuning.ignore_missing_vars:
        wanted = {name: variable for name, variable in wanted.items() if name in held}
    comparison.check_all_there(
        prefix,
        wanted,
        'Leave them at their initial values with '
        f'--checkpoint_exclude_scopes={comparison.unfit_scopes(prefix, wanted)}'
        ' (or, where they are only missing, --ignore_missing_vars)',
    )
    if tuning.freeze_batch_norm:
        _check_statistics_loaded(prefix, wanted)
    warm_start_saver = tf.train.Saver(wanted, name='warm_start')
    return Start(saver, warm_start_from=prefix, warm_start_saver=warm_start_saver)


def check_frozen(origin: Origin, tuning: options.FineTuningOptions) -> None:
    """UsageError where batch norm is to keep statistics that nobody has."""
    if tuning.freeze_batch_norm and not (origin.resume_from or tuning.checkpoint_path):
        raise errors.UsageError(
            '--freeze_batch_norm keeps the statistics of a checkpoint: name it by --checkpoint_path'
        )


def _check_statistics_loaded(prefix: str, wanted: Mapping[str, tf.Variable]) -> None:
    for variable in slim.get_model_variables():
        name = variable.op.name
        if name.endswith('/moving_variance') and name not in wanted:
            raise errors.UsageError(
                f'--freeze_batch_norm: {name} is not taken from {prefix}, and would stay at its '
                'initial values: leave it in, or give --recalibrate_batch_norm instead'
            )
