"""A run's state on disk: everything that training goes on from, in TensorFlow's checkpoints.

After each epoch `model.ckpt-0003` is written, and `interrupted.ckpt-STEP` where a signal ended the
run within an epoch. Both hold under `model` what is evaluated: the averages, where there are any;
the last weights are then under `averages`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from mobilenet.training.engine import Engine
from runtime import folders
from runtime.checkpoints import files, keeping, listing, lock
from slim import errors

_KEPT = 3  # newest ones, beside the best
_FLAG = 'model_dir'
_INTERRUPTED = 'interrupted.ckpt'
_OF_INTERRUPTED = re.compile(re.escape(_INTERRUPTED) + r'-\d{1,18}\.(index|data-\d{5}-of-\d{5}.*)')
_VALUE = '/.ATTRIBUTES/VARIABLE_VALUE'


class Progress(tf.Module):
    """How far a run is."""

    def __init__(self, steps_per_epoch: int) -> None:
        super().__init__(name='progress')
        self.steps_per_epoch = tf.Variable(
            steps_per_epoch, dtype=tf.int64, trainable=False, name='steps_per_epoch'
        )
        self.epochs = tf.Variable(0, dtype=tf.int64, trainable=False, name='epochs')  # finished
        self.best_loss = tf.Variable(float('inf'), dtype=tf.float64, trainable=False, name='best')
        self.best_epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name='best_epoch')


class State:
    """The checkpoints of a run in `folder`."""

    def __init__(self, folder: str, engine: Engine, steps_per_epoch: int) -> None:
        self._folder, self._engine = folder, engine
        self._steps_per_epoch = steps_per_epoch
        self.progress = Progress(steps_per_epoch)
        parts: dict[str, Any] = {
            'model': engine.model,
            'optimizer': engine.optimizer,
            'progress': self.progress,
            'sums': engine.sums,
        }
        if engine.averages:
            parts['averages'] = engine.averages
        self._checkpoint = tf.train.Checkpoint(**parts)

    def restore(self, prefix: str) -> None:
        """Everything as it was.

        Raises:
          CheckpointError: damaged, or of another network or other flags.
        """
        way_out = (
            'It is of another network or other flags: give its --model_name, --width_multiplier, '
            '--optimizer_name and --ma_decay_rate, or another --model_dir'
        )
        averaged = any(name.startswith('averages/') for name in files.shapes(prefix))
        if averaged != bool(self._engine.averages):
            raise errors.CheckpointError(
                f'{prefix} has {"" if averaged else "no "}averages of the weights. {way_out}'
            )
        try:
            with files.openable(prefix) as name:
                self._checkpoint.read(name).assert_existing_objects_matched()
        except (ValueError, AssertionError) as error:
            what = ' '.join(str(error).split())[:160]
            raise errors.CheckpointError(f'{prefix} does not fit: {what}. {way_out}') from error
        except tf.errors.OpError as error:
            raise files.unreadable(prefix, folders.reason(error)) from error
        steps = int(self.progress.steps_per_epoch.numpy())
        if steps != self._steps_per_epoch:
            raise errors.CheckpointError(
                f'{prefix} is of a run of {steps} steps an epoch, and this one has '
                f'{self._steps_per_epoch}: give --batch_size, number of devices and data set of '
                'before, or another --model_dir'
            )
        if self._engine.averages:
            self._engine.averages.swap()

    def save_epoch(self) -> str:
        """After a finished epoch; returns the prefix. Old ones go, the best and the newest stay."""
        epoch = int(self.progress.epochs.numpy())
        prefix = self._write(f'{listing.CHECKPOINT_NAME}-{epoch:04d}')
        own = [c for c in listing.checkpoints(self._folder) if c.ours]
        best = int(self.progress.best_epoch.numpy())
        old = [c.name for c in own[_KEPT:] if c.step != best]
        keeping.remove(self._folder, old)
        keeping.saved(self._folder, epoch, keep=0)
        self._remove_interrupted()
        return prefix

    def save_interrupted(self) -> str:
        """In the middle of an epoch; returns the prefix."""
        step = int(self._engine.optimizer.iterations.numpy())
        return self._write(f'{_INTERRUPTED}-{step}')

    def _write(self, name: str) -> str:
        prefix = os.path.join(self._folder, name)
        averages = self._engine.averages
        if averages:
            averages.swap()
        try:
            self._checkpoint.write(prefix)
        except (tf.errors.OpError, OSError) as error:
            raise folders.cannot_write(prefix, error) from error
        finally:
            if averages:
                averages.swap()
        return prefix

    def _remove_interrupted(self) -> None:
        for name in sorted(listing.files(self._folder), reverse=True):  # The index first.
            if _OF_INTERRUPTED.fullmatch(name):
                with contextlib.suppress(tf.errors.OpError, OSError):
                    tf.io.gfile.remove(os.path.join(self._folder, name))


def origin(folder: str, resume: bool) -> str | None:
    """The checkpoint that a run in `folder` goes on from; None for a new run. Writes nothing.

    Raises:
      CheckpointError: there is nothing to resume, or nothing that can be read.
      OutputError: the folder cannot be written, is in use, or has a run that would be overwritten.
    """
    folders.check_writable(folder, _FLAG)
    lock.check_free(folder, _FLAG)
    there = listing.resumable(folder)
    if not resume:
        if there:
            raise errors.OutputError(
                f'--{_FLAG}={folder} holds a run already ({there[0].name}): go on with '
                '--resume_checkpoint, or give another folder'
            )
        return None
    # The one that is furthest; most often the one with the latest step in it is the first.
    steps = [(_step(checkpoint), checkpoint) for checkpoint in there]
    first: errors.CheckpointError | None = None
    for _, checkpoint in sorted(steps, key=lambda pair: pair[0], reverse=True):
        why = files.damage(checkpoint)
        if not why:
            if first:
                print(f'{first}. Going on from {checkpoint.prefix}', flush=True)
            return checkpoint.prefix
        first = first or files.unreadable(checkpoint.prefix, why)
    if first:
        raise first
    raise errors.CheckpointError(
        f'--resume_checkpoint: --{_FLAG}={folder} holds no checkpoint; leave the flag out to begin '
        'anew, or give the folder of the run'
    )


def _step(checkpoint: listing.Checkpoint) -> int:
    """The step in a checkpoint; that of one that cannot be read goes by its epoch or step."""
    try:
        with files.openable(checkpoint.prefix) as name:
            reader = tf.train.load_checkpoint(name)
            return int(reader.get_tensor(f'optimizer/iter{_VALUE}'))
    except Exception:  # Whatever is wrong with it, `damage` will say it.
        return 2**60 + (checkpoint.step or 0)


@contextlib.contextmanager
def taken(folder: str, say: Any) -> Iterator[None]:
    """Has the folder, which is made, for the length of the block. OutputError as in `origin`."""
    folders.make_folder(folder, _FLAG)
    with lock.held(folder, say, _FLAG):
        left_over = keeping.remove_left_over(folder)
        if left_over:
            say(f'removed what is left of an unfinished save: {", ".join(left_over)}')
        yield
