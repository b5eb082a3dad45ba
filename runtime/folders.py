"""Folders that a run writes: looked at before anything is built, made when it begins."""

from __future__ import annotations

import os

import tensorflow.compat.v1 as tf

from slim import errors


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
