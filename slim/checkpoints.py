"""Checkpoints by classic names: find, compare before loading, save, warm start, moving averages."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

import slim
from slim import errors, options

CHECKPOINT_NAME = 'model.ckpt'
_KEPT_CHECKPOINTS = 5
AVERAGE_SUFFIX = '/ExponentialMovingAverage'
_LISTED_VARIABLES = 5


def find(path: str, flag: str) -> str:
    """The prefix of the checkpoint that `path` means: a folder's latest, or the one it names.

    Raises:
      CheckpointError: there is none; the message names the flag.
    """
    if tf.gfile.IsDirectory(path):
        latest = tf.train.latest_checkpoint(path)
        if latest is None:
            raise errors.CheckpointError(f'--{flag}={path}: the folder holds no checkpoint')
        return latest
    # Users also name one of the files that make a checkpoint.
    prefix = path
    for suffix in ('.index', '.meta', '.data-00000-of-00001'):
        prefix = prefix.removesuffix(suffix)
    if not tf.train.checkpoint_exists(prefix):
        raise errors.CheckpointError(f'--{flag}={path}: no such checkpoint or folder')
    return prefix


def shapes(prefix: str) -> dict[str, list[int]]:
    """Variable name to shape, of everything the checkpoint holds.

    Raises:
      CheckpointError: the files are damaged or of another kind.
    """
    try:
        return tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise errors.CheckpointError(f'Checkpoint {prefix} cannot be read: {reason}') from error


def global_step(prefix: str) -> int:
    """The step at which a checkpoint was written; 0 where it does not say."""
    reader: Any = tf.train.load_checkpoint(prefix)
    name = _step_name(reader.get_variable_to_shape_map())
    return int(reader.get_tensor(name)) if name else 0


def _step_name(names: Collection[str]) -> str | None:
    """What the global step is called among the names in a checkpoint; None where it is not there.

    The classic NASNet created it in the scope of its first cell, where there was none before:
    `cell_stem_0/comb_iter_0/left/global_step`.
    """
    usual = tf.GraphKeys.GLOBAL_STEP
    if usual in names:
        return usual
    return next((name for name in names if name.endswith(f'/{usual}')), None)


def missing_and_misshapen(
    prefix: str, variables: Mapping[str, tf.Variable]
) -> tuple[list[str], list[str]]:
    """Names that the checkpoint lacks, and lines for those that it holds in another shape.

    Args:
      prefix: the checkpoint.
      variables: name in the checkpoint to variable in the graph.
    """
    held = shapes(prefix)
    missing = [name for name in variables if name not in held]
    misshapen = [
        f'{name} is {held[name]} in the checkpoint and {variable.shape.as_list()} here'
        for name, variable in variables.items()
        if name in held and held[name] != variable.shape.as_list()
    ]
    return missing, misshapen


def check_all_there(prefix: str, variables: Mapping[str, tf.Variable], advice: str) -> None:
    """CheckpointError that lists what is missing or of another shape, followed by `advice`."""
    missing, misshapen = missing_and_misshapen(prefix, variables)
    if misshapen:
        raise errors.CheckpointError(
            f'Checkpoint {prefix} has other shapes: {_listed(misshapen)}. {advice}'
        )
    if missing:
        raise errors.CheckpointError(f'Checkpoint {prefix} lacks {_listed(missing)}. {advice}')


def by_name(variables: Sequence[tf.Variable]) -> dict[str, tf.Variable]:
    """Checkpoint name to variable."""
    return {variable.op.name: variable for variable in variables}


def without_scopes(variables: Sequence[tf.Variable], scopes: str | None) -> list[tf.Variable]:
    """The variables outside the comma-separated `scopes`, which are prefixes of names.

    Raises:
      UsageError: a scope that no variable has.
    """
    prefixes = _scopes(scopes, variables, 'checkpoint_exclude_scopes')
    return [v for v in variables if not v.op.name.startswith(prefixes)]


def within_scopes(variables: Sequence[tf.Variable], scopes: str | None) -> list[tf.Variable]:
    """The variables inside the comma-separated `scopes`; all of them where it is None.

    Raises:
      UsageError: a scope that no variable has.
    """
    if scopes is None:
        return list(variables)
    prefixes = _scopes(scopes, variables, 'trainable_scopes')
    return [v for v in variables if v.op.name.startswith(prefixes)]


def _scopes(scopes: str | None, variables: Sequence[tf.Variable], flag: str) -> tuple[str, ...]:
    prefixes = tuple(word.strip() for word in (scopes or '').split(',') if word.strip())
    names = [variable.op.name for variable in variables]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            parents = {name.rsplit('/', depth)[0] for name in names for depth in (1, 2, 3)}
            raise errors.UsageError(
                f'--{flag}: no variable begins with {prefix!r}. '
                + errors.did_you_mean(prefix, sorted(parents))
            )
    return prefixes


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
    warm_start_from: str | None = None
    warm_start_saver: tf.train.Saver | None = None


def origin(train_dir: str, fine_tune_from: str | None) -> Origin:
    """The origin of a run in `train_dir`, which is not created here.

    Raises:
      OutputError: nothing can be written there.
      CheckpointError: the checkpoint there, or the one to fine-tune from, is missing or damaged.
    """
    check_writable(train_dir, 'train_dir')
    resume_from = tf.train.latest_checkpoint(train_dir)
    if resume_from:
        if fine_tune_from:
            print(f'{train_dir} holds a checkpoint: resuming from it, not from {fine_tune_from}')
        shapes(resume_from)
        return Origin(resume_from, global_step(resume_from))
    if fine_tune_from:
        find(fine_tune_from, 'checkpoint_path')
    return Origin(None, 0)


def start(origin: Origin, tuning: options.FineTuningOptions) -> Start:
    """The Savers of a run, once its graph is built; compares names and shapes before loading.

    Raises:
      CheckpointError: the checkpoint is of another network, or lacks variables.
      UsageError: a scope that no variable has.
    """
    saver = tf.train.Saver(tf.global_variables(), max_to_keep=_KEPT_CHECKPOINTS)
    if origin.resume_from:
        wanted = by_name(tf.global_variables())
        step_name = _step_name(shapes(origin.resume_from))
        resume_saver = saver
        if step_name and step_name not in wanted:
            wanted[step_name] = wanted.pop(tf.GraphKeys.GLOBAL_STEP)
            resume_saver = tf.train.Saver(wanted, name='resume')
        check_all_there(
            origin.resume_from,
            wanted,
            'It is of another network or other flags: give its --model_name, --optimizer and '
            '--moving_average_decay, or another --train_dir',
        )
        # So that the oldest go also when they are from before the stop.
        state = tf.train.get_checkpoint_state(os.path.dirname(origin.resume_from))
        saver.recover_last_checkpoints(list(state.all_model_checkpoint_paths))
        return Start(saver, origin.resume_from, resume_saver)
    if tuning.checkpoint_path is None:
        return Start(saver)
    prefix = find(tuning.checkpoint_path, 'checkpoint_path')
    wanted = by_name(without_scopes(slim.get_model_variables(), tuning.checkpoint_exclude_scopes))
    held = shapes(prefix)
    if not any(name in held for name in wanted):
        raise errors.CheckpointError(
            f'Checkpoint {prefix} holds nothing of this network: is it of another --model_name?'
        )
    if tuning.ignore_missing_vars:
        wanted = {name: variable for name, variable in wanted.items() if name in held}
    check_all_there(
        prefix,
        wanted,
        'Leave them at their initial values with '
        f'--checkpoint_exclude_scopes={_unfit_scopes(prefix, wanted)}'
        ' (or, where they are only missing, --ignore_missing_vars)',
    )
    warm_start_saver = tf.train.Saver(wanted, name='warm_start')
    return Start(saver, warm_start_from=prefix, warm_start_saver=warm_start_saver)


def evaluation_saver(prefix: str, moving_average_decay: float | None) -> tf.train.Saver:
    """A Saver of the network's variables, from their moving averages where there is a decay.

    Raises:
      CheckpointError: averages or variables are not in the checkpoint, or have other shapes.
    """
    variables = slim.get_model_variables()
    wanted = averaged_names(prefix, variables) if moving_average_decay else by_name(variables)
    check_all_there(
        prefix,
        wanted,
        'Is it of another --model_name, data set or --labels_offset, or does the data set lack its '
        'dataset.json?',
    )
    return tf.train.Saver(wanted)


def _unfit_scopes(prefix: str, wanted: Mapping[str, tf.Variable]) -> str:
    """The scopes of what does not fit, such as `MobilenetV2/Logits`, as a flag's value."""
    missing, misshapen = missing_and_misshapen(prefix, wanted)
    names = missing + [line.split(' is ')[0] for line in misshapen]
    scopes = dict.fromkeys('/'.join(name.split('/')[:2]) for name in names)
    return ','.join(list(scopes)[:_LISTED_VARIABLES])


class MovingAverages:
    """Exponential moving averages of variables, named `<variable>/ExponentialMovingAverage`.

    The same numbers as tf.train.ExponentialMovingAverage with num_updates. The averages start from
    the variables' initial values; after variables were loaded from elsewhere, run `start`.
    """

    def __init__(self, decay: float, variables: Sequence[tf.Variable]) -> None:
        self._decay = decay
        self._pairs = [(variable, _average_of(variable)) for variable in variables]

    def start(self) -> tf.Operation:
        """Sets the averages to the variables."""
        return tf.group(*(average.assign(variable) for variable, average in self._pairs))

    def update(self, step: Any) -> tf.Operation:
        """average += (1 - d) (variable - average), d = min(decay, (1 + step) / (10 + step))."""
        step = tf.cast(step, tf.float32)
        rest = 1.0 - tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        updates = []
        for variable, average in self._pairs:
            with tf.device(average.device):
                difference = average.read_value() - variable.read_value()
                updates.append(average.assign_sub(difference * rest, read_value=False))
        return tf.group(*updates)


def moving_averages(decay: float | None) -> MovingAverages | None:
    """Averages over the network's variables, statistics included; None without a decay."""
    return MovingAverages(decay, slim.get_model_variables()) if decay else None


def _average_of(variable: tf.Variable) -> tf.Variable:
    with tf.device(variable.device):
        return tf.Variable(
            variable.initial_value,
            name=variable.op.name + AVERAGE_SUFFIX,
            dtype=variable.dtype.base_dtype,
            trainable=False,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES],
        )


def averaged_names(prefix: str, variables: Sequence[tf.Variable]) -> dict[str, tf.Variable]:
    """Checkpoint name to variable, for reading the moving averages in place of the variables.

    Raises:
      CheckpointError: the checkpoint has no averages.
    """
    held = shapes(prefix)
    if not any(name.endswith(AVERAGE_SUFFIX) for name in held):
        raise errors.CheckpointError(
            f'Checkpoint {prefix} has no moving averages; evaluate its weights with '
            '--moving_average_decay=0'
        )
    return {variable.op.name + AVERAGE_SUFFIX: variable for variable in variables}


def check_writable(path: str, flag: str) -> None:
    """OutputError if files can certainly not be made in the folder `path`; creates nothing."""
    if '://' in path:
        return
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise errors.OutputError(f'--{flag}={path}: {existing} is not a folder')
    if not os.access(existing, os.W_OK | os.X_OK):
        raise errors.OutputError(f'--{flag}={path}: no permission to write in {existing}')


def make_folder(path: str, flag: str) -> None:
    """Creates the folder; OutputError where that fails."""
    try:
        tf.gfile.MakeDirs(path)
    except (tf.errors.OpError, OSError) as error:
        reason = ' '.join(str(error).split())[:200]
        raise errors.OutputError(f'--{flag}={path}: cannot be made: {reason}') from error


def _listed(lines: Sequence[str]) -> str:
    rest = len(lines) - _LISTED_VARIABLES
    return ', '.join(lines[:_LISTED_VARIABLES]) + (f' and {rest} more' if rest > 0 else '')
