"""The files of a checkpoint: find them, and read what they hold without a graph."""

from __future__ import annotations

import contextlib
import difflib
import os
import tempfile
from collections.abc import Collection, Iterator
from typing import Any

import tensorflow.compat.v1 as tf

from runtime import folders
from runtime.checkpoints import listing
from slim import errors

CHECKPOINT_NAME = listing.CHECKPOINT_NAME
_LISTED_NAMES = 3
# What TensorFlow takes for a pattern, and then does not find the files.
_PATTERN = frozenset('*?[]\\')
# TensorFlow's reader has Python's errors for some of what it meets.
_READER_ERRORS = (tf.errors.OpError, ValueError, LookupError, RuntimeError, SystemError, TypeError)
# Of restoring in a session; what else can happen there is not the files' fault.
_RESTORE_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.OutOfRangeError,
    tf.errors.NotFoundError,
    tf.errors.InvalidArgumentError,
    tf.errors.FailedPreconditionError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnimplementedError,
    tf.errors.UnknownError,
    ValueError,
)


def find(path: str, flag: str) -> str:
    """The prefix of the checkpoint that `path` means: a folder's newest, or the one it names.

    Raises:
      CheckpointError: there is none, or it lacks a file; the message names the flag.
    """
    if tf.gfile.IsDirectory(path):
        found = listing.checkpoints(path)
        if not found:
            raise errors.CheckpointError(f'--{flag}={path}: the folder holds no checkpoint')
        return _whole(found[0])
    # Users also name one of the files that make a checkpoint.
    prefix = listing.prefix_of(path)
    folder, name = os.path.split(prefix)
    found = listing.checkpoints(folder)
    for checkpoint in found:
        if checkpoint.name == name:
            return _whole(checkpoint)
    if tf.gfile.Exists(path):
        return path  # Of one file, as TensorFlow 0.x wrote them.
    names = [checkpoint.name for checkpoint in found]
    near = [other for other in names if name and other.startswith(name)]
    near = (near or difflib.get_close_matches(name, names))[:_LISTED_NAMES]
    hint = f'. Did you mean {" or ".join(os.path.join(folder, other) for other in near)}?'
    raise errors.CheckpointError(
        f'--{flag}={path}: no such checkpoint or folder{hint if near else ""}'
    )


def _whole(checkpoint: listing.Checkpoint) -> str:
    if checkpoint.missing:
        raise unreadable(checkpoint.prefix, f'its file {checkpoint.missing} is missing')
    return checkpoint.prefix


def unreadable(prefix: str, why: str) -> errors.CheckpointError:
    return errors.CheckpointError(
        f'Checkpoint {prefix} cannot be read, it is damaged or incomplete: {why}'
    )


def damage(checkpoint: listing.Checkpoint) -> str:
    """Why a checkpoint cannot be read, in a few words; '' where it is as it was written.

    Everything is read, as that is when TensorFlow compares checksums; what lies elsewhere than on
    this machine is left to the restoring.
    """
    if checkpoint.missing:
        return f'its file {checkpoint.missing} is missing'
    try:
        with openable(checkpoint.prefix) as name:
            reader: Any = tf.train.load_checkpoint(name)
            names = reader.get_variable_to_shape_map()
            for variable in () if '://' in name else names:
                reader.get_tensor(variable)
    except _READER_ERRORS as error:
        return folders.reason(error)
    return ''


def shapes(prefix: str) -> dict[str, list[int]]:
    """Variable name to shape, of everything the checkpoint holds.

    Raises:
      CheckpointError: the files are damaged or of another kind.
    """
    try:
        with openable(prefix) as name:
            return tf.train.load_checkpoint(name).get_variable_to_shape_map()
    except _READER_ERRORS as error:
        raise unreadable(prefix, folders.reason(error)) from error


def global_step(prefix: str) -> int:
    """The step at which a checkpoint was written; 0 where it does not say.

    Raises:
      CheckpointError: the files are damaged or of another kind.
    """
    name = step_name(shapes(prefix))
    if name is None:
        return 0
    try:
        with openable(prefix) as opened:
            return int(tf.train.load_checkpoint(opened).get_tensor(name))
    except _READER_ERRORS as error:
        raise unreadable(prefix, folders.reason(error)) from error


def restore(saver: tf.train.Saver, session: tf.Session, prefix: str) -> None:
    """Restores variables from a checkpoint.

    Raises:
      CheckpointError: its files are damaged; checksums are compared now.
    """
    try:
        with openable(prefix) as name:
            saver.restore(session, name)
    except _RESTORE_ERRORS as error:
        raise unreadable(prefix, folders.reason(error)) from error


@contextlib.contextmanager
def openable(prefix: str) -> Iterator[str]:
    """A name under which TensorFlow opens the checkpoint: its prefix, or links to its files.

    It takes `[`, `*` and `?` in a prefix for a pattern, which does not match the files themselves.
    """
    if '://' in prefix or not _PATTERN & set(prefix):
        yield prefix
        return
    folder, name = os.path.split(os.path.abspath(prefix))
    with tempfile.TemporaryDirectory(prefix='checkpoint-') as links:
        for file in listing.files(folder):
            suffix = file.removeprefix(name)
            if file == name or (file.startswith(name) and listing.SUFFIX.fullmatch(suffix)):
                os.symlink(os.path.join(folder, file), os.path.join(links, f'checkpoint{suffix}'))
        yield os.path.join(links, 'checkpoint')


def step_name(names: Collection[str]) -> str | None:
    """What the global step is called among the names in a checkpoint; None where it is not there.

    The classic NASNet created it in the scope of its first cell, where there was none before:
    `cell_stem_0/comb_iter_0/left/global_step`.
    """
    usual = tf.GraphKeys.GLOBAL_STEP
    if usual in names:
        return usual
    return next((name for name in names if name.endswith(f'/{usual}')), None)
