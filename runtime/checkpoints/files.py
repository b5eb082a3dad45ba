"""The files of a checkpoint: find them, and read what they hold without a graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tensorflow.compat.v1 as tf

from slim import errors

CHECKPOINT_NAME = 'model.ckpt'


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
    name = step_name(reader.get_variable_to_shape_map())
    return int(reader.get_tensor(name)) if name else 0


def step_name(names: Collection[str]) -> str | None:
    """What the global step is called among the names in a checkpoint; None where it is not there.

    The classic NASNet created it in the scope of its first cell, where there was none before:
    `cell_stem_0/comb_iter_0/left/global_step`.
    """
    usual = tf.GraphKeys.GLOBAL_STEP
    if usual in names:
        return usual
    return next((name for name in names if name.endswith(f'/{usual}')), None)
